"""The command `igmu concepts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Concepts


def concepts(
    name: Annotated[
        str | None,
        typer.Argument(help="Concept to show in full, such as object/church, or domain whose concepts are listed."),
    ] = None,
) -> Concepts:
    """List all concepts, or show one in full."""
    from collections import Counter

    from igmu_data import taxonomy
    from igmu_data.rows.concept import concept_rows
    from igmu_data.writing import require_sound
    from igmu_metrics.cli._other_answers import Concepts, Named
    from igmu_metrics.report import terminal as tables

    def named(item: taxonomy.Concept) -> Named:
        return Named(item.id, item.config, item.family, item.scope, item.label)

    if name is None or name in taxonomy.domains():
        tables.show(tables.concepts(name))
        return Concepts([named(c) for c in taxonomy.all_concepts().values() if name in (None, c.domain)])
    item = taxonomy.concept(name)
    own = taxonomy.own_files().get(item.id)
    rows = concept_rows(item) if own is None else require_sound(own)
    tables.show(tables.concept(item, rows))
    return Concepts([named(item)], Counter(f"{row.split}/{row.attack_family or row.probe}" for row in rows))
