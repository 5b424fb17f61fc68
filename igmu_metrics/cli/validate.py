"""The command `igmu validate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_metrics.cli._common import say
from igmu_metrics.cli._json import noted

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Verified


def validate(
    folder: Annotated[Path, typer.Argument(help="Corpus folder that igmu build or python -m builders.bench wrote.")],
) -> Verified:
    """Check a corpus folder: schema, manifest, counts, near-duplicates, naming and content policy."""
    from igmu_data.errors import CorpusError
    from igmu_data.folder import check_folder, parquet_files
    from igmu_metrics.cli._card_answers import Problems, Verified

    found = check_folder(folder)
    answer = noted(Verified([Problems(folder, [str(problem) for problem in found])]))
    for problem in found[:50]:
        say(str(problem))
    if found:
        raise CorpusError(f"{folder}: {len(found)} problem{'s were' if len(found) > 1 else ' was'} found.")
    say(f"{folder}: {len(parquet_files(folder))} Parquet files, no problems.")
    return answer
