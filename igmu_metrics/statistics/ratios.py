"""The ratio of two macro means on the same generations, with an interval derived from both intervals (MOVER).

This is the counterpart of `differences` for preservation: how much of what the original generated is still generated.
Each mean has an interval that is valid for few prompts per concept; a bootstrap within concepts of two or three prompts
is too narrow (coverage of 80..92%).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import LengthMismatchError
from igmu_metrics.contract import Estimate, FloatArray, Interval
from igmu_metrics.statistics.estimates import effective_wilson, mean_estimate
from igmu_metrics.statistics.resampling import cluster_sums, correlation, studentized

MIN_PROMPTS = 20  # with fewer, a product of ratios has no interval: its coverage could be 82% or less


def paired_ratio(
    first: npt.ArrayLike, second: npt.ArrayLike, clusters: npt.NDArray[Any], groups: npt.NDArray[Any]
) -> Estimate:
    """Macro mean of the first divided by that of the second, with a 95% interval, both clipped to 0..1.

    Args:
        first: (n,) values in 0..1 of one model.
        second: (n,) of the other, in the same order; not all 0.
        clusters: (n,) prompt of each.
        groups: (n,) group of each (the concept), held fixed; a prompt belongs to one group.

    Returns:
        The ratio, at most 1, with its interval within 0..1 and the reason of the first mean.

    Raises:
        LengthMismatchError: lists of different lengths.

    If the second is always 1, this is the mean of the first: 4 of 5 with Wilson's interval.

    >>> found = paired_ratio([1, 1, 1, 1, 0], [1] * 5, np.arange(5), np.zeros(5))
    >>> found.value, [round(end, 4) for end in found.interval]
    (0.8, [0.3755, 0.9638])

    References:
        Donner and Zou, "Closed-form confidence intervals for functions of the normal mean and standard deviation",
        Statistical Methods in Medical Research 21, 2012, for ratios of two estimates with intervals of their own.
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if not len(x) == len(y) == len(clusters) == len(groups):
        raise LengthMismatchError(
            f"first, second, clusters and groups have {len(x)}, {len(y)}, {len(clusters)} and {len(groups)} entries. "
            "Pass the same number of each."
        )
    one, other = (mean_estimate(values, clusters, groups=groups) for values in (x, y))
    assert one.interval is not None
    assert other.interval is not None
    # If every value is 1, the denominator is known and not an estimate that happens to be 1.
    known = other.interval if y.min() < 1 else (1.0, 1.0)
    low, high = _limits((one.value, one.interval), (other.value, known), _correlation(x, y, clusters, groups))
    ends = (min(1.0, low), min(1.0, high))
    return replace(one, value=min(1.0, one.value / other.value), interval=ends)


def mean_of_ratios(ratios: Sequence[Estimate]) -> Interval:
    """Interval for a mean of ratios on different prompts: distances to the ends add up like standard errors."""
    value = float(np.mean([r.value for r in ratios]))
    ends = [r.interval for r in ratios if r.interval is not None]
    below, above = (sqrt(sum((r.value - e[i]) ** 2 for r, e in zip(ratios, ends, strict=True))) for i in (0, 1))
    return max(0.0, value - below / len(ratios)), min(1.0, value + above / len(ratios))


def product_of_ratios(
    ratios: Sequence[tuple[FloatArray, FloatArray]],
    *,
    slopes: Sequence[float] = (),
    seed: int = 0,
    resamples: int = 2000,
) -> Estimate:
    """The product of ratios of means over the same prompts, each ratio at most 1, with a 95% interval within 0..1.

    The interval is a bootstrap-t interval for each prompt's contribution to the product (first order of a Taylor
    series). There, ratios are not clipped to 1, because a ratio just above 1 might as well be just below.

    Args:
        ratios: for each ratio, two (prompts,) columns of values in 0..1; denominators must not all be 0.
        slopes: for each ratio, the average change of the numerator when the denominator changes by one; the ratio
            itself if none is given (NaN), which suits independent columns.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Returns:
        The product; without interval for fewer than 20 prompts, with Wilson's interval if all prompts agree.

    Half of the images of each of four prompts are right, and all variety is preserved: 1/2 · 1.

    >>> half, whole = np.full(4, 0.5), np.ones(4)
    >>> product_of_ratios([(half, whole), (whole, whole)]).value
    0.5
    """
    n = len(ratios[0][0])
    raw = [float(top.mean() / bottom.mean()) for top, bottom in ratios]
    cut = [min(1.0, r) for r in raw]
    value = float(np.prod(cut))
    if n < MIN_PROMPTS:
        return Estimate(value, None, n, n, f"no interval, because there are fewer than {MIN_PROMPTS} prompts")
    added = np.zeros(n)
    for at, (top, bottom) in enumerate(ratios):
        others = float(np.prod(cut[:at] + cut[at + 1 :]))
        slope = slopes[at] if slopes and slopes[at] == slopes[at] else raw[at]
        added += others * (top - top.mean() - slope * (bottom - bottom.mean())) / bottom.mean()
    if np.ptp(added) <= 1e-12:
        interval, why = effective_wilson(value, n, "all prompts agree")
        return Estimate(value, interval, n, n, why)
    ends = studentized(np.stack([value + added, np.ones(n)], axis=1), seed=seed, resamples=resamples)
    return Estimate(value, (max(0.0, ends[0]), min(1.0, ends[1])), n, n)


def _correlation(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], clusters: npt.NDArray[Any], groups: npt.NDArray[Any]
) -> float:
    """Correlation of the two means, from deviations of prompts from their groups' means; at least 0."""
    code = np.unique(groups, return_inverse=True)[1]
    n = np.bincount(code)
    apart = [(v - (np.bincount(code, v) / n)[code]) / n[code] for v in (x, y)]
    return max(0.0, correlation(cluster_sums(clusters, *apart)))


def _limits(one: tuple[float, Interval], other: tuple[float, Interval], shared: float) -> Interval:
    """The ratios r at which p − r·q is as far from 0 as both intervals allow."""
    (p, (p_low, p_high)), (q, (q_low, q_high)) = one, other

    def end(to_p: float, to_q: float, sign: float) -> float:
        """Solves (p − r·q)² = to_p² + r²·to_q² − 2·r·shared·to_p·to_q for r."""
        a, b, c = q * q - to_q**2, p * q - shared * to_p * to_q, p * p - to_p**2
        if a <= 0:  # the second mean may be 0: no ratio is too large
            return 0.0 if sign < 0 else float("inf")
        return (b + sign * sqrt(max(0.0, b * b - a * c))) / a

    return max(0.0, end(p - p_low, q_high - q, -1.0)), end(p_high - p, q - q_low, 1.0)
