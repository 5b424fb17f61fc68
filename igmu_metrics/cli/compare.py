"""The command `igmu compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from igmu_metrics.cli._common import OptionalCards, say


def compare(
    cards: OptionalCards = None,
    published: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Compare published proportions instead of scorecards: columns model, n, and successes, value or "
            "percent; an optional column measure groups them.",
        ),
    ] = None,
) -> None:
    """Test which differences are real: every model against the original, and against each other."""
    from igmu_data.errors import EmptyInputError, InputError
    from igmu_metrics.report import terminal as tables

    if published is not None:
        if cards:
            raise InputError("give scorecards or --published, not both: published numbers have no pairs.")
        _published(published)
        return
    if not cards:
        raise EmptyInputError("no scorecards to compare; give some, or --published FILE.csv.")
    from igmu_metrics.verdict.compare import compared, in_common, require_comparable
    from igmu_metrics.verdict.pareto import front
    from igmu_metrics.verdict.verify import read_all

    read = read_all(cards)
    require_comparable(read, ranked=False)
    found = compared(read)
    tables.show(tables.ranking(read, found), tables.comparisons(found))
    if unlike := in_common(read):
        say(unlike)
    points = [] if unlike else front(read)
    if len(points) > 1:
        tables.show(tables.pareto(points))
    for c in found:
        if c.original:
            say(c.sentence())


def _published(path: Path) -> None:
    from igmu_metrics.report import terminal as tables
    from igmu_metrics.verdict.published import compare_published, read_published

    found = read_published(path)
    tables.show(tables.published(found))
    for c in compare_published(found):
        say(c.sentence())
