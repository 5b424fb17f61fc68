"""Differences of two models in the forget score, alignment and quality, which have no value for a single image.

Conventions: a difference is computed on the prompts and seeds that both cards contain; if these are all that either
contains, it is the difference of the values on the cards. The lines of the cards determine forgetting, robustness,
preservation and alignment, whose prompts are resampled for both models together. If the cards have different k, the
smaller one is used for both. The lines do not determine quality, because cards contain no image features: its interval
on each card is used instead, with whatever relation between the two models makes the difference least certain. This
requires that both qualities are about the same prompts and seeds. Intervals for differences in quality, and therefore
in the forget score, are valid but may be wide (`metrics._aspect_differences`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Self

import numpy as np

from igmu_data.errors import InputError
from igmu_data.schema import IN_PROMPT
from igmu_metrics import registry
from igmu_metrics.contract import Estimate, Interval
from igmu_metrics.generations import Generations, Key
from igmu_metrics.metrics._aspect_differences import Pair, moved
from igmu_metrics.metrics._aspects import aspect_figures, counted, judged_rows
from igmu_metrics.metrics._contract import parts
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics.formatting import bounds, value_of
from igmu_metrics.statistics.level import LEVEL, confidence
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict.alike import OF_COVERAGE, OF_ROUNDS, differing
from igmu_metrics.verdict.recompute import FORGET, bootstrap, metric_differs, restored

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
OTHER_RETAIN_PROMPTS: Final = (
    "the scorecards have different retain prompts or seeds, and no image features from which quality could be computed "
    "for those that they share; generate the same retain images for both models"
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


@dataclass(frozen=True, slots=True)
class _Half:
    """One model on the prompts and seeds that it shares with the other.

    Args:
        model: its name.
        rows: its rows, from `judged_rows`.
        aspects: the aspects on these rows, with intervals at the current level.
    """

    model: str
    rows: Generations
    aspects: Mapping[str, Estimate]

    @classmethod
    def of(cls, card: Scorecard, rows: Generations) -> Self:
        resamples, seed = bootstrap(FORGET, card.scores[FORGET].signature)
        found, _, _ = aspect_figures(rows, seed, resamples)
        return cls(
            card.model, rows, {**{name: found[name] for name in ASPECTS if name in found}, QUALITY: _quality(card)}
        )

    def counts(self, measure: str) -> tuple[int, int]:
        """Number of generations and of prompts behind a score."""
        if measure == SCORE:
            n_prompts, n = counted(self.rows)
            return n, n_prompts
        own = self.aspects[measure]
        return own.n_generations, own.n_prompts


def measured(a: Scorecard, b: Scorecard) -> list[str]:
    """The scores that at least one of two cards has."""
    return [m for m, (name, _) in SCORES.items() if any(value_of(c.figure(FORGET, name)) is not None for c in (a, b))]


def differences(a: Scorecard, b: Scorecard, measures: Sequence[str]) -> dict[str, Found]:
    """The differences of two models in some of SCORES."""
    if not measures:
        return {}
    if why := _refused(a, b):
        return dict.fromkeys(measures, _without(why))
    own = (_rows(a), _rows(b))
    shared = set(own[0].keys) & set(own[1].keys)
    k = min(_tries(card) for card in (a, b))
    one, other = (
        _Half.of(card, rows.where([key in shared for key in rows.keys]).with_facts(k=k))
        for card, rows in zip((a, b), own, strict=True)
    )
    apart = OTHER_RETAIN_PROMPTS if _of_quality(own[0]) != _of_quality(own[1]) else ""
    found = {}
    pair: Pair | None = None
    for measure in measures:
        name, aspects = SCORES[measure]
        why = _absent((a, b), name) or (apart if QUALITY in aspects else "") or _undefined((one, other), aspects)
        if why:
            found[measure] = _without(why)
            continue
        pair = pair or Pair.of((one.rows, other.rows), (one.aspects, other.aspects))
        difference, interval, p = pair.difference(aspects)
        n, n_prompts = map(min, zip(one.counts(measure), other.counts(measure), strict=True))
        why = a.unfounded or b.unfounded or _without_interval((one, other), aspects)
        found[measure] = Found(difference, interval, n, n_prompts, None if why else p, why)
    return found


def _without(why: str) -> Found:
    return Found(np.nan, None, 0, 0, None, why)


def _refused(a: Scorecard, b: Scorecard) -> str:
    """Why no score of two cards can be compared; "" if some can be."""
    if not all(FORGET in card.scores for card in (a, b)):
        return f"the scorecard of {a.model if FORGET not in a.scores else b.model} has no forget score"
    mine, theirs = set(a.generations.keys), set(b.generations.keys)
    if not mine & theirs:
        return "the two scorecards have no prompt and seed in common"
    if found := differing(a, b, FORGET, OF_ROUNDS if mine == theirs else OF_COVERAGE):
        return "the settings differ (" + "; ".join(f"{k}: {x} and {y}" for k, (x, y) in found.items()) + ")"
    why = metric_differs(a.scores[FORGET])
    return f"the aspects of the forget score cannot be computed again ({why})" if why else ""


def _absent(cards: Sequence[Scorecard], name: str) -> str:
    """Why a score is missing from one of two cards; "" if both have it."""
    for card in cards:
        figure = card.figure(FORGET, name)
        if value_of(figure) is None:
            reason = f" ({figure.reason})" if figure and figure.reason else ""
            return f"{card.model} has no {name.replace('_', ' ')}{reason}"
    return ""


def _undefined(halves: Sequence[_Half], aspects: Sequence[str]) -> str:
    """Why an aspect is not defined on what two models share; "" if all are."""
    for name in aspects:
        for half in halves:
            if half.aspects[name].value != half.aspects[name].value:
                where = "on the prompts and seeds that both scorecards contain"
                return f"{half.model} has no {name} {where} ({half.aspects[name].reason})"
    return ""


def _without_interval(halves: Sequence[_Half], aspects: Sequence[str]) -> str:
    """Why a difference has no test, because aspects have no interval; "" if all have one."""
    for name in aspects:
        for half in halves:
            if half.aspects[name].interval is None:
                reason = half.aspects[name].reason.removeprefix("no interval, because ")
                return f"{name} of {half.model} has no interval" + f" ({reason})" * bool(reason)
    return ""


def _rows(card: Scorecard) -> Generations:
    """The rows of a card from which its aspects were computed.

    Raises:
        InputError: there are none, so that no evaluation can have written the card.
    """
    metric = registry.metric(FORGET)
    for _, table in parts(metric, restored(metric, card.generations)):  # it has one part
        return judged_rows(table)
    raise InputError(
        f"the scorecard of {card.model} has a forget score, but not its generations. Score the images again."
    )


def _tries(card: Scorecard) -> int:
    """The k of robustness on a card.

    Raises:
        InputError: a value that no evaluation can have used.
    """
    k = card.scores[FORGET].signature.get("k", 1)
    if not isinstance(k, int) or k < 1:
        raise InputError(
            f"the scorecard of {card.model} has a forget score with k = {k!r}; it must be a whole number >= 1. Score "
            "the images again."
        )
    return k


def _of_quality(rows: Generations) -> set[Key]:
    """The prompts and seeds whose images determine quality."""
    return set(rows.where((rows["split"] == "retain") & (rows["probe"] != IN_PROMPT)).keys)


def _quality(card: Scorecard) -> Estimate:
    """The quality on a card, with its interval at the current level."""
    figure = card.figure(FORGET, QUALITY)
    if figure is None or figure.value is None:
        return Estimate(np.nan, reason=figure.reason if figure else "")
    found = Estimate(figure.value, bounds(figure), figure.n_prompts, figure.n_generations, figure.reason)
    look = Looks.of(card)
    return replace(found, interval=moved(found, look.level if look else LEVEL, confidence()))
