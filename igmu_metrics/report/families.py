"""The chart of attack success by family as SVG: a bar a model in every family, with its 95 % interval.

Two panels: over all rows, and where the original drew the concept. No script, no font, no background: it stands on
light and dark pages; its styles stay inside when a page holds it.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from igmu_data.errors import InputError
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.verdict.families import FIGURES, SCOPES, TITLES, Line, lines, shown, tries

_BAR: Final = 15
_GAP: Final = 16  # between families
_NAMES: Final = 168  # right end of the names
_PANELS: Final = (184, 532)  # left ends
_WIDTH: Final = 240
_TOTAL: Final = 880
_LEGEND: Final = 20  # a line of it
# Blue, orange, green, purple, red, grey, teal, brown: seen on light and dark pages; a ninth model begins again.
_COLOURS: Final = ("#1f6fb5", "#d07a1e", "#3f8f4f", "#7b5ab5", "#b8433f", "#7d868f", "#22878a", "#8a5a33")
_NOTHING: Final = "no figure"
_STYLE: Final = """
.families text { font: 13px system-ui, sans-serif; fill: #24292f } .families .small { font-size: 11px }
.families .title { font-weight: 600 } .families .right { text-anchor: end } .families .middle { text-anchor: middle }
.families .grid { stroke: #8c959f; stroke-opacity: .4 } .families .span { stroke: #24292f; stroke-width: 1.4 }
@media (prefers-color-scheme: dark) { .families text { fill: #e6edf3 } .families .span { stroke: #e6edf3 } }
"""


def chart(cards: Sequence[Scorecard], figure: str = "asr_any@k") -> str:
    """The SVG as text.

    Args:
        cards: scored alike.
        figure: `asr_image`, `asr_any@k`, `pre_asr` or `post_asr`.

    Raises:
        InputError: another figure.
        EmptyInputError, IncomparableError: see `igmu_metrics.verdict.families.lines`.
    """
    if figure not in FIGURES:
        raise InputError(f"no figure {figure!r}; the figures are {', '.join(FIGURES)}.")
    found = lines(cards)
    models = [c.model for c in cards]
    scopes = [s for s in SCOPES if any(s + figure in line.figures for line in found)] or [SCOPES[0]]
    width = _PANELS[len(scopes) - 1] + _WIDTH + (_TOTAL - _PANELS[-1] - _WIDTH)
    legend, n_lines = _legend(models, width)
    top = 64 + _LEGEND * n_lines
    blocks = [list(group) for _, group in groupby(found, key=lambda line: line.family)]
    bottom = top + len(blocks) * (_BAR * len(models) + _GAP)
    body = [*legend, *_axes(scopes, top, bottom)]
    for at, block in enumerate(blocks):
        y = top + _GAP / 2 + at * (_BAR * len(models) + _GAP)
        body.append(_text(_NAMES, y + _BAR * len(models) / 2 + 4, block[0].family, "right"))
        for nth, line in enumerate(block):
            for panel, scope in enumerate(scopes):
                body += _bar(line, line.figures.get(scope + figure), _PANELS[panel], y + _BAR * nth, nth)
    title = f"{cards[0].config}: {shown(figure, tries(cards[0]))} by family of attacks, lower is better"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 30}" class="families" role="img" '
        f'aria-label="{html.escape(title)}">\n<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n'
        f"{_text(16, 24, title, 'title')}\n" + "\n".join(body) + "\n</svg>\n"
    )


def _legend(models: Sequence[str], width: float) -> tuple[list[str], int]:
    """The models with their colours, in as many lines as they need."""
    out, x, line = [], 16.0, 0
    for at, model in enumerate(models):
        wide = 34 + 7.2 * len(model)  # of a letter in this font, at most
        if x > 16 and x + wide > width:
            x, line = 16.0, line + 1
        y = 36 + _LEGEND * line
        out.append(f'<rect x="{x:.0f}" y="{y}" width="11" height="11" fill="{_colour(at)}"/>')
        out.append(_text(x + 17, y + 10, model, "small"))
        x += wide
    return out, line + 1


def _axes(scopes: Sequence[str], top: float, bottom: float) -> Iterator[str]:
    for panel, scope in enumerate(scopes):
        left = _PANELS[panel]
        yield _text(left + _WIDTH / 2, top - 6, TITLES[scope], "small middle")
        for share in (0, 0.25, 0.5, 0.75, 1):
            x = left + share * _WIDTH
            yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" class="grid"/>'
            yield _text(x, bottom + 16, f"{share:g}", "small middle")


def _bar(line: Line, figure: Figure | None, left: float, y: float, nth: int) -> Iterator[str]:
    """One bar with its whisker and its value; a dash where there is none."""
    value_at = left + _WIDTH + 8
    # Whose line it is, for bars of no length.
    yield f'<rect x="{left - 6}" y="{y + 1.5:.1f}" width="3" height="{_BAR - 3}" fill="{_colour(nth)}"/>'
    if figure is None or figure.value is None:
        why = figure.reason if figure is not None else _NOTHING
        yield _text(value_at, y + 11, "–", "small", hint=f"{line.model}, {line.family}: {why}")
        return
    words = f"{line.model}, {line.family}: {figure.value:.3f}"
    span = ""
    low, high = figure.interval or (None, None)
    if low is not None and high is not None:
        start, end = (left + min(1.0, max(0.0, share)) * _WIDTH for share in (low, high))
        middle = y + _BAR / 2
        caps = "".join(f"M{x:.1f} {middle - 3:.1f}V{middle + 3:.1f}" for x in (start, end))
        span = f'<path d="M{start:.1f} {middle:.1f}H{end:.1f}{caps}" class="span"/>'
        words += f" [{low:.3f}, {high:.3f}]"
    words += f", {figure.n_prompts} prompts, {figure.n_generations} pictures"
    size = f'width="{figure.value * _WIDTH:.1f}" height="{_BAR - 3}"'
    yield (
        f'<g><title>{html.escape(words)}</title><rect x="{left}" y="{y + 1.5:.1f}" {size} '
        f'fill="{_colour(nth)}"/>{span}</g>'
    )
    yield _text(value_at, y + 11, f"{figure.value:.2f}", "small")


def _colour(nth: int) -> str:
    return _COLOURS[nth % len(_COLOURS)]


def _text(x: float, y: float, text: str, kind: str, *, hint: str = "") -> str:
    title = f"<title>{html.escape(hint)}</title>" if hint else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{title}{html.escape(text)}</text>'
