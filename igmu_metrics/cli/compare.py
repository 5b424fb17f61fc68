"""The command `igmu compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_metrics.cli._common import OptionalCards, Verbose, say
from igmu_metrics.cli._effects import Without

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Compared


def compare(
    cards: OptionalCards = None,
    published: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="CSV file of published proportions to compare instead of scorecards, with the columns model, n, and "
            "one of successes, value or percent; an optional measure column groups the proportions.",
        ),
    ] = None,
    verbose: Annotated[Verbose, Without(["published"])] = False,
) -> Compared:
    """Test which differences are statistically significant: each model against the original and against the others."""
    from igmu_data.errors import EmptyInputError, InputError
    from igmu_metrics.report import terminal as tables

    if published is not None:
        if cards:
            raise InputError(
                "scorecards and --published are both given, but published numbers cannot be paired with scorecards. "
                "Use only one of them. To compare your models with published numbers, add a line for each of them to "
                "the CSV file, with value and n_generations from igmu export --csv."
            )
        return _published(published)
    if not cards:
        raise EmptyInputError("no scorecards were given. Specify at least two, or use --published FILE.csv.")
    from igmu_metrics.cli._card_answers import Compared, Place
    from igmu_metrics.coverage import card_notes, looked
    from igmu_metrics.images.ways import caution
    from igmu_metrics.verdict.alike import not_compared, same, same_in_all
    from igmu_metrics.verdict.compare import compared, in_common, require_comparable
    from igmu_metrics.verdict.pareto import front
    from igmu_metrics.verdict.verify import read_all

    read = read_all(cards)
    require_comparable(read, ranked=False)
    found = compared(read)
    differences = [tables.comparisons(found, read)] if verbose else tables.differences(found, read)
    tables.show(tables.ranking(read, found, tested=verbose), *differences)
    unlike, left_out = in_common(read), not_compared(read)
    shared = same(read)
    say(*filter(None, (same_in_all(shared) if len(read) > 1 else "", unlike, left_out)))
    points = [] if unlike else front(read)
    if verbose:
        if len(points) > 1:
            tables.show(tables.pareto(points))
        say(*(c.sentence() for c in found))
    places = [Place(p.model, p.beaten_by, p.clearly_by) for p in points]
    return Compared(found, places, unlike, shared, left_out, caution(read), looked(read), notes=card_notes(read))


def _published(path: Path) -> Compared:
    from igmu_metrics.cli._card_answers import Compared, PublishedDifference, PublishedShare
    from igmu_metrics.report import terminal as tables
    from igmu_metrics.verdict.published import ASSUMED, TEST, compare_published, read_published

    found = read_published(path)
    tables.show(tables.published(found))
    pairs = compare_published(found)
    say(*(c.sentence() for c in pairs), ASSUMED, *(f"note: {note}." for note in found.notes))
    return Compared(
        published=[PublishedShare(p.model, p.measure, p.successes, p.n, p.value, p.interval) for p in found],
        differences=[
            PublishedDifference(
                c.first.model, c.second.model, c.first.measure, c.difference, c.interval, TEST, c.p, c.p_holm
            )
            for c in pairs
        ],
        assumed=ASSUMED,
        notes=found.notes,
    )
