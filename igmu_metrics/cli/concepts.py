"""The command `igmu concepts`."""

from __future__ import annotations

from typing import Annotated

import typer


def concepts(
    name: Annotated[
        str | None, typer.Argument(help="A concept to show in full (object/church), or a domain to list.")
    ] = None,
) -> None:
    """List the taxonomy, or show one concept."""
    from igmu_data import taxonomy
    from igmu_data.rows.concept import concept_rows
    from igmu_data.writing import require_sound
    from igmu_metrics.report import terminal as tables

    if name is None or name in taxonomy.domains():
        tables.show(tables.concepts(name))
    else:
        item = taxonomy.concept(name)
        own = taxonomy.own_files().get(item.id)
        tables.show(tables.concept(item, concept_rows(item) if own is None else require_sound(own)))
