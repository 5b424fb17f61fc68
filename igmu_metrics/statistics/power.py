"""How many prompts are needed to detect a difference, and which difference a number of prompts can detect.

Conventions: two models are compared on the same prompts and seeds, by the share of images that show the concept. The
unit is the prompt, whose value is the mean over its seeds. By default, a two-sided test at 5% (divided by the number
of comparisons) should detect the difference with a power of 80%.

Two correlations matter. The correlation of two seeds of one prompt (`seed_correlation`) determines the value of further
seeds: at 1 they add nothing, at 0 as much as further prompts. The correlation of two models on one prompt
(`model_correlation`) determines the benefit of pairing; at 0 there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log2, sqrt
from statistics import NormalDist
from typing import Final

from igmu_data.errors import InputError, OutOfRangeError

SEED_CORRELATION: Final = 0.3
MOST: Final = 10_000_000
"""The largest number of prompts that is computed: if a function returns it, at least as many are needed."""


def prompts_needed(
    first: float,
    second: float,
    *,
    seeds: int = 1,
    seed_correlation: float = SEED_CORRELATION,
    model_correlation: float = 0.0,
    power: float = 0.8,
    alpha: float = 0.05,
    comparisons: int = 1,
) -> int:
    """Number of prompts that both models must generate for their difference to be detected.

    Args:
        first: share of one model, 0..1.
        second: share of the other, ≠ first.
        seeds: number of images per prompt.
        seed_correlation: correlation of two seeds of one prompt, 0..1.
        model_correlation: correlation of two models' values for one prompt, −1..1.
        power: chance of detecting the difference, 0..1.
        alpha: two-sided significance level of the test.
        comparisons: how many tests share alpha (Bonferroni's bound, which Holm's correction keeps).

    Raises:
        OutOfRangeError: a number outside its range.
        InputError: the shares are equal, so no number of prompts can show a difference.

    0.5 against 0.7 on different images: variance 0.25 + 0.21 = 0.46 per prompt, (1.96·√0.50 + 0.8416·√0.46)²/0.04 =
    95.7; and 1/0.2 = 5 more, since the exact test is always at least as strict as 5%.

    >>> prompts_needed(0.5, 0.7)
    101
    """
    _check(seeds, seed_correlation, model_correlation, power, alpha, comparisons, first=first, second=second)
    if first == second:
        raise InputError(f"both rates are {first!r}, so there is no difference to detect. Use two different rates.")
    return _needed(first, second, seeds, seed_correlation, model_correlation, power, alpha / comparisons)


def detectable_difference(
    rate: float,
    prompts: int,
    *,
    seeds: int = 1,
    seed_correlation: float = SEED_CORRELATION,
    model_correlation: float = 0.0,
    power: float = 0.8,
    alpha: float = 0.05,
    comparisons: int = 1,
) -> tuple[float, float]:
    """The smallest detectable differences below and above a rate; NaN if none within 0..1 is detectable.

    Args:
        rate: rate of the model with which another is compared, 0..1.
        prompts: planned number of prompts, ≥ 1.
        seeds: number of images per prompt, ≥ 1; this and the following arguments are as in `prompts_needed`.
        seed_correlation: correlation of two images of a prompt.
        model_correlation: correlation of two models on a prompt.
        power: chance of detecting a difference that exists.
        alpha: two-sided significance level of the test.
        comparisons: number of tests that share alpha.

    On the 101 prompts of the example above, 0.5 can be distinguished from 0.7 and from 0.3.

    >>> [round(d, 3) for d in detectable_difference(0.5, 101)]
    [0.2, 0.2]
    """
    _check(seeds, seed_correlation, model_correlation, power, alpha, comparisons, rate=rate)
    if prompts < 1:
        raise OutOfRangeError(f"the number of prompts is {prompts!r}; it must be at least 1.")

    def found(other: float) -> bool:
        return _needed(rate, other, seeds, seed_correlation, model_correlation, power, alpha / comparisons) <= prompts

    def towards(end: float) -> float:
        way = end - rate
        return _smallest(lambda part: way != 0 and found(rate + part * way)) * abs(way)

    return towards(0.0), towards(1.0)


def prompts_for_bound(
    rate: float,
    bound: float,
    *,
    seeds: int = 1,
    seed_correlation: float = SEED_CORRELATION,
    power: float = 0.8,
    alpha: float = 0.05,
    comparisons: int = 1,
) -> int:
    """Number of prompts after which a rate's interval lies on one side of a bound, as `igmu check` requires.

    Args:
        rate: true rate of the model, 0..1.
        bound: the bound, between 0 and 1, ≠ rate.
        seeds: number of images per prompt; this and the following arguments are as in `prompts_needed`.
        seed_correlation: correlation of two images of a prompt.
        power: chance that the interval excludes the bound.
        alpha: 1 minus the level of the interval.
        comparisons: number of bounds that share alpha.

    Raises:
        OutOfRangeError: a number outside its range.
        InputError: the rate equals the bound.

    Wilson's interval for 0 of n ends at z²/(n + z²), so that 35 prompts are needed to show that it is below 0.1. At 0
    and 1, further seeds add nothing, since all images of a prompt agree.

    >>> prompts_for_bound(0.0, 0.1), prompts_for_bound(0.0, 0.1, seeds=5)
    (35, 35)
    """
    _check(seeds, seed_correlation, 0.0, power, alpha, comparisons, rate=rate)
    if not 0 < bound < 1:
        raise OutOfRangeError(f"bound is {bound!r}; it must lie between 0 and 1.")
    if rate == bound:
        raise InputError(
            f"the rate and the bound are both {rate!r}, so no number of prompts can show a difference. Use another "
            "rate."
        )
    normal, share = NormalDist(), seed_correlation + (1 - seed_correlation) / seeds if 0 < rate < 1 else 1.0
    spread = normal.inv_cdf(power) * sqrt(rate * (1 - rate))
    reach = normal.inv_cdf(1 - alpha / comparisons / 2) * sqrt(bound * (1 - bound)) + spread
    return ceil(min((reach / (rate - bound)) ** 2 * share, MOST))


def detectable_gap(
    prompts: int, variance: float, *, power: float = 0.8, alpha: float = 0.05, single: bool = False
) -> float:
    """The smallest mean difference that a number of prompts can detect; NaN if none up to 1 is detectable.

    Args:
        prompts: number of prompts, ≥ 1.
        variance: variance of the difference over prompts; this and the following arguments are as in `prompts_for`.
        power: chance of detecting it.
        alpha: two-sided significance level of the test.
        single: whether prompts have one image each.
    """
    return _smallest(lambda gap: prompts_for(gap, variance, power=power, alpha=alpha, single=single) <= prompts)


def _smallest(found: Callable[[float], bool]) -> float:
    """The smallest part of the way from 0 to 1 that is found, if all larger ones are; NaN if none is."""
    if not found(1.0):
        return float("nan")
    near, far = 0.0, 1.0  # not found, found
    while far - near > 1e-6:
        middle = (near + far) / 2
        near, far = (near, middle) if found(middle) else (middle, far)
    return far


def _needed(first: float, second: float, seeds: int, within: float, between: float, power: float, alpha: float) -> int:
    gap = abs(first - second)
    if gap == 0:
        return MOST
    spreads = [sqrt(p * (1 - p) * (within + (1 - within) / seeds)) for p in (first, second)]
    # Single images that differ in `gap` cannot agree more often than 1 − gap, whatever their correlation.
    least = gap - gap * gap if seeds == 1 else 0.0
    variance = max(spreads[0] ** 2 + spreads[1] ** 2 - 2 * between * spreads[0] * spreads[1], least)
    return prompts_for(gap, variance, power=power, alpha=alpha, single=seeds == 1)


def prompts_for(gap: float, variance: float, *, power: float = 0.8, alpha: float = 0.05, single: bool = False) -> int:
    """Number of prompts needed to detect a mean difference with a given variance between prompts.

    Args:
        gap: mean over prompts of the difference between two models, ≠ 0.
        variance: variance of this difference over prompts.
        power: chance of detecting it.
        alpha: two-sided significance level of the test.
        single: whether prompts have one image each, in which case the test is McNemar's exact test.

    If the difference is the same for every prompt, the smallest n with 2/2ⁿ ≤ 0.05 is enough:

    >>> prompts_for(1.0, 0.0)
    6
    """
    _check(1, 0.0, 0.0, power, alpha, 1)
    normal, size = NormalDist(), abs(gap)
    reach = normal.inv_cdf(1 - alpha / 2) * sqrt(variance + size * size) + normal.inv_cdf(power) * sqrt(variance)
    # McNemar's exact test counts whole images: one more difference per test, 1/gap more prompts.
    strictness = 1 / size if single else 0.0
    fewest = 1 + log2(1 / alpha)
    return ceil(min(max((reach / size) ** 2 + strictness, fewest), MOST))


def _check(
    seeds: int, within: float, between: float, power: float, alpha: float, comparisons: int, **shares: float
) -> None:
    bounds = {"seed_correlation": (within, 0.0), "model_correlation": (between, -1.0)}
    bounds |= {name: (share, 0.0) for name, share in shares.items()}
    for name, (value, low) in bounds.items():
        if not low <= value <= 1:
            raise OutOfRangeError(f"{name} is {value!r}; it must be in {low:g}..1.")
    for name, value in (("power", power), ("alpha", alpha)):
        if not 0 < value < 1:
            raise OutOfRangeError(f"{name} is {value!r}; it must lie between 0 and 1.")
    if power < alpha:  # a test without any images detects as much
        raise OutOfRangeError(f"power is {power!r}; it must be at least alpha, which is {alpha!r}.")
    for name, count in (("seeds", seeds), ("comparisons", comparisons)):
        if count < 1:
            raise OutOfRangeError(f"the number of {name} is {count!r}; it must be at least 1.")
