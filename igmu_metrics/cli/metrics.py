"""The command `igmu metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Installed


def metrics() -> Installed:
    """List metrics, detectors, backbones and attacks with the packages they come from, and any broken plugins."""
    from igmu_metrics import registry
    from igmu_metrics.cli._json import noted
    from igmu_metrics.cli._other_answers import Installed, Plugin
    from igmu_metrics.report import terminal as tables

    tables.show(tables.metrics(), tables.instruments(), *tables.broken())
    usable = [
        Plugin(group.removesuffix("s"), name, registry.origin(group, name) or "igmu", tables.what(module))
        for group in registry.GROUPS
        for name, module in registry.modules(group).items()
    ]
    broken = [Plugin(kind, error.name, error.package, error.why) for kind, error in registry.unusable()]
    answer = noted(Installed(usable, broken))
    if failed := registry.failed():
        raise failed[0]
    return answer
