"""The command `igmu check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.media import visible
from igmu_metrics.cli._common import Cards, document
from igmu_metrics.cli._json import noted

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Met


def check(
    cards: Cards,
    at_least: Annotated[
        list[str] | None,
        typer.Option(
            "--min", metavar="FIGURE=NUMBER", help="Lowest value that a figure may have; repeat for several figures."
        ),
    ] = None,
    at_most: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="FIGURE=NUMBER", help="Highest value that a figure may have; likewise."),
    ] = None,
) -> Met:
    """Hold scorecards against bounds, for continuous integration: a line a bound, and an exit code.

    0: every bound is met by the whole 95 % interval. 1: one is not met, its interval lies on the wrong side as a whole.
    3: one is undecided, its interval holds the bound. 2: an error, such as a figure that a card does not have.

    A figure is named as on the card: forgetting, asr_any@k, or in full as attack_success_rate/asr_any@k (igmu export
    --csv lists them). A score's name means its headline, and asr that of attack_success_rate.
    """
    from igmu_metrics.cli._card_answers import Met
    from igmu_metrics.verdict import criteria
    from igmu_metrics.verdict.verify import read_all

    wanted = [criteria.parsed(text, least=True) for text in at_least or []]
    wanted += [criteria.parsed(text, least=False) for text in at_most or []]
    found = criteria.check(read_all(cards), wanted)
    several = len({one.config for one in found}) > 1
    document("".join(f"{visible(one.line(on=several))}\n" for one in found))
    outcome = criteria.overall(one.outcome for one in found)
    answer = noted(Met(outcome, found))
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)
    return answer
