"""A prevalence corrected for a detector's errors, with the uncertainty of its sensitivity and specificity.

The interval inverts a test: it contains every prevalence π whose expected share of positives,
sens·π + (1 − spec)(1 − π), is not rejected by the detector's answers. The variance of this comparison is taken at π and
includes the uncertainty of sensitivity and specificity, each after adding half a success and half a failure (Jeffreys),
so that 20 of 20 does not count as certainty. A share of positives that no prevalence can explain is moved to the
nearest one that can, so the interval is never empty and never a point.

A formula that divides by Youden's index (Lang and Reiczigel's) breaks down if the index may be zero: it returned a
point for a detector that carried no information. Here, such a detector correctly gets the interval 0..1.
"""

from __future__ import annotations

from math import sqrt

from igmu_data.errors import InputError, OutOfRangeError
from igmu_metrics.contract import Interval
from igmu_metrics.statistics.intervals import z_value


def rogan_gladen(
    q: float,
    n: float,
    sens: float,
    spec: float,
    *,
    n_sens: int | None = None,
    n_spec: int | None = None,
    level: float | None = None,
) -> tuple[float, Interval]:
    """Prevalence corrected for a detector's errors, (q + spec − 1)/(sens + spec − 1), with its interval.

    Without `n_sens` and `n_spec` (the numbers of positives and negatives on which the detector was measured), both
    rates are treated as known exactly; the interval of a detector without errors is then Wilson's.

    Args:
        q: share of the generations that the detector calls positive, 0..1.
        n: number of independent generations, ≥ 1; may be fractional (an effective number, see `effective_trials`).
        sens: sensitivity of the detector, 0..1.
        spec: specificity of the detector, 0..1; sens + spec must exceed 1.
        n_sens: number of positives on which `sens` was measured.
        n_spec: number of negatives on which `spec` was measured.
        level: confidence level; None for the current one, normally 0.95.

    Returns:
        The corrected prevalence and its interval, both within 0..1. The interval is (0, 1) if the detector may be no
        better than chance.

    Raises:
        OutOfRangeError: a fraction outside 0..1, a count below 1, or a detector no better than chance.
        InputError: only one of `n_sens` and `n_spec` given.

    A detector with a sensitivity of 9/10 and one false alarm in 5 negatives calls half of the images positive: (0.5 +
    0.8 − 1)/(0.9 + 0.8 − 1) = 3/7.

    >>> value, (low, high) = rogan_gladen(0.5, 100, 0.9, 0.8)
    >>> round(value, 4), low < value < high
    (0.4286, True)

    References:
        Rogan and Gladen, "Estimating prevalence from the results of a screening test", Am. J. Epidemiology 107, 1978.
        Fieller, "Some problems in interval estimation", JRSS B 16, 1954, for why such an interval can be everything.
    """
    for name, share in (("q", q), ("sens", sens), ("spec", spec)):
        if not 0 <= share <= 1:
            raise OutOfRangeError(f"{name} is {share!r}; it must be a fraction in 0..1.")
    if (n_sens is None) != (n_spec is None):
        raise InputError(f"n_sens is {n_sens!r} and n_spec is {n_spec!r}; pass both counts or neither.")
    for name, count in (("n", n), ("n_sens", n_sens), ("n_spec", n_spec)):
        if count is not None and not count >= 1:
            raise OutOfRangeError(f"{name} is {count!r}; it must be a count of at least 1.")
    if sens + spec <= 1:
        raise OutOfRangeError(
            f"sens is {sens!r} and spec is {spec!r}, but their sum must exceed 1; otherwise the detector is no better "
            "than chance and its errors cannot be corrected. Use another detector."
        )
    value = _clip((q + spec - 1) / (sens + spec - 1))
    z = z_value(level)
    found, var_found = _rate(sens, n_sens)
    passed, var_passed = _rate(spec, n_spec)
    low, high = _inverted(q, n, z, (found, var_found), (passed, var_passed))
    return value, (min(low, value), max(high, value))


def _rate(share: float, n: int | None) -> tuple[float, float]:
    """A measured rate and its variance, with half a success and half a failure added; exact if n is None."""
    if n is None:
        return share, 0.0
    moved = (n * share + 0.5) / (n + 1)
    return moved, moved * (1 - moved) / (n + 1)


def _inverted(q: float, n: float, z: float, found: tuple[float, float], passed: tuple[float, float]) -> Interval:
    """The prevalences with (q − expected(π))² ≤ z²·variance(π): a quadratic in π, clipped to 0..1."""
    (sens, var_sens), (spec, var_spec) = found, passed
    alarms, youden = 1 - spec, sens + spec - 1
    if youden <= 0:
        return 0.0, 1.0
    # How far q exceeds the rate of false alarms, limited to what any prevalence can explain.
    above = min(max(q - alarms, 0.0), youden)
    a = youden**2 * (1 + z * z / n) - z * z * (var_sens + var_spec)
    b = -2 * above * youden - z * z * (youden * (1 - 2 * alarms) / n - 2 * var_spec)
    c = above**2 - z * z * (alarms * (1 - alarms) / n + var_spec)
    if a <= 0:  # Youden's index may be zero: no prevalence can be rejected with confidence
        return 0.0, 1.0
    root = sqrt(max(0.0, b * b - 4 * a * c))
    return _clip((-b - root) / (2 * a)), _clip((-b + root) / (2 * a))


def _clip(share: float) -> float:
    return min(1.0, max(0.0, share))
