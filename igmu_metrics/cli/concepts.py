"""The command `igmu concepts`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Concepts


def concepts(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Concept to show in full, such as object/church or sandbox.church, or a config, such as object, "
            "whose concepts are listed."
        ),
    ] = None,
) -> Concepts:
    """List all concepts, or show one in full."""
    from collections import Counter
    from dataclasses import astuple

    from igmu_data import taxonomy
    from igmu_data.configs import GENERAL, config_concepts, config_target, configs, sandbox_configs
    from igmu_data.load import bench_rows
    from igmu_data.rows.concept import concept_rows
    from igmu_data.sandbox.world import Known, world
    from igmu_data.writing import require_sound
    from igmu_metrics.cli._other_answers import Concepts, Named
    from igmu_metrics.report import concept_tables as tables
    from igmu_metrics.report.terminal import show

    def named(item: taxonomy.Concept | Known) -> Named:
        config = f"{taxonomy.SANDBOX}.{item.slug}" if isinstance(item, Known) else item.config
        return Named(item.id, config, item.family, item.scope, item.label)

    config = (name or "").replace("/", ".", 1)
    sandbox = config.split(".")[0] == taxonomy.SANDBOX
    every: Mapping[str, taxonomy.Concept | Known] = world().known if sandbox else taxonomy.all_concepts()
    known = sandbox or config in {GENERAL, *configs(), *configs(restricted=True)}
    if not name or (known and config_target(config) is None):
        listed = [named(every[one]) for one in (config_concepts(config) if name else every)]
        note = (
            f"General prompts with yes/no questions: {GENERAL}. In the sandbox: {', '.join(sandbox_configs())}. The "
            f"config {taxonomy.ALL!r} has every domain except {taxonomy.RESTRICTED_DOMAIN}."
        )
        show(tables.concepts([astuple(one) for one in listed], "" if name else note))
        return Concepts(listed)
    item = every[config_concepts(config)[0]] if sandbox else taxonomy.concept(name)
    if isinstance(item, Known):
        rows = list(bench_rows(config).values())
        show(tables.task(config, item, rows))
    else:
        own = taxonomy.own_files().get(item.id)
        rows = list(concept_rows(item) if own is None else require_sound(own))
        show(tables.concept(item, rows))
    return Concepts([named(item)], Counter(f"{row.split}/{row.attack_family or row.probe}" for row in rows))
