"""The original's numbers next to those of several models, which may have been scored on different prompts.

Conventions: a model's card contains the original's decisions on the card's own prompts and seeds. The cards of one
table may have different ones: a run with `--until` ends earlier for some models, and `igmu compare` accepts cards that
cover different parts of a protocol. The original's numbers are then those of the card with the most prompts and seeds,
and `counted_on` says which card this is.
"""

from __future__ import annotations

from collections.abc import Sequence

from igmu_data.numerals import counted
from igmu_metrics.scorecard import Scorecard


def baseline(cards: Sequence[Scorecard]) -> Scorecard:
    """The card whose numbers for the original are shown: the first of those with the most prompts and seeds."""
    return max(cards, key=lambda card: len(card.generations))


def counted_on(cards: Sequence[Scorecard], shown: Scorecard | None = None, what: str = "The numbers") -> str:
    """On whose prompts and seeds the original's numbers are based, as a sentence; "" if all cards have the same.

    Args:
        cards: cards of models of one config that were scored against the same original.
        shown: the card from which the numbers are, possibly of the original itself; by default `baseline`.
        what: which of the original's numbers are from it.
    """
    chosen = baseline(cards) if shown is None else shown
    if all(set(card.generations.keys) == set(chosen.generations.keys) for card in cards):
        return ""
    n = counted(len(chosen.generations), "generation")
    if chosen.model == chosen.original_model:
        return f"{what} of {chosen.original_label} are for the prompts and seeds of its own scorecard ({n})."
    return (
        f"{what} of {chosen.original_label} are for the prompts and seeds of {chosen.model}, which has the most ({n})."
    )
