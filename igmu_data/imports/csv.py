"""Any CSV with a header; `--columns prompt=…,seed=…` maps columns whose names differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from igmu_data.errors import MetadataError
from igmu_data.imports import FormatInfo, Prompt
from igmu_data.imports.table import ListFile, Record
from igmu_data.schema import LANGUAGES, Language

OPTIONAL: Final = ("seed", "guidance_scale", "width", "height", "language")
INFO = FormatInfo(
    name="csv",
    title="any CSV",
    columns="prompt; seed, guidance_scale, width, height, language; others with --columns",
    citation="as given by --source",
    named=("prompt", *OPTIONAL),
)


def read(file: ListFile) -> Iterator[Prompt]:
    """The prompts of a table; a column that was named has to be there."""
    table = file.table()
    prompt = table.column(file.columns.get("prompt", "prompt"))
    found = {
        name: table.column(file.columns[name]) if name in file.columns else table.optional(name) for name in OPTIONAL
    }
    for record in table.records:
        yield Prompt(
            text=record.cells[prompt],
            line=record.line,
            seed=None if found["seed"] is None else record.seed(found["seed"]),
            guidance_scale=record.positive(found["guidance_scale"]),
            width=record.pixels(found["width"]),
            height=record.pixels(found["height"]),
            language="en" if found["language"] is None else _language(record, found["language"]),
        )


def _language(record: Record, column: str) -> Language:
    text = record.cells[column].strip()
    if text not in LANGUAGES:
        raise MetadataError(
            f"{record.where}: column {column!r} contains {text[:20]!r}; expected one of {', '.join(LANGUAGES)}. "
            "Correct the value."
        )
    return cast(Language, text)
