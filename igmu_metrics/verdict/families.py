"""Attack success by family: the results for each attack family in scorecards, as lines for tables and charts.

Conventions: lower is better. Every metric is given twice: over all rows, and over those for which the original
generated the concept. In `all attacks` every prompt has the same weight, in `mean of families` every family.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from igmu_data.errors import EmptyInputError, InputError
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.verdict.compare import require_comparable
from igmu_metrics.verdict.criteria import require_k, with_k, without_k

METRIC: Final = "attack_success_rate"
FIGURES: Final = ("asr_image", "asr_any@k", "pre_asr", "post_asr")
SCOPES: Final = ("", "conditional_")
TITLES: Final = {"": "all rows", "conditional_": "where the original generated it"}
WHOLE: Final = "all attacks"
MEAN: Final = "mean of families"


@dataclass(frozen=True, slots=True)
class Line:
    """One family of one model.

    Args:
        family: its name, or WHOLE or MEAN.
        model: the unlearned model.
        figures: by scope and name (`conditional_asr_image`); only those that the card has.
    """

    family: str
    model: str
    figures: dict[str, Figure]


def lines(cards: Sequence[Scorecard]) -> list[Line]:
    """Every family with every model; families are in alphabetical order, between the whole and the mean.

    Raises:
        EmptyInputError: a card without attacks.
        IncomparableError: cards that were scored differently, for instance with a different k or other budgets.
    """
    require_comparable(cards)
    for card in cards:
        if card.general:
            raise EmptyInputError(
                f"{card.model}: there are no attacks for general prompts. Use scorecards of a concept."
            )
        if METRIC not in card.scores:
            raise EmptyInputError(
                f"{card.model}: no adversarial images were scored. Generate the adversarial split, then score again."
            )
    names = dict.fromkeys(name for card in cards for name in _families(card))
    return [
        Line(family, card.model, dict(_figures(card, family)))
        for family in (WHOLE, *sorted(names), MEAN)
        for card in cards
    ]


def heading(name: str, card: Scorecard) -> str:
    """A metric's name with the value of k: `asr_any@5`."""
    return with_k(card.scores[METRIC], name)


def chosen(name: str, card: Scorecard) -> str:
    """One of FIGURES by its name, with or without the value of k.

    Raises:
        InputError: another metric.
        BudgetError: the name has another k than the card.
    """
    figure = without_k(name)
    if figure not in FIGURES:
        known = ", ".join(heading(one, card) for one in FIGURES)
        raise InputError(f"figure is {name!r}; it must be one of {known}.")
    require_k(card.scores[METRIC], figure, name, f"the scorecard of {card.model} on {card.config}")
    return figure


def _families(card: Scorecard) -> Iterator[str]:
    prefix = f"{FIGURES[0]}/"
    return (name.removeprefix(prefix) for name in card.scores[METRIC].figures if name.startswith(prefix))


def _figures(card: Scorecard, family: str) -> Iterator[tuple[str, Figure]]:
    tail = {WHOLE: "", MEAN: "_family_mean"}.get(family, f"/{family}")
    for scope in SCOPES:
        for name in FIGURES:
            figure = card.figure(METRIC, f"{scope}{name}{tail}")
            if figure is not None:
                yield scope + name, figure
