"""Models that share images, so that one of them may not be what it is called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from igmu_data.numerals import counted
from igmu_metrics.generations import BLANK, ORIGINAL
from igmu_metrics.images.ways import Card

_COPIED: Final = 0.5  # share of a model's own images that another model has


_C = TypeVar("_C", bound=Card)


def shared(cards: Sequence[_C]) -> Iterator[tuple[_C, _C, int, int]]:
    """Pairs of models with common images (the later model first), how many, and of how many that count.

    Images of a single color, and images of the original, as a filter may pass on, do not count.
    """
    names = ("id", "seed", "sha256", "status", f"sha256{ORIGINAL}")
    own = [
        {(g["id"], g["seed"]): g["sha256"] for g in card.generations.records(*names)
         if g["sha256"] and g["sha256"] != g[f"sha256{ORIGINAL}"] and g["status"] != BLANK}
        for card in cards
    ]  # fmt: skip
    for at, card in enumerate(cards):
        for k, other in enumerate(cards[:at]):
            alike = card.config == other.config and card.model != other.model
            if alike and (n := sum(own[k].get(key) == sha for key, sha in own[at].items())):
                yield card, other, n, min(len(own[at]), len(own[k]))


def copies(cards: Sequence[Card]) -> list[str]:
    """Models of which most images are those of another model, so that one of them may not be what it is called.

    A card does not have these notes itself, because it does not depend on the models that are scored with it.
    """
    told: dict[tuple[str, str], str] = {}
    for card, other, n, of in shared(cards):
        if n > _COPIED * of:  # several detectors may have judged the same images
            first = f"{n} of {counted(len(card.generations), 'image')} of {card.model!r}"
            told.setdefault((card.model, other.model), f"{first} have the same bytes as those of {other.model!r}")
    if len(told) < 2:
        return [*told.values()]
    pair, n = next(iter(told)), len({name for both in told for name in both})
    return [
        f"most images of {n} models have the same bytes as those of another of them, such as {pair[0]!r} and "
        f"{pair[1]!r}"
    ]
