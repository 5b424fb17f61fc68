"""The ranked table: the main metrics of every model with intervals and counts, and whether its rank is settled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from igmu_data.errors import IgmuError
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.report.view import RANKED_BY, View, ranked
from igmu_metrics.report.wording import cured, listed, sentence
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics.formatting import value_of
from igmu_metrics.verdict.baseline import baseline, counted_on
from igmu_metrics.verdict.recompute import of_original


class Column(NamedTuple):
    """A metric of a score, its heading, and whether higher is better."""

    score: str
    figure: str
    title: str
    up: bool

    @property
    def key(self) -> str:
        """The key of its definition."""
        return f"{self.score}.{self.figure}"


# First the metrics that determine the rank: the forget score and its aspects.
COLUMNS: Final = (
    Column("forget_score", "forget_score", "forget score", True),
    Column("concept_accuracy", "conditional_unlearning_accuracy", "forgotten where the original generated it", True),
    Column("forget_score", "robustness", "robustness", True),
    Column("forget_score", "preservation", "preservation", True),
    Column("forget_score", "alignment", "alignment", True),
    Column("forget_score", "quality", "quality", True),
    Column("concept_accuracy", "unlearning_accuracy", "forgotten, all images", True),
    Column("attack_success_rate", "asr_image", "attack success, all images", False),
    Column("concept_accuracy", "near_retain_accuracy", "near concepts shown", True),
    Column("concept_accuracy", "far_retain_accuracy", "far concepts shown", True),
    Column("concept_accuracy", "in_prompt_retain_accuracy", "rest of its prompts shown", True),
    Column("question_accuracy", "question_preservation", "answered as intended, relative to the original", True),
    Column("question_accuracy", "question_accuracy", "answered as intended", True),
)


class Line(NamedTuple):
    """One model: its values by column, and its rank.

    Args:
        model: its name.
        figures: its values.
        rank: its rank; None if it has none.
        tied: the model above, if it is not settled that this one is worse.
        best: whether it leads alone.
    """

    model: str
    figures: Sequence[Figure | None]
    rank: int | None = None
    tied: str = ""
    best: bool = False


class Ranking(NamedTuple):
    """The table: models from best to worst, the original before unlearning, why models are not ranked, and on whose
    prompts the original's numbers are based if models have different ones.
    """

    columns: Sequence[Column]
    lines: Sequence[Line]
    original: Line
    unranked: str = ""
    counted_on: str = ""


def shown(cards: Sequence[Scorecard]) -> list[Column]:
    """The columns for which at least one model has a number."""
    return [c for c in COLUMNS if any(value_of(card.figure(c.score, c.figure)) is not None for card in cards)]


def before(view: View, columns: Sequence[Column]) -> list[Figure | None]:
    """The original's values: from its own card, or from a model's card, whose lines also contain the original's."""
    if view.own:
        return [view.own.figure(column.score, column.figure) for column in columns]
    shown = baseline(view.cards)
    try:
        again = of_original(shown)
    except IgmuError:  # lines that no evaluation has written, which nobody verified: shown as they are
        again = {}
    found = []
    for column in columns:
        told = shown.figure(column.score, f"original_{column.figure}")
        made = again.get(column.score, {}).get(column.figure)
        found.append(told if told is not None or made is None else Figure(**made.to_dict()))
    return found


def ranking(view: View) -> Ranking:
    """The table of a section."""
    columns = shown(view.cards)
    lines = [
        Line(
            card.model,
            [card.figure(c.score, c.figure) for c in columns],
            at + 1 if ranked(card) else None,
            _tie(view, at),
            not at and len(view.leaders) == 1,
        )
        for at, card in enumerate(view.cards)
    ]
    original = Line(view.first.original_model, before(view, columns))
    return Ranking(columns, lines, original, unranked(view.cards), counted_on(view.cards, view.own))


def unranked(cards: Sequence[Scorecard]) -> str:
    """Which models cannot be ranked, why, and what to do; "" if all can be ranked."""
    why: dict[str, list[str]] = {}
    for card in cards:
        if not ranked(card):
            why.setdefault(_why(card), []).append(card.model)
    return " ".join(f"Not ranked: {listed(models)}. {sentence(reason)}" for reason, models in why.items())


def _why(card: Scorecard) -> str:
    if card.unfounded:
        return card.unfounded
    score = card.figure(*RANKED_BY)
    if card.general:
        return "general prompts have no forget score, because they contain no concept to forget"
    if score is None:
        return "the scorecard has no forget score"
    reasons = {name: f.reason for name in ASPECTS if (f := card.figure(RANKED_BY[0], name)) and f.value is None}
    missing = "; ".join(f"{name} ({cured(reason)})" for name, reason in reasons.items())
    return f"there is no forget score, because of missing {missing}" if missing else "there is no forget score"


def _tie(view: View, at: int) -> str:
    """The model above, if the order of the two is not settled."""
    if not at or not ranked(view.cards[at]):
        return ""
    above, own = view.cards[at - 1 : at + 1]
    return "" if view.settled(above, own) else above.model
