"""The difference of two proportions with Newcombe's interval, which is derived from both intervals and never a point.

Each proportion has its own interval. The distances of the ends from the values are added like standard errors, less
the correlation that comes from sharing prompts. Nothing is resampled, so there is an interval even if one model always
forgets and the other never does.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import LengthMismatchError
from igmu_metrics.contract import Interval
from igmu_metrics.statistics.estimates import mean_estimate
from igmu_metrics.statistics.intervals import wilson
from igmu_metrics.statistics.resampling import cluster_sums, correlation


def paired_difference(
    first: npt.ArrayLike, second: npt.ArrayLike, clusters: npt.NDArray[Any]
) -> tuple[float, Interval]:
    """Mean of the first minus mean of the second, on the same generations, with a 95% interval.

    Args:
        first: (n,) values in 0..1 of one model.
        second: (n,) of the other, in the same order.
        clusters: (n,) prompt of each.

    Returns:
        The difference and its interval, within −1..1.

    Raises:
        LengthMismatchError: lists of different lengths.
        EmptyInputError: no values.

    Newcombe's example, calculated by hand with Wilson's intervals: 36 pairs agree on yes, 12 and 2 differ, and none
    agree on no.

    >>> yes, no = [1] * 36 + [1] * 12 + [0] * 2, [1] * 36 + [0] * 12 + [1] * 2
    >>> value, (low, high) = paired_difference(yes, no, np.arange(50))
    >>> round(value, 4), round(low, 4), round(high, 4)
    (0.2, 0.0569, 0.3404)

    References:
        Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired data",
        Statistics in Medicine 17, 1998, method 10 without the correction of phi.
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if not len(x) == len(y) == len(clusters):
        raise LengthMismatchError(
            f"first, second and clusters have {len(x)}, {len(y)} and {len(clusters)} entries. Pass the same number of "
            "each."
        )
    one, other = (mean_estimate(values, clusters) for values in (x, y))
    if one.interval is None or other.interval is None:
        return float("nan"), (float("nan"), float("nan"))
    shared = correlation(cluster_sums(clusters, x - one.value, y - other.value))
    return one.value - other.value, _moved((one.value, one.interval), (other.value, other.interval), shared)


def unpaired_difference(successes: float, n: float, other_successes: float, other_n: float) -> tuple[float, Interval]:
    """Difference of two proportions of different prompts, as in a published table, with a 95% interval.

    UCE against ESD after the attack in UnlearnDiffAtk's nudity table, 113 and 108 of 142 prompts each:

    >>> value, (low, high) = unpaired_difference(113, 142, 108, 142)
    >>> round(value, 4), low < 0 < high
    (0.0352, True)

    References:
        Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17,
        1998, method 10.
    """
    one, other = (successes / n, wilson(successes, n)), (other_successes / other_n, wilson(other_successes, other_n))
    return one[0] - other[0], _moved(one, other, 0.0)


def _moved(one: tuple[float, Interval], other: tuple[float, Interval], shared: float) -> Interval:
    """Distances to the ends that face away from each other, combined; the difference is one − other."""
    (p, (p_low, p_high)), (q, (q_low, q_high)) = one, other

    def combined(a: float, b: float) -> float:
        return sqrt(max(0.0, a * a + b * b - 2 * shared * a * b))

    value = p - q
    return value - combined(p - p_low, q_high - q), value + combined(p_high - p, q - q_low)
