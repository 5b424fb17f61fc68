"""The command `igmu families`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_metrics.cli._common import Cards, Verbose, say
from igmu_metrics.cli._effects import With

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Families


def families(
    cards: Cards,
    chart: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg", help="SVG file in which to save a chart, in addition to printing the table."),
    ] = None,
    figure: Annotated[
        str,
        typer.Option(
            help="Metric that the chart shows: asr_image, asr_any@k, pre_asr or post_asr. You may state the k, as in "
            "asr_any@5; it must be that of the scorecards."
        ),
        With(["chart"]),
    ] = "asr_any@k",
    verbose: Verbose = False,
) -> Families:
    """Show attack success rates by attack family, with confidence intervals and optionally a chart."""
    import re

    from igmu_data.files import begins, require_own
    from igmu_metrics.cli._card_answers import Families
    from igmu_metrics.coverage import card_notes, looked
    from igmu_metrics.report.families import chart as draw
    from igmu_metrics.report.families import tables
    from igmu_metrics.report.terminal import show
    from igmu_metrics.scorecard import write_text
    from igmu_metrics.verdict.families import chosen, lines
    from igmu_metrics.verdict.verify import read_all

    read = read_all(cards)
    found = lines(read)
    figure = chosen(figure, read[0])
    drawn = None if chart is None else draw(read, figure)
    show(*tables(read, every=verbose))
    if chart is not None and drawn is not None:
        require_own(chart, begins(re.compile('<svg [^>]*class="families"')))
        write_text(chart, drawn)
        say(chart)
    return Families(found, chart, looked(read), card_notes(read))
