"""Parallel aspects: the five aspects of the forget score side by side, one line a model; 1, on top, is the ideal."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.report.figures import svg
from igmu_metrics.report.view import value
from igmu_metrics.scorecard import Scorecard

_WIDTH: Final = 760
_PLOT: Final = (56, 560)
_TOP, _BOTTOM = 40, 300
_GAP: Final = 18  # least distance between two names


def aspects(cards: Sequence[Scorecard]) -> str:
    """The figure; empty where no model has two aspects to connect.

    Args:
        cards: models from best to worst; the first is drawn in the accent colour.
    """
    found = [[value(c.figure("forget_score", name)) for name in ASPECTS] for c in cards]
    if not any(sum(v is not None for v in values) > 1 for values in found):
        return ""
    body = []
    for at, name in enumerate(ASPECTS):
        body.append(svg.line(_x(at), _TOP, _x(at), _BOTTOM, "rule"))
        body.append(svg.text(_x(at), _TOP - 16, name, "middle head"))
    for v in (0.0, 0.5, 1.0):
        body.append(svg.text(_x(0) - 12, _y(v) + 4.5, f"{v:g}", "small right"))
        body.append(svg.line(_x(0), _y(v), _x(len(ASPECTS) - 1), _y(v), "rule faint"))
    heights = _spread([next((v for v in reversed(values) if v is not None), 0.0) for values in found])
    # The best one is drawn last, over the others.
    for at in reversed(range(len(cards))):
        body.append(_series(cards[at].model, found[at], heights[at], first=at == 0, dash=at % 4))
    said = "; ".join(
        f"{c.model}: "
        + ", ".join(f"{n} {v:.2f}" if v is not None else f"{n} missing" for n, v in zip(ASPECTS, values, strict=True))
        for c, values in zip(cards, found, strict=True)
    )
    return svg.frame(_WIDTH, _BOTTOM + 24, f"Five aspects of the forget score. {said}", "".join(body))


def _series(model: str, values: Sequence[float | None], height: float, *, first: bool, dash: int) -> str:
    kind = "mark" if first else "ink"
    points = [(_x(at), _y(v), v) for at, v in enumerate(values) if v is not None]
    parts = []
    for at in range(len(values) - 1):
        a, b = values[at], values[at + 1]
        if a is not None and b is not None:  # a missing aspect leaves a gap
            parts.append(svg.line(_x(at), _y(a), _x(at + 1), _y(b), f"path dash{0 if first else dash}"))
    parts += [svg.dot(x, y, 4.5 if first else 3.5, "point", f"{model}: {v:.2f}") for x, y, v in points]
    if points:
        parts.append(svg.line(points[-1][0] + 8, points[-1][1], _PLOT[1] + 28, height, "leader"))
        parts.append(svg.text(_PLOT[1] + 34, height + 4.5, svg.fitted(model, _WIDTH - _PLOT[1] - 40), "name"))
    return f'<g class="series {kind}" data-model="{html.escape(model)}">{"".join(parts)}</g>'


def _spread(values: Sequence[float]) -> list[float]:
    """Heights of the names beside their last points, moved apart so that none covers another."""
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    heights = [0.0] * len(values)
    lowest = float(_TOP - _GAP)
    for i in order:
        lowest = heights[i] = max(_y(values[i]), lowest + _GAP)
    over = lowest - max(_BOTTOM, _TOP + _GAP * (len(values) - 1))
    above = float("inf")
    for i in reversed(order):
        heights[i] = min(heights[i], above - _GAP, lowest - max(0.0, over))
        above = heights[i]
    return heights


def _x(at: int) -> float:
    return _PLOT[0] + at * (_PLOT[1] - _PLOT[0]) / (len(ASPECTS) - 1)


def _y(value: float) -> float:
    return _BOTTOM - value * (_BOTTOM - _TOP)
