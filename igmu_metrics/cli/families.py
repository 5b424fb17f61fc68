"""The command `igmu families`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_metrics.cli._common import Cards, Verbose, say

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Families


def families(
    cards: Cards,
    chart: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="SVG file to write a chart to, in addition to the table.")
    ] = None,
    figure: Annotated[
        str, typer.Option(help="Metric that the chart shows: asr_image, asr_any@k, pre_asr or post_asr.")
    ] = "asr_any@k",
    verbose: Verbose = False,
) -> Families:
    """Show attack success rates by attack family, with confidence intervals and optionally a chart."""
    import re

    from igmu_data.files import begins, require_own
    from igmu_metrics.cli._card_answers import Families
    from igmu_metrics.report.families import chart as draw
    from igmu_metrics.report.families import tables
    from igmu_metrics.report.terminal import show
    from igmu_metrics.scorecard import write_text
    from igmu_metrics.statistics.validation import one_of
    from igmu_metrics.verdict.families import FIGURES, lines
    from igmu_metrics.verdict.verify import read_all

    one_of("figure", [figure], FIGURES)
    read = read_all(cards)
    drawn = None if chart is None else draw(read, figure)
    show(*tables(read, every=verbose))
    if chart is not None and drawn is not None:
        require_own(chart, begins(re.compile('<svg [^>]*class="families"')))
        write_text(chart, drawn)
        say(chart)
    return Families(lines(read), chart)
