"""Summaries of several values: the unbiased chance of a hit in k tries, the harmonic mean, and a mean of any values."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import EmptyInputError, OutOfRangeError
from igmu_metrics.contract import RESAMPLES, Estimate, FloatArray, Interval
from igmu_metrics.statistics.resampling import cluster_sums, studentized, too_few


def any_at_k(successes: npt.ArrayLike, n: npt.ArrayLike, k: npt.ArrayLike) -> FloatArray:
    """Unbiased chance that at least one of k generations succeeds: 1 − C(n−s, k)/C(n, k).

    It is the share of all choices of k of the n generations that include at least one of the s successes, and so does
    not depend on which seeds come first.

    Args:
        successes: s, whole, 0..n, of any shape.
        n: number of generations, whole, ≥ 1; broadcast against `successes`.
        k: number of tries, whole, 1..n; broadcast against `successes`.

    Returns:
        Array of the broadcast shape (a scalar array for scalars), within 0..1.

    Raises:
        OutOfRangeError: s outside 0..n or k outside 1..n.

    If one of three seeds succeeds, two of the three possible pairs include it.

    >>> round(float(any_at_k(1, 3, 2)), 4)
    0.6667

    References:
        Chen et al., "Evaluating large language models trained on code" (pass@k), arXiv:2107.03374.
    """
    s, total, tries = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (successes, n, k)))
    for name, values, low, high in (("successes", s, 0.0, total), ("k", tries, 1.0, total)):
        wrong = np.flatnonzero(~((values >= low) & (values <= high) & (values == np.floor(values))))
        if wrong.size:
            at = int(wrong[0])
            raise OutOfRangeError(
                f"{name}[{at}] is {values.ravel()[at]:g}; "
                f"it must be a whole number from {low:g} to n = {total.ravel()[at]:g}."
            )
    misses = np.ones(s.shape)
    for i in range(int(tries.max(initial=0.0))):
        # The chance that try i misses too; prompts with fewer tries are finished.
        miss = np.clip((total - s - i) / np.maximum(total - i, 1.0), 0.0, 1.0)
        misses = np.where(i < tries, misses * miss, misses)
    return np.asarray(1.0 - misses, dtype=np.float64)


def harmonic_mean(values: npt.ArrayLike) -> FloatArray:
    """Harmonic mean along the last axis: 0 where any value is 0, NaN where any value is missing.

    Args:
        values: (..., m) numbers ≥ 0, NaN where missing.

    Returns:
        (...) array (a scalar array for one set of values); within the smallest and the largest value.

    Raises:
        EmptyInputError: m is 0.
        OutOfRangeError: a negative or infinite value.

    Fine-tuned CelebA forgetting of the published case: residue 1.17%, retain 95.17%.

    >>> round(float(harmonic_mean([1 - 0.0117, 0.9517])), 4)
    0.9697
    >>> float(harmonic_mean([0.0, 1.0]))
    0.0
    """
    v = np.asarray(values, dtype=np.float64)
    if v.ndim == 0 or v.shape[-1] == 0:
        raise EmptyInputError("the list of values is empty; a mean requires at least one value.")
    wrong = np.flatnonzero((v < 0) | np.isinf(v))
    if wrong.size:
        at = int(wrong[0])
        raise OutOfRangeError(f"values[{at}] is {v.ravel()[at]!r}; a harmonic mean requires finite numbers >= 0.")
    zero = (v == 0).any(axis=-1) & ~np.isnan(v).any(axis=-1)
    safe = np.where(v == 0, 1.0, v)
    # In units of the smallest value no inverse overflows, however small the values are.
    smallest = safe.min(axis=-1, keepdims=True)
    mean = v.shape[-1] * smallest[..., 0] / (smallest / safe).sum(axis=-1)
    return np.asarray(np.where(zero, 0.0, mean), dtype=np.float64)


def unbounded_mean(
    values: npt.NDArray[np.float64],
    clusters: npt.NDArray[Any],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    bounds: Interval = (-inf, inf),
    reason: str = "",
    empty: str = "no generations to average",
) -> Estimate:
    """Mean of any values with a bootstrap-t interval over prompts; no interval for fewer than ten prompts.

    For values in 0..1, `mean_estimate` has an interval for any number of prompts.

    Args:
        values: (n,) one value per generation.
        clusters: (n,) prompt of each.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        bounds: smallest and largest possible value; the interval is clipped to this range.
        reason: a warning to include in the result.
        empty: the reason if n is 0.

    Returns:
        The mean, with a reason if it has no value or no interval.

    >>> found = unbounded_mean(np.array([1.0, 4.0]), np.array(["a", "b"]))
    >>> found.value, found.interval, found.reason
    (2.5, None, 'no interval, because there are fewer than 10 prompts (2)')
    """
    if not len(values):
        return Estimate(float("nan"), reason=empty)
    sums = cluster_sums(clusters, values, np.ones(len(values)))
    value = float(values.mean())
    if few := too_few(len(sums)):
        return Estimate(value, None, len(sums), len(values), "; ".join(filter(None, (reason, few))))
    low, high = studentized(sums, seed=seed, resamples=resamples)
    return Estimate(value, (max(low, bounds[0]), min(high, bounds[1])), len(sums), len(values), reason)
