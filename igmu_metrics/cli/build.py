"""The command `igmu build`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from igmu_metrics.cli._common import say


def build(
    out: Annotated[Path, typer.Option(help="Folder to write, for --bench, load_dataset and igmu validate.")],
) -> None:
    """Write the concepts of --concepts as a corpus folder: prompts, card, manifest, and the concepts' files."""
    from igmu_data import build as building
    from igmu_data.media import shell
    from igmu_data.taxonomy import own_files

    files = building.build(out)
    say(f"{out}: {len(own_files())} concepts, {len(files)} Parquet files.", f"next: {shell(['igmu', 'validate', out])}")
