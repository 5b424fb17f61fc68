"""The command `igmu merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_metrics.cli._common import Device, Verbose, tell_cards, write_cards

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Scored
    from igmu_metrics.scorecard import Scorecard


def merge(
    folder: Annotated[Path, typer.Argument(help="Folder with the tables of all shards.")],
    out: Annotated[Path | None, typer.Option(help="Folder for one scorecard per model; default: only print.")] = None,
    device: Device = None,
    verbose: Verbose = False,
) -> Scored:
    """Merge the tables of all shards into scorecards (images not needed)."""
    from contextlib import ExitStack

    from igmu_data.files import owned, require_writable
    from igmu_metrics.scale import shards
    from igmu_metrics.verdict.places import card_name

    if out is not None:
        require_writable(out)
    with ExitStack() as held:

        def place(card: Scorecard) -> Path | None:
            if out is None:
                return None
            path = out / card_name(card.model, card.config)
            held.enter_context(owned(files=[path]))
            return path

        cards = write_cards(shards.merge(folder, device=device), place)
    files = [None if out is None else out / card_name(card.model, card.config) for card in cards]
    return tell_cards(cards, files, verbose=verbose)
