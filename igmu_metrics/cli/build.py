"""The command `igmu build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.numerals import counted
from igmu_metrics.cli._common import document, say

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Written


def build(
    out: Annotated[
        Path,
        typer.Option(help="Folder for the corpus, which --bench, load_dataset and igmu validate can read."),
    ],
) -> Written:
    """Build a corpus folder from your concepts (--concepts): prompts, dataset card, manifest and concept files."""
    from igmu_data import build as building
    from igmu_data.media import shell
    from igmu_data.taxonomy import own_files
    from igmu_metrics.cli._other_answers import Written

    files = building.build(out)
    after = shell(["igmu", "validate", out])
    say(f"{out}: {counted(len(own_files()), 'concept')}, {len(files)} Parquet files.")
    document(f"next: {after}\n")
    return Written(list(files), after)
