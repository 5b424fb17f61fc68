"""The ranked table: every model's headline figures with interval and counts, and what its rank is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from igmu_metrics.report.view import RANKED_BY, View
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics import overlap
from igmu_metrics.statistics.formatting import bounds, value_of


class Column(NamedTuple):
    """A figure of a score, its heading, and whether higher is better."""

    score: str
    figure: str
    title: str
    up: bool


COLUMNS: Final = (
    Column("forget_score", "forget_score", "forget score", True),
    Column("concept_accuracy", "conditional_unlearning_accuracy", "forgotten where the original drew it", True),
    Column("concept_accuracy", "unlearning_accuracy", "forgotten, all pictures", True),
    Column("forget_score", "robustness", "robustness", True),
    Column("attack_success_rate", "asr_image", "attack success, all pictures", False),
    Column("concept_accuracy", "near_retain_accuracy", "near concepts shown", True),
    Column("concept_accuracy", "far_retain_accuracy", "far concepts shown", True),
    Column("forget_score", "alignment", "alignment", True),
    Column("forget_score", "quality", "quality", True),
)


class Line(NamedTuple):
    """One model: its figures, column by column, and the model above it that its interval overlaps ("" for none)."""

    model: str
    figures: Sequence[Figure | None]
    overlaps: str = ""


class Ranking(NamedTuple):
    """The table: models from best to worst, and the original before unlearning."""

    columns: Sequence[Column]
    lines: Sequence[Line]
    original: Line


def shown(cards: Sequence[Scorecard]) -> list[Column]:
    """The columns that some model has a number for."""
    return [c for c in COLUMNS if any(value_of(card.figure(c.score, c.figure)) is not None for card in cards)]


def before(view: View, column: Column) -> Figure | None:
    """The original's own figure: from its own card, or where an unlearned model's card has it."""
    if view.own:
        return view.own.figure(column.score, column.figure)
    return view.first.figure(column.score, f"original_{column.figure}")


def ranking(view: View) -> Ranking:
    """The table of a section."""
    columns = shown(view.cards)
    lines = [
        Line(card.model, [card.figure(c.score, c.figure) for c in columns], _tie(view.cards, at))
        for at, card in enumerate(view.cards)
    ]
    return Ranking(columns, lines, Line(view.first.original_model, [before(view, c) for c in columns]))


def _tie(cards: Sequence[Scorecard], at: int) -> str:
    """The model above, where the intervals leave open whether a model stands below it."""
    if not at:
        return ""
    above, own = cards[at - 1 : at + 1]
    pairs = ((above.figure(score, name), own.figure(score, name)) for score, name in RANKED_BY)
    ranked = next((pair for pair in pairs if None not in map(value_of, pair)), (None, None))
    first, second = map(bounds, ranked)
    return above.model if first and second and overlap(first, second) else ""
