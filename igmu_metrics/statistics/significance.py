"""Comparing models on the same prompts and seeds: exact McNemar, a paired permutation test, and corrections.

Holm's correction is for all differences between models, `best_of` for the question which models may be the best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import EmptyInputError, LengthMismatchError, NonFiniteError, OutOfRangeError
from igmu_metrics.statistics.resampling import cluster_sums

_EXACT_CLUSTERS = 14  # 2^14 sign patterns cost about as much as the default number of random ones
_BLOCK = 4_000_000  # signs in memory at once


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact McNemar test of two models judged on the same generations.

    Args:
        b: generations on which only the first model succeeds, ≥ 0.
        c: generations on which only the second model succeeds, ≥ 0.

    Returns:
        The p value; 1 if the two models never differ.

    Raises:
        OutOfRangeError: a negative count.

    Five differences, all in one direction: 2·(1/2)^5.

    >>> mcnemar_exact(0, 5)
    0.0625
    """
    for name, count in (("b", b), ("c", c)):
        if count < 0 or count != int(count):
            raise OutOfRangeError(f"{name} is {count!r}; it must be a count, a whole number >= 0.")
    if b + c == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(int(b), int(b + c), 0.5).pvalue)


def holm(pvalues: Sequence[float]) -> list[float]:
    """Holm's step-down correction of several p values, in the order given.

    Args:
        pvalues: p values in 0..1, one per comparison.

    Returns:
        Adjusted p values: those ≤ 0.05 are significant with a family-wise error of 5%.

    Raises:
        OutOfRangeError: a value outside 0..1 or NaN.

    Sorted 0.01, 0.03, 0.04 are multiplied by 3, 2, 1 and may not decrease.

    >>> holm([0.04, 0.01, 0.03])
    [0.06, 0.03, 0.06]

    References:
        Holm, "A simple sequentially rejective multiple test procedure", Scandinavian J. of Statistics 6, 1979.
    """
    for at, p in enumerate(pvalues):
        if not 0 <= p <= 1:
            raise OutOfRangeError(f"pvalues[{at}] is {p!r}; a p value must be in 0..1.")
    adjusted = [0.0] * len(pvalues)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(pvalues)), key=lambda i: pvalues[i])):
        largest = max(largest, min(1.0, (len(pvalues) - rank) * pvalues[at]))
        adjusted[at] = largest
    return adjusted


def best_of(pvalues: Mapping[tuple[int, int], float]) -> dict[tuple[int, int], float]:
    """Which models are not the best: a model confidence set, from which models leave one by one.

    At first, all models are in the set. The smallest p value of two models in the set is multiplied by the number of
    tests between models in the set, and the lower of the two models leaves. Models that have left are not compared any
    more, so clearly worse models do not make it harder to distinguish the others.

    A model may be the best if it never leaves, or leaves with a p value above 0.05. With a probability of at least 95%,
    these models include all that are truly the best (simulated in docs/performance.md, "Comparing several models"). No
    two of them differ significantly according to `holm`.

    Args:
        pvalues: two-sided p value of each tested difference, by the numbers of the model with the higher score and of
            the other. If p values are equal, the model with the larger number leaves first.

    Returns:
        By the same pairs, the p value with which the second model leaves because of the first, in the order of leaving.

    Raises:
        OutOfRangeError: a value outside 0..1 or NaN.

    Three models: 2 leaves at 3 · 0.01; then only one test is left.

    >>> best_of({(0, 1): 0.04, (0, 2): 0.01, (1, 2): 0.02})
    {(0, 2): 0.03, (0, 1): 0.04}

    References:
        Hansen, Lunde and Nason, "The model confidence set", Econometrica 79, 2011; here with Bonferroni's bound instead
        of a joint bootstrap, because each pair of models has its own test. Hsu, "Constrained simultaneous confidence
        intervals for multiple comparisons with the best", Annals of Statistics 12, 1984, on the question.
    """
    for pair, p in pvalues.items():
        if not 0 <= p <= 1:
            raise OutOfRangeError(f"pvalues[{pair}] is {p!r}; a p value must be in 0..1.")
    inside = dict(pvalues)
    left: dict[tuple[int, int], float] = {}
    largest = 0.0
    while inside:
        pair = min(inside, key=lambda pair: (inside[pair], -pair[1], pair[0]))
        left[pair] = largest = max(largest, min(1.0, inside[pair] * len(inside)))
        inside = {other: p for other, p in inside.items() if pair[1] not in other}
    return left


def paired_permutation(
    differences: npt.ArrayLike,
    clusters: npt.ArrayLike | None = None,
    *,
    seed: int = 0,
    resamples: int = 10_000,
) -> float:
    """Two-sided paired permutation test that the mean difference of two models is zero.

    Under the null hypothesis the two models are exchangeable for every prompt, so the sign of a prompt's summed
    difference is a coin toss. For up to 14 prompts, all sign patterns are tried; for more prompts, random ones.

    Args:
        differences: (n,) value of the first minus value of the second model, per generation, finite.
        clusters: (n,) prompt of each difference; None if every difference has its own prompt.
        seed: random seed of the sign patterns.
        resamples: number of random sign patterns.

    Returns:
        The p value, which is above 0, because the observed pattern counts as one of the sampled patterns.

    Raises:
        EmptyInputError, LengthMismatchError, NonFiniteError, OutOfRangeError: arguments that cannot be used.

    Three prompts that all gain 1: of the 8 sign patterns, two are as extreme.

    >>> paired_permutation([1.0, 1.0, 1.0])
    0.25
    """
    values = np.asarray(differences, dtype=np.float64)
    if not values.size:
        raise EmptyInputError("the list of differences is empty, so there is nothing to compare.")
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise NonFiniteError(
            f"differences[{wrong[0]}] is {values[wrong[0]]}; leave out pairs that could not be scored."
        )
    if resamples < 1:
        raise OutOfRangeError(f"the number of resamples is {resamples!r}; it must be at least 1.")
    ids: npt.NDArray[Any] = np.arange(len(values)) if clusters is None else np.asarray(clusters)
    if len(ids) != len(values):
        raise LengthMismatchError(
            f"there are {len(ids)} clusters for {len(values)} differences; pass one cluster per difference."
        )
    # Sorted by size, so that neither the order of the rows nor the names of the clusters affect the random numbers.
    sums = np.sort(np.abs(cluster_sums(ids, values)[:, 0]))
    observed = abs(float(values.sum()))
    # Equally extreme patterns differ only by rounding; without the tolerance some would be missed.
    bound = observed - 1e-9 * max(float(sums.sum()), 1e-300)
    if len(sums) <= _EXACT_CLUSTERS:
        totals = np.zeros(1)
        for part in sums:
            totals = np.concatenate([totals + part, totals - part])
        return float(np.mean(np.abs(totals) >= bound))
    rng = np.random.default_rng(seed)
    extreme = 1
    block = max(1, _BLOCK // len(sums))
    for start in range(0, resamples, block):
        signs = rng.integers(0, 2, size=(min(block, resamples - start), len(sums)), dtype=np.int8) * 2.0 - 1.0
        extreme += int(np.count_nonzero(np.abs(signs @ sums) >= bound))
    return extreme / (resamples + 1)
