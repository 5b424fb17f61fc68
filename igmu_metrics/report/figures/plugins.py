"""The metrics of other packages and files, which no other part of a report shows."""

from __future__ import annotations

from collections.abc import Sequence

from igmu_metrics import registry
from igmu_metrics.report.figures.matrix import Matrix, Shaded
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics.formatting import DASH, between, number, value_of


def plugins(cards: Sequence[Scorecard]) -> Matrix | None:
    """The table, with one line per metric; None if no card has a score of a plugin.

    Args:
        cards: cards of one section.
    """
    entries = {key: entry for card in cards for key, entry in card.scores.items() if entry.package}
    lines = []
    for key, entry in entries.items():
        about = registry.info(entry.name, entry.package)
        for name in dict.fromkeys(name for card in cards if key in card.scores for name in card.scores[key].figures):
            found = [card.figure(key, name) for card in cards]
            if any(value_of(figure) is not None for figure in found):
                told = about.figures.get(name, about.summary) if about else ""
                better = f"{about.direction} is better" if about and name == about.headline else ""
                more = "; ".join(filter(None, (entry.package, told.rstrip("."), better)))
                lines.append((f"{key}: {name}", more, [_cell(figure) for figure in found]))
    return Matrix("Metrics of plugins", "metric", [card.model for card in cards], lines) if lines else None


def _cell(figure: Figure | None) -> Shaded:
    if figure is None or figure.value is None:
        return Shaded(DASH, None)
    return Shaded(number(figure.value), None, between(figure))
