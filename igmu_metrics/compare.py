"""Compares models on the same generations: is a difference in forgetting more than chance?

Conventions: only generations that both sides could judge count. With one generation a prompt, or one prompt in all,
generations are the unit and the test is exact McNemar; with several generations of several prompts the prompt is the
unit and the test a paired permutation. p values of one table are corrected together by Holm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from igmu_data.errors import EmptyInputError, IncomparableError
from igmu_metrics.scorecard import GenerationEntry, Scorecard
from igmu_metrics.statistics import holm, mcnemar_exact, paired_permutation

ALPHA: Final = 0.05
Seen = Callable[[GenerationEntry], bool | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One difference in unlearning accuracy.

    Args:
        first: a model.
        second: the model it is compared with.
        difference: unlearning accuracy of the first minus that of the second, on the pairs, −1..1.
        n: pairs that both could be judged on.
        n_prompts: prompts behind them.
        only_first: pairs in which only the first model forgot.
        only_second: pairs in which only the second did.
        test: `mcnemar` or `permutation`.
        p: p value by itself.
        p_holm: p value corrected for all comparisons of the table.
    """

    first: str
    second: str
    difference: float
    n: int
    n_prompts: int
    only_first: int
    only_second: int
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
            f"{self.first} against {self.second}: {self.difference:+.2f} in unlearning accuracy, "
            f"{'' if self.significant else 'not '}significant at n = {self.units} (p = {self.p_holm:.3g} after Holm)"
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
        for name in sorted(first.scores.keys() & other.scores.keys()):
            differing = first.scores[name].signed().differences(other.scores[name].signed())
            if differing:
                listed = "; ".join(f"{k}: {a!r} and {b!r}" for k, (a, b) in differing.items())
                raise IncomparableError(
                    f"{first.model} and {other.model} cannot be compared in {name}: {listed}. Score them alike."
                )


def against_original(cards: Sequence[Scorecard]) -> list[Comparison]:
    """Every model against the original, over the forget rows."""
    found = [
        _compare(c.model, c.original_model, _pairs(c, c, lambda g: g.present, lambda g: g.original_present))
        for c in cards
    ]
    return _corrected(found)


def pairwise(cards: Sequence[Scorecard]) -> list[Comparison]:
    """Every model against every other, over the forget rows."""
    found = [
        _compare(a.model, b.model, _pairs(a, b, lambda g: g.present, lambda g: g.present))
        for a, b in combinations(cards, 2)
    ]
    return _corrected(found)


def _pairs(a: Scorecard, b: Scorecard, first: Seen, second: Seen) -> list[tuple[str, bool, bool]]:
    """(prompt, first forgot, second forgot) of every forget generation that both could be judged on."""
    others = {(g.id, g.seed): g for g in b.generations}

    def walk() -> Iterator[tuple[str, bool, bool]]:
        for g in a.generations:
            partner = others.get((g.id, g.seed))
            if g.split == "forget" and partner is not None:
                x, y = first(g), second(partner)
                if x is not None and y is not None:
                    yield g.id, not x, not y

    return list(walk())


def _compare(first: str, second: str, pairs: list[tuple[str, bool, bool]]) -> Comparison:
    if not pairs:
        raise EmptyInputError(f"{first} and {second}: no forget generation that both could be judged on.")
    prompts = {prompt for prompt, _, _ in pairs}
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
        difference=(b - c) / len(pairs),
        n=len(pairs),
        n_prompts=len(prompts),
        only_first=b,
        only_second=c,
        test="permutation" if clustered else "mcnemar",
        p=p,
        p_holm=p,
    )


def _corrected(found: list[Comparison]) -> list[Comparison]:
    adjusted = holm([c.p for c in found]) if found else []
    return [replace(c, p_holm=p) for c, p in zip(found, adjusted, strict=True)]
