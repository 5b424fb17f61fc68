"""An interval for the Fréchet distance, from the derivatives of the distance by the weight of each prompt.

Why not a bootstrap: sampling with replacement makes a set look narrower than it is, which increases this distance (from
53.2 to 63.7 at n = 250). The infinitesimal jackknife uses the derivative by each prompt's weight instead: one
decomposition gives all of them, and no set becomes narrower. Its variance counts the joint effects of pairs of prompts
twice, which is a large share if many directions vary alike or two models hardly differ. Therefore the change of the
derivatives under random weights is measured and subtracted once. The remaining variance grows with the distance, like
that of squared lengths, so the interval is of Wilson's kind: all distances within t standard errors of this one, each
with its own error. If few directions dominate the features, these estimates are uncertain, and the interval is wider.
It contains the distance in 92 to 98% of simulated cases (tests/test_coverage.py), and in as few as 88% if single
features have heavy tails.

Conventions: the interval is for the distance *at this n*. It shows how much the distance would change with other
prompts, not how far it is from its value at n = ∞: for equal models, the interval does not include zero.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from igmu_data.errors import InputError
from igmu_metrics.contract import FloatArray, Interval
from igmu_metrics.distances.intervals import Ids, Prompts, within_errors
from igmu_metrics.statistics.level import tails

_PROBES: Final = 4  # random weightings
_STEP: Final = 0.01  # by which they move each weight
_FEW_DIRECTIONS: Final = 0.4  # how much wider an interval is where one direction carries everything
_NEGLIGIBLE: Final = 1e-7  # of the largest singular value: half the digits, as they come from their squares


def frechet_interval(
    x: FloatArray, y: FloatArray, value: float, *, x_ids: Ids = None, y_ids: Ids = None, seed: int = 0
) -> Interval:
    """95% interval of `gaussian.frechet_distance` by an infinitesimal jackknife over prompts.

    Args:
        x: (n, d) features.
        y: (m, d) features.
        value: their distance.
        x_ids: n prompt ids; with None, every row is a separate prompt.
        y_ids: m prompt ids. A prompt on both sides has one weight.
        seed: of the random weights; the order of the rows does not matter.

    Returns:
        (low, high), not below 0.

    Raises:
        InputError: a side has only one prompt.
        LengthMismatchError: the number of ids differs from the number of rows.

    References:
        Jaeckel, "The Infinitesimal Jackknife", Bell Laboratories, 1972; Efron and Stein, "The Jackknife Estimate of
        Variance", Annals of Statistics 9, 1981 (pairs count twice).
    """
    from scipy.special import stdtrit

    prompts = Prompts.of(x, y, x_ids, y_ids)
    if min(prompts.counts) < 2:
        raise InputError("an interval requires images from at least two prompts in each of the two sets. Add prompts.")
    of_x, of_y = prompts.of_x, prompts.of_y

    def slopes(weights: FloatArray) -> FloatArray:
        """Derivative of the distance by the weight of each prompt."""
        by_x, by_y = _derivatives(x, y, weights[of_x], weights[of_y])
        k = len(weights)
        return np.asarray(np.bincount(of_x, by_x, k) + np.bincount(of_y, by_y, k), dtype=np.float64)

    ones = np.ones(len(prompts.sizes))
    plain = slopes(ones)
    alone = float(plain**2 @ (1 / (1 - ((prompts.sizes > 0) / prompts.counts).max(axis=1))))
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (_PROBES, len(ones)))
    # A sign times the answer of its own prompt is that prompt's curvature, the same in every probe, and the rest is
    # what others do to it: so the spread over probes is that of pairs.
    moved = np.stack([s * (slopes(1 + _STEP * s) - plain) / _STEP for s in signs])
    pairs = min(float(moved.var(axis=0, ddof=1).sum()) / 2, alone / 2)
    few = float(np.mean([_concentration(rows) for rows in (x, y)]))
    t = float(stdtrit(min(prompts.counts) - 1, tails()[1])) * (1 + _FEW_DIRECTIONS * few)
    return _interval(value, alone, pairs, t)


def _interval(value: float, alone: float, pairs: float, t: float) -> Interval:
    """All distances m with |value − m| ≤ t·√(alone·m/value − pairs), whose variance is at least that of pairs."""
    if value <= t * np.sqrt(alone) * 1e-2:  # next to no distance, for which a ratio says nothing
        return 0.0, value + t * float(np.sqrt(alone))
    low, high = within_errors(value, alone / value, -pairs, pairs, t)
    return max(0.0, low), high


def _derivatives(x: FloatArray, y: FloatArray, of_x: FloatArray, of_y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Derivatives of the distance by the weight of each row, at these weights: (n,) and (m,)."""
    of_x, of_y = of_x * (len(x) / of_x.sum()), of_y * (len(y) / of_y.sum())
    means = [w @ rows / len(rows) for w, rows in ((of_x, x), (of_y, y))]
    shift = means[0] - means[1]
    x, y = x - means[0], y - means[1]
    roots = [np.sqrt(w / (len(w) - 1))[:, None] for w in (of_x, of_y)]
    crosses = _shares_of_cross(x * roots[0], y * roots[1])
    found = []
    for rows, weights, towards, cross in ((x, of_x, shift, crosses[0]), (y, of_y, -shift, crosses[1])):
        n = len(rows)
        slope = (rows * rows).sum(axis=1) * (n / (n - 1)) + 2 * rows @ towards - cross * n / weights
        found.append((slope - weights @ slope / n) / n)
    return found[0], found[1]


def _shares_of_cross(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What each row of a, and of b, has in Σσ of the singular values of a·bᵀ: diag U·Σ·Uᵀ and diag V·Σ·Vᵀ."""
    (frame_a, core_a), (frame_b, core_b) = _reduced(a), _reduced(b)
    cross = core_a @ core_b.T
    if len(cross) > cross.shape[1]:
        right, values, left = _singular(cross.T)
    else:
        left, values, right = _singular(cross)
    of_a = left if frame_a is None else a @ (frame_a @ left)
    of_b = right if frame_b is None else b @ (frame_b @ right)
    return of_a**2 @ values, of_b**2 @ values


def _singular(matrix: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """U, σ and V of a matrix no taller than wide, without negligible σ."""
    squares, left = np.linalg.eigh(matrix @ matrix.T)
    values = np.sqrt(np.maximum(squares, 0.0))
    kept = values > values.max(initial=0.0) * _NEGLIGIBLE
    values, left = values[kept], left[:, kept]
    return left, values, matrix.T @ left / values


def _reduced(rows: FloatArray) -> tuple[FloatArray | None, FloatArray]:
    """Rows as (rows·frame)·core with a core no taller than wide; no frame where they are that already."""
    if len(rows) <= rows.shape[1]:
        return None, rows
    squares, vectors = np.linalg.eigh(rows.T @ rows)
    values = np.sqrt(np.maximum(squares, 0.0))
    kept = values > values.max(initial=0.0) * _NEGLIGIBLE
    values, vectors = values[kept], vectors[:, kept]
    return vectors / values, (vectors * values).T


def _concentration(rows: FloatArray) -> float:
    """1 over the number of directions a set scatters along, Σλ²/(Σλ)² of its covariance."""
    centred = rows - rows.mean(axis=0)
    product = centred @ centred.T if len(rows) <= rows.shape[1] else centred.T @ centred
    trace = float(np.trace(product))
    return float(np.vdot(product, product)) / trace**2 if trace > 0 else 0.0
