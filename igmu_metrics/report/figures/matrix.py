"""A table whose cells are shaded by how bad they are: read by eye as an image, by a screen reader as a table."""

from __future__ import annotations

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

    @property
    def depth(self) -> str:
        """The class of a dark cell."""
        shade = self.shade or 0.0
        return " deep" if shade > _DEEP else " middle" if shade > _MIDDLE else ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """The table.

    Args:
        caption: what it shows, for screen readers.
        corner: what the names of the lines are.
        columns: their names.
        lines: (name, smaller text beside it, cells).
    """

    caption: str
    corner: str
    columns: Sequence[str]
    lines: Sequence[tuple[str, str, Sequence[Shaded]]]
