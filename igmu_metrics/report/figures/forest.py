"""Forest plot: for one metric, every model's value with its 95% interval on a common scale from 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from igmu_data.numerals import counted
from igmu_metrics.report.figures import svg
from igmu_metrics.scorecard import Figure
from igmu_metrics.statistics.formatting import bounds, formatted, number, value_of

_WIDTH: Final = 340
_NAMES: Final = 104
_PLOT: Final = (_NAMES + 8, 292)
_LINE: Final = 26
_TOP: Final = 12


def forest(
    title: str, figures: Sequence[tuple[str, Figure | None]], *, marked: str = "", before: Figure | None = None
) -> svg.Svg | None:
    """The plot; None if no model has a value.

    Args:
        title: what is plotted, for screen readers.
        figures: (model, value) from top to bottom.
        marked: the model to show in the accent color.
        before: the original's value, shown as a line through all rows; None for no line.
    """
    if all(value_of(figure) is None for _, figure in figures):
        return None
    bottom = _TOP + _LINE * len(figures)
    said = "; ".join(f"{model} {formatted(f, interval=', {} to {}', missing='not measured')}" for model, f in figures)
    drawn = svg.image(_WIDTH, bottom + 26, f"{title}: {said}")
    for v, name in ((0.0, "0"), (0.5, "0.5"), (1.0, "1")):
        drawn.line(_x(v), _TOP - 4, _x(v), bottom, "rule")
        drawn.text(_x(v), bottom + 18, name, "small middle")
    if (original := value_of(before)) is not None:
        drawn.line(_x(original), _TOP - 4, _x(original), bottom, "before")
    for at, (model, figure) in enumerate(figures):
        y = _TOP + _LINE * at + _LINE / 2
        kind = "mark" if model == marked else "ink"
        drawn.text(_NAMES, y + 4.5, svg.fitted(model, _NAMES), f"right {kind}-text")
        if figure is None or figure.value is None:
            drawn.text(_x(0.0) + 6, y + 4.5, "not measured", "small")
            continue
        if ends := bounds(figure):
            drawn.line(_x(ends[0]), y, _x(ends[1]), y, f"span {kind}")
        told = formatted(figure, interval=", {} to {}")
        counts = f"n = {counted(figure.n_generations, 'image')} of {counted(figure.n_prompts, 'prompt')}"
        drawn.dot(_x(figure.value), y, 5, kind, f"{model}: {told}, {counts}")
        drawn.text(_WIDTH - 4, y + 4.5, number(figure.value), f"right number {kind}-text")
    return drawn


def _x(value: float) -> float:
    low, high = _PLOT
    return low + min(1.0, max(0.0, value)) * (high - low)
