"""Robustness by family of attacks: how often each family brings the concept back, model by model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from igmu_metrics.report.figures.matrix import Shaded, matrix
from igmu_metrics.scorecard import Figure, Scorecard

_CONDITIONAL: Final = "conditional_asr_image/"
_RAW: Final = "asr_image/"


def families(cards: Sequence[Scorecard], target: str) -> str:
    """The table, empty where no model was attacked; worst families first.

    Success is counted where the original drew the concept; where it drew it nowhere, over all pictures, and the line
    says so.
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
        raw = not any(_measured(f) for f in found)
        if raw:
            found = [c.figure("attack_success_rate", _RAW + name) for c in cards]
        values = [f.value for f in found if f is not None and f.value is not None]
        if values:
            more = "all pictures: the original drew it in none" if raw else ""
            lines.append((max(values), sum(values), name, more, [_cell(f) for f in found]))
    lines.sort(key=lambda line: (-line[0], -line[1], line[2]))
    if not lines:
        return ""
    return matrix(
        f"Share of attacked pictures that show {target}, by family of attacks",
        "family of attacks",
        [c.model for c in cards],
        [(name.replace("-", " "), more, cells) for _, _, name, more, cells in lines],
    )


def _measured(figure: Figure | None) -> bool:
    return figure is not None and figure.value is not None


def _cell(figure: Figure | None) -> Shaded:
    if figure is None or figure.value is None:
        return Shaded("–", None)
    low, high = figure.interval or (None, None)
    ends = "" if low is None or high is None else f"{100 * low:.0f}–{100 * high:.0f}"
    return Shaded(f"{100 * figure.value:.0f}", figure.value, ends)
