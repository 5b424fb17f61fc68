"""The 95 % interval of an unbiased MMD² over prompts, from sums of the kernel.

Goal: hold what the value estimates in 95 % of cases, wherever it lies: between models far apart the error of one
prompt matters, between models that hardly differ that of pairs of prompts does, and in between both.

In a kernel's own space the MMD² is a squared length, |δ|², of the difference of two means. Its estimate has the
variance 4·s·|δ|² + 2·Σλ²: s is the variance of the means along δ, which a jackknife over prompts gives; 2·Σλ² is that
of all pairs of prompts, which the centred kernel matrix gives. As the variance grows with what is sought, the interval
is Wilson's: all |δ|² that lie within t standard errors of the estimate, each judged by its own error.

Conventions: the interval is about what the value estimates: all pairs of rows, as every implementation of KID takes
them. Where both sides are of the same few prompts, pairs of one prompt are more alike than others, which pulls that
below the distance of the two models over all prompts. Kernel matrices are computed in blocks and never held whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from igmu_data.errors import InputError
from igmu_metrics.contract import FloatArray, Interval
from igmu_metrics.distances import mmd
from igmu_metrics.distances.intervals import Groups, Ids, Prompts, within_errors

MIN_PROMPTS = 20
"""Fewer prompts have no interval of a distance: where few directions carry the features, ten hold it in 86..92 %."""
_FEW_DIRECTIONS: Final = 0.3  # how much wider an interval is where one direction carries everything
_MATRIX: Final = 1024  # prompts among which pairs are looked at; of more, as many evenly


def mmd_estimate(
    kernel: mmd.Kernel,
    x: FloatArray,
    y: FloatArray,
    *,
    x_ids: Ids = None,
    y_ids: Ids = None,
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
    from scipy.special import stdtrit

    prompts = Prompts.of(x, y, x_ids, y_ids)
    if min(prompts.counts) < 3:
        raise InputError("an interval needs at least three prompts on each side: one is left out, two make a pair.")
    (x, of_x), (y, of_y) = _by_prompt(x, prompts.of_x), _by_prompt(y, prompts.of_y)
    xx = _Sums.of(kernel, x, x, of_x, of_x)
    yy = _Sums.of(kernel, y, y, of_y, of_y)
    xy = _Sums.of(kernel, x, y, of_x, of_y)
    own_x, own_y = (np.bincount(g, mmd.diagonal(kernel, rows)).astype(float) for rows, g in ((x, of_x), (y, of_y)))
    value = xx.among(own_x) + yy.among(own_y) - 2 * xy.mean
    biased = xx.mean + yy.mean - 2 * xy.mean
    whole_x, whole_y, across = xx.without_both(), yy.without_both(), xy.centred()
    fair_x, fair_y = xx.among_others(own_x), yy.among_others(own_y)
    if prompts.shared:
        cross = 2 * xy.without_both()
        whole, fair = [whole_x + whole_y - cross], [fair_x + fair_y - cross]
        alone, pairs = _scatter(
            xx.centred() + yy.centred() - across - across.T,
            xx.centred_inside() + yy.centred_inside() - 2 * xy.centred_inside(),
        )
    else:
        cross_x, cross_y = 2 * xy.without_rows(), 2 * xy.without_columns()
        whole, fair = [whole_x - cross_x, whole_y - cross_y], [fair_x - cross_x, fair_y - cross_y]
        alone_x, pairs_x = _scatter(xx.centred(), xx.centred_inside())
        alone_y, pairs_y = _scatter(yy.centred(), yy.centred_inside())
        thinned = prompts.counts[0] * prompts.counts[1] / across.size
        alone, pairs = alone_x + alone_y, pairs_x + pairs_y + 4 * thinned * float(np.vdot(across, across))
    errors, all_errors = (sum((len(v) - 1) * float(v.var()) for v in left_out) for left_out in (whole, fair))
    few = (xx.concentration(own_x) + yy.concentration(own_y)) / 2
    t = float(stdtrit(min(prompts.counts) - 1, 0.975)) * (1 + _FEW_DIRECTIONS * few)
    low, high = _interval(biased, alone, errors, pairs, max(0.0, all_errors - errors), t)
    offset = value - (biased - alone)
    return value, (low + offset, high + offset)


def _scatter(centred: FloatArray, inside: FloatArray) -> tuple[float, float]:
    """What the prompts' scatter adds to |δ|² counted with all pairs, E|e|², and the variance 2·Σλ² of that.

    Args:
        centred: (k, k) inner products of what the prompts that were kept add to e.
        inside: of every prompt with itself.
    """
    p, k = len(inside), len(centred)
    off = max(0.0, float(np.vdot(centred, centred)) - float(np.sum(np.diagonal(centred) ** 2)))
    return float(inside.sum()) * p / (p - 1), 2 * off * p / (p - 1) * (p * (p - 1)) / (k * (k - 1))


def _interval(biased: float, alone: float, errors: float, pairs: float, others: float, t: float) -> Interval:
    """All |δ|² within t standard errors of their estimate.

    Args:
        biased: |δ + e|², what counts prompts with themselves.
        alone: E|e|², by which it is too large.
        errors: the jackknife's variance of `biased`, 4·s·|δ + e|².
        pairs: the variance 2·Σλ² of |e|².
        others: variance that has nothing to do with |δ|², as of how much seeds of one prompt are alike.
        t: quantile.
    """
    square, along, fixed = biased - alone, 0.0, pairs + others
    if biased > 0 and pairs > 0:
        along = errors / (4 * biased)  # s
        # Far from equal models the jackknife, which counts pairs twice, may tell of more than pairs and s explain; near
        # them its noise is as large as what it says.
        far = min(1.0, max(0.0, square / float(np.sqrt(pairs)) / 4 - 1))
        fixed += far * max(0.0, errors * (1 - max(0.0, square) / biased) - 2 * pairs)
    return within_errors(square, 4 * along, fixed, fixed, t)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums of the kernel over all pairs of rows of a and b, by the prompts of both."""

    sizes: tuple[FloatArray, FloatArray]  # rows of each prompt of a, and of b
    total: float
    rows: FloatArray  # (prompts of a,)
    columns: FloatArray  # (prompts of b,)
    inside: FloatArray  # (prompts of a,), for sides that name the same prompts
    matrix: FloatArray  # (prompts of a, of b), thinned to every `_every`-th
    squares: float  # of the kernel
    row_squares: float  # of its sums over the rows of b

    @classmethod
    def of(cls, kernel: mmd.Kernel, a: FloatArray, b: FloatArray, of_a: Groups, of_b: Groups) -> _Sums:
        """Of rows in the order of their prompts, which are of_a and of_b."""
        sizes_a, sizes_b = (np.bincount(g).astype(np.float64) for g in (of_a, of_b))
        starts = np.concatenate([[0], np.cumsum(sizes_b)[:-1]]).astype(np.intp)
        every_a, every_b = _every(sizes_a), _every(sizes_b)
        rows, columns, inside = np.zeros(len(sizes_a)), np.zeros(len(sizes_b)), np.zeros(len(sizes_a))
        matrix = np.zeros((-(-len(sizes_a) // every_a), -(-len(sizes_b) // every_b)))
        squares = row_squares = 0.0
        for start in range(0, len(a), mmd.BLOCK):
            block = slice(start, start + mmd.BLOCK)
            values = kernel(a[block], b)
            squares += float(np.vdot(values, values))
            values = np.add.reduceat(values, starts, axis=1)
            of_rows = values.sum(axis=1)
            row_squares += float(np.vdot(of_rows, of_rows))
            prompts, firsts = np.unique(of_a[block], return_index=True)
            values = np.add.reduceat(values, firsts, axis=0)
            rows[prompts] += values.sum(axis=1)
            columns += values.sum(axis=0)
            if len(columns) == len(rows):
                inside[prompts] += values[np.arange(len(prompts)), prompts]
            kept = prompts % every_a == 0
            matrix[prompts[kept] // every_a] += values[kept][:, ::every_b]
        return cls((sizes_a, sizes_b), float(rows.sum()), rows, columns, inside, matrix, squares, row_squares)

    @property
    def counts(self) -> tuple[float, float]:
        """Rows of a, and of b."""
        return float(self.sizes[0].sum()), float(self.sizes[1].sum())

    @property
    def mean(self) -> float:
        """Over all pairs of rows."""
        n, m = self.counts
        return self.total / (n * m)

    def among(self, own: FloatArray) -> float:
        """Mean over pairs of different rows of one set; own: sums of the kernel of rows with themselves, a prompt."""
        n, _ = self.counts
        return (self.total - float(own.sum())) / (n * (n - 1))

    def among_others(self, own: FloatArray) -> FloatArray:
        """`among`, without each prompt."""
        n = self.counts[0] - self.sizes[0]
        return np.asarray((self.total - own.sum() - 2 * self.rows + self.inside + own) / (n * (n - 1)))

    def without_rows(self) -> FloatArray:
        """Mean over all pairs, without each prompt of a."""
        n, m = self.counts
        return np.asarray((self.total - self.rows) / ((n - self.sizes[0]) * m))

    def without_columns(self) -> FloatArray:
        """Mean over all pairs, without each prompt of b."""
        n, m = self.counts
        return np.asarray((self.total - self.columns) / (n * (m - self.sizes[1])))

    def without_both(self) -> FloatArray:
        """Mean over all pairs, without each prompt on both sides."""
        n, m = self.counts
        left = self.total - self.rows - self.columns + self.inside
        return np.asarray(left / ((n - self.sizes[0]) * (m - self.sizes[1])))

    def centred(self) -> FloatArray:
        """(k, l) inner products of what each kept prompt of a, and of b, adds to the error of its set's mean."""
        n, m = self.counts
        step, stride = _every(self.sizes[0]), _every(self.sizes[1])
        of_a, of_b = self.sizes[0][::step] / n, self.sizes[1][::stride] / m
        outer = np.outer(of_a, self.columns[::stride]) + np.outer(self.rows[::step], of_b)
        return np.asarray((self.matrix - outer + self.total * np.outer(of_a, of_b)) / (n * m))

    def centred_inside(self) -> FloatArray:
        """The same of every prompt with itself."""
        n, m = self.counts
        of_a, of_b = self.sizes[0] / n, self.sizes[1] / m
        outer = of_a * self.columns + self.rows * of_b
        return np.asarray((self.inside - outer + self.total * of_a * of_b) / (n * m))

    def concentration(self, own: FloatArray) -> float:
        """1 over the number of directions along which the rows of one set scatter, Σλ²/(Σλ)² of the centred kernel."""
        n, _ = self.counts
        mean = self.total / n
        squares = self.squares - 2 * self.row_squares / n + mean**2
        return squares / (float(own.sum()) - mean) ** 2 if squares > 1e-12 * self.squares else 0.0


def _every(prompts: FloatArray) -> int:
    """Every which prompt the matrix of pairs keeps."""
    return -(-len(prompts) // _MATRIX)


def _by_prompt(rows: FloatArray, groups: Groups) -> tuple[FloatArray, Groups]:
    """Rows and their prompts, in the order of prompts."""
    order = np.argsort(groups, kind="stable")
    return rows[order], groups[order]
