"""The command `igmu metrics`."""

from __future__ import annotations


def metrics() -> None:
    """List metrics, detectors, backbones and attacks with the packages they come from, and plugins that are broken."""
    from igmu_metrics.report import terminal as tables

    tables.show(tables.metrics(), tables.instruments(), *tables.broken())
