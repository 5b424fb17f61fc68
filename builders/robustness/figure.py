"""The chart as SVG: a block a concept, a line a family or attack, a column a version; a dot with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final

from builders.robustness.measure import VERSIONS, Measured
from builders.robustness.page import Drawn, lines
from igmu_metrics.attacks.running.result import IMAGE
from igmu_metrics.report.figures import svg
from igmu_metrics.statistics.formatting import bounds, value_of

_LINE: Final = 22
_NAMES: Final = 176  # right end of the names
_PANEL: Final = 150
_GAP: Final = 34
_TOP: Final = 64
_STYLE: Final = (
    svg.STYLE
    + """.chance { fill: #8c959f; fill-opacity: .35 } .span { stroke-width: 2.5 }
.weight-free { fill: #1f6fb5; stroke: #1f6fb5 } .attack { fill: #b8561b; stroke: #b8561b }
@media (prefers-color-scheme: dark) {
.weight-free { fill: #6cb0f0; stroke: #6cb0f0 } .attack { fill: #f09a5c; stroke: #f09a5c } }
"""
)


def render(found: Mapping[str, Measured]) -> str:
    """The SVG as text; what was not measured yet has no dot."""
    blocks = [(one, list(lines(one, IMAGE))) for one in found.values()]
    tops = list(accumulate((36 + _TOP + _LINE * len(every) + 12 for _, every in blocks), initial=24))
    width = _NAMES + _GAP + (_PANEL + _GAP) * len(VERSIONS)
    drawn = svg.image(width, tops[-1] + 8, "Attack success by family of attacks and version", style=_STYLE)
    for kind, x, what in (
        ("weight-free", 16, "weight-free families"),
        ("attack", 190, "attacks that search the model"),
    ):
        drawn.dot(x, 20, 4.5, kind)
        drawn.text(x + 10, 24, what, "small")
    drawn.box(400, 13, 5, 14, "chance")
    drawn.text(412, 24, "chance", "small")
    for top, (one, every) in zip(tops, blocks, strict=False):
        _block(drawn, one, every, top + 36)
    return drawn.lines()


def _block(drawn: svg.Svg, one: Measured, every: Sequence[Drawn], top: int) -> None:
    bottom = top + _TOP - 14 + _LINE * len(every)
    drawn.text(16, top + 14, one.slug, "title")
    for number, (_, what, _) in enumerate(every):
        drawn.text(_NAMES, top + _TOP + _LINE * number + 4, what, "right")
    for column, version in enumerate(VERSIONS):
        x = _NAMES + 20 + (_PANEL + _GAP) * column
        drawn.text(x + _PANEL / 2, top + 14, version, "title middle")
        for share in (0.0, 0.5, 1.0):
            at = x + share * _PANEL
            drawn.line(at, top + 44, at, bottom, "grid")
            drawn.text(at, top + 36, f"{share:g}", "small middle")
        if ends := bounds(one.chance):
            low, high = (x + _PANEL * end for end in ends)
            drawn.box(low, top + 44, max(2.0, high - low), bottom - top - 44, "chance")
        for number, (kind, _, figure) in enumerate(every):
            y = top + _TOP + _LINE * number
            estimate = figure(version)
            if (value := value_of(estimate)) is not None:
                low, high = bounds(estimate) or (value, value)
                drawn.line(x + _PANEL * low, y, x + _PANEL * high, y, f"{kind} span")
                drawn.dot(x + _PANEL * value, y, 4.5, kind)
