"""Wilson's interval for a proportion, and whether two intervals overlap."""

from __future__ import annotations

from math import isfinite, sqrt
from statistics import NormalDist

from igmu_data.errors import EmptyInputError, InputError, OutOfRangeError
from igmu_metrics.contract import Interval
from igmu_metrics.statistics.level import confidence


def z_value(level: float | None = None) -> float:
    """The two-sided normal quantile of a confidence level: 1.96 for 0.95.

    Args:
        level: None for the current one (`level.at_level`).

    Raises:
        OutOfRangeError: a level outside 0..1.
    """
    return NormalDist().inv_cdf((1 + confidence(level)) / 2)


def wilson(successes: float, n: float, *, level: float | None = None) -> Interval:
    """Wilson's score interval for a proportion, which remains valid at 0, at 1 and for small n.

    Args:
        successes: how many of the n trials succeeded, 0..n; may be fractional (an effective count).
        n: number of independent trials, > 0; may be fractional.
        level: confidence level; None for the current one, normally 0.95.

    Returns:
        (low, high) within 0..1.

    Raises:
        EmptyInputError: n is 0.
        OutOfRangeError: successes outside 0..n.

    AdvUnlearn after the attack, from UnlearnDiffAtk's nudity table: 30 of 142 prompts. By hand, with z = 1.96:
    centre (30 + 1.9207)/(142 + 3.8415) = 0.2189, half width 1.96·√(30·112/142 + 0.9604)/145.8415 = 0.0667.

    >>> low, high = wilson(30, 142)
    >>> round(low, 3), round(high, 3)
    (0.152, 0.286)

    References:
        Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    """
    if not (isfinite(successes) and isfinite(n)):
        raise OutOfRangeError(f"the number of successes is {successes!r} and n is {n!r}; both must be finite.")
    if n == 0:
        raise EmptyInputError("n is 0; a proportion requires at least one trial.")
    if not 0 <= successes <= n:
        raise OutOfRangeError(f"the number of successes is {successes!r}; it must lie between 0 and n = {n!r}.")
    return score_interval(successes, n, z_value(level))


def score_interval(successes: float, n: float, z: float) -> Interval:
    """Wilson's interval for any number of standard errors; see `wilson`, which checks its arguments."""
    centre = (successes + z * z / 2) / (n + z * z)
    half = z * sqrt(max(0.0, successes * (n - successes)) / n + z * z / 4) / (n + z * z)
    # At 0 and n one end is exactly 0 or 1; rounding must not move it inside.
    return (
        0.0 if successes == 0 else max(0.0, centre - half),
        1.0 if successes == n else min(1.0, centre + half),
    )


def overlap(a: Interval, b: Interval) -> bool:
    """Whether two intervals overlap, so that the order of the two scores is undecided.

    Raises:
        InputError: an interval whose ends are NaN or in the wrong order.

    >>> overlap((0.684, 0.823), (0.722, 0.854)), overlap((0.152, 0.286), (0.684, 0.823))
    (True, False)
    """
    for name, (low, high) in (("a", a), ("b", b)):
        if not low <= high:
            raise InputError(f"interval {name} is ({low!r}, {high!r}); pass (low, high) with low <= high.")
    return a[0] <= b[1] and b[0] <= a[1]
