"""The cluster bootstrap: resample prompts (or concepts), never single generations.

Every statistic here is a function of *sums over clusters* (hits and trials, say), so a resample is a matrix product of
how often each cluster was drawn with the clusters' sums. Clusters with equal sums are interchangeable and are drawn
together, from one multinomial: that is exact, makes 100,000 decisions cost milliseconds, and makes the interval
independent of the order of the rows to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import EmptyInputError, InputError, LengthMismatchError, NonFiniteError, OutOfRangeError
from igmu_metrics.contract import FloatArray, Interval
from igmu_metrics.statistics.intervals import z_value

Statistic = Callable[[FloatArray], FloatArray]
_CELLS = 4_000_000  # numbers of a block of resamples held at once (32 MB), however many clusters there are


def cluster_sums(clusters: npt.NDArray[Any], *columns: npt.ArrayLike) -> FloatArray:
    """Sums of columns within clusters, one row a cluster in sorted order of the cluster ids.

    Args:
        clusters: (n,) ids of any sortable type.
        columns: each (n,) numbers.

    Returns:
        (distinct clusters, len(columns)) float64.

    >>> cluster_sums(np.array(["b", "a", "b"]), [1, 0, 1], [1, 1, 1]).tolist()
    [[0.0, 1.0], [2.0, 2.0]]
    """
    codes = np.unique(clusters, return_inverse=True)[1]
    n = int(codes.max(initial=-1)) + 1
    return np.stack([np.bincount(codes, np.asarray(c, np.float64), minlength=n) for c in columns], axis=1)


def macro_ratio(totals: FloatArray) -> FloatArray:
    """Mean over strata of (first sum / second sum): with one stratum a ratio of sums, with several a macro mean."""
    return np.asarray((totals[..., 0] / totals[..., 1]).mean(axis=-1))


def resample(
    sums: FloatArray, *, strata: npt.NDArray[Any] | None = None, seed: int = 0, resamples: int = 2000
) -> FloatArray:
    """Sums of resampled clusters: within each stratum as many clusters are drawn, with replacement, as it has.

    Args:
        sums: (clusters, m) sums within each cluster, finite.
        strata: (clusters,) which stratum each cluster belongs to; None for a single one.
        seed: of the random generator.
        resamples: how many.

    Returns:
        (resamples, distinct strata in sorted order, m).

    Raises:
        EmptyInputError: no clusters.
        NonFiniteError, LengthMismatchError, OutOfRangeError: an argument that cannot be used.
    """
    sums = np.asarray(sums, dtype=np.float64)
    if sums.ndim != 2 or not len(sums):
        raise EmptyInputError(f"sums has shape {sums.shape}; give one row of sums for each of at least one cluster.")
    wrong = np.argwhere(~np.isfinite(sums))
    if len(wrong):
        raise NonFiniteError(f"sums[{wrong[0][0]}, {wrong[0][1]}] is {sums[tuple(wrong[0])]}; sums must be finite.")
    if strata is not None and len(strata) != len(sums):
        raise LengthMismatchError(f"strata has {len(strata)} entries for {len(sums)} clusters; give one for each.")
    if resamples < 1:
        raise OutOfRangeError(f"resamples is {resamples!r}; at least 1 is needed.")
    rng = np.random.default_rng(seed)
    codes = np.zeros(len(sums), np.intp) if strata is None else np.unique(strata, return_inverse=True)[1]
    out = np.empty((resamples, int(codes.max()) + 1, sums.shape[1]))
    for stratum in range(out.shape[1]):
        kinds, counts = np.unique(sums[codes == stratum], axis=0, return_counts=True)
        n = int(counts.sum())
        block = max(1, _CELLS // len(kinds))
        for start in range(0, resamples, block):
            size = min(block, resamples - start)
            out[start : start + size, stratum] = rng.multinomial(n, counts / n, size=size) @ kinds
    return out


def percentile_interval(draws: FloatArray, n: int, *, level: float = 0.95) -> Interval:
    """The expanded percentile interval of resampled values.

    Plain percentiles are too narrow for few clusters, like a normal interval that divides by n where Student's divides
    by n − 1. Moving the percentiles out to Φ(−√(n/(n−1))·t) makes up for it; for many clusters it changes nothing.

    Args:
        draws: (resamples,) values; NaN (a resample in which the statistic is not defined) is left out.
        n: clusters behind each draw, ≥ 2.
        level: confidence level.

    Returns:
        (low, high), (NaN, NaN) where no draw is defined.

    Raises:
        InputError: n < 2, for one cluster says nothing about the spread between clusters.

    References:
        Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69, 2015.
    """
    if n < 2:
        raise InputError(f"n is {n!r}: a bootstrap needs at least two clusters. Use `wilson` on an effective count.")
    from scipy.special import ndtr, stdtrit

    z_value(level)  # refuses a level outside 0..1
    tail = float(ndtr(-np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 + level) / 2)))
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return (float("nan"), float("nan"))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return (float(low), float(high))


def cluster_bootstrap(
    sums: FloatArray,
    statistic: Statistic = macro_ratio,
    *,
    strata: npt.NDArray[Any] | None = None,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a statistic of sums, over resampled clusters.

    Args:
        sums: (clusters, m) sums within each cluster, for instance hits and trials.
        statistic: from totals of shape (resamples, strata, m) to (resamples,) values. The default is the mean over
            strata of first sum / second sum.
        strata: (clusters,) stratum of each cluster; clusters are drawn within their stratum. None for a single one.
        seed: of the random generator; the same seed gives the same interval, in whatever order the clusters come.
        resamples: how many.
        level: confidence level.

    Returns:
        (low, high); see `percentile_interval` for which percentiles. If all clusters agree the two are equal, which
        says nothing about the uncertainty: `mean_estimate` knows what to do then.

    Raises:
        InputError: fewer than two clusters, or sums that cannot be used.

    Four prompts, each with 5 generations of which 0, 5, 0, 5 succeed: half of them, and anything is possible.

    >>> cluster_bootstrap(np.array([[0, 5], [5, 5], [0, 5], [5, 5]]))
    (0.0, 1.0)
    """
    draws = statistic(resample(sums, strata=strata, seed=seed, resamples=resamples))
    n_strata = 1 if strata is None else len(np.unique(strata))
    return percentile_interval(draws, len(sums) - n_strata + 1, level=level)
