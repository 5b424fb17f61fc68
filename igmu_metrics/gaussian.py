"""Distances between two sets of feature vectors: Fréchet, KID and CMMD, each a pure function in float64.

Goal: say how far the images of an unlearned model are, as a set, from those of the original model.

Conventions:

- A set is an (n, d) array, one feature vector a generation; the order of its rows does not matter.
- All three are "lower is closer". The Fréchet distance is biased upward at small n (two halves of one distribution are
  tens apart at n = 250); `kid` and `cmmd(..., unbiased=True)` are unbiased and may come out slightly below zero.
- Intervals resample prompts, not generations, and never pair a generation with a copy of itself: see `mmd_interval`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import EmptyInputError, InputError, LengthMismatchError, NonFiniteError
from igmu_metrics.contract import FloatArray, Interval

CMMD_SIGMA = 10.0
CMMD_SCALE = 1000.0
_BLOCK = 1024  # rows of a kernel matrix held at once: memory stays flat however many generations there are

Kernel = Callable[[FloatArray, FloatArray], FloatArray]


def frechet_distance(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Fréchet distance ‖μ₁−μ₂‖² + Tr(Σ₁+Σ₂−2(Σ₁Σ₂)^½) between Gaussians fitted to two sets.

    With A = (X−μ₁)/√(n−1) and B likewise, Σ₁Σ₂ = AᵀA·BᵀB has the squared singular values of A·Bᵀ as its non-zero
    eigenvalues. While a set has no more rows than columns this is exact and small (n×m); with more rows the same trace
    comes from the eigenvalues of LᵀΣ₁L, where Σ₂ = L·Lᵀ.

    Args:
        x: (n, d) features, n ≥ 2.
        y: (m, d) features, m ≥ 2.

    Returns:
        The distance, ≥ 0 up to rounding; lower is closer. It is biased upward: compare at equal n only.

    Raises:
        InputError: a set with fewer than two rows, different widths, or a value that is not finite.

    Two points each, on a line, so means 1 and 4, variances 2 and 8: (1−4)² + 2 + 8 − 2·√16 = 11.

    >>> round(frechet_distance([[0.0], [2.0]], [[2.0], [6.0]]), 9)
    11.0

    References:
        Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", NeurIPS 2017.
    """
    x, y = _pair(x, y)
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    a = (x - mean_x) / np.sqrt(len(x) - 1)
    b = (y - mean_y) / np.sqrt(len(y) - 1)
    trace = float(np.sum(a * a) + np.sum(b * b))
    cross = _low_rank_trace(a, b) if min(len(a), len(b)) <= x.shape[1] else _full_rank_trace(a, b)
    return float(np.sum((mean_x - mean_y) ** 2)) + trace - 2.0 * cross


def polynomial_kernel(x: FloatArray, y: FloatArray) -> FloatArray:
    """(n, m) matrix of (xᵀy/d + 1)³, the kernel of KID."""
    base = x @ y.T / x.shape[1] + 1.0
    return np.asarray(base * base * base)  # ten times faster than a power


def rbf_kernel(x: FloatArray, y: FloatArray, *, sigma: float = CMMD_SIGMA) -> FloatArray:
    """(n, m) matrix of exp(−‖x−y‖²/2σ²) − 1.

    The constant −1 cancels in any MMD and keeps the digits that exp loses next to 1: with σ = 10 and unit vectors every
    kernel value lies in 0.98..1.
    """
    squared = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)[None, :] - 2.0 * (x @ y.T)
    return np.asarray(np.expm1(-np.maximum(squared, 0.0) / (2.0 * sigma**2)))


def kid(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Kernel distance: the unbiased MMD² with kernel (xᵀy/d + 1)³, as one full U-statistic.

    Args:
        x: (n, d) features, n ≥ 2.
        y: (m, d) features, m ≥ 2; m may differ from n.

    Returns:
        The distance, not scaled by 1000; lower is closer. Unbiased, so slightly negative values are normal for sets
        from one distribution. No random subsets: the value is that of one subset that holds every row.

    Raises:
        InputError: a set with fewer than two rows, different widths, or a value that is not finite.

    Kernel values 1·1→8, 0·0→1, 1·0→1: with x = {0, 1} and y = {1, 1} this is 1 + 8 − 2·(1+1+8+8)/4 = 0.

    >>> kid([[0.0], [1.0]], [[1.0], [1.0]])
    0.0

    References:
        Bińkowski et al., "Demystifying MMD GANs", ICLR 2018.
    """
    x, y = _pair(x, y)
    return float(_mmd(polynomial_kernel, x, y)[0])


def kid_interval(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    x_ids: Sequence[Hashable] | None = None,
    y_ids: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """95 % interval of `kid` by resampling prompts; see `mmd_interval` for the arguments."""
    x, y = _pair(x, y)
    return mmd_interval(polynomial_kernel, x, y, x_ids=x_ids, y_ids=y_ids, resamples=resamples, seed=seed)


def cmmd(x: npt.ArrayLike, y: npt.ArrayLike, *, unbiased: bool = False) -> float:
    """CLIP-MMD: 1000 times the RBF MMD² (σ = 10) of L2-normalised CLIP embeddings.

    Args:
        x: (n, d) CLIP embeddings of any length ≠ 0, n ≥ 2.
        y: (m, d) likewise.
        unbiased: leave the diagonal out. False is what the reference implementation computes (the V-statistic, which
            counts every image as a pair with itself and is therefore too large by about 1000·(1−mean k)·(1/n + 1/m)).

    Returns:
        The distance; lower is closer. Unbiased, it may be slightly negative.

    Raises:
        InputError: a set with fewer than two rows, different widths, an embedding of length 0, or a value that is not
            finite.

    Opposite unit vectors have ‖x−y‖² = 4, so with two equal rows on each side this is 1000·(2 − 2·exp(−0.02)):

    >>> round(cmmd([[1.0], [3.0]], [[-1.0], [-0.5]]), 6)
    39.602653

    References:
        Jayasumana et al., "Rethinking FID: Towards a Better Evaluation Metric for Image Generation", CVPR 2024.
    """
    x, y = unit_rows(x, "x"), unit_rows(y, "y")
    x, y = _pair(x, y)
    if unbiased:
        return CMMD_SCALE * float(_mmd(rbf_kernel, x, y)[0])
    xx, yy, xy = (_blocked_sum(rbf_kernel, *ab) for ab in ((x, x), (y, y), (x, y)))
    return CMMD_SCALE * (xx / len(x) ** 2 + yy / len(y) ** 2 - 2.0 * xy / (len(x) * len(y)))


def cmmd_interval(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    x_ids: Sequence[Hashable] | None = None,
    y_ids: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """95 % interval of `cmmd(..., unbiased=True)` by resampling prompts; see `mmd_interval` for the arguments."""
    x, y = _pair(unit_rows(x, "x"), unit_rows(y, "y"))
    low, high = mmd_interval(rbf_kernel, x, y, x_ids=x_ids, y_ids=y_ids, resamples=resamples, seed=seed)
    return CMMD_SCALE * low, CMMD_SCALE * high


def mmd_interval(
    kernel: Kernel,
    x: FloatArray,
    y: FloatArray,
    *,
    x_ids: Sequence[Hashable] | None = None,
    y_ids: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """95 % percentile interval of an unbiased MMD² by a bootstrap over prompts.

    A prompt drawn twice must not meet itself: the pair (copy 1, copy 2) has the kernel's largest value and would stand
    for two different prompts, which pushes every resample up. So pairs *between* prompts weigh w·w′ and pairs *within*
    a prompt weigh w, for a prompt drawn w times: copies are only ever compared with other prompts.

    Args:
        kernel: takes (n, d) and (m, d), gives (n, m).
        x: (n, d) features.
        y: (m, d) features.
        x_ids: n prompt ids; None: every row is its own prompt.
        y_ids: m prompt ids. Where both sides name the same prompts these are drawn together, else independently.
        resamples: how many.
        seed: of the generator.

    Returns:
        (low, high). Conservative when both sets come from one distribution. Resamples that draw a single prompt hold no
        pair and are left out.
    """
    gx, prompts_x = _groups(x_ids, len(x))
    gy, prompts_y = _groups(y_ids, len(y))
    if len(prompts_x) < 2 or len(prompts_y) < 2:
        raise InputError("an interval needs at least two prompts on each side: there is nothing to resample")
    rng = np.random.default_rng(seed)
    wx = _multiplicities(rng, len(prompts_x), resamples)
    paired = x_ids is not None and y_ids is not None and set(prompts_x) == set(prompts_y)
    if paired:
        place = {p: i for i, p in enumerate(prompts_x)}
        gy = np.array([place[p] for p in prompts_y])[gy]
        wy = wx
    else:
        wy = _multiplicities(rng, len(prompts_y), resamples)
    values = _mmd(kernel, x, y, _Side(gx, wx), _Side(gy, wy), paired=paired)
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def unit_rows(features: npt.ArrayLike, what: str) -> FloatArray:
    """Rows divided by their length.

    Raises:
        InputError: a row of length 0, which has no direction; a value that is not finite.
    """
    rows = matrix(features, what)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise InputError(f"{what}: row {int(np.argmin(lengths))} is all zeros and has no direction; check the backbone")
    return np.asarray(rows / lengths)


def matrix(features: npt.ArrayLike, what: str) -> FloatArray:
    """Features as a finite (n, d) float64 array.

    Raises:
        EmptyInputError: no rows or no columns.
        InputError: not two-dimensional.
        NonFiniteError: a NaN or an infinity, with its place.
    """
    out = np.asarray(features, dtype=np.float64)
    if out.size == 0:
        raise EmptyInputError(f"{what}: no features given (shape {out.shape})")
    if out.ndim != 2:
        raise InputError(f"{what}: expected an (n, d) array of features, got shape {out.shape}")
    finite = np.isfinite(out)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        raise NonFiniteError(f"{what}: row {row}, column {column} is {out[row, column]}; features must be finite")
    return out


@dataclass(frozen=True, slots=True)
class _Side:
    """Rows' prompts (n,) as 0..c−1, and how often each prompt is drawn in each resample (b, c)."""

    groups: npt.NDArray[np.intp]
    weights: FloatArray


def _mmd(
    kernel: Kernel,
    x: FloatArray,
    y: FloatArray,
    side_x: _Side | None = None,
    side_y: _Side | None = None,
    *,
    paired: bool = False,
) -> FloatArray:
    """(b,) unbiased MMD² for every row of weights; without sides one value, in which every generation counts once."""
    side_x = side_x or _once(len(x))
    side_y = side_y or _once(len(y))
    xx = _mean(kernel, x, x, side_x, side_x, within=True, drop_diagonal=True)
    yy = _mean(kernel, y, y, side_y, side_y, within=True, drop_diagonal=True)
    xy = _mean(kernel, x, y, side_x, side_y, within=paired, drop_diagonal=False)
    return np.asarray(xx + yy - 2.0 * xy)


def _mean(
    kernel: Kernel, a: FloatArray, b: FloatArray, side_a: _Side, side_b: _Side, *, within: bool, drop_diagonal: bool
) -> FloatArray:
    """(resamples,) weighted mean of the kernel over pairs of rows.

    With `within`, pairs of one prompt weigh w instead of w²; with `drop_diagonal` a row is never its own pair.
    """
    order = np.argsort(side_b.groups, kind="stable")
    position = np.argsort(order)
    b = b[order]
    sizes = np.bincount(side_b.groups).astype(np.float64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
    drawn = side_b.weights @ sizes
    total, count = np.zeros(len(drawn)), np.zeros(len(drawn))
    for start in range(0, len(a), _BLOCK):
        block = slice(start, start + _BLOCK)
        groups = side_a.groups[block]
        rows = np.arange(len(groups))
        weights = side_a.weights[:, groups]
        values = kernel(a[block], b)
        by_prompt = np.add.reduceat(values, starts, axis=1)
        total += np.einsum("br,rb->b", weights, by_prompt @ side_b.weights.T)
        count += weights.sum(axis=1) * drawn
        if within:
            inside, size = by_prompt[rows, groups], sizes[groups]
            own = values[rows, position[block]] if drop_diagonal else 0.0
            total += weights @ (inside - own) - weights**2 @ inside
            count += weights @ (size - drop_diagonal) - weights**2 @ size
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample may draw one prompt only: no pair, no value
        return np.asarray(total / count)


def _once(n: int) -> _Side:
    return _Side(np.arange(n), np.ones((1, n)))


def _blocked_sum(kernel: Kernel, a: FloatArray, b: FloatArray) -> float:
    return float(sum(kernel(a[i : i + _BLOCK], b).sum() for i in range(0, len(a), _BLOCK)))


def _low_rank_trace(a: FloatArray, b: FloatArray) -> float:
    """Tr (AᵀA·BᵀB)^½ as the sum of the singular values of A·Bᵀ."""
    return float(np.linalg.svd(a @ b.T, compute_uv=False).sum())


def _full_rank_trace(a: FloatArray, b: FloatArray) -> float:
    """Tr (AᵀA·BᵀB)^½ from d×d matrices."""
    first, second = a.T @ a, b.T @ b
    try:
        lower = np.linalg.cholesky(second)
    except np.linalg.LinAlgError:  # features that are constant or repeat one another: no Cholesky factor
        return _low_rank_trace(_root(first), _root(second))
    values = np.linalg.eigvalsh(lower.T @ first @ lower)
    return float(np.sqrt(np.maximum(values, 0.0)).sum())


def _root(covariance: FloatArray) -> FloatArray:
    """R with Rᵀ·R equal to a positive semi-definite matrix."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)


def _groups(ids: Sequence[Hashable] | None, n: int) -> tuple[npt.NDArray[np.intp], list[Any]]:
    if ids is None:
        return np.arange(n), list(range(n))
    if len(ids) != n:
        raise LengthMismatchError(f"{len(ids)} prompt ids for {n} rows of features; give one id a row")
    prompts = sorted(set(ids), key=str)  # order of rows must not decide which prompt a random number falls on
    place = {p: i for i, p in enumerate(prompts)}
    return np.array([place[i] for i in ids]), prompts


def _multiplicities(rng: np.random.Generator, n: int, resamples: int) -> FloatArray:
    return rng.multinomial(n, np.full(n, 1.0 / n), size=resamples).astype(np.float64)


def _pair(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, y = matrix(x, "x"), matrix(y, "y")
    if x.shape[1] != y.shape[1]:
        raise InputError(f"features of different widths: {x.shape[1]} and {y.shape[1]}; use one backbone for both sets")
    for name, rows in (("x", x), ("y", y)):
        if len(rows) < 2:
            raise InputError(f"{name} has {len(rows)} row; a spread needs at least two generations")
    return x, y
