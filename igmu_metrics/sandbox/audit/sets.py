"""Quality and distances of sets of images for many choices of prompts at once.

The same numbers as `igmu_metrics.distances.quality` and `.gaussian` give for each choice by itself (a test holds them
together), from matrices that are computed once: which images count in a draw is a row of zeros and ones.

Distances are those from a half of the original's images to the version's at the other half's seeds. Two models on the
same seeds would be paired, and the original no distance from itself; the field compares two samples. Both halves are of
the same prompts, so KID and CMMD leave pairs of one prompt out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from igmu_metrics.contract import BoolArray, FloatArray
from igmu_metrics.distances.gaussian import CMMD_SCALE, unit_rows
from igmu_metrics.distances.mmd import Kernel, polynomial_kernel, rbf_kernel
from igmu_metrics.distances.quality import NEIGHBOURS, SeedPairs, fidelity_diversity, seed_halves
from igmu_metrics.generations import Generations
from igmu_metrics.sandbox.audit.seen import prompts

_NEITHER = (float("nan"), float("nan"))
_BLOCK = 50  # draws whose matrices are held at once


def of_sets(seen: Generations, draws: npt.NDArray[np.intp]) -> dict[str, FloatArray]:
    """The candidates for quality, Fréchet distance, KID and unbiased CMMD.

    Args:
        seen: one version.
        draws: (draws, prompts) places among the retain prompts.

    Returns:
        By name, (draws,) values; NaN where too few images are drawn.
    """
    chosen = np.flatnonzero((seen["split"] == "retain") & (seen["probe"] != "in-prompt"))
    before, after = seen["features_original"][chosen], seen["features"][chosen]
    a, b = seed_halves(seen["id"][chosen], seen["seed"][chosen])
    place = np.searchsorted(prompts(seen, "retain"), seen["id"][chosen])
    parts = [_of_block(before, after, a, b, place, draws[i : i + _BLOCK]) for i in range(0, len(draws), _BLOCK)]
    out = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    pairs = SeedPairs.of(before, after, place, seen["seed"][chosen])
    within = [fidelity_diversity(some.by_prompt()) if len((some := pairs.among(d)).own) else _NEITHER for d in draws]
    return out | {"quality_within": np.prod(within, axis=1)}


def _of_block(
    before: FloatArray,
    after: FloatArray,
    a: BoolArray,
    b: BoolArray,
    place: npt.NDArray[np.intp],
    draws: npt.NDArray[np.intp],
) -> dict[str, FloatArray]:
    drawn = np.zeros((len(draws), int(max(place.max(), draws.max())) + 1), dtype=np.bool_)
    np.put_along_axis(drawn, draws, True, axis=1)
    in_a, in_b = drawn[:, place[a]], drawn[:, place[b]]
    n = in_a.sum(axis=1)  # as many as in the other half
    apart = [1.0 * (p[:, None] != q) for p, q in ((place[a], place[a]), (place[b], place[b]), (place[a], place[b]))]
    distances = {
        "frechet": _frechet(before[a], after[b], in_a, in_b),
        "kid": _mmd(polynomial_kernel, before[a], after[b], in_a, in_b, apart),
        "cmmd": CMMD_SCALE
        * _mmd(rbf_kernel, unit_rows("before", before)[a], unit_rows("after", after)[b], in_a, in_b, apart),
    }
    base = 2 * _frechet(before[a], before[b], in_a, in_b)
    got = distances["frechet"] + _frechet(before[b], after[a], in_b, in_a)
    near = 1.0 * (got <= base) + np.divide(base, got, out=np.zeros_like(got), where=got > base)
    covered = [_coverage(before[x], y, in_x, in_y) for x, y, in_x, in_y in (
        (a, before[b], in_a, in_b), (b, before[a], in_b, in_a), (a, after[b], in_a, in_b), (b, after[a], in_b, in_a)
    )]  # fmt: skip
    of_itself, of_version = covered[0] + covered[1], covered[2] + covered[3]
    share = np.divide(of_version, of_itself, out=np.full(len(draws), np.nan), where=of_itself > 0)
    out = {name: np.where(n > 1, values, np.nan) for name, values in (distances | {"quality_frechet": near}).items()}
    return out | {"quality_coverage": np.where(n > NEIGHBOURS, np.minimum(share, 1.0), np.nan)}


def _frechet(x: FloatArray, y: FloatArray, in_x: BoolArray, in_y: BoolArray) -> FloatArray:
    """(draws,) Fréchet distances; images that are not drawn are rows of zeros, which change no singular value."""
    (mean_x, rows_x), (mean_y, rows_y) = (_centred(v, w) for v, w in ((x, in_x), (y, in_y)))
    trace = np.square(rows_x).sum(axis=(1, 2)) + np.square(rows_y).sum(axis=(1, 2))
    cross = np.linalg.svd(rows_x @ rows_y.transpose(0, 2, 1), compute_uv=False).sum(axis=1)
    return np.asarray(np.maximum(np.square(mean_x - mean_y).sum(axis=1) + trace - 2 * cross, 0.0))


def _centred(x: FloatArray, drawn: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Means (draws, d), and rows (draws, n, d) whose squares sum to the variances."""
    count = np.maximum(drawn.sum(axis=1), 2)
    mean = drawn @ x / count[:, None]
    rows = (x[None] - mean[:, None]) * drawn[:, :, None] / np.sqrt(count - 1)[:, None, None]
    return mean, np.asarray(rows)


def _mmd(
    kernel: Kernel, x: FloatArray, y: FloatArray, in_x: BoolArray, in_y: BoolArray, apart: list[FloatArray]
) -> FloatArray:
    """(draws,) unbiased MMD². apart: 1 for pairs of different prompts, of x with x, y with y, x with y."""
    pairs = ((x, x, in_x, in_x), (y, y, in_y, in_y), (x, y, in_x, in_y))
    sums = [
        [((drawn @ values) * others).sum(axis=1) for values in (kernel(p, q) * counted, counted)]
        for (p, q, drawn, others), counted in zip(pairs, apart, strict=True)
    ]
    xx, yy, xy = (np.divide(of, n, out=np.full(len(n), np.nan), where=n > 0) for of, n in sums)
    return np.asarray(xx + yy - 2 * xy)


def _coverage(real: FloatArray, drawn: FloatArray, in_real: BoolArray, in_drawn: BoolArray) -> FloatArray:
    """(draws,) share of the real images with a drawn one as near as their k-th real neighbour."""
    if len(real) <= NEIGHBOURS:
        return np.full(len(in_real), np.nan)
    among = _squared(real, real)
    np.fill_diagonal(among, np.inf)
    neighbours = np.where(in_real[:, None, :], among[None], np.inf)
    radius = np.partition(neighbours, NEIGHBOURS - 1, axis=2)[:, :, NEIGHBOURS - 1]
    nearest = np.where(in_drawn[:, None, :], _squared(real, drawn)[None], np.inf).min(axis=2)
    hit = (nearest <= radius) & in_real & np.isfinite(nearest)
    return np.asarray(hit.sum(axis=1) / np.maximum(in_real.sum(axis=1), 1))


def _squared(x: FloatArray, y: FloatArray) -> FloatArray:
    """(n, m) squared distances, from differences: exact zeros for equal rows."""
    return np.asarray(np.square(x[:, None, :] - y[None, :, :]).sum(axis=2))
