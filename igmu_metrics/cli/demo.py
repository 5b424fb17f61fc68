"""The command `igmu demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_metrics.cli._common import Verbose, tell_cards
from igmu_metrics.cli._generating import seeds_per_row as seeds_option

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Scored


def demo(
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for images, scorecards and report.html; an interrupted run resumes from this folder."
        ),
    ] = Path("igmu-demo"),
    full: Annotated[
        bool, typer.Option("--full", help="Run all prompts and seeds of both tasks, which takes much longer.")
    ] = False,
    task: Annotated[
        str | None,
        typer.Option(help="Task to run: church, van-gogh or both; default: church, or both tasks with --full."),
    ] = None,
    seeds_per_row: Annotated[int | None, seeds_option("2, or one for each of the five seeds with --full")] = None,
    verbose: Verbose = False,
) -> Scored:
    "Generate images with the packaged models, score them and write a report, offline and in about two minutes."
    from igmu_data.errors import UnknownTaskError
    from igmu_metrics.report import terminal as tables
    from igmu_metrics.sandbox import demo
    from igmu_metrics.verdict.compare import compared

    both = "both"
    task = task or (both if full else demo.slugs()[0])
    if task not in (both, *demo.slugs()):
        raise UnknownTaskError(task, [both, *demo.slugs()], f"Use --task {demo.slugs()[0]}.")
    found = demo.run(out, demo.slugs() if task == both else [task], full=full, seeds_per_row=seeds_per_row)
    if verbose:
        for _original, *others in found.values():
            tables.show(tables.ranking(others, compared(others)))
    cards = [card for own in found.values() for card in own]
    files = [demo.card_file(out, slug, card.model) for slug, own in found.items() for card in own]
    return tell_cards(cards, files, report=out / demo.REPORT, more=demo.OWN_MODEL, verbose=verbose)
