"""Parallel plot of the five aspects of the forget score, one line per model; 1, at the top, is ideal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.report.figures import svg
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics.formatting import formatted, number, value_of

_WIDTH: Final = 760
_PLOT: Final = (56, 560)
_TOP, _BOTTOM = 40, 300
_GAP: Final = 18  # minimum distance between two names


def aspects(cards: Sequence[Scorecard], *, marked: bool = True) -> svg.Svg | None:
    """The figure; None if no model has two aspects to connect.

    Args:
        cards: models from best to worst.
        marked: whether the first model is the best and is shown in the accent color.
    """
    figures = [[c.figure("forget_score", name) for name in ASPECTS] for c in cards]
    found = [list(map(value_of, each)) for each in figures]
    if not any(sum(v is not None for v in values) > 1 for values in found):
        return None
    told = [[formatted(f, interval="", missing="missing") for f in each] for each in figures]
    listed = [", ".join(f"{name} {said}" for name, said in zip(ASPECTS, each, strict=True)) for each in told]
    said = "; ".join(f"{card.model}: {each}" for card, each in zip(cards, listed, strict=True))
    drawn = svg.image(_WIDTH, _BOTTOM + 24, f"Five aspects of the forget score. {said}")
    for at, name in enumerate(ASPECTS):
        drawn.line(_x(at), _TOP, _x(at), _BOTTOM, "rule")
        drawn.text(_x(at), _TOP - 16, name, "middle head")
    for v in (0.0, 0.5, 1.0):
        drawn.text(_x(0) - 12, _y(v) + 4.5, f"{v:g}", "small right")
        drawn.line(_x(0), _y(v), _x(len(ASPECTS) - 1), _y(v), "rule faint")
    heights = _spread([next((v for v in reversed(values) if v is not None), 0.0) for values in found])
    # The best model comes last, on top of the others.
    for at in reversed(range(len(cards))):
        _series(drawn, cards[at].model, found[at], heights[at], first=marked and at == 0, dash=at % 4)
    return drawn


def _series(
    drawn: svg.Svg, model: str, values: Sequence[float | None], height: float, *, first: bool, dash: int
) -> None:
    group = drawn.add("g", f"series {'mark' if first else 'ink'}", data_model=model)
    points = [(_x(at), _y(v), v) for at, v in enumerate(values) if v is not None]
    for at, (a, b) in enumerate(pairwise(values)):
        if a is not None and b is not None:  # a missing aspect leaves a gap
            group.line(_x(at), _y(a), _x(at + 1), _y(b), f"path dash{0 if first else dash}")
    for x, y, v in points:
        group.dot(x, y, 4.5 if first else 3.5, "point", f"{model}: {number(v)}")
    if points:
        group.line(points[-1][0] + 8, points[-1][1], _PLOT[1] + 28, height, "leader")
        group.text(_PLOT[1] + 34, height + 4.5, svg.fitted(model, _WIDTH - _PLOT[1] - 40), "name")


def _spread(values: Sequence[float]) -> list[float]:
    """Heights of the names next to their last points, moved apart so that they do not overlap."""
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
