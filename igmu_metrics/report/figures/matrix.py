"""A table whose cells are shaded by how bad they are, so that it can be read at a glance and by a screen reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# From these shades on, text is easier to read in the color for accented backgrounds than in the page's own color: on
# dark pages, which have a light accent, and on light pages.
_MIDDLE, _DEEP = 0.6, 0.8


@dataclass(frozen=True, slots=True)
class Shaded:
    """One cell.

    Args:
        shown: the text of the cell.
        shade: from 0 (none) to 1 (full); None for a cell that is neither good nor bad.
        below: smaller text, such as counts or an interval.
    """

    shown: str
    shade: float | None
    below: str = ""

    @property
    def depth(self) -> str:
        """The class of a dark cell."""
        shade = self.shade or 0.0
        return " deep" if shade > _DEEP else " middle" if shade > _MIDDLE else ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """The table.

    Args:
        caption: description of the table, for screen readers.
        corner: heading of the column with the names of lines.
        columns: headings of the other columns.
        lines: (name, smaller text next to it, cells).
    """

    caption: str
    corner: str
    columns: Sequence[str]
    lines: Sequence[tuple[str, str, Sequence[Shaded]]]
