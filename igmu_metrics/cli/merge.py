"""The command `igmu merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.numerals import counted
from igmu_metrics.cli._common import Device, Verbose, say, tell_cards, write_cards

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Scored
    from igmu_metrics.scorecard import Scorecard


def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...", help="One folder with the tables of all shards, or folders with parts of the images."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the scorecards, one per model (default: only print the results); when merging images, "
            "the folder for all images."
        ),
    ] = None,
    device: Device = None,
    verbose: Verbose = False,
) -> Scored:
    """Merge the tables of all shards into scorecards (without the images), or merge parts of the images into one
    folder."""
    from contextlib import ExitStack

    from igmu_data.errors import InputError
    from igmu_data.files import owned, require_writable
    from igmu_metrics.cli._card_answers import Scored
    from igmu_metrics.images.layouts import METADATA, part_folders
    from igmu_metrics.images.parts import join
    from igmu_metrics.scale import shards
    from igmu_metrics.verdict.places import card_name

    if out is not None:
        require_writable(out)
    if any((one / METADATA).is_file() or part_folders(one) for one in folders):
        if out is None and len(folders) > 1:
            raise InputError(
                f"{len(folders)} folders that contain parts of the images are given without --out. Set --out to a "
                "folder for all images."
            )
        for option, given in (("--verbose", verbose), (f"--device {device}", device is not None)):
            if given:
                raise InputError(f"{option} has no effect when parts of the images are merged. Leave out the option.")
        whole = out or folders[0]
        say(f"{whole}: {counted(join(whole, folders), 'image')}.")
        return Scored(images=whole)
    if len(folders) > 1:
        raise InputError(
            f"{len(folders)} folders are given, such as {folders[1]}, but the tables of all shards must be in one "
            "folder. Specify only that folder."
        )
    with ExitStack() as held:

        def place(card: Scorecard) -> Path | None:
            if out is None:
                return None
            path = out / card_name(card.model, card.config)
            held.enter_context(owned(files=[path]))
            return path

        cards = write_cards(shards.merge(folders[0], device=device), place)
    files = [None if out is None else out / card_name(card.model, card.config) for card in cards]
    return tell_cards(cards, files, verbose=verbose)
