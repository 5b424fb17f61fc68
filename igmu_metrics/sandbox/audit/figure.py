"""The figure of the audit as SVG: for each metric its agreement with the truth, and how many prompts that takes.

One line a metric. On the left, a dot where it agrees with the truth that it is meant to tell, a ring where it would as
the verdict on the whole model, lines over random halves of the prompts. On the right, how often every known pair comes
in the right order at growing numbers of prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from igmu_metrics.report.figures import svg
from igmu_metrics.sandbox.audit.agreement import Agreement, Verdict
from igmu_metrics.sandbox.audit.stability import Curve

_LINE: Final = 24
_TOP: Final = 96
_NAMES: Final = 344  # right end of the names
_PLOT: Final = (364, 644)  # x of agreement −1 and 1
_CELLS: Final = 682
_CELL: Final = 46
_STYLE: Final = (
    svg.STYLE
    + """.own { fill: #1f6fb5; stroke: #1f6fb5 } .baseline { fill: #b8561b; stroke: #b8561b }
.ring { fill: none; stroke-width: 1.6 } .span { stroke-opacity: .45; stroke-width: 3 }
rect.own, rect.baseline { stroke: none }
@media (prefers-color-scheme: dark) {
.own { fill: #6cb0f0; stroke: #6cb0f0 } .baseline { fill: #f09a5c; stroke: #f09a5c } .ring { fill: none } }
"""
)


def render(agreements: Sequence[Agreement], curves: Sequence[Curve]) -> str:
    """The SVG as text; what this package reports first, then the practices of the field."""
    by_key = {c.measure.key: c for c in curves}
    ordered = sorted(agreements, key=lambda a: a.measure.baseline)
    steps = sorted({n for c in curves for n in c.sizes[:-1]})
    width, height = _CELLS + max(300, _CELL * (len(steps) + 1) + 16), _TOP + _LINE * (len(ordered) + 1) + 32
    title = "Agreement of each metric with the known truth, and the prompts it takes"
    drawn = svg.picture(width, height, title, style=_STYLE)
    _head(drawn, steps, _TOP + _LINE * (len(ordered) + 1))
    y = _TOP
    for at, one in enumerate(ordered):
        y += _LINE * (2 if at and one.measure.baseline and not ordered[at - 1].measure.baseline else 1)
        _line(drawn, one, by_key[one.measure.key], steps, y)
    return drawn.lines()


def _x(agreement: float) -> float:
    low, high = _PLOT
    return low + (agreement + 1) / 2 * (high - low)


def _head(drawn: svg.Svg, steps: Sequence[int], bottom: float) -> None:
    middle = sum(_PLOT) / 2
    drawn.text(16, 20, "metric", "title")
    drawn.text(middle, 20, "agreement with the truth", "title middle")
    drawn.text(_CELLS, 20, "all known pairs in order, % of draws", "title")
    for x, kind, what in ((16, "own", "as igmu reports it"), (150, "baseline", "practice of the field")):
        drawn.box(x, 36, 10, 10, kind)
        drawn.text(x + 16, 46, what, "small")
    drawn.dot(_PLOT[0], 41, 4.5, "own")
    drawn.text(_PLOT[0] + 10, 46, "what it is for", "small")
    drawn.dot(middle + 10, 41, 4.5, "own ring")
    drawn.text(middle + 20, 46, "as verdict on the whole", "small")
    for value, name in ((-1, "−1 reversed"), (0, "0"), (1, "1 as true")):
        drawn.line(_x(value), _TOP, _x(value), bottom + 24, "grid")
        drawn.text(_x(value), _TOP - 10, name, "small middle")
    for at, name in enumerate([*(str(n) for n in steps), "all"]):
        drawn.text(_CELLS + _CELL * (at + 0.5), _TOP - 10, name, "small middle")
    drawn.text(_CELLS, _TOP - 28, "prompts drawn", "small")


def _line(drawn: svg.Svg, one: Agreement, curve: Curve, steps: Sequence[int], y: float) -> None:
    kind = "baseline" if one.measure.baseline else "own"
    drawn.text(_NAMES, y + 4, one.measure.title, "right")
    drawn.line(_PLOT[0], y, _PLOT[1], y, "grid")
    if one.measure.aspect != "forget_score":
        _span(drawn, one.whole, y + 3, kind)
        drawn.dot(_x(one.whole.value), y, 6.5, f"{kind} ring")
    _span(drawn, one.own, y, kind)
    drawn.dot(_x(one.own.value), y, 4.5, kind)
    shares = dict(zip(curve.sizes[:-1], curve.shares[:-1], strict=True))
    for at, share in enumerate([*(shares.get(n) for n in steps), curve.shares[-1]]):
        if share is not None:
            x = _CELLS + _CELL * at
            drawn.box(x, y - 11, _CELL - 2, _LINE - 3, kind, fill_opacity=f"{0.04 + 0.5 * share:.2f}")
            drawn.text(x + _CELL / 2 - 1, y + 4, f"{100 * share:.0f}", "small middle")


def _span(drawn: svg.Svg, verdict: Verdict, y: float, kind: str) -> None:
    low, high = map(_x, verdict.interval)
    drawn.line(low, y, high, y, f"{kind} span")
