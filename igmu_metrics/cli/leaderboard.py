"""The command `igmu leaderboard`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.numerals import counted
from igmu_metrics.cli._common import say

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Board
from igmu_metrics.cli._json import noted


def leaderboard(
    cards: Annotated[
        list[Path],
        typer.Argument(metavar="CARD.json...", help="Scorecards, one per model and concept, or folders of scorecards."),
    ],
    out: Annotated[Path, typer.Option(help="Self-contained HTML file to write.")] = Path("leaderboard.html"),
) -> Board:
    """Write a leaderboard page for all given scorecards, with one table for each set of comparable models."""
    from igmu_data.files import require_writable
    from igmu_metrics.cli._card_answers import Board
    from igmu_metrics.report.leaderboard import read_folder, render
    from igmu_metrics.report.templates import require_page
    from igmu_metrics.scorecard import write_text

    require_writable(out.parent)
    require_page(out)
    found = read_folder(*cards)
    if not found.cards:
        found.require_all()
    write_text(out, render(found.cards, found.refused, found.earlier, found.days))
    say(f"{out}: {counted(len(found.cards), 'scorecard')}")
    answer = noted(Board(out, len(found.cards), found.refused))
    found.require_all()
    return answer
