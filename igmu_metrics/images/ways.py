"""Whether the models of several scorecards generated their images with the same settings, as far as this is recorded.

Conventions: the settings are those in the field `generated` of a card's signatures: steps, guidance scale, size,
scheduler (`igmu_metrics.images.schedulers`) or sampler (the name in a web UI), and precision. A setting that a card
does not record is not compared. A setting that differs between the prompts of a card is compared only with a card of
the same prompts and seeds. `caution` reports both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final, Protocol

from igmu_metrics.generations import Generations
from igmu_metrics.images.layouts import settings_of, unlike
from igmu_metrics.statistics.looks import Scored

_HASH: Final = 12  # characters of a hash
_SEVERAL: Final = re.compile(r"\d+ values")


class Card(Scored, Protocol):
    """The part of a scorecard that is needed to find out how its images were generated."""

    @property
    def model(self) -> str:
        """The model's name."""

    @property
    def original_model(self) -> str:
        """The original's name."""

    @property
    def content_sha256(self) -> str:
        """The hash of the card's content."""

    @property
    def file(self) -> str:
        """Where the card was read; "" if it was not read from a file."""

    @property
    def config(self) -> str:
        """What it was scored on."""

    @property
    def generations(self) -> Generations:
        """What was scored."""


def told_apart(first: Card, other: Card) -> tuple[str, str]:
    """What to call two cards in one sentence: their models, followed by what tells the cards apart if these are equal.

    This is their files; without files, their originals or the hashes of their contents.
    """
    if first.model == other.model:
        for how, mine, theirs in (
            ("{}", first.file, other.file),
            ("against {}", first.original_model, other.original_model),
            ("scorecard {}", first.content_sha256[:_HASH], other.content_sha256[:_HASH]),
        ):
            if mine and theirs and mine != theirs:
                return f"{first.model} ({how.format(mine)})", f"{other.model} ({how.format(theirs)})"
    return first.model, other.model


def settings(card: Card) -> dict[str, str]:
    """How the card's images were generated, by name of the setting; empty if this is not recorded."""
    return settings_of(_way(card))


def _way(card: Card) -> str:
    told = (entry.signature.get("generated") for entry in card.scores.values())
    return str(next(filter(None, told), ""))


def differing(first: Card, other: Card) -> dict[str, tuple[str, str]]:
    """The settings in which the images of two cards are known to differ, with both values."""
    found = unlike(_way(first), _way(other))
    if any(_several(*both) for both in found.values()) and set(first.generations.keys) != set(other.generations.keys):
        return {n: both for n, both in found.items() if not _several(*both)}
    return found


def listed(found: Mapping[str, tuple[str, str]]) -> str:
    """Settings with both values: `steps: '16' and '50'; width: '64' and '512'`."""
    return "; ".join(f"{name}: {a!r} and {b!r}" for name, (a, b) in found.items())


def caution(cards: Sequence[Card]) -> str:
    """In which settings the models of several cards differ or may differ; "" if they are all known to be the same."""
    if len(cards) < 2:
        return ""
    known = [(card.model, settings(card)) for card in cards]
    names = dict.fromkeys(name for _, told in known for name in told)
    without = {"": [model for model, told in known if not told]}
    without |= {name: [model for model, told in known if told and name not in told] for name in names}
    said = []
    for name, models in without.items():
        what, are = (f"The setting {name}", "is") if name else ("The generation settings", "are")
        of = f" of {', '.join(dict.fromkeys(models))}" if len(models) < len(cards) else ""
        said += [f"{what}{of} {are} not recorded and may differ."] * bool(models)
    several = [name for name in names if any(_several(told.get(name, "")) for _, told in known)]
    pairs = [(a, b) for a, b in combinations(cards, 2) if a.config == b.config]
    if several and any(set(a.generations.keys) != set(b.generations.keys) for a, b in pairs):
        said += [f"The setting {name} differs between prompts and was not compared." for name in several]
    return " ".join([*filter(None, [conflict(cards)]), *said])


def conflict(cards: Sequence[Card]) -> str:
    """Which two cards of one config must not be compared, with the settings that differ; "" if there are none."""
    for a, b in combinations(cards, 2):
        if a.config == b.config and (found := differing(a, b)):
            both = " and ".join(told_apart(a, b))
            return f"Do not compare {both}, because their settings differ ({listed(found)})."
    return ""


def _several(*values: str) -> bool:
    return any(_SEVERAL.fullmatch(value) for value in values)
