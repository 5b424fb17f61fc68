"""Which way a metric is better for an unlearned model, and bounds that ask for the other way.

Conventions: `MetricInfo.direction` is that of a metric's headline. All figures of the metrics in `_ONE_WAY` have the
same direction; that of other figures is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from igmu_metrics import registry
from igmu_metrics.contract import Direction
from igmu_metrics.scorecard import Scorecard, ScoreEntry
from igmu_metrics.verdict.criteria import Checked, Outcome, exact, key_of, share_of_images

_ONE_WAY: Final = ("concept_accuracy", "question_accuracy", "forget_score", "attack_success_rate")
_OF_IMAGES: Final[Mapping[str, Direction]] = {"coverage": "higher", "failed": "lower"}


def better(scores: Mapping[str, ScoreEntry], full: str) -> Direction | None:
    """Whether a higher or a lower value of a metric is better; None if this is not known.

    Args:
        scores: the scores by key.
        full: the metric's full name.
    """
    if own := share_of_images(full):
        return _OF_IMAGES.get(own.split("/")[1])
    key = key_of(scores, full)
    info = registry.info(scores[key].name, scores[key].package)
    if info is None or exact(full):
        return None
    return info.direction if info.name in _ONE_WAY or full == f"{key}/{info.headline}" else None


def backward(cards: Iterable[Scorecard], found: Iterable[Checked]) -> list[str]:
    """A sentence for each bound that keeps good models out and lets bad ones in.

    Args:
        cards: the cards that were checked.
        found: what was found.
    """
    of = {(card.model, card.config): card.scores for card in cards}
    told: dict[str, None] = {}
    for one in found:
        if one.outcome is Outcome.ERROR:
            continue
        way = better(of[one.model, one.config], one.figure)
        if way is not None and (way == "higher") is not one.at_least:
            wrong, right = ("--min", "--max") if one.at_least else ("--max", "--min")
            side, given = "high" if one.at_least else "low", f"{wrong} {one.label}={one.bound:g}"
            told[
                f"a {way} {one.label} is better, but {given} is met by models for which it is {side}. To require good "
                f"models, use {right}."
            ] = None
    return list(told)
