"""Which of the two candidates for the quality aspect tells the truth better?

Besides the versions, which are few, both are asked about damage in known doses: a growing share of the original's
pictures is exchanged for noise (what `collapsed` drew for the same prompts), or for one and the same picture. More of
it is worse, by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import combinations
from typing import Final

import numpy as np

from igmu_data.errors import InputError
from igmu_metrics.contract import BoolArray, FloatArray
from igmu_metrics.distances.quality import quality_coverage, quality_frechet, seed_halves
from igmu_metrics.generations import Generations
from igmu_metrics.metrics.forget_score import rows
from igmu_metrics.sandbox.audit.agreement import TIE, Agreement
from igmu_metrics.sandbox.audit.seen import Cell
from igmu_metrics.sandbox.audit.stability import Curve

Quality = Callable[[FloatArray, FloatArray, tuple[BoolArray, BoolArray]], float]
CANDIDATES: Final[Mapping[str, Quality]] = {"coverage": quality_coverage, "frechet": quality_frechet}
DEFAULT: Final = str(signature(rows).parameters["quality"].default)
DOSES: Final = tuple(i / 10 for i in range(11))
DAMAGES: Final = ("noise", "one picture")
REPEATS: Final = 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """How one candidate did.

    Args:
        name: coverage or frechet.
        agreement: with the truth about the versions, −1..1.
        doses: by damage, agreement with the truth about doses, −1..1; NaN where there are too few pictures.
        halfway: by damage, its mean value where half of the pictures are damaged.
        enough: prompts until the order of the versions is stable, None if never.
    """

    name: str
    agreement: float
    doses: Mapping[str, float]
    halfway: Mapping[str, float]
    enough: int | None

    @property
    def merit(self) -> tuple[float, float, float]:
        """What decides, in this order: versions, doses, prompts needed."""
        known = [v for v in self.doses.values() if v == v]
        # To the third digit: less is no reason to prefer one.
        return (
            round(self.agreement, 3),
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
    """Both candidates, the better one first; where nothing tells them apart, the default stays in front."""
    versions = {a.measure.key: a.own.value for a in agreements}
    stable = {c.measure.key: c.enough for c in curves}
    found = []
    for name, quality in sorted(CANDIDATES.items(), key=lambda item: item[0] != DEFAULT):
        by_damage = {damage: _values(seen, quality, damage, repeats) for damage in DAMAGES}
        found.append(
            Candidate(
                name,
                versions[f"quality_{name}"],
                {damage: monotone(values) for damage, values in by_damage.items()},
                {damage: float(values[:, len(DOSES) // 2].mean()) for damage, values in by_damage.items()},
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
        chosen = (one["split"] == "retain") & (one["probe"] != "in-prompt")
        before, noise = one["features_original"][chosen], one["features"][chosen]
        halves = seed_halves(one["id"][chosen], one["seed"][chosen])
        for _ in range(repeats):
            order = rng.permutation(len(before))
            worse = noise if damage == "noise" else np.broadcast_to(before[order[-1]], before.shape)
            lines.append([_dosed(quality, before, worse, order[: round(d * len(before))], halves) for d in DOSES])
    return np.asarray(lines, np.float64)


def _dosed(
    quality: Quality,
    before: FloatArray,
    worse: FloatArray,
    damaged: np.typing.NDArray[np.intp],
    halves: tuple[BoolArray, BoolArray],
) -> float:
    mixed = before.copy()
    mixed[damaged] = worse[damaged]
    try:
        return quality(before, mixed, halves)
    except InputError:  # fewer pictures than it needs
        return float("nan")
