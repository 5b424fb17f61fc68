"""The figures of the audit as SVG: the yardstick, one line a figure, and values beside the truth, one dot a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from igmu_metrics.contract import Estimate
from igmu_metrics.report.figures import svg
from igmu_metrics.sandbox.audit.contenders import BY_TITLE
from igmu_metrics.sandbox.audit.yardstick import Judged, Measured
from igmu_metrics.statistics.formatting import DASH, number

_LINE: Final = 24
_TOP: Final = 96
_NAMES: Final = 344  # right end of the names
_PLOT: Final = (364, 644)  # x of correlation −1 and 1
_CELLS: Final = 676
_CELL: Final = 84
_STYLE: Final = (
    svg.STYLE
    + """.own { fill: #1f6fb5; stroke: #1f6fb5 } .baseline { fill: #b8561b; stroke: #b8561b }
.ring { fill: none; stroke-width: 1.6 } .span { stroke-opacity: .45; stroke-width: 3 }
.faint { fill-opacity: .35; stroke: none }
@media (prefers-color-scheme: dark) {
.own { fill: #6cb0f0; stroke: #6cb0f0 } .baseline { fill: #f09a5c; stroke: #f09a5c } .ring { fill: none } }
"""
)
_COLUMNS: Final = ("error", "coverage", "smallest")
_PANELS: Final = (
    ("forgetting", "unlearning accuracy", "conditional unlearning accuracy"),
    ("robustness", "1 − attack success rate of images", "robustness"),
    ("forget_score", "unlearning accuracy", "forget score"),
)
_SIDE: Final = 220
_EVERY: Final = 3  # dots beyond so many hide each other


def render(measured: Sequence[Measured]) -> str:
    """The yardstick; what igmu reports first, then what it could, and the practices of the field."""
    groups = [[m for m in measured if m.contender.kind == k] for k in ("igmu", "given", "candidate", "practice")]
    groups = [group for group in groups if group]
    lines = sum(map(len, groups)) + len(groups) - 1
    width, height = _CELLS + _CELL * len(_COLUMNS) + 16, _TOP + _LINE * (lines + 1)
    drawn = svg.image(width, height, "How close each metric comes to the truth about virtual models", style=_STYLE)
    _head(drawn, height - _LINE)
    y = _TOP
    for group in groups:
        for one in group:
            _line(drawn, one, y)
            y += _LINE
        y += _LINE
    return drawn.lines()


def _x(rank: float) -> float:
    low, high = _PLOT
    return low + (rank + 1) / 2 * (high - low)


def _head(drawn: svg.Svg, bottom: float) -> None:
    middle = sum(_PLOT) / 2
    drawn.text(16, 20, "metric", "title")
    drawn.text(middle, 20, "rank correlation with the truth", "title middle")
    drawn.text(_CELLS, 20, "compared with the truth", "title")
    for x, kind, what in ((16, "own", "igmu"), (150, "baseline", "uncorrected metrics")):
        drawn.box(x, 36, 10, 10, kind)
        drawn.text(x + 16, 46, what, "small")
    drawn.dot(_PLOT[0], 41, 4.5, "own")
    drawn.text(_PLOT[0] + 10, 46, "for its aspect", "small")
    drawn.dot(middle + 10, 41, 4.5, "own ring")
    drawn.text(middle + 20, 46, "for the forget score", "small")
    for value, name in ((-1, "−1 reversed"), (0, "0 by chance"), (1, "1 perfect")):
        drawn.line(_x(value), _TOP - 14, _x(value), bottom, "grid")
        drawn.text(_x(value), _TOP - 20, name, "small middle")
    for at, name in enumerate(_COLUMNS):
        drawn.text(_CELLS + _CELL * (at + 0.5), _TOP - 20, name, "small middle")


def _line(drawn: svg.Svg, one: Measured, y: float) -> None:
    kind = "baseline" if one.contender.kind == "practice" else "own"
    drawn.text(_NAMES, y + 4, svg.fitted(one.contender.title, _NAMES - 10), "right")
    drawn.line(_PLOT[0], y, _PLOT[1], y, "grid")
    for estimate, at, radius, ring in ((one.whole, y + 3, 6.5, " ring"), (one.rank, y, 4.5, "")):
        if estimate.value == estimate.value:
            _span(drawn, estimate, at, kind)
            drawn.dot(_x(estimate.value), y, radius, kind + ring)
    coverage = DASH if one.coverage is None else f"{one.coverage[0]:.0%}"
    told = (number(one.rmse), coverage, "none" if one.smallest is None else number(one.smallest))
    for at, what in enumerate(told):
        drawn.text(_CELLS + _CELL * (at + 0.5), y + 4, what, "small middle")


def _span(drawn: svg.Svg, estimate: Estimate, y: float, kind: str) -> None:
    if estimate.interval is not None:
        low, high = map(_x, estimate.interval)
        drawn.line(low, y, high, y, f"{kind} span")


def scatter(judged: Sequence[Judged]) -> str:
    """Values beside the truth: on the diagonal a figure says what is true; the field's on the left, ours beside it."""
    step, left, top = _SIDE + 64, 56, 64
    width, height = left + 2 * step, top + len(_PANELS) * step
    drawn = svg.image(width, height, "Values of metrics for virtual models, compared with the truth", style=_STYLE)
    drawn.text(left, 20, "uncorrected metrics", "title")
    drawn.text(left + step, 20, "igmu", "title")
    drawn.text(left, 38, "each dot is a model; on the line, the value equals the truth", "small")
    for row, (aspect, *titles) in enumerate(_PANELS):
        for column, title in enumerate(titles):
            x, y, kind = left + column * step, top + row * step, ("baseline", "own")[column]
            _panel(drawn, judged, aspect, title, x, y, kind)
    return drawn.lines()


def _panel(drawn: svg.Svg, judged: Sequence[Judged], aspect: str, title: str, x: float, y: float, kind: str) -> None:
    drawn.text(x, y + 4, svg.fitted(title, _SIDE + 56), "small")
    y += 12
    for end in (0.0, 1.0):
        drawn.line(x, y + _SIDE * end, x + _SIDE, y + _SIDE * end, "grid")
        drawn.line(x + _SIDE * end, y, x + _SIDE * end, y + _SIDE, "grid")
        drawn.text(x + _SIDE * end, y + _SIDE + 14, f"{end:g}", "small middle")
        drawn.text(x - 6, y + _SIDE * (1 - end) + 4, f"{end:g}", "small right")
    drawn.line(x, y + _SIDE, x + _SIDE, y, "grid")
    whole = "forget score" if aspect == "forget_score" else aspect
    drawn.text(x + _SIDE / 2, y + _SIDE + 28, f"true {whole}", "small middle")
    contender = BY_TITLE[title]
    for one in judged[::_EVERY]:
        found = contender.read(one.figures[""])
        if found is not None and one.truth[aspect] == one.truth[aspect]:
            drawn.dot(x + _SIDE * one.truth[aspect], y + _SIDE * (1 - found.value), 2.5, f"{kind} faint")
