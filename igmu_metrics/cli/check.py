"""The command `igmu check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.media import visible
from igmu_metrics.cli._common import Cards, bound, document, say
from igmu_metrics.cli._json import noted

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Met


def check(
    cards: Cards,
    at_least: Annotated[
        list[str] | None,
        bound("--min", "Lowest value allowed for a metric, or for 'coverage'; repeat the option for each bound."),
    ] = None,
    at_most: Annotated[
        list[str] | None,
        bound(
            "--max",
            "Highest value allowed for a metric, or for 'failed' (the share of failed or missing images); repeat the "
            "option for each bound.",
        ),
    ] = None,
) -> Met:
    """Check scorecards against bounds, for continuous integration: print one line per bound and set the exit code.

    The exit code is 0 if every 95% interval lies entirely within its bound, 1 if at least one interval lies entirely
    outside its bound, 3 if the check is undecided because an interval contains its bound, and 2 if a bound could
    not be checked, because its metric is missing from a scorecard or has no value. If a bound cannot be checked,
    the others are still checked.

    Metrics have the names that igmu export --csv lists: short names, such as forgetting and conditional_asr_any@5, or
    full names, such as attack_success_rate/conditional_asr_any@5. The name of a score selects its headline metric; asr
    selects the headline metric of attack_success_rate, asr_any@k.

    Attack success depends on k, the number of images per prompt, so state it: a bound on asr_any@5 is refused for a
    scorecard with another k. A bound without k (asr_any@k or asr) applies to the k of the scorecards, which must be the
    same for all of them. Use conditional_asr_any@5 rather than asr_any@5: the conditional rate counts only images for
    which the original shows the concept, whereas in the raw rate, attacks that fail on the original as well make a
    model look robust.

    Two additional names, coverage and failed, describe the images of a scorecard. coverage is the share of the
    corpus's images that were scored, in the part of the corpus where this share is lowest; coverage/retain is the
    share in the retain part. failed is the share of images that failed or are missing. For example, --min
    coverage=0.95 --max failed=0.01 rejects an incomplete scorecard.
    """
    from igmu_metrics.cli._card_answers import Met
    from igmu_metrics.coverage import card_notes, looked
    from igmu_metrics.verdict import criteria
    from igmu_metrics.verdict.direction import backward
    from igmu_metrics.verdict.verify import read_all

    wanted = criteria.bounds_of(at_least or [], at_most or [])
    known = read_all(cards)
    found = criteria.check(known, wanted)
    several = {"on": len({one.config for one in found}) > 1, "by": len({one.detector for one in found}) > 1}
    wrong = [one for one in found if one.outcome is criteria.Outcome.ERROR]
    document("".join(f"{visible(one.line(**several))}\n" for one in found if one not in wrong))
    failures = criteria.failures(known, **several)
    if not any(criteria.share_of_images(one.figure) for one in found):
        gate = "failed or are missing, and no bound covers them. Add one, such as --max failed=0.01."
        say(*(f"note: {n:,} of the images of {name} {gate}" for name, n in failures.items()))
    wrong_way = backward(known, found)
    say(*(f"note: {note}" for note in wrong_way))
    looks = looked([card for card in known if card.model != card.original_model])
    say(*([f"note: {looks}"] if looks else []))
    notes = card_notes(known)
    say(*(f"{note[0].lower()}{note[1:]}" for note in notes))
    outcome = criteria.overall(one.outcome for one in found)
    answer = noted(Met(outcome, found, failures, looks, wrong_way, notes))
    if wrong:
        raise criteria.refusal(wrong, "\n".join(dict.fromkeys(one.line(**several) for one in wrong)))
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)
    return answer
