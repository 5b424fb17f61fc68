"""The ratio of two macro means on the same generations, with an interval from those of both (MOVER).

Like a difference in `differences`, but for preservation: how much of what the original drew is still drawn. Each mean
has an interval that is right for few prompts a concept; a bootstrap within concepts of two or three prompts is too
narrow (80..92 % coverage).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import LengthMismatchError
from igmu_metrics.contract import Estimate, Interval
from igmu_metrics.statistics.estimates import mean_estimate
from igmu_metrics.statistics.resampling import cluster_sums, correlation


def paired_ratio(
    first: npt.ArrayLike, second: npt.ArrayLike, clusters: npt.NDArray[Any], groups: npt.NDArray[Any]
) -> Estimate:
    """Macro mean of the first over macro mean of the second, with a 95 % interval, both cut to 0..1.

    Args:
        first: (n,) values in 0..1 of one model.
        second: (n,) of the other, in the same order; not all 0.
        clusters: (n,) prompt of each.
        groups: (n,) group of each (the concept), held fixed; a prompt lies in one group.

    Returns:
        The ratio, at most 1, with its interval within 0..1, and what the first mean's interval owns up to.

    Raises:
        LengthMismatchError: lists of different lengths.

    Where the second is always 1 this is the mean of the first: 4 of 5 with Wilson's interval.

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
            f"first, second, clusters and groups have {len(x)}, {len(y)}, {len(clusters)} and {len(groups)} entries."
        )
    one, other = (mean_estimate(values, clusters, groups=groups) for values in (x, y))
    assert one.interval is not None
    assert other.interval is not None
    # What was always drawn is known to be there, not a share that happened to be 1.
    known = other.interval if y.min() < 1 else (1.0, 1.0)
    low, high = _limits((one.value, one.interval), (other.value, known), _correlation(x, y, clusters, groups))
    ends = (min(1.0, low), min(1.0, high))
    return replace(one, value=min(1.0, one.value / other.value), interval=ends)


def mean_of_ratios(ratios: Sequence[Estimate]) -> Interval:
    """Interval of a mean of ratios of different prompts: distances to the ends add up like standard errors."""
    value = float(np.mean([r.value for r in ratios]))
    ends = [r.interval for r in ratios if r.interval is not None]
    below, above = (sqrt(sum((r.value - e[i]) ** 2 for r, e in zip(ratios, ends, strict=True))) for i in (0, 1))
    return max(0.0, value - below / len(ratios)), min(1.0, value + above / len(ratios))


def _correlation(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], clusters: npt.NDArray[Any], groups: npt.NDArray[Any]
) -> float:
    """Of the two means, from the prompts' deviations from their groups' means; not below 0, for few prompts vary."""
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
