"""A table whose cells are shaded by how bad they are: read by eye as a picture, by a screen reader as a table."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

# From these shades on, text in the page's own colour is harder to read than in the one that stands on the accent: on
# dark pages, whose accent is light, and on light ones.
_MIDDLE, _DEEP = 0.6, 0.8


@dataclass(frozen=True, slots=True)
class Shaded:
    """One cell.

    Args:
        shown: its text.
        shade: 0 (none) to 1 (full); None for a cell that holds nothing to judge.
        below: smaller text, such as counts or an interval.
    """

    shown: str
    shade: float | None
    below: str = ""


def matrix(
    caption: str, corner: str, columns: Sequence[str], lines: Sequence[tuple[str, str, Sequence[Shaded]]]
) -> str:
    """The table.

    Args:
        caption: what it shows, for screen readers.
        corner: what the names of the lines are.
        columns: their names.
        lines: (name, smaller text beside it, cells).
    """
    head = "".join(f"<th scope=col>{html.escape(c)}</th>" for c in columns)
    body = "".join(
        f"<tr><th scope=row>{html.escape(name)}{f' <small>{html.escape(more)}</small>' if more else ''}</th>"
        f"{''.join(map(_cell, cells))}</tr>"
        for name, more, cells in lines
    )
    return (
        f'<table class="matrix"><caption class="unseen">{html.escape(caption)}</caption>'
        f"<thead><tr><th scope=col>{html.escape(corner)}</th>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _cell(cell: Shaded) -> str:
    below = f"<small>{html.escape(cell.below)}</small>" if cell.below else ""
    if cell.shade is None:
        return f"<td>{html.escape(cell.shown)}{below}</td>"
    shade = min(1.0, max(0.0, cell.shade))
    deep = " deep" if shade > _DEEP else " middle" if shade > _MIDDLE else ""
    return f'<td class="shaded{deep}" style="--v:{shade:.2f}">{html.escape(cell.shown)}{below}</td>'
