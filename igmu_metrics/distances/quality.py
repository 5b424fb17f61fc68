"""Do the images still look as if the original model had generated them? Three candidates for one aspect.

All compare an unlearned model with the original *relative to how far the original is from itself* across its seeds.

- `quality_within` compares prompt by prompt whether an image is as near to the original's other seeds as those are to
  each other (fidelity), and whether the seeds differ as much (diversity). Neither compensates for the other: quality is
  their product.
- `quality_coverage` and `quality_frechet` use all images at once; the seeds of every prompt are split into two halves,
  so that comparing the original's halves shows the effect of different seeds alone. A Fréchet distance by itself would
  not suffice: at n = 250, the distance between two samples of one distribution is in the tens. Neighborhoods that span
  all prompts are so wide that they include halved contrast and noise in half of the images (docs/audit.md).

Conventions: features are (n, d) arrays, one vector per generation, rows paired between the models. Results are in 0..1:
1 if the unlearned model cannot be distinguished from a second half of the original; the original against itself is
exactly 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import InputError
from igmu_metrics.contract import BoolArray, FloatArray

NEIGHBOURS = 5
REACH = 0.9
"""Share of the original's seed-to-seed distances within the radius of fidelity. At 0.95, the radius of few prompts is
that of the prompt that varies most, and includes halved contrast for one in three choices of sixteen prompts."""
SLACK = 1e-3
"""Relative increase of the radius, because rounding can change the features of an image in a different batch."""
_AROUND = (0.8, 0.95)
_BLOCK = 4096  # pairs whose features are held at once


@dataclass(frozen=True, slots=True)
class SeedPairs:
    """Distances between images of one prompt at two seeds, for every two seeds that a prompt has.

    Args:
        prompt: (pairs,) index of its prompt among the sorted prompts.
        own: (pairs,) from the original to the original.
        across: (pairs, 2) from the original at one of the seeds to the unlearned model at the other.
        unlearned: (pairs,) from the unlearned model to the unlearned model.
    """

    prompt: npt.NDArray[np.intp]
    own: FloatArray
    across: FloatArray
    unlearned: FloatArray

    @classmethod
    def of(
        cls, original: FloatArray, unlearned: FloatArray, ids: npt.NDArray[Any], seeds: npt.NDArray[Any]
    ) -> SeedPairs:
        """From features.

        Args:
            original: (n, d) features of the original model.
            unlearned: (n, d) features of the unlearned model, same prompts and seeds.
            ids: (n,) prompts.
            seeds: (n,) seeds, unique within their prompt.

        Raises:
            InputError: no prompt has two seeds.
        """
        order = np.lexsort((seeds, ids))
        before, after = original[order], unlearned[order]
        code, counts = np.unique(ids[order], return_inverse=True, return_counts=True)[1:]
        most = int(counts.max(initial=0))
        found = [np.flatnonzero(code[lag:] == code[:-lag]) + np.array([[0], [lag]]) for lag in range(1, most)]
        if not found:
            raise InputError(
                "fidelity and diversity require a prompt with at least two seeds, but each prompt has only one."
            )
        first, second = np.concatenate(found, axis=1)
        across = [_distances(before, after, first, second), _distances(before, after, second, first)]
        return cls(
            code[first],
            _distances(before, before, first, second),
            np.stack(across, axis=1),
            _distances(after, after, first, second),
        )

    def among(self, prompts: npt.NDArray[np.intp]) -> SeedPairs:
        """The pairs of these prompts."""
        here = np.isin(self.prompt, prompts)
        return SeedPairs(self.prompt[here], self.own[here], self.across[here], self.unlearned[here])

    def by_prompt(self) -> FloatArray:
        """The values of each prompt, for any number of seeds; `fidelity_diversity` combines them.

        Returns:
            (prompts with two seeds, 4) in 0..1: the shares of the unlearned model's and of the original's images
            within the radius, then the distances between the unlearned model's and between the original's seeds, in
            medians of the original and at most one.
        """
        code, weight = self._weights()
        radius = (1 + SLACK) * _quantile(self.own, weight, REACH)
        varied = self.own > 0
        typical = _quantile(self.own[varied], weight[varied], 0.5) if varied.any() else np.inf
        columns = (
            (self.across <= radius).mean(axis=1),
            self.own <= radius,
            np.minimum(self.unlearned / typical, 1.0),
            np.minimum(self.own / typical, 1.0),
        )
        return np.stack([np.bincount(code, column * weight) for column in columns], axis=1)

    def slope(self) -> float:
        """How much faster the unlearned model's share within the radius grows than the original's share at REACH.

        The radius is an estimate, too, and depends on the prompts. A change of the original's share changes the
        unlearned model's share by this factor. From the shares at the radii of 0.8 and 0.95; NaN if those are equal.
        """
        _, weight = self._weights()
        ends = [(1 + SLACK) * _quantile(self.own, weight, share) for share in _AROUND]
        near, near_own = (
            [float(np.average((distances <= radius).mean(axis=1), weights=weight)) for radius in ends]
            for distances in (self.across, self.own[:, None])
        )
        return (near[1] - near[0]) / grown if (grown := near_own[1] - near_own[0]) else float("nan")

    def _weights(self) -> tuple[npt.NDArray[np.intp], FloatArray]:
        """(pairs,) place of the prompt among those that have pairs, and its weight: one for all pairs of a prompt."""
        code, counts = np.unique(self.prompt, return_inverse=True, return_counts=True)[1:]
        return code, 1.0 / counts[code]


def fidelity_diversity(by_prompt: FloatArray) -> tuple[float, float]:
    """Both terms of `quality_within`, from the columns of `SeedPairs.by_prompt`; each in 0..1, higher is better.

    >>> fidelity_diversity(np.array([[1.0, 1.0, 0.2, 0.8], [0.5, 1.0, 0.2, 0.8]]))
    (0.75, 0.25)
    """
    near, near_own, apart, apart_own = (float(v) for v in by_prompt.mean(axis=0))
    return min(1.0, near / near_own), min(1.0, apart / apart_own) if apart_own else float("nan")


def prompt_fidelity(
    original: FloatArray, unlearned: FloatArray, ids: npt.NDArray[Any], seeds: npt.NDArray[Any]
) -> float:
    """Share of images as near to the original's other seeds of their prompt as those are to each other.

    The radius is the 90% quantile of the original's own seed-to-seed distances over all prompts, each with the same
    weight; the share is relative to the original's own.

    Args:
        original: (n, d) features of the original model.
        unlearned: (n, d) features of the unlearned model, same prompts and seeds.
        ids: (n,) prompts.
        seeds: (n,) seeds, unique within their prompt; prompts with a single one say nothing.

    Returns:
        0..1, higher is better; the original against itself is exactly 1.

    Raises:
        InputError: no prompt has two seeds.

    On a line: the original generates 0 and 1 for one prompt, so the radius is 1. The unlearned model's 0.5 at the first
    seed is within this radius of the original's 1; its 5 at the second seed is not within it of the original's 0.

    >>> prompt_fidelity(np.array([[0.0], [1.0]]), np.array([[0.5], [5.0]]), np.array(["a", "a"]), np.array([1, 2]))
    0.5

    References:
        Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models", NeurIPS 2019, for
        fidelity as the share within a reference manifold; here, this is the prompt's manifold, not that of the set.
    """
    return fidelity_diversity(SeedPairs.of(original, unlearned, ids, seeds).by_prompt())[0]


def prompt_diversity(
    original: FloatArray, unlearned: FloatArray, ids: npt.NDArray[Any], seeds: npt.NDArray[Any]
) -> float:
    """Distance between the seeds of a prompt, relative to the original's, as a mean over prompts.

    Distances are limited to the median of the original's nonzero distances: noise images, which are far from
    everything, cannot compensate for prompts with the same image for every seed.

    Args:
        original: (n, d) features of the original model.
        unlearned: (n, d) features of the unlearned model, same prompts and seeds.
        ids: (n,) prompts.
        seeds: (n,) seeds, unique within their prompt; prompts with a single one say nothing.

    Returns:
        0..1, higher is better: 0 if every seed gives the same image, 1 for the original against itself; NaN if the
        original generates the same image for every seed.

    Raises:
        InputError: no prompt has two seeds.

    On a line: the original's seeds have a distance of 2 in both prompts. The unlearned model's have a distance of 1 in
    the first and of 40 in the second, which counts as 2, so the result is (1 + 2)/(2 + 2).

    >>> ids, seeds = np.array(["a", "a", "b", "b"]), np.array([1, 2, 1, 2])
    >>> prompt_diversity(np.array([[0.0], [2.0], [5.0], [7.0]]), np.array([[0.0], [1.0], [0.0], [40.0]]), ids, seeds)
    0.75

    References:
        Zhu et al., "Toward multimodal image-to-image translation", NeurIPS 2017 (the mean distance of images of one
        input as diversity); Naeem et al., "Reliable fidelity and diversity metrics for generative models", ICML 2020,
        for judging it relative to the reference.
    """
    return fidelity_diversity(SeedPairs.of(original, unlearned, ids, seeds).by_prompt())[1]


def quality_within(
    original: FloatArray, unlearned: FloatArray, ids: npt.NDArray[Any], seeds: npt.NDArray[Any]
) -> float:
    """Fidelity times diversity within the prompt.

    Args:
        original: (n, d) features of the original model.
        unlearned: (n, d) features of the unlearned model, same prompts and seeds.
        ids: (n,) prompts.
        seeds: (n,) seeds, unique within their prompt; prompts with a single one say nothing.

    Returns:
        0..1, higher is better; NaN if the original generates the same image for every seed.

    Raises:
        InputError: no prompt has two seeds.

    The original's seeds have a distance of 1. The unlearned model's 0.5 is near enough to the original's 1, but its 5
    is not near enough to 0; their distance of 4.5 counts as 1, so the result is 1/2 · 1.

    >>> quality_within(np.array([[0.0], [1.0]]), np.array([[0.5], [5.0]]), np.array(["a", "a"]), np.array([1, 2]))
    0.5

    References:
        As for `prompt_fidelity` and `prompt_diversity`.
    """
    fidelity, diversity = fidelity_diversity(SeedPairs.of(original, unlearned, ids, seeds).by_prompt())
    return fidelity * diversity


def seed_halves(ids: npt.NDArray[Any], seeds: npt.NDArray[Any]) -> tuple[BoolArray, BoolArray]:
    """Split the seeds of each prompt into two halves of equal size; an odd seed is left out.

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
    """Share of the real samples that have a generated sample at least as near as their k-th real neighbour.

    Args:
        real: (n, d) features, n > `neighbours`.
        drawn: (m, d) features, m ≥ 1.
        neighbours: k.

    Returns:
        0..1, higher is better: 0 for a model that always generates the same image.

    Raises:
        InputError: there are too few samples.

    On a line with k = 1: the distance between the points 0 and 1 is 1, and 9 is 8 from its neighbour. A generated 2 is
    near enough to 1 and to 9, but not to 0.

    >>> round(manifold_coverage(np.array([[0.0], [1.0], [9.0]]), np.array([[2.0]]), neighbours=1), 4)
    0.6667

    References:
        Naeem et al., "Reliable fidelity and diversity metrics for generative models", ICML 2020.
    """
    if len(real) <= neighbours or not len(drawn):
        raise InputError(
            f"coverage with {neighbours} neighbours requires more than {neighbours} real samples and at least one "
            f"generated sample, but there are {len(real)} and {len(drawn)}."
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
    """Coverage of one half of the original by the unlearned model, relative to coverage by the original's other half.

    Each half is the reference once, and the unlearned model is evaluated at the other half's seeds.

    Args:
        original: (n, d) features of the original model.
        unlearned: (n, d) features of the unlearned model, same prompts and seeds.
        halves: from `seed_halves`, each with more than `neighbours` generations.
        neighbours: k for `manifold_coverage`.

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
        0..1, higher is better; 1 if the unlearned model is no farther than the other half.

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


def _distances(x: FloatArray, y: FloatArray, at: npt.NDArray[np.intp], to: npt.NDArray[np.intp]) -> FloatArray:
    """(pairs,) distances from rows of x to rows of y; exact zeros for equal rows."""
    blocks = range(0, len(at), _BLOCK)
    return np.concatenate([np.linalg.norm(x[at[i : i + _BLOCK]] - y[to[i : i + _BLOCK]], axis=1) for i in blocks])


def _quantile(values: FloatArray, weight: FloatArray, share: float) -> float:
    """The smallest of the values that at least this share of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(reached, share * reached[-1] * (1 - 1e-12))])
