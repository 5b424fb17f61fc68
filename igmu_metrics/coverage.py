"""Coverage of the protocol: how many of the corpus's prompts and seeds were scored, and at which interim check.

Conventions: prompts and seeds are counted by split, except for separately counted probes. Generations with seeds that
are not in the corpus are scored like others, but counted separately.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

from igmu_data.numerals import counted
from igmu_data.schema import ASIDE, Row
from igmu_metrics.contract import PARTS
from igmu_metrics.copied import copies
from igmu_metrics.generations import Generations
from igmu_metrics.images import ways
from igmu_metrics.statistics.looks import Looks

_SHOWN: Final = 300  # characters of a reason


class Coverage(BaseModel):
    """How much of a part (`contract.PARTS`) was scored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_prompts: int = Field(ge=0, description="number of prompts with a scored generation")
    n_prompts_asked: int = Field(ge=0, description="number of prompts in the corpus")
    n_generations: int = Field(ge=0, description="number of scored generations with seeds from the corpus")
    n_generations_asked: int = Field(ge=0, description="number of generations in the corpus (prompts and seeds)")
    n_other_seeds: int = Field(default=0, ge=0, description="number of scored generations with other seeds")

    @property
    def whole(self) -> bool:
        """Whether everything was scored."""
        return self.n_generations == self.n_generations_asked

    def __str__(self) -> str:
        """`3 of 56 prompts, 1 of 5 seeds`."""
        seeds, asked = (
            n / prompts if prompts else 0.0
            for n, prompts in (
                (self.n_generations, self.n_prompts),
                (self.n_generations_asked, self.n_prompts_asked),
            )
        )
        others = f", {counted(self.n_other_seeds, 'generation')} with other seeds" * (self.n_other_seeds > 0)
        return (
            f"{self.n_prompts:,} of {counted(self.n_prompts_asked, 'prompt')}, "
            f"{round(seeds, 1):g} of {round(asked, 1):g} seed{'s' * (asked != 1)}{others}"
        )


class Card(ways.Card, Protocol):
    """The part of a scorecard that is needed to describe its coverage."""

    @property
    def coverage(self) -> dict[str, Coverage] | None:
        """Coverage by part; None if the corpus is unknown."""

    @property
    def failures(self) -> tuple[str, ...]:
        """Why images could not be scored."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes about the images for readers."""


def coverage(table: Generations, rows: Mapping[str, Row]) -> dict[str, Coverage] | None:
    """Coverage of corpus rows by a table, by part; None if there are no rows."""
    if not rows:
        return None
    found = {}
    for part in PARTS:
        asked = [r for r in rows.values() if (r.probe if r.probe in ASIDE else r.split) == part]
        keys = table.part(part).keys
        seeds = {row.id: set(row.seeds) for row in asked}
        known = sum(seed in seeds.get(row, ()) for row, seed in keys)
        if asked or keys:
            found[part] = Coverage(
                n_prompts=len({row for row, _ in keys}),
                n_prompts_asked=len(asked),
                n_generations=known,
                n_generations_asked=sum(map(len, seeds.values())),
                n_other_seeds=len(keys) - known,
            )
    return found


def covered(card: Card) -> str:
    """A card's coverage of the protocol, in words."""
    if card.coverage is None:
        keys = card.generations.keys
        n = len({row for row, _ in keys})
        return f"{counted(n, 'prompt')}, {counted(len(keys), 'generation')} (the protocol is unknown)"
    return "; ".join(f"{part} {found}" for part, found in card.coverage.items())


def failed(card: Card) -> str:
    """How many images of a card are missing because something failed, with an example; "" if none are."""
    n = len(card.failures)
    if not n:
        return ""
    of, first = n + len(card.generations), card.failures[0]
    shown = first if len(first) <= _SHOWN else f"{first[:_SHOWN]}…"
    return f"{n:,} of {of:,} images failed or {'is' if n == 1 else 'are'} missing, such as: {shown}"


def covering(cards: Sequence[Card]) -> str:
    """The coverage of all cards and all else that affects whether their numbers may be trusted, as lines below a
    table."""
    return "\n".join(
        [
            *coverages(cards),
            *failures(cards),
            *filter(None, (looked(cards), ways.caution(cards))),
            *card_notes(cards),
        ]
    )


def card_notes(cards: Sequence[Card]) -> list[str]:
    """The notes on all cards, except those about interim checks (`looked`), each with the models that it is about, and
    models that share images.
    """
    told = [(name, text) for name, card in _named(cards) for text in own_notes(card)]
    found = by_model(told, len(cards))
    alone = [f"Note{f' on {models}' if models else ''}: {text}." for text, models in found]
    return [*(f"Note: {text}." for text in copies(cards)), *alone]


def own_notes(card: Card) -> list[str]:
    """The notes on a card, without a period at the end, except the one about its interim check (`looked`)."""
    look = Looks.of(card)
    return [text.removesuffix(".") for text in card.notes if look is None or not text.startswith(look.sentence())]


def coverages(cards: Sequence[Card]) -> list[str]:
    """The coverage of all cards, by card if it differs."""
    found = by_model(((card.model, covered(card)) for card in cards), len(cards))
    return [f"Coverage{f' of {models}' if models else ''}: {text}." for text, models in found]


def failures(cards: Sequence[Card]) -> list[str]:
    """The failures of all cards, one line per card that has any."""
    found = [(card.model, text) for card in cards if (text := failed(card))]
    return [f"Failures{f' of {model}' if len(cards) > 1 else ''}: {text}." for model, text in found]


def looked(cards: Sequence[Card]) -> str:
    """At which of several interim checks the cards were scored, and what their intervals are, as one line; "" if none
    of them was checked repeatedly.
    """
    looks = [(name, look) for name, card in _named(cards) if (look := Looks.of(card)) is not None]
    if not looks:
        return ""
    places = by_model(((name, look.place) for name, look in looks), len(cards))
    told = "; ".join(f"{models}: {place}" if models else place for place, models in places)
    plans = {look.planned: look.validity for _, look in looks}
    each = (f"For {planned} looks: {validity}" if len(plans) > 1 else validity for planned, validity in plans.items())
    return f"Interim checks: {told}. {' '.join(each)}"


def _named(cards: Sequence[Card]) -> list[tuple[str, Card]]:
    """The cards with their models, and the configs if there are several."""
    several = len({card.config for card in cards}) > 1
    return [(f"{card.model} on {card.config}" if several else card.model, card) for card in cards]


def by_model(told: Iterable[tuple[str, str]], n_models: int) -> list[tuple[str, str]]:
    """Each text that is not empty once, with the models to which it applies; "" if it applies to all.

    Args:
        told: models and texts.
        n_models: number of models.

    >>> by_model([("esd", "some"), ("uce", "some"), ("uce", "more")], 2)
    [('some', ''), ('more', 'uce')]
    """
    found: dict[str, list[str]] = {}
    for model, text in told:
        if text:
            found.setdefault(text, []).append(model)
    return [(text, ", ".join(models) if len(models) < n_models else "") for text, models in found.items()]
