"""The command `igmu check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.media import visible
from igmu_metrics.cli._common import Cards, document, say
from igmu_metrics.cli._json import noted

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Met


def check(
    cards: Cards,
    at_least: Annotated[
        list[str] | None,
        typer.Option(
            "--min", metavar="METRIC=NUMBER", help="Lowest value that a metric may have; repeat for several metrics."
        ),
    ] = None,
    at_most: Annotated[
        list[str] | None,
        typer.Option(
            "--max", metavar="METRIC=NUMBER", help="Highest value that a metric may have; repeat for several metrics."
        ),
    ] = None,
) -> Met:
    """Check scorecards against bounds, for continuous integration: prints one line per bound and sets the exit code.

    Exit code 0 means that every 95 % interval lies entirely within its bound; 1 that at least one interval lies
    entirely outside it; 3 that the check is undecided, because an interval contains its bound; and 2 that there was an
    error, such as a metric that is missing from a scorecard.

    Metrics have the same names as on the scorecard: forgetting, asr_any@k, or the full attack_success_rate/asr_any@k
    (igmu export --csv lists them). The name of a score means its headline metric; asr means the headline metric of
    attack_success_rate.
    """
    from igmu_metrics.cli._card_answers import Met
    from igmu_metrics.verdict import criteria
    from igmu_metrics.verdict.verify import read_all

    wanted = [criteria.parsed(text, least=True) for text in at_least or []]
    wanted += [criteria.parsed(text, least=False) for text in at_most or []]
    known = read_all(cards)
    found = criteria.check(known, wanted)
    several = len({one.config for one in found}) > 1
    document("".join(f"{visible(one.line(on=several))}\n" for one in found))
    failures = {card.model: len(card.failures) for card in known if card.failures}
    say(
        *(
            f"note: {n} images of {model} failed or are missing, and are not covered by any bound"
            for model, n in failures.items()
        )
    )
    outcome = criteria.overall(one.outcome for one in found)
    answer = noted(Met(outcome, found, failures))
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)
    return answer
