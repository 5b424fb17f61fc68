"""Do two judges say the same? A detector against people (Youden's J), and any two of them (Cohen's kappa)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from igmu_data.errors import EmptyInputError, LengthMismatchError
from igmu_metrics.contract import Estimate, FloatArray, Interval
from igmu_metrics.statistics.differences import unpaired_difference
from igmu_metrics.statistics.estimates import MIN_CLUSTERS
from igmu_metrics.statistics.resampling import cluster_sums, percentile_interval, resample

_NEVER_SPLIT: Final = "both always give one and the same answer: chance alone would agree, too"


def youden(
    sens: float, spec: float, n_sens: float | None = None, n_spec: float | None = None
) -> tuple[float, Interval]:
    """Youden's J, sensitivity + specificity − 1, with a 95 % interval; 1 is never wrong, 0 is chance.

    It is the difference of two independent shares, of positives and of negatives that are called positive, and has the
    interval of one.

    Args:
        sens: sensitivity, 0..1.
        spec: specificity, 0..1.
        n_sens: positives that it was measured on; need not be whole (an effective number).
        n_spec: negatives; without both the rates count as known, and the interval is a point.

    45 of 50 found and 30 of 40 passed:

    >>> value, (low, high) = youden(0.9, 0.75, 50, 40)
    >>> round(value, 2), round(low, 3), round(high, 3)
    (0.65, 0.46, 0.772)

    References:
        Youden, "Index for rating diagnostic tests", Cancer 3, 1950. Newcombe, Statistics in Medicine 17, 1998, method
        10, for the interval.
    """
    if n_sens is None or n_spec is None:
        value = sens + spec - 1
        return value, (value, value)
    return unpaired_difference(sens * n_sens, n_sens, (1 - spec) * n_spec, n_spec)


def kappa(
    first: npt.ArrayLike, second: npt.ArrayLike, clusters: npt.NDArray[Any], *, seed: int = 0, resamples: int = 2000
) -> Estimate:
    """Cohen's kappa of two judges' yes and no about the same images: agreement beyond chance, 1 at best, 0 is chance.

    Args:
        first: (n,) what one says.
        second: (n,) what the other says of the same images.
        clusters: (n,) prompt of each image; what is resampled for the 95 % interval.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Returns:
        The estimate: NaN where both give one answer throughout; no interval below five prompts.

    Raises:
        LengthMismatchError, EmptyInputError: lists of different lengths, or nothing in them.

    20 images of which both say yes, 15 of which both say no, and 5 and 10 on which they differ. They agree on 0.7, by
    chance on 0.5·0.6 + 0.5·0.4 = 0.5, so that kappa is 0.2/0.5:

    >>> found = kappa([1] * 20 + [1] * 5 + [0] * 10 + [0] * 15, [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15, np.arange(50))
    >>> round(found.value, 6)
    0.4

    References:
        Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20, 1960.
        Field and Welsh, "Bootstrapping clustered data", JRSS B 69, 2007, for resampling the clusters.
    """
    x, y = (np.asarray(values, dtype=np.bool_) for values in (first, second))
    if not len(x) == len(y) == len(clusters):
        raise LengthMismatchError(f"first, second and clusters have {len(x)}, {len(y)} and {len(clusters)} entries.")
    if not len(x):
        raise EmptyInputError("no image was judged by both. Give the same images to both.")
    sums = cluster_sums(clusters, x & y, x & ~y, ~x & y, ~x & ~y)
    value, n = float(_kappa(sums.sum(axis=0)[None])[0]), len(sums)
    if np.isnan(value):
        return Estimate(value, None, n, len(x), _NEVER_SPLIT)
    if n < MIN_CLUSTERS:
        return Estimate(value, None, n, len(x), f"fewer than {MIN_CLUSTERS} prompts: no interval")
    draws = _kappa(resample(sums, seed=seed, resamples=resamples)[:, 0])
    return Estimate(value, percentile_interval(draws, n), n, len(x))


def _kappa(sums: FloatArray) -> FloatArray:
    """(k,) kappa of each line of counts: both yes, only the first, only the second, both no; NaN where not defined."""
    shares = sums / sums.sum(axis=1, keepdims=True)
    agreed, one, other = shares[:, 0] + shares[:, 3], shares[:, 0] + shares[:, 1], shares[:, 0] + shares[:, 2]
    room = 1 - (one * other + (1 - one) * (1 - other))
    apart = room > 1e-12
    return np.asarray(np.divide(agreed - (1 - room), room, out=np.full_like(room, np.nan), where=apart))
