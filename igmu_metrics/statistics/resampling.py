"""The cluster bootstrap: resample prompts (or concepts), never single generations.

Every statistic here is a function of *sums over clusters* (such as hits and trials), so a resample is a matrix product
of how often each cluster was selected with the clusters' sums. Clusters with equal sums are interchangeable and are
sampled together, from one multinomial distribution. This is exact, takes milliseconds for 100,000 decisions, and makes
the interval exactly independent of the order of the rows.

There are two kinds of intervals. For a mean of unbounded values, for which each resample has a standard error too,
`studentized` has the best coverage with few prompts. `percentile_interval` works for any other statistic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import EmptyInputError, InputError, LengthMismatchError, NonFiniteError, OutOfRangeError
from igmu_metrics.contract import FloatArray, Interval
from igmu_metrics.statistics.level import confidence

MIN_STUDENTIZED = 10
"""With fewer prompts, a mean of unbounded values has no interval: if most values are small and a few are large, five to
eight prompts may include none of the large ones (coverage of 83..90%)."""
_AGREE = 1e-6  # of the sample's standard error: less is rounding, because it is the root of a difference of squares
_CELLS = 4_000_000  # numbers in memory per block of resamples (32 MB), for any number of clusters


def cluster_sums(clusters: npt.NDArray[Any], *columns: npt.ArrayLike) -> FloatArray:
    """Sums of columns within clusters, one row per cluster, sorted by cluster id.

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


def correlation(sums: FloatArray) -> float:
    """Correlation of two columns of deviations, summed within clusters; 0 if one of them does not vary.

    >>> correlation(np.array([[1.0, 2.0], [-1.0, -2.0]])), correlation(np.array([[1.0, 0.0], [-1.0, 0.0]]))
    (1.0, 0.0)
    """
    spread = np.square(sums).sum(axis=0)
    return float(sums.prod(axis=1).sum() / np.sqrt(spread[0] * spread[1])) if spread.min() > 1e-12 else 0.0


def resample(
    sums: FloatArray, *, strata: npt.NDArray[Any] | None = None, seed: int = 0, resamples: int = 2000
) -> FloatArray:
    """Sums of resampled clusters: each stratum is resampled with replacement, keeping its number of clusters.

    Args:
        sums: (clusters, m) sums within each cluster, finite.
        strata: (clusters,) which stratum each cluster belongs to; None for a single one.
        seed: random seed.
        resamples: how many.

    Returns:
        (resamples, distinct strata in sorted order, m).

    Raises:
        EmptyInputError: no clusters.
        NonFiniteError, LengthMismatchError, OutOfRangeError: an argument that cannot be used.
    """
    sums = np.asarray(sums, dtype=np.float64)
    if sums.ndim != 2 or not len(sums):
        raise EmptyInputError(f"sums has shape {sums.shape}; pass one row per cluster, and at least one row.")
    wrong = np.argwhere(~np.isfinite(sums))
    if len(wrong):
        raise NonFiniteError(f"sums[{wrong[0][0]}, {wrong[0][1]}] is {sums[tuple(wrong[0])]}; it must be finite.")
    if strata is not None and len(strata) != len(sums):
        raise LengthMismatchError(
            f"there are {len(strata)} strata for {len(sums)} clusters; pass one stratum per cluster."
        )
    if resamples < 1:
        raise OutOfRangeError(f"the number of resamples is {resamples!r}; it must be at least 1.")
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


def percentile_interval(draws: FloatArray, n: int, *, level: float | None = None) -> Interval:
    """The expanded percentile interval of resampled values.

    Plain percentiles are too narrow for few clusters, just as a normal interval that divides by n is narrower than
    Student's, which divides by n − 1. Expanding the percentiles to Φ(∓√(n/(n − 1))·t) corrects this; for many clusters
    it changes nothing.

    Args:
        draws: (resamples,) values; NaN (a resample in which the statistic is not defined) is left out.
        n: number of clusters in each resample, ≥ 2.
        level: confidence level; None for the current one, normally 0.95.

    Returns:
        (low, high), or (NaN, NaN) if no value is defined.

    Raises:
        InputError: n < 2, since one cluster contains no information about the spread between clusters.

    References:
        Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69, 2015.
    """
    if n < 2:
        raise InputError(f"n is {n!r}; a bootstrap requires at least two clusters. Use `wilson` on an effective count.")
    from scipy.special import ndtr, stdtrit

    z = float(np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 + confidence(level)) / 2))
    return _cut(draws, float(ndtr(-z)), float(ndtr(z)))


def _cut(draws: FloatArray, low: float, high: float) -> Interval:
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return (float("nan"), float("nan"))
    ends = np.quantile(defined, [low, high])
    return (float(ends[0]), float(ends[1]))


def too_few(n: int) -> str:
    """Why a mean of unbounded values over n prompts has no interval; "" if it has one.

    >>> too_few(5)
    'no interval, because there are fewer than 10 prompts (5)'
    """
    return f"no interval, because there are fewer than {MIN_STUDENTIZED} prompts ({n})" if n < MIN_STUDENTIZED else ""


def studentized(sums: FloatArray, *, seed: int = 0, resamples: int = 2000, level: float | None = None) -> Interval:
    """Bootstrap-t interval for first sum / second sum: a mean of unbounded values over resampled clusters.

    Each resample is measured in units of its own standard error, which compensates for few clusters and skewed values;
    of the intervals tried for ten to fifty prompts, this has the best coverage (tests/test_coverage.py).

    Args:
        sums: (clusters, 2) sum of the values and their number, within each cluster; at least ten clusters.
        seed: random seed.
        resamples: number of resamples; those in which all clusters agree have no standard error and are left out.
        level: confidence level; None for the current one, normally 0.95.

    Returns:
        (low, high), equal if all clusters agree.

    Raises:
        InputError: fewer than ten clusters (`unbounded_mean` then gives no interval), or sums that cannot be used.

    References:
        Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 12.
    """
    if why := too_few(len(sums)):
        raise InputError(f"studentized: {why}. Use unbounded_mean, which then returns the mean without an interval.")
    sums = np.asarray(sums, dtype=np.float64)
    x, n = sums[np.lexsort(sums.T)].T  # the order of the clusters must not change even the last bit
    value = float(x.sum() / n.sum())
    # Deviations from the mean, so that squares of large values do not swamp the spread.
    d = x - value * n
    columns = np.stack([d, n, d * d, d * n, n * n], axis=1)
    inflation = len(columns) / (len(columns) - 1)

    def measured(totals: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The distance of each mean from the sample's, and its standard error."""
        shift = totals[:, 0] / totals[:, 1]
        squares = totals[:, 2] - 2 * shift * totals[:, 3] + shift**2 * totals[:, 4]
        return shift, np.sqrt(np.maximum(squares, 0.0) * inflation) / totals[:, 1]

    error = float(measured(columns.sum(axis=0)[None])[1][0])
    if error <= 1e-12 * max(1.0, abs(value)):
        return value, value
    shift, errors = measured(resample(columns, seed=seed, resamples=resamples)[:, 0])
    t = np.divide(shift, errors, out=np.full_like(shift, np.nan), where=errors > _AGREE * error)
    tail = (1 - confidence(level)) / 2
    low, high = _cut(t, tail, 1 - tail)
    return value - high * error, value - low * error
