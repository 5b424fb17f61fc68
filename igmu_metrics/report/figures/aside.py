"""Separately counted prompts: they exclude the concept, combine it with another, or ask for something more general."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from igmu_data.schema import ASIDE, COMPOSITION, NEGATION, SUPERCLASS
from igmu_metrics.generations import ORIGINAL
from igmu_metrics.report.figures.matrix import Matrix, Shaded
from igmu_metrics.report.wording import percent, rest
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics.formatting import DASH, between, value_of

_ASKED: Final = {
    NEGATION: "the prompt excludes it",
    COMPOSITION: "the prompt asks for it and something else",
    SUPERCLASS: "the prompt asks for its superclass",
}
# For a superclass, showing the concept is neither good nor bad.
_WORSE: Final = (NEGATION, COMPOSITION)
_ALIGNED: Final = "alignment with the prompt"


def aside(cards: Sequence[Scorecard], target: str) -> Matrix | None:
    """The table: how many images show the concept, and their alignment; None if no such prompts were generated.

    Args:
        cards: cards of one section.
        target: name of the concept to forget.
    """
    lines: list[tuple[str, str, Sequence[Shaded]]] = []
    for probe in ASIDE:
        name = f"concept_accuracy/{probe}"
        found = [cards[0].figure(name, "original_unlearning_accuracy")]
        found += [card.figure(name, "unlearning_accuracy") for card in cards]
        if any(value_of(figure) is not None for figure in found):
            lines.append((probe, _ASKED[probe], [_share(figure, probe in _WORSE) for figure in found]))
        cosines = [card.figure(f"clip_alignment/{probe}", "cosine") for card in cards]
        if any(value_of(figure) is not None for figure in cosines):
            lines.append((probe, _ALIGNED, [_before(cards[0], probe), *map(_cosine, cosines)]))
    if not lines:
        return None
    return Matrix(
        f"Share of images that show {target}, and alignment with the prompt, for prompts that are counted separately",
        "probe",
        ["original", *(c.model for c in cards)],
        lines,
    )


def _share(gone: Figure | None, worse: bool) -> Shaded:
    if gone is None or gone.value is None:
        return Shaded(DASH, None)
    shown = rest(gone)
    return Shaded(percent(shown), shown.value if worse else None, between(shown, spec=".0f", scale=100))


def _cosine(figure: Figure | None) -> Shaded:
    if figure is None or figure.value is None:
        return Shaded(DASH, None)
    return Shaded(f"{figure.value:.3f}", None, between(figure, spec=".3f"))


def _before(card: Scorecard, probe: str) -> Shaded:
    """The original's alignment, which a card contains only line by line."""
    found = [g["alignment" + ORIGINAL] for g in card.generations.part(probe).records("alignment" + ORIGINAL)]
    known = [cosine for cosine in found if cosine is not None]
    return Shaded(f"{np.mean(known):.3f}" if known else DASH, None)
