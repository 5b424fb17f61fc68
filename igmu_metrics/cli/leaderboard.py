"""The command `igmu leaderboard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from igmu_metrics.cli._common import say


def leaderboard(
    folder: Annotated[Path, typer.Argument(help="Folder of scorecards, one per model and concept.")],
    out: Annotated[Path, typer.Option(help="HTML file to write; self-contained.")] = Path("leaderboard.html"),
) -> None:
    """Write a leaderboard page of all scorecards in a folder, with one table per set of models scored alike."""
    from igmu_data.files import require_writable
    from igmu_metrics.report.leaderboard import read_folder, render
    from igmu_metrics.scorecard import write_text

    require_writable(out.parent)
    found = read_folder(folder)
    if not found.cards:
        found.require_all()
    write_text(out, render(found.cards, found.refused))
    say(f"{out}: {len(found.cards)} scorecards")
    found.require_all()
