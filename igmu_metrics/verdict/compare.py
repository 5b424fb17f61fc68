"""Compares models on the same generations: is a difference more than chance, and how large may it be?

Conventions: only generations that both sides could judge count. With one generation a prompt, or one prompt in all,
generations are the unit and the test is exact McNemar; with several generations of several prompts the prompt is the
unit and the test a paired permutation. p values of one table are corrected together by Holm; intervals are not, they
are 95 % each. Three measures are compared, in each of which more is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

import numpy as np

from igmu_data.errors import EmptyInputError, IncomparableError
from igmu_metrics.contract import Interval
from igmu_metrics.generations import ORIGINAL
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics import holm, mcnemar_exact, paired_difference, paired_permutation

ALPHA: Final = 0.05
FORGETTING: Final = "unlearning accuracy"
RESISTANCE: Final = "resistance to attacks"
RETAINING: Final = "retain accuracy"
# By measure: the rows that count, and whether the concept asked for shall be there.
MEASURES: Final = {FORGETTING: ("forget", False), RESISTANCE: ("adversarial", False), RETAINING: ("retain", True)}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One difference between two models.

    Args:
        first: a model.
        second: the model it is compared with.
        measure: one of MEASURES.
        difference: share of good generations of the first minus that of the second, on the pairs, −1..1.
        interval: 95 % interval of the difference.
        n: pairs that both could be judged on.
        n_prompts: prompts behind them.
        only_first: pairs in which only the first model did well.
        only_second: pairs in which only the second did.
        variance: of the difference from prompt to prompt, for planning.
        test: `mcnemar` or `permutation`.
        p: p value by itself.
        p_holm: p value corrected for all comparisons of the table.
    """

    first: str
    second: str
    measure: str
    difference: float
    interval: Interval
    n: int
    n_prompts: int
    only_first: int
    only_second: int
    variance: float
    test: str
    p: float
    p_holm: float

    @property
    def significant(self) -> bool:
        """Whether the difference stands after the correction, at 5 %."""
        return self.p_holm <= ALPHA

    @property
    def units(self) -> str:
        """What the test counts: generations, or prompts where each has several."""
        return f"{self.n} generations" if self.test == "mcnemar" else f"{self.n_prompts} prompts"

    def sentence(self) -> str:
        """The comparison in words."""
        return (
            f"{self.first} against {self.second}: {self.difference:+.2f} in {self.measure}, "
            f"{'' if self.significant else 'not '}significant at n = {self.units} (p = {self.p_holm:.3g} after Holm; "
            f"95 % interval {self.interval[0]:+.2f} to {self.interval[1]:+.2f})"
        )


def require_comparable(cards: Sequence[Scorecard]) -> None:
    """Refuse cards whose signatures differ in more than the model.

    Raises:
        EmptyInputError: no card.
        IncomparableError: with the fields that differ and both values.
    """
    if not cards:
        raise EmptyInputError("no scorecards to compare.")
    first = cards[0]
    for other in cards[1:]:
        if not first.scores.keys() & other.scores.keys():
            raise IncomparableError(f"{first.model} and {other.model} have no score in common. Score them alike.")
        for name in sorted(first.scores.keys() & other.scores.keys()):
            differing = first.scores[name].signed().differences(other.scores[name].signed())
            if differing:
                listed = "; ".join(f"{k}: {a!r} and {b!r}" for k, (a, b) in differing.items())
                raise IncomparableError(
                    f"{first.model} and {other.model} cannot be compared in {name}: {listed}. Score them alike."
                )


def against_original(cards: Sequence[Scorecard], measures: Sequence[str] = (FORGETTING,)) -> list[Comparison]:
    """Every model against the original; a measure without rows in the cards is left out, forgetting never."""
    found = [
        _compare(c.model, c.original_model, m, _pairs(c, c, m, "present" + ORIGINAL))
        for m in measures
        for c in cards
        if _measured(m, c)
    ]
    return _corrected(found)


def pairwise(cards: Sequence[Scorecard], measures: Sequence[str] = (FORGETTING,)) -> list[Comparison]:
    """Every model against every other; measures as in `against_original`."""
    found = [
        _compare(a.model, b.model, m, _pairs(a, b, m, "present"))
        for m in measures
        for a, b in combinations(cards, 2)
        if _measured(m, a, b)
    ]
    return _corrected(found)


def _measured(measure: str, *cards: Scorecard) -> bool:
    split = MEASURES[measure][0]
    return measure == FORGETTING or all(
        any(None not in g.values() for g in c.generations.part(split).records("present", "present" + ORIGINAL))
        for c in cards
    )


def _pairs(a: Scorecard, b: Scorecard, measure: str, second: str) -> list[tuple[str, bool, bool]]:
    """(prompt, first did well, second did well) of every generation of a measure that both could be judged on.

    Args:
        a: the card whose model comes first.
        b: the card that the second model is in.
        measure: one of MEASURES.
        second: the column of `b` that says what the second model's images show.
    """
    split, wanted = MEASURES[measure]
    mine, theirs = (c.generations.part(split) for c in (a, b))
    others = {key: g[second] for key, g in zip(theirs.keys, theirs.records(second), strict=True)}
    out = []
    for key, g in zip(mine.keys, mine.records("present"), strict=True):
        x, y = g["present"], others.get(key)
        if x is not None and y is not None:
            out.append((key[0], x is wanted, y is wanted))
    return out


def _compare(first: str, second: str, measure: str, pairs: list[tuple[str, bool, bool]]) -> Comparison:
    if not pairs:
        split = MEASURES[measure][0]
        raise EmptyInputError(f"{first} and {second}: no {split} generation that both could be judged on.")
    names, mine, theirs = zip(*pairs, strict=True)
    prompts, of = np.unique(names, return_inverse=True)
    gaps = np.bincount(of, np.subtract(mine, theirs, dtype=np.float64)) / np.bincount(of)
    difference, interval = paired_difference(mine, theirs, of)
    b = sum(x and not y for _, x, y in pairs)
    c = sum(y and not x for _, x, y in pairs)
    clustered = 1 < len(prompts) < len(pairs)
    if clustered:
        p = paired_permutation([float(x) - float(y) for _, x, y in pairs], [prompt for prompt, _, _ in pairs])
    else:
        p = mcnemar_exact(b, c)
    return Comparison(
        first=first,
        second=second,
        measure=measure,
        difference=difference,
        interval=interval,
        n=len(pairs),
        n_prompts=len(prompts),
        only_first=b,
        only_second=c,
        variance=float(gaps.var(ddof=1)) if len(gaps) > 1 else float("nan"),
        test="permutation" if clustered else "mcnemar",
        p=p,
        p_holm=p,
    )


def _corrected(found: list[Comparison]) -> list[Comparison]:
    adjusted = holm([c.p for c in found]) if found else []
    return [replace(c, p_holm=p) for c, p in zip(found, adjusted, strict=True)]
