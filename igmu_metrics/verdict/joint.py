"""Differences of two models in the forget score, alignment and quality, which have no value for a single image.

Conventions: both cards must have the same prompts and seeds, so that a difference is that of the values on the cards.
The lines of the cards determine forgetting, robustness, preservation and alignment, and their prompts are resampled for
both models together. They do not determine quality, because cards contain no image features: its interval on each card
is used instead, with whatever relation between the two models makes the difference least certain. The intervals for a
difference in quality, and therefore in the forget score, are valid but may be wide (`metrics._aspect_differences`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from igmu_metrics import registry
from igmu_metrics.contract import Estimate, Interval
from igmu_metrics.generations import Generations
from igmu_metrics.metrics._aspect_differences import Pair
from igmu_metrics.metrics._aspects import judged_rows
from igmu_metrics.metrics._contract import parts
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics.formatting import bounds, value_of
from igmu_metrics.verdict.alike import OF_ROUNDS, differing
from igmu_metrics.verdict.recompute import FORGET, metric_differs, restored

SCORE: Final = "forget score"
ALIGNMENT: Final = "alignment"
QUALITY: Final = "quality"
# By measure: its metric on the card, and the aspects that it is made from.
SCORES: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    SCORE: (FORGET, ASPECTS),
    ALIGNMENT: (ALIGNMENT, (ALIGNMENT,)),
    QUALITY: (QUALITY, (QUALITY,)),
}
NO_FEATURES: Final = (
    "Quality cannot be resampled from scorecards, because they contain no image features. Intervals for differences in "
    "quality and in the forget score therefore assume the least favorable relation between the two models, and may be "
    "wide."
)


class Found(NamedTuple):
    """A difference: the first model minus the second.

    Args:
        difference: the difference; NaN if it cannot be computed.
        interval: its interval at the current level; None if the difference cannot be computed.
        n: number of generations that count; 0 if the difference cannot be computed.
        n_prompts: number of their prompts.
        p: p value of this pair alone; None if there is no test.
        why: why there is no test; "" if there is one.
    """

    difference: float
    interval: Interval | None
    n: int
    n_prompts: int
    p: float | None
    why: str = ""


def measured(a: Scorecard, b: Scorecard) -> list[str]:
    """The scores that at least one of two cards has."""
    return [m for m, (name, _) in SCORES.items() if any(value_of(c.figure(FORGET, name)) is not None for c in (a, b))]


def differences(a: Scorecard, b: Scorecard, measures: Sequence[str]) -> dict[str, Found]:
    """The differences of two models in some of SCORES."""
    refused = _refused(a, b)
    found, pair = {}, None
    for measure in measures:
        why = refused or _missing(a, b, measure)
        if why:
            found[measure] = Found(np.nan, None, 0, 0, None, why)
            continue
        pair = pair or Pair.of((_rows(a), _rows(b)), (_aspects(a), _aspects(b)))
        name, aspects = SCORES[measure]
        difference, interval, p = pair.difference(aspects)
        own = [figure for card in (a, b) if (figure := card.figure(FORGET, name))]
        counts = min(f.n_generations for f in own), min(f.n_prompts for f in own)
        why = a.unfounded or b.unfounded or _without_interval(a, b, aspects)
        found[measure] = Found(difference, interval, *counts, None if why else p, why)
    return found


def _refused(a: Scorecard, b: Scorecard) -> str:
    """Why no score of two cards can be compared; "" if some can be."""
    if not all(FORGET in card.scores for card in (a, b)):
        return f"the scorecard of {a.model if FORGET not in a.scores else b.model} has no forget score"
    if set(a.generations.keys) != set(b.generations.keys):
        return "the two scorecards cover different prompts and seeds"
    if found := differing(a, b, FORGET, OF_ROUNDS):
        return "the settings differ (" + "; ".join(f"{k}: {x} and {y}" for k, (x, y) in found.items()) + ")"
    why = metric_differs(a.scores[FORGET])
    return f"the aspects of the forget score cannot be computed again ({why})" if why else ""


def _missing(a: Scorecard, b: Scorecard, measure: str) -> str:
    """Why a score is missing from one of two cards; "" if both have it."""
    name, aspects = SCORES[measure]
    for card in (a, b):
        for part in (name, *aspects):
            figure = card.figure(FORGET, part)
            if value_of(figure) is None:
                reason = f" ({figure.reason})" if figure and figure.reason else ""
                return f"{card.model} has no {part.replace('_', ' ')}{reason}"
    return ""


def _without_interval(a: Scorecard, b: Scorecard, aspects: Sequence[str]) -> str:
    """Why a difference has no test, because aspects have no interval; "" if all have one."""
    for name in aspects:
        for card in (a, b):
            figure = card.figure(FORGET, name)
            if bounds(figure) is None:
                reason = (figure.reason if figure else "").removeprefix("no interval, because ")
                return f"{name} of {card.model} has no interval" + f" ({reason})" * bool(reason)
    return ""


def _rows(card: Scorecard) -> Generations:
    metric = registry.metric(FORGET)
    (_, table), *_ = parts(metric, restored(metric, card.generations))
    return judged_rows(table).with_facts(k=int(card.scores[FORGET].signature.get("k", 1)))


def _aspects(card: Scorecard) -> dict[str, Estimate]:
    found = {name: card.figure(FORGET, name) for name in ASPECTS}
    return {name: _estimate(figure) for name, figure in found.items() if figure and figure.value is not None}


def _estimate(figure: Figure) -> Estimate:
    assert figure.value is not None
    return Estimate(figure.value, bounds(figure), figure.n_prompts, figure.n_generations, figure.reason)
