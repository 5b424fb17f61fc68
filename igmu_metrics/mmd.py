"""Maximum mean discrepancy between two sets of feature vectors, unbiased, with an interval over prompts.

Conventions: sets are (n, d) float64 arrays, one row a generation; all values are squared distances, 0 for equal
distributions. Kernel matrices are computed in blocks of rows and never held whole, so memory stays flat.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import InputError, LengthMismatchError
from igmu_metrics.contract import FloatArray, Interval
from igmu_metrics.statistics import percentile_interval

_BLOCK = 1024

Kernel = Callable[[FloatArray, FloatArray], FloatArray]


def polynomial_kernel(x: FloatArray, y: FloatArray) -> FloatArray:
    """(n, m) matrix of (xᵀy/d + 1)³, the kernel of KID."""
    base = x @ y.T / x.shape[1] + 1.0
    return np.asarray(base * base * base)  # ten times faster than a power


def rbf_kernel(x: FloatArray, y: FloatArray, *, sigma: float = 10.0) -> FloatArray:
    """(n, m) matrix of exp(−‖x−y‖²/2σ²) − 1.

    The constant −1 cancels in any MMD and keeps the digits that exp loses next to 1: with σ = 10 and unit vectors every
    kernel value lies in 0.98..1.
    """
    squared = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)[None, :] - 2.0 * (x @ y.T)
    return np.asarray(np.expm1(-np.maximum(squared, 0.0) / (2.0 * sigma**2)))


def mmd_unbiased(kernel: Kernel, x: FloatArray, y: FloatArray) -> float:
    """MMD² as a full U-statistic: no row is paired with itself. Slightly negative values are normal.

    Args:
        kernel: takes (n, d) and (m, d), gives (n, m).
        x: (n, d) features, n ≥ 2.
        y: (m, d) features, m ≥ 2.
    """
    return float(_mmd(kernel, x, y, _once(len(x)), _once(len(y)), paired=False)[0])


def mmd_biased(kernel: Kernel, x: FloatArray, y: FloatArray) -> float:
    """MMD² as a V-statistic: every row is also paired with itself, which makes it too large, and never negative."""
    xx, yy, xy = (_blocked_sum(kernel, a, b) for a, b in ((x, x), (y, y), (x, y)))
    return xx / len(x) ** 2 + yy / len(y) ** 2 - 2.0 * xy / (len(x) * len(y))


def mmd_estimate(
    kernel: Kernel,
    x: FloatArray,
    y: FloatArray,
    *,
    x_ids: Sequence[Hashable] | npt.NDArray[Any] | None = None,
    y_ids: Sequence[Hashable] | npt.NDArray[Any] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, Interval]:
    """`mmd_unbiased` with its 95 % percentile interval by a bootstrap over prompts.

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
        seed: of the generator; the same seed gives the same interval in whatever order the rows come.

    Returns:
        The value and (low, high). The interval is conservative when both sets come from one distribution. Resamples
        that draw a single prompt hold no pair and are left out.

    Raises:
        InputError: fewer than two prompts on a side.
        LengthMismatchError: not one id a row.
    """
    groups_x, prompts_x = prompt_groups(x, x_ids)
    groups_y, prompts_y = prompt_groups(y, y_ids)
    n_prompts = min(len(prompts_x), len(prompts_y))
    if n_prompts < 2:
        raise InputError("an interval needs at least two prompts on each side: there is nothing to resample.")
    rng = np.random.default_rng(seed)
    weights_x = _multiplicities(rng, len(prompts_x), resamples)
    paired = x_ids is not None and y_ids is not None and prompts_x == prompts_y
    weights_y = weights_x if paired else _multiplicities(rng, len(prompts_y), resamples)
    values = _mmd(kernel, x, y, _Side(groups_x, weights_x), _Side(groups_y, weights_y), paired=paired)
    return float(values[0]), percentile_interval(values[1:], n_prompts)


@dataclass(frozen=True, slots=True)
class _Side:
    """Rows' prompts (n,) as 0..c−1, and how often each prompt is drawn in each resample (b, c)."""

    groups: npt.NDArray[np.intp]
    weights: FloatArray


def _once(n: int) -> _Side:
    """Every row its own prompt, and every prompt drawn once."""
    return _Side(np.arange(n), np.ones((1, n)))


def _mmd(kernel: Kernel, x: FloatArray, y: FloatArray, side_x: _Side, side_y: _Side, *, paired: bool) -> FloatArray:
    """(b,) unbiased MMD², one for every row of weights."""
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
    # A resample may draw one prompt only: no pair, no value. Its total is zero up to rounding, so the count decides.
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _blocked_sum(kernel: Kernel, a: FloatArray, b: FloatArray) -> float:
    return float(sum(kernel(a[i : i + _BLOCK], b).sum() for i in range(0, len(a), _BLOCK)))


def prompt_groups(
    rows: FloatArray, ids: Sequence[Hashable] | npt.NDArray[Any] | None
) -> tuple[npt.NDArray[np.intp], list[Any]]:
    """Prompt of each row as 0..c−1, and the prompts; numbered so that the order of the rows does not matter."""
    if ids is None:
        groups = np.empty(len(rows), np.intp)
        groups[np.argsort(rows.sum(axis=1), kind="stable")] = np.arange(len(rows))
        return groups, list(range(len(rows)))
    if len(ids) != len(rows):
        raise LengthMismatchError(f"{len(ids)} prompt ids for {len(rows)} rows of features; give one id a row.")
    prompts, groups = np.unique(np.asarray(ids), return_inverse=True)
    return groups, prompts.tolist()


def _multiplicities(rng: np.random.Generator, n: int, resamples: int) -> FloatArray:
    """(1 + resamples, n): every prompt once, then how often each is drawn."""
    codes = rng.integers(n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    drawn = np.bincount(codes.ravel(), minlength=resamples * n).reshape(resamples, n)
    return np.concatenate([np.ones((1, n)), drawn])
