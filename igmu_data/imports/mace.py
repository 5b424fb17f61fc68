"""MACE's lists: the same prompt several times, once for each seed, of concepts to erase and to keep (`type`)."""

from __future__ import annotations

from collections.abc import Iterator

from igmu_data.imports import FormatInfo, Prompt
from igmu_data.imports.table import ListFile

INFO = FormatInfo(
    name="mace",
    title="MACE",
    columns="prompt, evaluation_seed, type; concept",
    citation="Lu et al., MACE: mass concept erasure in diffusion models, CVPR 2024",
    several="concept",
)


def read(file: ListFile) -> Iterator[Prompt]:
    """The prompts of a list of MACE's shape."""
    table = file.table()
    prompt, seed = table.column("prompt"), table.column("evaluation_seed")
    table.column("type")  # told apart by --where; a list without it is another one
    for record in table.records:
        yield Prompt(text=record.cells[prompt], line=record.line, seed=record.seed(seed))
