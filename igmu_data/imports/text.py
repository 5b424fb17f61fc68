"""Plain text, one prompt a line: prompts of one's own, without seeds."""

from __future__ import annotations

from collections.abc import Iterator

from igmu_data.imports import FormatInfo, Prompt
from igmu_data.imports.table import ListFile

INFO = FormatInfo(
    name="text",
    title="plain text",
    columns="none (one prompt a line)",
    citation="what --source says",
)


def read(file: ListFile) -> Iterator[Prompt]:
    """The lines that hold something."""
    yield from (Prompt(text=text, line=line) for line, text in file.lines())
