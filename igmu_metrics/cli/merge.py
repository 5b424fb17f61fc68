"""The command `igmu merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from igmu_metrics.cli._common import Device, write_cards


def merge(
    folder: Annotated[Path, typer.Argument(help="Folder with the tables of all shards.")],
    out: Annotated[Path | None, typer.Option(help="Folder for one scorecard per model; default: only print.")] = None,
    device: Device = None,
) -> None:
    """Merge the tables of all shards into scorecards (images not needed)."""
    from igmu_data.files import require_writable
    from igmu_metrics.evaluation import card_name
    from igmu_metrics.report import terminal as tables
    from igmu_metrics.scale import shards

    if out is not None:
        require_writable(out)
    cards = write_cards(
        shards.merge(folder, device=device),
        lambda card: None if out is None else out / card_name(card.model, card.config),
    )
    tables.show(*tables.scores(cards))
