"""Do the pictures still look like what the original model could have drawn? Two candidates for one aspect.

Both compare an unlearned model with the original *relative to how far the original is from itself*: the seeds of every
prompt are dealt out to two halves, so that half against half of the original shows what a different seed alone does. A
Fréchet distance by itself would not do: at n = 250 two samples of one distribution are tens apart.

Conventions: features are (n, d) arrays, one vector a generation, rows paired between the models. Results are in 0..1,
1 where the unlearned model cannot be told from a second half of the original; the original against itself is exactly 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import InputError
from igmu_metrics.contract import BoolArray, FloatArray

NEIGHBOURS = 5


def seed_halves(ids: npt.NDArray[Any], seeds: npt.NDArray[Any]) -> tuple[BoolArray, BoolArray]:
    """Deal the seeds of each prompt out to two halves of equal size; an odd seed is left out.

    Args:
        ids: (n,) prompts.
        seeds: (n,) seeds, unique within their prompt.

    Returns:
        Two (n,) masks: the 1st, 3rd … and the 2nd, 4th … smallest seed of each prompt.

    >>> [half.tolist() for half in seed_halves(np.array(["a", "a", "a", "b"]), np.array([7, 3, 5, 1]))]
    [[False, True, False, False], [False, False, True, False]]
    """
    order = np.lexsort((seeds, ids))
    first, of, counts = np.unique(ids[order], return_index=True, return_inverse=True, return_counts=True)[1:]
    rank = np.empty(len(ids), np.intp)
    rank[order] = np.arange(len(ids)) - first[of]
    usable = np.empty(len(ids), np.intp)
    usable[order] = counts[of] // 2 * 2
    return (rank < usable) & (rank % 2 == 0), (rank < usable) & (rank % 2 == 1)


def manifold_coverage(real: FloatArray, drawn: FloatArray, *, neighbours: int = NEIGHBOURS) -> float:
    """Share of the real samples that have a drawn sample at least as near as their k-th real neighbour.

    Args:
        real: (n, d) features, n > `neighbours`.
        drawn: (m, d) features, m ≥ 1.
        neighbours: k.

    Returns:
        0..1, higher is better: 0 for a model that draws one picture over and over.

    Raises:
        InputError: too few samples.

    On a line with k = 1: the points 0 and 1 are 1 apart and 9 lies 8 from its neighbour. A drawn 2 is near enough to
    1 and to 9, not to 0.

    >>> round(manifold_coverage(np.array([[0.0], [1.0], [9.0]]), np.array([[2.0]]), neighbours=1), 4)
    0.6667

    References:
        Naeem et al., "Reliable fidelity and diversity metrics for generative models", ICML 2020.
    """
    if len(real) <= neighbours or not len(drawn):
        raise InputError(
            f"{len(real)} real and {len(drawn)} drawn samples; coverage with {neighbours} neighbours needs more than "
            f"{neighbours} real ones and at least one drawn."
        )
    # Without the common offset the squared distances keep their digits.
    centre = real.mean(axis=0)
    real, drawn = real - centre, drawn - centre
    among = _squared_distances(real, real)
    np.fill_diagonal(among, np.inf)
    radius = np.partition(among, neighbours - 1, axis=1)[:, neighbours - 1]
    return float((_squared_distances(real, drawn).min(axis=1) <= radius).mean())


def quality_coverage(
    original: FloatArray, unlearned: FloatArray, halves: tuple[BoolArray, BoolArray], *, neighbours: int = NEIGHBOURS
) -> float:
    """Coverage of one half of the original by the unlearned model, relative to that by the original's other half.

    Both halves take their turn as the reference, and the unlearned model is taken at the other half's seeds.

    Args:
        original: (n, d) features of the original model.
        unlearned: (n, d) features of the unlearned model, same prompts and seeds.
        halves: from `seed_halves`, each with more than `neighbours` generations.
        neighbours: k of `manifold_coverage`.

    Returns:
        0..1, higher is better; NaN if the halves of the original do not cover each other at all.

    Raises:
        InputError: halves too small.
    """
    turns = (halves, halves[::-1])
    base = sum(manifold_coverage(original[a], original[b], neighbours=neighbours) for a, b in turns)
    got = sum(manifold_coverage(original[a], unlearned[b], neighbours=neighbours) for a, b in turns)
    return min(1.0, got / base) if base else float("nan")


def quality_frechet(original: FloatArray, unlearned: FloatArray, halves: tuple[BoolArray, BoolArray]) -> float:
    """Fréchet distance between the halves of the original, divided by that from a half to the unlearned model.

    Args:
        original: (n, d) features of the original model.
        unlearned: (n, d) features of the unlearned model, same prompts and seeds.
        halves: from `seed_halves`, each with at least 2 generations.

    Returns:
        0..1, higher is better; 1 where the unlearned model is no farther than the other half.

    Raises:
        InputError: halves too small.
    """
    from igmu_metrics.distances.gaussian import frechet_distance

    a, b = halves
    base = 2 * frechet_distance(original[a], original[b])
    got = frechet_distance(original[a], unlearned[b]) + frechet_distance(original[b], unlearned[a])
    return 1.0 if got <= base else max(0.0, base / got)


def _squared_distances(x: FloatArray, y: FloatArray) -> FloatArray:
    squares = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1)[None, :] - 2.0 * (x @ y.T)
    return np.asarray(np.maximum(squares, 0.0))
