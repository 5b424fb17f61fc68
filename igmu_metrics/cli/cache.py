"""The commands `igmu cache info` and `igmu cache prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from igmu_metrics.cli._common import say

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Cache

cache = typer.Typer(help="Inspect or prune the feature cache.", no_args_is_help=True)


@cache.command()
def info() -> Cache:
    """Show where the cache is, how large it may grow, and what it contains for each network."""
    import json
    import time

    from rich.table import Table

    from igmu_metrics.cli._other_answers import Cache, Held
    from igmu_metrics.networks.store import open_store
    from igmu_metrics.report import terminal as tables

    store = open_store()
    held = store.holdings()
    size = store.path.stat().st_size
    table = Table("network", "revision", "input", "entries", "MB", "last used", title=str(store.path))
    networks = []
    for one in held:
        # Entries about files alone have no network; entries of answers put that word before the network's name, and
        # entries of texts put what else is known of them after it.
        parts = json.JSONDecoder().raw_decode(one.key)[0] if one.key.startswith("[") else [one.key, "", ""]
        name, revision, how = parts[1:4] if parts[0] == "answer" else parts[:3]
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.used))
        kind = "texts" if how == "texts" else "images"
        networks.append(Held(name, revision, kind, one.n_rows, one.n_bytes, one.used))
        table.add_row(name, revision[:19], kind, str(one.n_rows), f"{one.n_bytes / 1e6:.1f}", used)
    tables.show(table)
    say(f"{size / 1e6:.1f} MB on disk; the limit is {store.max_bytes / 1e6:.0f} MB ($IGMU_CACHE_GB).")
    store.close()
    return Cache(store.path, store.max_bytes, size, networks)


@cache.command()
def prune(
    max_gb: Annotated[
        float | None,
        typer.Option(min=0, help="Maximum size of the cache in GB after pruning; default: the cache's usual limit."),
    ] = None,
    older_than_days: Annotated[
        float | None, typer.Option(min=0, help="Also delete entries that have not been used for this many days.")
    ] = None,
) -> Cache:
    """Delete the least recently used entries from the cache."""
    from igmu_metrics.cli._other_answers import Cache
    from igmu_metrics.networks.store import open_store

    store = open_store()
    allowed = store.max_bytes if max_gb is None else int(max_gb * 1e9)
    dropped, kept = store.prune(allowed, older_than=None if older_than_days is None else older_than_days * 86400)
    store.close()
    say(f"{store.path}: {dropped:,} entries deleted, {kept:,} kept.")
    return Cache(store.path, store.max_bytes, dropped=dropped, kept=kept)
