"""HUB, the Holistic Unlearning Benchmark: one prompt a line without a header, or a table with one language a column.

HUB generates all prompts with one seed for the whole run, so its lists have none. In the table, the column `Original`
has the English prompts, and the others rewrite them: those become attacks of the family `multilingual`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from igmu_data.imports import FormatInfo, Prompt
from igmu_data.imports.table import ListFile
from igmu_data.schema import Language

INFO = FormatInfo(
    name="hub",
    title="HUB (Holistic Unlearning Benchmark)",
    columns="none (one prompt a line), or Original with Spanish, French, German, Italian, Portuguese",
    citation="Moon et al., Holistic unlearning benchmark: a multi-faceted evaluation for text-to-image diffusion model "
    "unlearning, ICCV 2025",
)
PLAIN: Final = "Original"
FAMILY: Final = "multilingual"
LANGUAGES: Final[Mapping[str, Language]] = {
    "Spanish": "es",
    "French": "fr",
    "German": "de",
    "Italian": "it",
    "Portuguese": "pt",
}


def read(file: ListFile) -> Iterator[Prompt]:
    """The prompts of a list of one of HUB's two shapes."""
    if not file.where and not _has_languages(file):
        yield from (Prompt(text=text, line=line) for line, text in file.lines())
        return
    table = file.table()
    plain = table.column(PLAIN)
    languages = {c: LANGUAGES[c] for c in table.columns if c in LANGUAGES}
    for record in table.records:
        text = record.cells[plain]
        yield Prompt(text=text, line=record.line)
        for column, language in languages.items():
            yield Prompt(
                text=record.cells[column], line=record.line, language=language, family=FAMILY, plain=text.strip()
            )


def _has_languages(file: ListFile) -> bool:
    """Whether the first line is the header of the table, and no prompt."""
    first = next((text for _, text in file.lines()), "")
    cells = {c.strip().strip('"') for c in first.split(",")}
    return PLAIN in cells and bool(cells & LANGUAGES.keys())
