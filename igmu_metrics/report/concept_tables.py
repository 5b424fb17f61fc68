"""Tables of concepts for the terminal: the taxonomy, or one concept in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from igmu_data.rows.far import far
from igmu_metrics.report.terminal import titled

if TYPE_CHECKING:
    from rich.table import Table

    from igmu_data import taxonomy
    from igmu_data.sandbox.world import Known
    from igmu_data.schema import Row


def concepts(listed: Sequence[Sequence[str]], note: str = "") -> Table:
    """Concepts, one per line: id, config, family, scope and label; and a note below."""
    table = titled("Concepts", "concept", "config", "family", "scope", "label")
    for row in listed:
        table.add_row(*row)
    table.caption = note or None
    return table


def concept(item: taxonomy.Concept, rows: Sequence[Row]) -> Table:
    """One concept in full, with the number of its rows of each kind.

    Args:
        item: the concept.
        rows: the rows of its benchmark.
    """
    return _described(
        item.id,
        ("config", item.config),
        ("family", item.family),
        ("scope", item.scope),
        ("label", f"{item.phrase()} ({item.pos})"),
        ("other forms", ", ".join(n for n in item.labels if n != item.label)),
        ("dates", item.dates),
        ("synonyms", ", ".join(s.name for s in item.synonyms)),
        ("superclasses", "\n".join(item.superclasses)),
        ("companions", "\n".join(item.companions)),
        ("left out", "\n".join(f"{k}: {v}" for k, v in item.without.items())),
        ("names in other languages", ", ".join(f"{code} {name}" for code, name in item.foreign_names.items())),
        ("near", ", ".join(f"{s.name} ({s.id})" for s in item.siblings)),
        ("far", ", ".join(far(item))),
        *_counted(rows),
        ("source", item.source),
        ("license", item.license),
    )


def task(config: str, item: Known, rows: Sequence[Row]) -> Table:
    """One concept as the sandbox knows it, with the number of its rows of each kind."""
    kept = {probe: sorted({row.own_name or "" for row in rows if row.probe == probe}) for probe in ("near", "far")}
    return _described(
        config,
        ("concept", item.id),
        ("family", item.family),
        ("scope", item.scope),
        ("label", item.phrase()),
        ("synonyms", ", ".join(item.synonyms)),
        ("names in other languages", ", ".join(f"{code} {name}" for code, name in item.foreign_names.items())),
        *((probe, ", ".join(filter(None, names))) for probe, names in kept.items()),
        *_counted(rows),
    )


def _counted(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    counts: dict[str, Counter[str]] = {
        "rows by split and probe": Counter(f"{row.split}/{row.probe}" for row in rows if not row.attack_family),
        "attacks by family": Counter(row.attack_family for row in rows if row.attack_family),
        "rows by register": Counter(row.register for row in rows),
    }
    for key, found in counts.items():
        yield key, ", ".join(f"{kind} {n}" for kind, n in found.items())


def _described(title: str, *facts: tuple[str, str]) -> Table:
    table = titled(title, "key", "value")
    for key, value in facts:
        if value:
            table.add_row(key, value)
    return table
