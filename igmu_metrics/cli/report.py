"""The commands that write pages: `igmu report` and `igmu leaderboard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    cards: Annotated[list[Path], typer.Argument(help="Scorecards of models scored alike, of one concept or several.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder that holds the models' folders of pictures, each named like its model.")
    ] = None,
    drawn: Annotated[
        list[str] | None, typer.Option(help="NAME=DIR: pictures of a model that are elsewhere; repeat for several.")
    ] = None,
    original_images: Annotated[
        Path | None, typer.Option(help="Pictures of the original model, if they are elsewhere.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The page to write: one file, which needs no network.")] = Path(
        "report.html"
    ),
    lines: Annotated[
        int, typer.Option(min=1, help="Most prompts and seeds of a concept to show pictures of, worst failures first.")
    ] = 500,
    layout: Annotated[
        str | None, typer.Option(help="metadata, igmu or flat; default what the models were scored with.")
    ] = None,
    bench: Annotated[str | None, typer.Option(help="Corpus: Hub repository or folder, as for igmu score.")] = None,
) -> None:
    """Write a page: does it forget, is it robust, what did it break, is the difference real, what would settle it."""
    from igmu_data.errors import InputError
    from igmu_data.files import require_writable
    from igmu_metrics.networks.progress import bars
    from igmu_metrics.report import page
    from igmu_metrics.report.folders import sections
    from igmu_metrics.scorecard import read_all, write_text

    elsewhere = {}
    for given in drawn or []:
        name, equals, folder = given.partition("=")
        if not (name and equals and folder):
            raise InputError(f"--drawn {given!r} is not NAME=DIR. Write, for instance, --drawn esd=drawn/esd.")
        elsewhere[name] = Path(folder)
    require_writable(out.parent)
    found = sections(
        read_all(cards),
        images=images,
        drawn=elsewhere,
        original_images=original_images,
        layout=layout,
        bench=bench,
    )
    with bars() as advance:
        text = page.render(*found, most_lines=lines, advance=advance)
    write_text(out, text)
    typer.echo(f"{out}: {len(text.encode()) / 1e6:.1f} MB")


def leaderboard(
    folder: Annotated[Path, typer.Argument(help="Folder of scorecards, one a model and concept.")],
    out: Annotated[Path, typer.Option(help="The page to write: one file, which needs no network.")] = Path(
        "leaderboard.html"
    ),
) -> None:
    """Write a leaderboard of every scorecard in a folder, a table for each set of models that were scored alike."""
    from igmu_data.files import require_writable
    from igmu_metrics.report.leaderboard import read_folder, render
    from igmu_metrics.scorecard import write_text

    require_writable(out.parent)
    cards = read_folder(folder)
    write_text(out, render(cards))
    typer.echo(f"{out}: {len(cards)} scorecards")
