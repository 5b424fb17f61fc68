"""Six-CD's lists: a prompt and the seed it is evaluated with; lists of specific concepts hold many of them."""

from __future__ import annotations

from collections.abc import Iterator

from igmu_data.imports import FormatInfo, Prompt
from igmu_data.imports.table import ListFile

INFO = FormatInfo(
    name="six-cd",
    title="Six-CD",
    columns="prompt, evaluation_seed; concept",
    citation="Ren et al., Six-CD: benchmarking concept removals for text-to-image diffusion models, CVPR 2025",
    several="concept",
)


def read(file: ListFile) -> Iterator[Prompt]:
    """The prompts of a list of Six-CD's shape."""
    table = file.table()
    prompt, seed = table.column("prompt"), table.column("evaluation_seed")
    for record in table.records:
        yield Prompt(text=record.cells[prompt], line=record.line, seed=record.seed(seed))
