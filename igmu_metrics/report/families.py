"""Attack success by family: tables for the terminal, and an SVG chart with one bar and 95% interval per model.

The chart has two panels: over all rows, and only where the original generated the concept. Its styles do not affect a
page that contains it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from igmu_data.errors import EmptyInputError
from igmu_data.numerals import counted
from igmu_metrics.coverage import covering
from igmu_metrics.report.figures import svg
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics.formatting import DASH, bounds, formatted, number, value_of
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict.baseline import baseline, counted_on
from igmu_metrics.verdict.families import FIGURES, METRIC, SCOPES, TITLES, Line, chosen, heading, lines
from igmu_metrics.verdict.recompute import of_original

if TYPE_CHECKING:
    from rich.table import Table

_LISTED: Final = 3  # maximum number of families that a note names individually
_COUNT: Final = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?= prompts?\b)")
_BAR: Final = 15
_GAP: Final = 16  # between families
_NAMES: Final = 168  # right end of the names
_PANELS: Final = (184, 532)  # left ends
_WIDTH: Final = 240
_TOTAL: Final = 880
_LEGEND: Final = 20  # height of one line
# Blue, orange, green, purple, red, grey, teal, brown: visible on light and dark pages; repeated after eight models.
_COLOURS: Final = ("#1f6fb5", "#d07a1e", "#3f8f4f", "#7b5ab5", "#b8433f", "#7d868f", "#22878a", "#8a5a33")
_NOTHING: Final = "not measured"
_REPEATED: Final = "Interim checks of a run: intervals are repeated confidence intervals, valid at 95% together."
_STYLE: Final = """
.families text { font: 13px system-ui, sans-serif; fill: #24292f } .families .small { font-size: 11px }
.families .title { font-weight: 600 } .families .right { text-anchor: end } .families .middle { text-anchor: middle }
.families .grid { stroke: #8c959f; stroke-opacity: .4 } .families .span { stroke: #24292f; stroke-width: 1.4 }
@media (prefers-color-scheme: dark) { .families text { fill: #e6edf3 } .families .span { stroke: #e6edf3 } }
"""


def tables(cards: Sequence[Scorecard], *, every: bool = True) -> list[Table]:
    """A table over all rows, and one only where the original generated the concept; models are grouped by family.

    Args:
        cards: cards that were scored in the same way.
        every: include all metrics and counts; otherwise only the success of adversarial prompts.
    """
    from igmu_metrics.report.terminal import Keyed

    found = lines(cards)
    out: list[Table] = []
    for scope in SCOPES:
        if not any(name.startswith("conditional_") == bool(scope) for line in found for name in line.figures):
            continue
        title = f"{cards[0].config}: attack success, {TITLES[scope]} (lower is better, 95% intervals)"
        table = Keyed("family", "model", "prompts", *["images"] * every, title=title, title_justify="left")
        names = FIGURES if every else FIGURES[:2]
        for name in names:
            table.add_column(heading(name, cards[0]))
        for at, line in enumerate(found):
            first = at == 0 or found[at - 1].family != line.family
            if first and at:
                table.add_section()
            figures = [line.figures.get(scope + name) for name in names]
            head = figures[0]
            counts = (DASH, DASH) if head is None else (f"{head.n_prompts:,}", f"{head.n_generations:,}")
            told = (*counts[: 1 + every], *map(formatted, figures))
            table.add_row(line.family if first else "", line.model, *told)
        own = [] if scope else [*_original(baseline(cards), names), *filter(None, [counted_on(cards)])]
        table.caption = "\n".join([*own, *_notes(found, scope, cards[0], names), covering(cards)])
        table.caption_justify = "left"
        out.append(table)
    return out


def _original(card: Scorecard, names: Sequence[str]) -> list[str]:
    """The original's own attack success, as a note, because rates over all rows can only be read next to it."""
    own = of_original(card).get(METRIC, {})
    shown = [name for name in names if value_of(own.get(name)) is not None]
    told = ", ".join(f"{heading(name, card)} {formatted(own[name], interval=' ({}–{})')}" for name in shown)
    return [f"{card.original_label}, all attacks: {told}"] if told else []


def _notes(found: Sequence[Line], scope: str, card: Scorecard, names: Sequence[str]) -> Iterator[str]:
    """Each caution once, with the metrics and families that it applies to and the range of its prompt counts."""
    about: dict[str, dict[str, dict[str, None]]] = {}
    counts: dict[str, list[str]] = {}
    for line in found:
        for name in names:
            figure = line.figures.get(scope + name)
            for reason in figure.reason.split("; ") if figure is not None and figure.reason else ():
                kind = _COUNT.sub("#", reason, count=1)
                about.setdefault(kind, {}).setdefault(heading(name, card), {})[line.family] = None
                counts.setdefault(kind, []).extend(_COUNT.findall(reason)[:1])
    for kind, figures in about.items():
        listed = (
            f"{name} of {', '.join(of) if len(of) <= _LISTED else f'{len(of)} lines'}" for name, of in figures.items()
        )
        low, high = min(counts[kind], key=float, default=""), max(counts[kind], key=float, default="")
        yield f"{'; '.join(listed)}: {kind.replace('#', low if low == high else f'{low} to {high}')}"


def chart(cards: Sequence[Scorecard], figure: str = "asr_any@k") -> str:
    """The SVG as text.

    Args:
        cards: cards that were scored in the same way.
        figure: `asr_image`, `asr_any@k`, `pre_asr` or `post_asr`; also with the value of k, `asr_any@5`.

    Raises:
        InputError: an unknown metric.
        BudgetError: another k than that of the cards.
        EmptyInputError: no model has a value for it, so the chart would be empty; the message gives the reason.
        EmptyInputError, IncomparableError: see `igmu_metrics.verdict.families.lines`.
    """
    found = lines(cards)
    figure = chosen(figure, cards[0])
    scopes = [scope for scope in SCOPES if any(scope + figure in line.figures for line in found)]
    if not any(_valued(found, scope + figure) for scope in scopes):
        told = (line.figures.get(scope + figure) for line in found for scope in SCOPES)
        why = next((one.reason for one in told if one is not None and one.reason), "the scorecards do not contain it")
        others = [name for name in FIGURES if any(_valued(found, scope + name) for scope in SCOPES)]
        then = f"Choose another metric with --figure: {', '.join(others)}" if others else "Score more images first"
        raise EmptyInputError(
            f"{cards[0].config}: a chart of {heading(figure, cards[0])} would be empty, because no family has a value: "
            f"{why}. {then}."
        )
    models = [c.model for c in cards]
    width = _PANELS[len(scopes) - 1] + _WIDTH + (_TOTAL - _PANELS[-1] - _WIDTH)
    legend = _legend(models, width)
    top = 64 + _LEGEND * (1 + max(line for _, line in legend))
    blocks = [list(group) for _, group in groupby(found, key=lambda line: line.family)]
    bottom = top + len(blocks) * (_BAR * len(models) + _GAP)
    title = f"{cards[0].config}: {heading(figure, cards[0])} by attack family (lower is better)"
    checked = any(map(Looks.of, cards))
    drawn = svg.image(width, bottom + 30 + _LEGEND * checked, title, style=_STYLE, kind="families")
    if checked:
        drawn.text(16, bottom + 20 + _LEGEND, _REPEATED, "small")
    drawn.text(16, 24, title, "title")
    for nth, (model, (x, nth_line)) in enumerate(zip(models, legend, strict=True)):
        drawn.box(round(x), 36 + _LEGEND * nth_line, 11, 11, fill=_colour(nth))
        drawn.text(x + 17, 46 + _LEGEND * nth_line, model, "small")
    for left, scope in zip(_PANELS, scopes, strict=False):
        drawn.text(left + _WIDTH / 2, top - 6, TITLES[scope], "small middle")
        for share in (0, 0.25, 0.5, 0.75, 1):
            x = left + share * _WIDTH
            drawn.line(x, top, x, bottom, "grid")
            drawn.text(x, bottom + 16, f"{share:g}", "small middle")
    for at, block in enumerate(blocks):
        y = top + _GAP / 2 + at * (_BAR * len(models) + _GAP)
        drawn.text(_NAMES, y + _BAR * len(models) / 2 + 4, block[0].family, "right")
        for nth, line in enumerate(block):
            for left, scope in zip(_PANELS, scopes, strict=False):
                _bar(drawn, line, line.figures.get(scope + figure), left, y + _BAR * nth, nth)
    return drawn.lines()


def _valued(found: Sequence[Line], name: str) -> bool:
    return any(value_of(line.figures.get(name)) is not None for line in found)


def _legend(models: Sequence[str], width: float) -> list[tuple[float, int]]:
    """Left end and line of each model in the legend, which may have several lines."""
    out, x, line = [], 16.0, 0
    for model in models:
        wide = 34 + svg.CHARACTER * len(model)
        if x > 16 and x + wide > width:
            x, line = 16.0, line + 1
        out.append((x, line))
        x += wide
    return out


def _bar(drawn: svg.Svg, line: Line, figure: Figure | None, left: float, y: float, nth: int) -> None:
    """One bar with its interval and its value; a dash if there is none."""
    value_at = left + _WIDTH + 8
    drawn.box(left - 6, y + 1.5, 3, _BAR - 3, fill=_colour(nth))  # marks the model if the bar has no length
    who = f"{line.model}, {line.family}"
    if figure is None or figure.value is None:
        drawn.text(value_at, y + 11, DASH, "small", hint=f"{who}: {figure.reason if figure else _NOTHING}")
        return
    counts = f"{counted(figure.n_prompts, 'prompt')}, {counted(figure.n_generations, 'image')}"
    bar = drawn.add("g", hint=f"{who}: {formatted(figure, '.3f')}, {counts}")
    bar.box(left, y + 1.5, figure.value * _WIDTH, _BAR - 3, fill=_colour(nth))
    if ends := bounds(figure):
        start, end = (left + min(1.0, max(0.0, share)) * _WIDTH for share in ends)
        middle = y + _BAR / 2
        caps = "".join(f"M{x:.1f} {middle - 3:.1f}V{middle + 3:.1f}" for x in (start, end))
        bar.add("path", "span", d=f"M{start:.1f} {middle:.1f}H{end:.1f}{caps}")
    drawn.text(value_at, y + 11, number(figure.value), "small")


def _colour(nth: int) -> str:
    return _COLOURS[nth % len(_COLOURS)]
