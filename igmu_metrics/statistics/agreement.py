"""Agreement of detectors and people: Youden's J for a detector against labels, Cohen's kappa for any two of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from igmu_data.errors import EmptyInputError, LengthMismatchError
from igmu_metrics.contract import Estimate, FloatArray, Interval
from igmu_metrics.statistics.differences import unpaired_difference
from igmu_metrics.statistics.estimates import MIN_CLUSTERS
from igmu_metrics.statistics.resampling import cluster_sums, percentile_interval, resample

_NEVER_SPLIT: Final = "both always give the same single answer, so they would also agree by chance"


def youden(
    sens: float, spec: float, n_sens: float | None = None, n_spec: float | None = None
) -> tuple[float, Interval]:
    """Youden's J, sensitivity + specificity − 1, with a 95% interval; 1 means no errors, 0 means chance.

    It is the difference of two independent proportions, the positives and the negatives that are called positive, and
    gets the interval of such a difference.

    Args:
        sens: sensitivity, 0..1.
        spec: specificity, 0..1.
        n_sens: number of positives that the sensitivity was measured on; may be fractional (an effective number).
        n_spec: the same for the negatives; unless both are given, the rates are treated as known exactly and the
            interval is a point.

    45 of 50 positives were found, and 30 of 40 negatives were recognized as such:

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
    """Cohen's kappa of two raters' decisions about the same images: agreement beyond chance; 1 is perfect, 0 is chance.

    Args:
        first: (n,) decisions of one rater, yes or no.
        second: (n,) decisions of the other rater about the same images.
        clusters: (n,) prompt of each image, the unit of resampling for the 95% interval.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Returns:
        The estimate: NaN if both always give the same single answer; no interval for fewer than five prompts.

    Raises:
        LengthMismatchError, EmptyInputError: lists of different lengths, or empty lists.

    Both say yes to 20 images and no to 15; they disagree on 5 and 10. They agree on 0.7 of the images, and would agree
    by chance on 0.5·0.6 + 0.5·0.4 = 0.5, so kappa is 0.2/0.5:

    >>> found = kappa([1] * 20 + [1] * 5 + [0] * 10 + [0] * 15, [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15, np.arange(50))
    >>> round(found.value, 6)
    0.4

    References:
        Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20, 1960.
        Field and Welsh, "Bootstrapping clustered data", JRSS B 69, 2007, for resampling the clusters.
    """
    x, y = (np.asarray(values, dtype=np.bool_) for values in (first, second))
    if not len(x) == len(y) == len(clusters):
        raise LengthMismatchError(
            f"first, second and clusters have {len(x)}, {len(y)} and {len(clusters)} entries. Pass the same number of "
            "each."
        )
    if not len(x):
        raise EmptyInputError("no image was judged by both raters. Have both judge the same images.")
    sums = cluster_sums(clusters, x & y, x & ~y, ~x & y, ~x & ~y)
    value, n = float(_kappa(sums.sum(axis=0)[None])[0]), len(sums)
    if np.isnan(value):
        return Estimate(value, None, n, len(x), _NEVER_SPLIT)
    if n < MIN_CLUSTERS:
        return Estimate(value, None, n, len(x), f"no interval, because there are fewer than {MIN_CLUSTERS} prompts")
    draws = _kappa(resample(sums, seed=seed, resamples=resamples)[:, 0])
    return Estimate(value, percentile_interval(draws, n), n, len(x))


def _kappa(sums: FloatArray) -> FloatArray:
    """(k,) kappa of each line of counts: both yes, only the first, only the second, both no; NaN where not defined."""
    shares = sums / sums.sum(axis=1, keepdims=True)
    agreed, one, other = shares[:, 0] + shares[:, 3], shares[:, 0] + shares[:, 1], shares[:, 0] + shares[:, 2]
    room = 1 - (one * other + (1 - one) * (1 - other))
    apart = room > 1e-12
    return np.asarray(np.divide(agreed - (1 - room), room, out=np.full_like(room, np.nan), where=apart))
