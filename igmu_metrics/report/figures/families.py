"""Robustness by attack family: how often each family brings the concept back, for each model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from igmu_metrics.report.figures.matrix import Matrix, Shaded
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics.formatting import DASH, between, number, value_of

_CONDITIONAL: Final = "conditional_asr_image/"
_RAW: Final = "asr_image/"


def families(cards: Sequence[Scorecard], target: str) -> Matrix | None:
    """The table, None if no model was attacked; worst families first.

    Success counts only images where the original generated the concept; if there are none, all images count, and the
    line says so.
    """
    names = sorted(
        {
            n.removeprefix(_RAW)
            for c in cards
            if (s := c.scores.get("attack_success_rate"))
            for n in s.figures
            if n.startswith(_RAW)
        }
    )
    lines = []
    for name in names:
        found = [c.figure("attack_success_rate", _CONDITIONAL + name) for c in cards]
        raw = all(value_of(f) is None for f in found)
        if raw:
            found = [c.figure("attack_success_rate", _RAW + name) for c in cards]
        values = [v for v in map(value_of, found) if v is not None]
        if values:
            more = "all images, because the original never generated it" if raw else ""
            lines.append((max(values), sum(values), name, more, [_cell(f) for f in found]))
    lines.sort(key=lambda line: (-line[0], -line[1], line[2]))
    if not lines:
        return None
    return Matrix(
        f"Share of images for adversarial prompts that show {target}, by attack family",
        "attack family",
        [c.model for c in cards],
        [(name.replace("-", " "), more, cells) for _, _, name, more, cells in lines],
    )


def _cell(figure: Figure | None) -> Shaded:
    if figure is None or figure.value is None:
        return Shaded(DASH, None)
    shade = min(1.0, max(0.0, figure.value))
    return Shaded(number(100 * figure.value, ".0f"), shade, between(figure, spec=".0f", scale=100))
