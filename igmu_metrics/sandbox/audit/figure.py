"""The figure of the audit as SVG: for each metric its agreement with the truth, and how many prompts that takes.

One line a metric. On the left, a dot where it agrees with the truth that it is meant to tell, a ring where it would as
the verdict on the whole model, lines over random halves of the prompts. On the right, how often every known pair comes
in the right order at growing numbers of prompts. No script, no font, no background: it stands on light and dark pages.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import Final

from igmu_metrics.sandbox.audit.agreement import Agreement, Verdict
from igmu_metrics.sandbox.audit.stability import Curve

_LINE: Final = 24
_TOP: Final = 96
_NAMES: Final = 344  # right end of the names
_PLOT: Final = (364, 644)  # x of agreement −1 and 1
_CELLS: Final = 682
_CELL: Final = 46
_STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.small { font-size: 11px } .title { font-weight: 600 } .right { text-anchor: end } .middle { text-anchor: middle }
.grid { stroke: #8c959f; stroke-opacity: .45 } .own { fill: #1f6fb5; stroke: #1f6fb5 }
.baseline { fill: #b8561b; stroke: #b8561b } .ring { fill: none; stroke-width: 1.6 } .span { stroke-opacity: .45 }
.span { stroke-width: 3 } rect.own, rect.baseline { stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .own { fill: #6cb0f0; stroke: #6cb0f0 } .baseline { fill: #f09a5c; stroke: #f09a5c }
.ring { fill: none } }
"""


def render(agreements: Sequence[Agreement], curves: Sequence[Curve]) -> str:
    """The SVG as text; what this package reports first, then the practices of the field."""
    by_key = {c.measure.key: c for c in curves}
    ordered = sorted(agreements, key=lambda a: a.measure.baseline)
    steps = sorted({n for c in curves for n in c.sizes[:-1]})
    width, height = _CELLS + max(300, _CELL * (len(steps) + 1) + 16), _TOP + _LINE * (len(ordered) + 1) + 32
    body = [*_head(steps, _TOP + _LINE * (len(ordered) + 1))]
    y = _TOP
    for at, one in enumerate(ordered):
        y += _LINE * (2 if at and one.measure.baseline and not ordered[at - 1].measure.baseline else 1)
        body += _line(one, by_key[one.measure.key], steps, y)
    title = "Agreement of each metric with the known truth, and the prompts it takes"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n" + "\n".join(body) + "\n</svg>\n"
    )


def _x(agreement: float) -> float:
    low, high = _PLOT
    return low + (agreement + 1) / 2 * (high - low)


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{html.escape(text)}</text>'


def _head(steps: Sequence[int], bottom: float) -> Iterator[str]:
    middle = sum(_PLOT) / 2
    yield _text(16, 20, "metric", "title")
    yield _text(middle, 20, "agreement with the truth", "title middle")
    yield _text(_CELLS, 20, "all known pairs in order, % of draws", "title")
    for x, kind, what in ((16, "own", "as igmu reports it"), (150, "baseline", "practice of the field")):
        yield f'<rect x="{x}" y="36" width="10" height="10" class="{kind}"/>' + _text(x + 16, 46, what, "small")
    yield f'<circle cx="{_PLOT[0]}" cy="41" r="4.5" class="own"/>' + _text(_PLOT[0] + 10, 46, "what it is for", "small")
    yield f'<circle cx="{middle + 10}" cy="41" r="4.5" class="own ring"/>'
    yield _text(middle + 20, 46, "as verdict on the whole", "small")
    for value, name in ((-1, "−1 reversed"), (0, "0"), (1, "1 as true")):
        yield f'<line x1="{_x(value):.1f}" x2="{_x(value):.1f}" y1="{_TOP}" y2="{bottom + 24:.1f}" class="grid"/>'
        yield _text(_x(value), _TOP - 10, name, "small middle")
    for at, name in enumerate([*(str(n) for n in steps), "all"]):
        yield _text(_CELLS + _CELL * (at + 0.5), _TOP - 10, name, "small middle")
    yield _text(_CELLS, _TOP - 28, "prompts drawn", "small")


def _line(one: Agreement, curve: Curve, steps: Sequence[int], y: float) -> Iterator[str]:
    kind = "baseline" if one.measure.baseline else "own"
    yield _text(_NAMES, y + 4, one.measure.title, "right")
    yield f'<line x1="{_PLOT[0]}" x2="{_PLOT[1]}" y1="{y}" y2="{y}" class="grid"/>'
    if one.measure.aspect != "forget_score":
        yield _span(one.whole, y + 3, kind)
        yield f'<circle cx="{_x(one.whole.value):.1f}" cy="{y}" r="6.5" class="{kind} ring"/>'
    yield _span(one.own, y, kind)
    yield f'<circle cx="{_x(one.own.value):.1f}" cy="{y}" r="4.5" class="{kind}"/>'
    shares = dict(zip(curve.sizes[:-1], curve.shares[:-1], strict=True))
    for at, share in enumerate([*(shares.get(n) for n in steps), curve.shares[-1]]):
        if share is not None:
            x = _CELLS + _CELL * at
            size = f'width="{_CELL - 2}" height="{_LINE - 3}"'
            yield f'<rect x="{x}" y="{y - 11}" {size} class="{kind}" fill-opacity="{0.04 + 0.5 * share:.2f}"/>'
            yield _text(x + _CELL / 2 - 1, y + 4, f"{100 * share:.0f}", "small middle")


def _span(verdict: Verdict, y: float, kind: str) -> str:
    low, high = (_x(v) for v in verdict.interval)
    return f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" class="{kind} span"/>'
