"""The pictures: one line a prompt and seed, the original's picture and each model's, with what the detector saw.

Conventions: a mark says what was seen and a sign what it is worth: ✕ a failure, ✓ as it should be, ? unclear. Failures
are told by sign, words and frame, never by colour alone. Pictures are filled in by `pictures.js` when they come into
sight.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

from igmu_metrics.report.pictures import Gallery
from igmu_metrics.report.view import RETAIN, Cell, Line, View, named

MOST_LINES: Final = 500
_FAILS: Final = 0.0


def chosen(view: View, most: int = MOST_LINES) -> Sequence[Line]:
    """The lines that have a picture, at most so many, worst failures first."""
    return [line for line in view.lines if any(c and c.path for c in (line.original, *line.cells))][:most]


def grid(view: View, lines: Sequence[Line], gallery: Gallery) -> str:
    """The list of lines."""
    return f'<ol class="lines" role="list">{"".join(_line(view, line, gallery) for line in lines)}</ol>'


def options(view: View, lines: Sequence[Line]) -> dict[str, str]:
    """The choices of the filters, as HTML options by name of the filter."""
    splits = [s for s in ("forget", "adversarial", RETAIN) if any(line.entry.split == s for line in lines)]
    kinds = sorted({(line.entry.split, line.kind) for line in lines if line.kind})
    models = [c.model for c in view.cards]
    return {
        "splits": "".join(_option(s, s) for s in splits),
        "no_kinds": "" if kinds else " hidden",
        "kinds": "".join(_option(f"{split}/{kind}", f"{split}: {kind.replace('-', ' ')}") for split, kind in kinds),
        "models": "".join(_option(str(at), m) for at, m in enumerate(models)),
    }


def _option(value: str, shown: str) -> str:
    return f'<option value="{html.escape(value)}">{html.escape(shown)}</option>'


def _line(view: View, line: Line, gallery: Gallery) -> str:
    failures = [line.failure(at) for at in range(len(view.cards))]
    verdicts = {
        "fail": any(f > _FAILS for f in failures),
        "all-fail": all(f > _FAILS for f in failures),
        "pass": not any(f > _FAILS for f in failures),
        "unclear": any(
            c is not None and c.present is None and line.entry.concept for c in (line.original, *line.cells)
        ),
        "original-without": line.original.present is False,
    }
    entry = line.entry
    kind = f"{entry.split}/{line.kind}" if line.kind else entry.split
    cells = _figure(view.first.original_model, line, line.original, -1.0, gallery, original=True)
    for card, cell, failure in zip(view.cards, line.cells, failures, strict=True):
        cells += _figure(card.model, line, cell, failure, gallery)
    tag = f"{entry.split}: {line.kind.replace('-', ' ')}" if line.kind else entry.split
    return (
        f'<li data-split="{html.escape(entry.split)}" data-kind="{html.escape(kind)}" '
        f'data-verdict="{" ".join(v for v, holds in verdicts.items() if holds)}" '
        f'data-failures="{",".join(f"{f:.3g}" for f in failures)}">'
        f'<p class="prompt"><span class="tag">{html.escape(tag)}</span> {html.escape(line.text)} '
        f"<small>seed {entry.seed}</small></p>"
        f'<div class="strip">{cells}</div></li>'
    )


def _figure(
    model: str, line: Line, cell: Cell | None, failure: float, gallery: Gallery, *, original: bool = False
) -> str:
    name = html.escape(model)
    if cell is None:
        return (
            f'<figure class="empty"><div class="blank">not drawn</div><figcaption><b>{name}</b></figcaption></figure>'
        )
    kind, sign, said = _mark(line, cell, failure, original=original)
    seen = f'<span class="seen {kind}"><span aria-hidden="true">{sign}</span> {html.escape(said)}</span>'
    sure = f" <small>{cell.probability:.2f}</small>" if cell.probability is not None else ""
    if cell.path is None:
        picture = '<div class="blank">no picture</div>'
    else:
        alt = html.escape(f"{model}: {said}")
        picture = f'<img data-picture="{gallery.number(cell.path)}" alt="{alt}" width="160" height="160">'
    return (
        f'<figure class="{kind}{" original" if original else ""}">{picture}'
        f"<figcaption><b>{name}</b>{seen}{sure}</figcaption></figure>"
    )


def _mark(line: Line, cell: Cell, failure: float, *, original: bool) -> tuple[str, str, str]:
    """Class, sign and words for what the detector saw."""
    if line.entry.concept is None:
        return "plain", "", "not judged"
    concept = named(line.entry.concept)
    if cell.present is None:
        return "unclear", "?", f"{concept} unclear"
    said = f"{concept} visible" if cell.present else f"no {concept}"
    if original:
        return "plain", "●" if cell.present else "○", said
    if failure > _FAILS:
        return "fails", "✕", said
    if line.entry.split == RETAIN and not cell.present:
        return "plain", "○", said  # the original does not show it either
    return "passes", "✓", said
