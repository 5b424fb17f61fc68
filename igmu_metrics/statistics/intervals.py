"""Intervals with a formula: Wilson's for a proportion, and a prevalence corrected for a noisy detector."""

from __future__ import annotations

from math import isfinite, sqrt
from statistics import NormalDist

from igmu_data.errors import EmptyInputError, InputError, OutOfRangeError
from igmu_metrics.contract import Interval


def z_value(level: float) -> float:
    """The two-sided normal quantile of a confidence level: 1.96 for 0.95.

    Raises:
        OutOfRangeError: a level outside 0..1.
    """
    if not 0 < level < 1:
        raise OutOfRangeError(f"level is {level!r}; give a confidence level between 0 and 1, such as 0.95.")
    return NormalDist().inv_cdf((1 + level) / 2)


def wilson(successes: float, n: float, *, level: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion, which stays honest at 0, at 1 and for small n.

    Args:
        successes: how many of the n trials succeeded, 0..n; need not be whole (an effective count).
        n: independent trials, > 0; need not be whole.
        level: confidence level.

    Returns:
        (low, high) within 0..1.

    Raises:
        EmptyInputError: n is 0.
        OutOfRangeError: successes outside 0..n.

    AdvUnlearn after the attack in UnlearnDiffAtk's nudity table, 30 of 142 prompts. By hand, with z = 1.96:
    centre (30 + 1.9207)/(142 + 3.8415) = 0.2189, half width 1.96·√(30·112/142 + 0.9604)/145.8415 = 0.0667.

    >>> low, high = wilson(30, 142)
    >>> round(low, 3), round(high, 3)
    (0.152, 0.286)

    References:
        Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    """
    if not (isfinite(successes) and isfinite(n)):
        raise OutOfRangeError(f"successes is {successes!r} and n is {n!r}; both must be finite.")
    if n == 0:
        raise EmptyInputError("n is 0: a proportion of no trials has no interval.")
    if not 0 <= successes <= n:
        raise OutOfRangeError(f"successes is {successes!r}; it must lie between 0 and n = {n!r}.")
    z = z_value(level)
    centre = (successes + z * z / 2) / (n + z * z)
    half = z * sqrt(successes * (n - successes) / n + z * z / 4) / (n + z * z)
    # At 0 and n one end is exactly 0 or 1; rounding must not move it inside.
    return (
        0.0 if successes == 0 else max(0.0, centre - half),
        1.0 if successes == n else min(1.0, centre + half),
    )


def overlap(a: Interval, b: Interval) -> bool:
    """Whether two intervals share a point, so that the ranking of the two scores is not settled by them.

    Raises:
        InputError: an interval whose ends are NaN or in the wrong order.

    >>> overlap((0.684, 0.823), (0.722, 0.854)), overlap((0.152, 0.286), (0.684, 0.823))
    (True, False)
    """
    for name, (low, high) in (("a", a), ("b", b)):
        if not low <= high:
            raise InputError(f"interval {name} is ({low!r}, {high!r}); give (low, high) with low <= high.")
    return a[0] <= b[1] and b[0] <= a[1]


def rogan_gladen(
    q: float,
    n: int,
    sens: float,
    spec: float,
    *,
    n_sens: int | None = None,
    n_spec: int | None = None,
    level: float = 0.95,
) -> tuple[float, Interval]:
    """Prevalence corrected for a detector that errs, (q + spec − 1)/(sens + spec − 1), with its interval.

    With `n_sens` and `n_spec` (on how many positives and negatives the detector was measured) the interval is Lang and
    Reiczigel's, which carries the doubt about sensitivity and specificity along. Without them both count as known, and
    the ends of Wilson's interval of q are corrected.

    Args:
        q: share of the generations that the detector calls positive, 0..1.
        n: independent generations behind q, ≥ 1.
        sens: sensitivity of the detector, 0..1.
        spec: specificity of the detector, 0..1; sens + spec must exceed 1.
        n_sens: positives on which `sens` was measured.
        n_spec: negatives on which `spec` was measured.
        level: confidence level.

    Returns:
        The corrected prevalence and its interval, both clipped to 0..1.

    Raises:
        OutOfRangeError: a fraction outside 0..1, a count below 1, or a detector no better than chance.
        InputError: only one of `n_sens` and `n_spec` given.

    A detector that finds 9 of 10 and raises 1 false alarm in 5 calls half of the pictures positive:
    (0.5 + 0.8 − 1)/(0.9 + 0.8 − 1) = 3/7.

    >>> value, (low, high) = rogan_gladen(0.5, 100, 0.9, 0.8)
    >>> round(value, 4), low < value < high
    (0.4286, True)

    References:
        Rogan and Gladen, "Estimating prevalence from the results of a screening test", Am. J. Epidemiology 107, 1978.
        Lang and Reiczigel, "Confidence limits for prevalence of disease adjusted for estimated sensitivity and
        specificity", Preventive Veterinary Medicine 113, 2014.
    """
    for name, share in (("q", q), ("sens", sens), ("spec", spec)):
        if not 0 <= share <= 1:
            raise OutOfRangeError(f"{name} is {share!r}; it is a fraction and must lie in 0..1.")
    if (n_sens is None) != (n_spec is None):
        raise InputError(f"n_sens is {n_sens!r} and n_spec is {n_spec!r}; give both counts or neither.")
    for name, count in (("n", n), ("n_sens", n_sens), ("n_spec", n_spec)):
        if count is not None and count < 1:
            raise OutOfRangeError(f"{name} is {count!r}; it is a count and must be at least 1.")
    if sens + spec <= 1:
        raise OutOfRangeError(
            f"sens is {sens!r} and spec is {spec!r}: their sum must exceed 1, or the detector is no better than chance "
            "and nothing can be corrected. Use another detector."
        )
    value = _clip((q + spec - 1) / (sens + spec - 1))
    if n_sens is None or n_spec is None:
        low, high = wilson(q * n, n, level=level)
        return value, (_clip((low + spec - 1) / (sens + spec - 1)), _clip((high + spec - 1) / (sens + spec - 1)))
    z = z_value(level)
    share = (n * q + z * z / 2) / (n + z * z)
    found = (n_sens * sens + 1) / (n_sens + 2)
    passed = (n_spec * spec + 1) / (n_spec + 2)
    youden = found + passed - 1
    centre = (share + passed - 1) / youden
    var_found = found * (1 - found) / (n_sens + 2)
    var_passed = passed * (1 - passed) / (n_spec + 2)
    variance = share * (1 - share) / (n + z * z) + centre**2 * var_found + (1 - centre) ** 2 * var_passed
    half = z * sqrt(variance) / youden
    shift = 2 * z * z * (centre * var_found - (1 - centre) * var_passed)
    low, high = _clip(centre + shift - half), _clip(centre + shift + half)
    return value, (min(low, value), max(high, value))


def _clip(share: float) -> float:
    return min(1.0, max(0.0, share))
