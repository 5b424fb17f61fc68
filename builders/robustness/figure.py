"""The chart as SVG: a block a concept, a line a family or attack, a column a version; a dot with its interval.

No script, no font, no background: it stands on light and dark pages.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Final

from builders.robustness.measure import VERSIONS, Measured
from builders.robustness.page import lines
from igmu_metrics.attacks.running.result import IMAGE

_LINE: Final = 22
_NAMES: Final = 176  # right end of the names
_PANEL: Final = 150
_GAP: Final = 34
_TOP: Final = 64
_STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.small { font-size: 11px } .title { font-weight: 600 } .right { text-anchor: end } .middle { text-anchor: middle }
.grid { stroke: #8c959f; stroke-opacity: .45 } .chance { fill: #8c959f; fill-opacity: .35 }
.weight-free { fill: #1f6fb5; stroke: #1f6fb5 } .attack { fill: #b8561b; stroke: #b8561b } .span { stroke-width: 2.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .weight-free { fill: #6cb0f0; stroke: #6cb0f0 } .attack { fill: #f09a5c; stroke: #f09a5c } }
"""


def render(found: Mapping[str, Measured]) -> str:
    """The SVG as text; what was not measured yet has no dot."""
    body: list[str] = []
    y = 24
    for kind, x, what in (
        ("weight-free", 16, "weight-free families"),
        ("attack", 190, "attacks that search the model"),
    ):
        body.append(f'<circle cx="{x}" cy="{y - 4}" r="4.5" class="{kind}"/>' + _text(x + 10, y, what, "small"))
    body.append(f'<rect x="400" y="{y - 11}" width="5" height="14" class="chance"/>' + _text(412, y, "chance", "small"))
    for one in found.values():
        block = list(_block(one, y + 36))
        body += block
        y += 36 + _TOP + _LINE * len(list(lines(one, IMAGE))) + 12
    width = _NAMES + _GAP + (_PANEL + _GAP) * len(VERSIONS)
    title = "Attack success by family of attacks and version"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + 8}" role="img" aria-label="{title}">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n" + "\n".join(body) + "\n</svg>\n"
    )


def _left(column: int) -> int:
    return _NAMES + 20 + (_PANEL + _GAP) * column


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{html.escape(text)}</text>'


def _block(one: Measured, top: int) -> Iterator[str]:
    every = list(lines(one, IMAGE))
    bottom = top + _TOP - 14 + _LINE * len(every)
    yield _text(16, top + 14, one.slug, "title")
    for column, version in enumerate(VERSIONS):
        x = _left(column)
        yield _text(x + _PANEL / 2, top + 14, version, "title middle")
        for share in (0.0, 0.5, 1.0):
            at = x + share * _PANEL
            yield f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top + 44}" y2="{bottom}" class="grid"/>'
            yield _text(at, top + 36, f"{share:g}", "small middle")
        if one.chance is not None and one.chance.interval is not None:
            low, high = (x + _PANEL * end for end in one.chance.interval)
            size = f'width="{max(2.0, high - low):.1f}" height="{bottom - top - 44}"'
            yield f'<rect x="{low:.1f}" y="{top + 44}" {size} class="chance"/>'
    for number, (kind, what, figure) in enumerate(every):
        y = top + _TOP + _LINE * number
        yield _text(_NAMES, y + 4, what, "right")
        for column, version in enumerate(VERSIONS):
            estimate = figure(version)
            if estimate is None or estimate.value != estimate.value:
                continue
            x = _left(column)
            low, high = estimate.interval or (estimate.value, estimate.value)
            ends = f'x1="{x + _PANEL * low:.1f}" x2="{x + _PANEL * high:.1f}"'
            yield f'<line {ends} y1="{y}" y2="{y}" class="{kind} span"/>'
            yield f'<circle cx="{x + _PANEL * estimate.value:.1f}" cy="{y}" r="4.5" class="{kind}"/>'
