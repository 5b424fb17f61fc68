"""Maximum mean discrepancy between two sets of feature vectors, unbiased, with an interval over prompts.

Conventions: sets are (n, d) float64 arrays, one row a generation; all values are squared distances, 0 for equal
distributions. Kernel matrices are computed in blocks of rows and never held whole, so memory stays flat.

The interval leaves out one prompt at a time (jackknife) and is Student's on the scale of the distance, the square root:
there the error hardly depends on how far the sets are apart, and few prompts do. Where the distance is no larger than
what so few prompts leave to chance, leaving out one says too little, as what matters are then pairs of them; so the
interval also spans the one on a scale that counts from below that chance. It is about what the value estimates:
all pairs of rows, as every implementation of KID takes them. Where both sets are of the same few prompts, pairs of one
prompt are more alike than others, which pulls that below the distance of the two models over all prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import InputError, LengthMismatchError
from igmu_metrics.contract import FloatArray, Interval

MIN_PROMPTS = 20
"""Fewer prompts have no interval of a distance: where few directions carry the features, ten hold it in 86..92 %."""
_FEW_DIRECTIONS = 0.4  # how much wider an interval is where one direction carries everything
_BLOCK = 1024
_SMALL = 64  # of a kernel matrix only its diagonal is wanted

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
    n, m = len(x), len(y)
    xx = _blocked_sum(kernel, x, x) - _diagonal(kernel, x).sum()
    yy = _blocked_sum(kernel, y, y) - _diagonal(kernel, y).sum()
    return float(xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2.0 * _blocked_sum(kernel, x, y) / (n * m))


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
) -> tuple[float, Interval]:
    """`mmd_unbiased` with its 95 % interval over prompts.

    Args:
        kernel: takes (n, d) and (m, d), gives (n, m).
        x: (n, d) features.
        y: (m, d) features.
        x_ids: n prompt ids; None: every row is its own prompt.
        y_ids: m prompt ids. Where both sides name the same prompts each is left out of both at once.

    Returns:
        The value and (low, high).

    Raises:
        InputError: fewer than three prompts on a side.
        LengthMismatchError: not one id a row.
    """
    groups_x, prompts_x = prompt_groups(x, x_ids)
    groups_y, prompts_y = prompt_groups(y, y_ids)
    n_prompts = min(len(prompts_x), len(prompts_y))
    if n_prompts < 3:
        raise InputError("an interval needs at least three prompts on each side: one is left out, two make a pair.")
    paired = x_ids is not None and y_ids is not None and prompts_x == prompts_y
    xx, yy = _Sums.of(kernel, x, x, groups_x, groups_x), _Sums.of(kernel, y, y, groups_y, groups_y)
    xy = _Sums.of(kernel, x, y, groups_x, groups_y)
    own_x, own_y = (_within(_diagonal(kernel, part), g) for part, g in ((x, groups_x), (y, groups_y)))
    n, m = (np.bincount(g).astype(np.float64) for g in (groups_x, groups_y))

    def among(sums: _Sums, own: FloatArray, sizes: FloatArray, without: bool) -> FloatArray:
        """Mean over pairs of different rows of one set, of everything or without each prompt."""
        total, rows = sums.total - own.sum(), sizes.sum()
        if without:
            total, rows = total - 2 * sums.rows + sums.inside + own, rows - sizes
        return np.asarray(total / np.where(rows > 1, rows * (rows - 1), np.nan))

    value = float(among(xx, own_x, n, False) + among(yy, own_y, m, False) - 2 * xy.total / (n.sum() * m.sum()))
    lone_x, lone_y = among(xx, own_x, n, True), among(yy, own_y, m, True)
    if paired:
        across = (xy.total - xy.rows - xy.columns + xy.inside) / ((n.sum() - n) * (m.sum() - m))
        left_out = [lone_x + lone_y - 2 * across]
    else:
        whole_x, whole_y = among(xx, own_x, n, False), among(yy, own_y, m, False)
        left_out = [
            lone_x + whole_y - 2 * (xy.total - xy.rows) / ((n.sum() - n) * m.sum()),
            whole_x + lone_y - 2 * (xy.total - xy.columns) / (n.sum() * (m.sum() - m)),
        ]
    chance = _chance(xx, n, n) + _chance(yy, m, m) - (2 * _chance(xy, n, m) if paired else 0.0)
    scattered = [1 / _directions(sums, float(own.sum())) for sums, own in ((xx, own_x), (yy, own_y))]
    wider = 1 + _FEW_DIRECTIONS * float(np.mean(scattered))
    return value, _jackknifed(value, left_out, n_prompts, max(0.0, chance), wider)


def _chance(sums: _Sums, n: FloatArray, m: FloatArray) -> float:
    """What the prompts' own scatter adds to a mean over all pairs of rows: n, m rows a prompt."""
    own, pairs = (n * m).sum(), n.sum() * m.sum()
    inside = sums.inside.sum()
    return float((inside - own * (sums.total - inside) / (pairs - own)) / pairs)


def _directions(sums: _Sums, own: float) -> float:
    """Along how many directions a set scatters, 1..rows: (Σλ)²/Σλ² of its centred kernel matrix.

    Args:
        sums: of the kernel of the set with itself.
        own: sum of the kernel of every row with itself.
    """
    mean = sums.total / sums.n_rows
    squares = sums.squares - 2 * sums.row_squares / sums.n_rows + mean**2
    return (own - mean) ** 2 / squares if squares > 1e-12 * sums.squares else np.inf


def _jackknifed(value: float, left_out: Sequence[FloatArray], n_prompts: int, chance: float, wider: float) -> Interval:
    """Student's interval from leave-one-out values: what those on two scales span.

    The square root of the value; and the fourth root of the value and twice the chance, which is nearer to a logarithm
    and has no seam at 0. Where few directions carry the scatter the value is skewed, and both are made wider. Powers,
    offset, span and width were chosen by simulation (tests/test_coverage.py).
    """
    from scipy.special import stdtrit

    t = wider * float(stdtrit(n_prompts - 1, 0.975))
    ends = []
    for power, offset in ((0.5, 0.0), (0.25, 2 * chance)):
        if value + offset <= 0:  # no distance to speak of: the error of the square itself
            power, offset = 1.0, 0.0
        parts = [_signed_power(v[~np.isnan(v)] + offset, power) for v in left_out]
        half = t * float(np.sqrt(sum((len(p) - 1) * p.var() for p in parts)))
        middle = _signed_power(np.array(value + offset), power)
        ends.append([float(_signed_power(middle + side, 1 / power)) - offset for side in (-half, half)])
    return min(low for low, _ in ends), max(high for _, high in ends)


def _signed_power(values: FloatArray, power: float) -> FloatArray:
    return np.asarray(np.sign(values) * np.abs(values) ** power)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums of the kernel over all pairs of rows, over those with each prompt on a side, and within each prompt."""

    total: float
    rows: FloatArray  # (prompts of a,)
    columns: FloatArray  # (prompts of b,)
    inside: FloatArray  # (prompts of a,), for sides that name the same prompts
    squares: float  # of the kernel
    row_squares: float  # of its sums over the rows of b
    n_rows: int  # of a

    @classmethod
    def of(
        cls,
        kernel: Kernel,
        a: FloatArray,
        b: FloatArray,
        groups_a: npt.NDArray[np.intp],
        groups_b: npt.NDArray[np.intp],
    ) -> _Sums:
        order = np.argsort(groups_b, kind="stable")
        b, sizes = b[order], np.bincount(groups_b)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        rows, inside = np.zeros(int(groups_a.max()) + 1), np.zeros(int(groups_a.max()) + 1)
        columns = np.zeros(len(sizes))
        squares = row_squares = 0.0
        for start in range(0, len(a), _BLOCK):
            block = slice(start, start + _BLOCK)
            groups = groups_a[block]
            values = kernel(a[block], b)
            by_prompt = np.add.reduceat(values, starts, axis=1)
            of_rows = by_prompt.sum(axis=1)
            squares += float(np.vdot(values, values))
            row_squares += float(np.vdot(of_rows, of_rows))
            columns += by_prompt.sum(axis=0)
            rows += np.bincount(groups, of_rows, minlength=len(rows))
            if len(columns) == len(rows):
                inside += np.bincount(groups, by_prompt[np.arange(len(groups)), groups], minlength=len(rows))
        return cls(float(rows.sum()), rows, columns, inside, squares, row_squares, len(a))


def _within(values: FloatArray, groups: npt.NDArray[np.intp]) -> FloatArray:
    return np.bincount(groups, values).astype(np.float64)


def _diagonal(kernel: Kernel, a: FloatArray) -> FloatArray:
    """(n,) kernel of every row with itself."""
    blocks = [a[i : i + _SMALL] for i in range(0, len(a), _SMALL)]
    return np.concatenate([np.diagonal(kernel(block, block)) for block in blocks])


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
