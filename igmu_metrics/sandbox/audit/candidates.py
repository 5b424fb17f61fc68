"""Which of the candidates for the quality aspect tells the truth better?

Besides the versions, which are few, all are asked about damage in known doses: a growing share of the original's
images is exchanged for noise (what `collapsed` drew for the same prompts), for one and the same image, or for
themselves with their contrast halved; or in a growing share of the prompts every seed gives one image. More of it is
worse, by construction. And some of it is beyond doubt: a candidate that is above SEEN where half of the images are
noise, or all are damaged in one of the other ways, is blind to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from igmu_data.errors import InputError
from igmu_metrics.contract import BoolArray, FloatArray
from igmu_metrics.distances.quality import quality_coverage, quality_frechet, quality_within, seed_halves
from igmu_metrics.generations import Generations
from igmu_metrics.metrics.forget_score import DEFAULT
from igmu_metrics.sandbox.audit.agreement import TIE, Agreement
from igmu_metrics.sandbox.audit.seen import PALE, Cell
from igmu_metrics.sandbox.audit.stability import Curve

Quality = Callable[[FloatArray, FloatArray, npt.NDArray[np.str_], npt.NDArray[np.int64]], float]


def _of_halves(quality: Callable[[FloatArray, FloatArray, tuple[BoolArray, BoolArray]], float]) -> Quality:
    return lambda before, after, ids, seeds: quality(before, after, seed_halves(ids, seeds))


CANDIDATES: Final[Mapping[str, Quality]] = {
    "within": quality_within,
    "coverage": _of_halves(quality_coverage),
    "frechet": _of_halves(quality_frechet),
}
DOSES: Final = tuple(i / 10 for i in range(11))
DAMAGES: Final[Mapping[str, float]] = {"noise": 0.5, "one image": 1, "one image per prompt": 1, "halved contrast": 1}
"""And the dose of each that is beyond doubt."""
SEEN: Final = 0.6
REPEATS: Final = 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """How one candidate did.

    Args:
        name: within, coverage or frechet.
        agreement: with the truth about the versions, −1..1.
        doses: by damage, agreement with the truth about doses, −1..1; NaN where there are too few images.
        halfway: by damage, its mean value where half of the images are damaged.
        wholly: by damage, its mean value where all of them are.
        blind: damages that it does not see where they are beyond doubt.
        enough: prompts until the order of the versions is stable, None if never.
    """

    name: str
    agreement: float
    doses: Mapping[str, float]
    halfway: Mapping[str, float]
    wholly: Mapping[str, float]
    blind: tuple[str, ...]
    enough: int | None

    @property
    def merit(self) -> tuple[float, int, float, float]:
        """What decides, in this order: versions, damage that it is blind to, doses, prompts needed."""
        known = [v for v in self.doses.values() if v == v]
        # To the third digit: less is no reason to prefer one.
        return (
            round(self.agreement, 3),
            -len(self.blind),
            round(float(np.mean(known)), 3) if known else -1.0,
            -float(self.enough) if self.enough else -np.inf,
        )


def candidates(
    seen: Mapping[Cell, Generations],
    agreements: Sequence[Agreement],
    curves: Sequence[Curve],
    *,
    repeats: int = REPEATS,
) -> list[Candidate]:
    """All candidates, the best one first; where nothing tells them apart, the default stays in front."""
    versions = {a.measure.key: a.own.value for a in agreements}
    stable = {c.measure.key: c.enough for c in curves}
    found = []
    for name, quality in sorted(CANDIDATES.items(), key=lambda item: item[0] != DEFAULT):
        by_damage = {damage: _values(seen, quality, damage, repeats) for damage in DAMAGES}
        means = {damage: values.mean(axis=0) for damage, values in by_damage.items()}
        found.append(
            Candidate(
                name,
                versions[f"quality_{name}"],
                {damage: monotone(values) for damage, values in by_damage.items()},
                {damage: float(v[DOSES.index(0.5)]) for damage, v in means.items()},
                {damage: float(v[-1]) for damage, v in means.items()},
                tuple(damage for damage, dose in DAMAGES.items() if means[damage][DOSES.index(dose)] > SEEN),
                stable[f"quality_{name}"],
            )
        )
    return sorted(found, key=lambda c: c.merit, reverse=True)


def monotone(values: FloatArray) -> float:
    """Mean over rows of (falling pairs − rising pairs) / all pairs of columns; ties count 0.

    From 3 to 2 and from 3 to 1 it falls, from 2 to 1 as well; then one pair of three rises.

    >>> monotone(np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]])).__round__(4)
    0.6667
    """
    steps = np.stack([values[:, i] - values[:, j] for i, j in combinations(range(values.shape[1]), 2)])
    return float(np.where(np.abs(steps) <= TIE, 0.0, np.sign(steps)).mean())


def _values(seen: Mapping[Cell, Generations], quality: Quality, damage: str, repeats: int) -> FloatArray:
    """(tasks · repeats, doses) values."""
    rng = np.random.default_rng(0)
    lines = []
    for (_, version), one in seen.items():
        if version != "collapsed":
            continue
        table = one.where((one["split"] == "retain") & (one["probe"] != "in-prompt"))
        for _ in range(repeats):
            worse, order = _worst(table, damage, rng)
            lines.append([_dosed(quality, table, worse, order < dose) for dose in DOSES])
    return np.asarray(lines, np.float64)


def _worst(table: Generations, damage: str, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """(n, d) features where everything is damaged, and (n,) places in 0..1 in the order in which images are.

    Args:
        table: what `collapsed` drew of the retain prompts, beside the original.
        damage: one of DAMAGES.
        rng: chooses.
    """
    before, n = table["features_original"], len(table)
    order = rng.permutation(n) / n
    if damage == "one image per prompt":
        # Tables are sorted by prompt and seed: every seed gives what the first one does.
        first, code = np.unique(table["id"], return_index=True, return_inverse=True)[1:]
        return before[first[code]], (rng.permutation(len(first)) / len(first))[code]
    if damage == "one image":
        return np.broadcast_to(before[np.argmax(order)], before.shape), order
    return table["features" if damage == "noise" else PALE], order


def _dosed(quality: Quality, table: Generations, worse: FloatArray, damaged: BoolArray) -> float:
    before = table["features_original"]
    try:
        return quality(before, np.where(damaged[:, None], worse, before), table["id"], table["seed"])
    except InputError:  # fewer images than it needs
        return float("nan")
