"""Forest plot: for one figure, every model's value with its 95 % interval on a common scale from 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from igmu_metrics.report.figures import svg
from igmu_metrics.scorecard import Figure

_WIDTH: Final = 340
_NAMES: Final = 104
_PLOT: Final = (_NAMES + 8, 292)
_LINE: Final = 26
_TOP: Final = 12


def forest(
    title: str, figures: Sequence[tuple[str, Figure | None]], *, marked: str = "", before: Figure | None = None
) -> str:
    """The plot.

    Args:
        title: what is plotted, for screen readers.
        figures: (model, figure) from top to bottom.
        marked: the model that is drawn in the accent colour.
        before: the original's figure, drawn as a line through all rows; None for none.
    """
    bottom = _TOP + _LINE * len(figures)
    body = [svg.line(_x(v), _TOP - 4, _x(v), bottom, "rule") for v in (0.0, 0.5, 1.0)]
    body += [svg.text(_x(v), bottom + 18, name, "small middle") for v, name in ((0.0, "0"), (0.5, "0.5"), (1.0, "1"))]
    if before is not None and before.value is not None:
        body.append(svg.line(_x(before.value), _TOP - 4, _x(before.value), bottom, "before"))
    said = []
    for at, (model, figure) in enumerate(figures):
        y = _TOP + _LINE * at + _LINE / 2
        kind = "mark" if model == marked else "ink"
        body.append(svg.text(_NAMES, y + 4.5, svg.fitted(model, _NAMES), f"right {kind}-text"))
        if figure is None or figure.value is None:
            body.append(svg.text(_x(0.0) + 6, y + 4.5, "not measured", "small"))
            said.append(f"{model} not measured")
            continue
        low, high = figure.interval or (None, None)
        ends = ""
        if low is not None and high is not None:
            ends = f", {low:.2f} to {high:.2f}"
            body.append(svg.line(_x(low), y, _x(high), y, f"span {kind}"))
        told = f"{model}: {figure.value:.2f}{ends}, n = {figure.n_generations} of {figure.n_prompts} prompts"
        body.append(svg.dot(_x(figure.value), y, 5, kind, told))
        body.append(svg.text(_WIDTH - 4, y + 4.5, f"{figure.value:.2f}", f"right number {kind}-text"))
        said.append(f"{model} {figure.value:.2f}{ends}")
    return svg.frame(_WIDTH, bottom + 26, f"{title}: {'; '.join(said)}", "".join(body))


def _x(value: float) -> float:
    low, high = _PLOT
    return low + min(1.0, max(0.0, value)) * (high - low)
