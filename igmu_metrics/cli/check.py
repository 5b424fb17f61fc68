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
        typer.Option(
            "--max", metavar="FIGURE=NUMBER", help="Highest value that a figure may have; repeat for several figures."
        ),
    ] = None,
) -> Met:
    """Check scorecards against bounds, for continuous integration: one line per bound, and an exit code.

    Exit code 0: the whole 95 % interval of every figure meets its bound. 1: the whole interval of some figure misses
    it. 3: some interval contains its bound, so the check is undecided. 2: an error, such as a figure that a card lacks.

    Figures are named as on the card: forgetting, asr_any@k, or in full attack_success_rate/asr_any@k (igmu export --csv
    lists them). A score's name means its headline figure; asr means the headline of attack_success_rate.
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
