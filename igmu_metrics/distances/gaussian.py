"""Distances between two sets of feature vectors: Fréchet, KID and CMMD, each a pure function in float64.

Goal: measure how far the images of an unlearned model are, as a set, from those of the original model.

Conventions:

- A set is an (n, d) array, one feature vector per generation; the order of its rows does not matter.
- Lower is closer for all three. The Fréchet distance is biased upward at small n (the distance between two halves of
  one distribution is in the tens at n = 250); `kid` and `cmmd(..., unbiased=True)` are unbiased and may be slightly
  negative. If prompts are given, these two never pair generations of the same prompt, within a set or between them;
  without prompts, every row counts as a separate prompt.
- Intervals are over prompts, not generations: see `mmd`, and for the Fréchet distance `jackknife`, whose interval is
  valid only for the given n.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from igmu_data.errors import EmptyInputError, InputError
from igmu_metrics.contract import FloatArray, Interval
from igmu_metrics.distances.intervals import Ids
from igmu_metrics.distances.jackknife import frechet_interval
from igmu_metrics.distances.mmd import mmd_biased, mmd_estimate, mmd_unbiased, polynomial_kernel, rbf_kernel
from igmu_metrics.distances.moments import Moments, assembled, frechet_of_moments
from igmu_metrics.statistics.validation import as_list, numbers, same_length

CMMD_SCALE = 1000.0


def frechet_distance(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Fréchet distance ‖μ₁−μ₂‖² + Tr(Σ₁+Σ₂−2(Σ₁Σ₂)^½) between Gaussians fitted to two sets.

    With A = (X−μ₁)/√(n−1) and B the same for Y, Σ₁Σ₂ = AᵀA·BᵀB has the squared singular values of A·Bᵀ as its non-zero
    eigenvalues. While a set has no more rows than columns this is exact and small (n×m); with more rows the same trace
    comes from the eigenvalues of LᵀΣ₁L, where Σ₂ = L·Lᵀ.

    Args:
        x: (n, d) features, n ≥ 2.
        y: (m, d) features, m ≥ 2.

    Returns:
        The distance, ≥ 0; lower is closer. It is biased upward: compare at equal n only.

    Raises:
        InputError: a set with fewer than two rows, different widths, or a value that is not finite.

    Two points each, on a line, so means 1 and 4, variances 2 and 8: (1−4)² + 2 + 8 − 2·√16 = 11.

    >>> round(frechet_distance([[0.0], [2.0]], [[2.0], [6.0]]), 9)
    11.0

    References:
        Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", NeurIPS 2017.
    """
    x, y = _pair(x, y)
    if min(len(x), len(y)) > x.shape[1]:
        return frechet_of_moments(Moments.of(x), Moments.of(y))
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    a = (x - mean_x) / np.sqrt(len(x) - 1)
    b = (y - mean_y) / np.sqrt(len(y) - 1)
    cross = float(np.linalg.svd(a @ b.T, compute_uv=False).sum())
    return assembled(mean_x, mean_y, float(np.sum(a * a) + np.sum(b * b)), cross)


def frechet_estimate(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    x_ids: Ids = None,
    y_ids: Ids = None,
    seed: int = 0,
) -> tuple[float, Interval]:
    """`frechet_distance` and the 95% interval of `jackknife.frechet_interval`, which is for the distance at this n."""
    x, y = _pair(x, y)
    value = frechet_distance(x, y)
    return value, frechet_interval(x, y, value, x_ids=x_ids, y_ids=y_ids, seed=seed)


def kid(x: npt.ArrayLike, y: npt.ArrayLike, *, x_ids: Ids = None, y_ids: Ids = None) -> float:
    """Kernel distance: the unbiased MMD² with kernel (xᵀy/d + 1)³, as one full U-statistic over prompts.

    Args:
        x: (n, d) features, n ≥ 2.
        y: (m, d) features, m ≥ 2; m may differ from n.
        x_ids: n prompt ids; with None, every row is a separate prompt that does not occur in the other set.
        y_ids: m prompt ids; equal ids on both sides are the same prompt.

    Returns:
        The distance, not scaled by 1000; lower is closer. It is unbiased, so slightly negative values are normal for
        sets from one distribution. No random subsets are used: the value is that of a single subset with all rows.
        Without ids, it is the published definition.

    Raises:
        InputError: a set with fewer than two rows or prompts, different widths, or a value that is not finite.

    Kernel values 1·1→8, 0·0→1, 1·0→1: with x = {0, 1} and y = {1, 1} this is 1 + 8 − 2·(1+1+8+8)/4 = 0.

    >>> kid([[0.0], [1.0]], [[1.0], [1.0]])
    0.0

    References:
        Bińkowski et al., "Demystifying MMD GANs", ICLR 2018.
    """
    x, y = _pair(x, y)
    return mmd_unbiased(polynomial_kernel, x, y, x_ids=x_ids, y_ids=y_ids)


def kid_estimate(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    x_ids: Ids = None,
    y_ids: Ids = None,
) -> tuple[float, Interval]:
    """`kid` and its 95% interval over prompts; arguments as for `mmd.mmd_estimate`."""
    x, y = _pair(x, y)
    return mmd_estimate(polynomial_kernel, x, y, x_ids=x_ids, y_ids=y_ids)


def cmmd(x: npt.ArrayLike, y: npt.ArrayLike, *, unbiased: bool = False, x_ids: Ids = None, y_ids: Ids = None) -> float:
    """CLIP-MMD: 1000 times the RBF MMD² (σ = 10) of L2-normalised CLIP embeddings.

    Args:
        x: (n, d) CLIP embeddings of any length ≠ 0, n ≥ 2.
        y: (m, d) CLIP embeddings of any length ≠ 0, m ≥ 2.
        unbiased: never pair generations of the same prompt. False gives what the reference implementation computes (the
            V-statistic, which pairs every image with itself and is therefore too large by about
            1000·(1−mean k)·(1/n + 1/m), and ignores prompts).
        x_ids: n prompt ids, as for `kid`.
        y_ids: m prompt ids.

    Returns:
        The distance; lower is closer. The unbiased one may be slightly negative.

    Raises:
        InputError: a set with fewer than two rows, different widths, an embedding of length 0, or a value that is not
            finite.

    Opposite unit vectors have ‖x−y‖² = 4, so with two equal rows on each side this is 1000·(2 − 2·exp(−0.02)):

    >>> round(cmmd([[1.0], [3.0]], [[-1.0], [-0.5]]), 6)
    39.602653

    References:
        Jayasumana et al., "Rethinking FID: Towards a Better Evaluation Metric for Image Generation", CVPR 2024.
    """
    x, y = _pair(unit_rows("x", x), unit_rows("y", y))
    if unbiased:
        return CMMD_SCALE * mmd_unbiased(rbf_kernel, x, y, x_ids=x_ids, y_ids=y_ids)
    return CMMD_SCALE * mmd_biased(rbf_kernel, x, y)


def cmmd_estimate(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    x_ids: Ids = None,
    y_ids: Ids = None,
) -> tuple[float, Interval]:
    """`cmmd(..., unbiased=True)` and its 95% interval over prompts; arguments as for `mmd.mmd_estimate`."""
    x, y = _pair(unit_rows("x", x), unit_rows("y", y))
    value, (low, high) = mmd_estimate(rbf_kernel, x, y, x_ids=x_ids, y_ids=y_ids)
    return CMMD_SCALE * value, (CMMD_SCALE * low, CMMD_SCALE * high)


def unit_rows(name: str, features: npt.ArrayLike) -> FloatArray:
    """Rows divided by their length.

    Raises:
        InputError: a row of length 0, which has no direction; or features that `matrix` refuses.
    """
    rows = matrix(name, features)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        at = int(np.argmin(lengths))
        raise InputError(f"{name}[{at}] contains only zeros, so it has no direction. Check the image and the backbone.")
    return np.asarray(rows / lengths)


def matrix(name: str, features: npt.ArrayLike) -> FloatArray:
    """Features as a finite (n, d) float64 array without masked entries.

    Raises:
        EmptyInputError: no rows or no columns.
        InputError: not numbers, not two-dimensional, masked.
        NonFiniteError: a NaN or an infinity, with its place.
    """
    features = as_list(name, features)
    same_length(**{name: features})
    rows = numbers(name, features, ndim=2)
    if np.ma.getmaskarray(rows).any():
        raise InputError(f"{name} contains masked entries. Leave out generations without features.")
    if rows.shape[1] == 0:
        raise EmptyInputError(f"{name} has shape {rows.shape}, so its vectors are empty. Check the backbone.")
    return np.asarray(rows.data)


def check_pair(name: str, rows: FloatArray, other_name: str, others: FloatArray) -> None:
    """Refuse sets of different widths, and sets too small to have a covariance.

    Raises:
        InputError: with the names and sizes.
    """
    if rows.shape[1] != others.shape[1]:
        widths = f"{rows.shape[1]} and {others.shape[1]}"
        raise InputError(
            f"{name} and {other_name} have features of different widths, {widths}. Use one backbone for both sets."
        )
    for which, given in ((name, rows), (other_name, others)):
        if len(given) < 2:
            n = "1 row" if len(given) else "0 rows"
            raise InputError(f"{which} has {n}, but a covariance requires at least two generations. Add generations.")


def _pair(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, y = matrix("x", x), matrix("y", y)
    check_pair("x", x, "y", y)
    return x, y
