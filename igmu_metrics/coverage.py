"""Coverage of the protocol: how many of the corpus's prompts and seeds were scored.

Conventions: prompts and seeds are counted by split, except for separately counted probes. Generations with seeds that
are not in the corpus are scored like others, but counted separately.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from igmu_data.numerals import counted
from igmu_data.schema import ASIDE, Row
from igmu_metrics.contract import PARTS
from igmu_metrics.generations import Generations


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
            f"{self.n_prompts} of {counted(self.n_prompts_asked, 'prompt')}, "
            f"{round(seeds, 1):g} of {round(asked, 1):g} seed{'s' * (asked != 1)}{others}"
        )


class Card(Protocol):
    """The part of a scorecard that is needed to describe its coverage."""

    @property
    def model(self) -> str:
        """The model's name."""

    @property
    def coverage(self) -> dict[str, Coverage] | None:
        """Coverage by part; None if the corpus is unknown."""

    @property
    def generations(self) -> Generations:
        """What was scored."""


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


def covering(cards: Sequence[Card]) -> str:
    """The coverage of all cards, as a line below a table; by card if it differs."""
    lines = []
    for text, models in _alike(cards).items():
        of = f" of {', '.join(models)}" if len(models) < len(cards) else ""
        lines.append(f"Coverage{of}: {text}.")
    return "\n".join(lines)


def _alike(cards: Iterable[Card]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for card in cards:
        found.setdefault(covered(card), []).append(card.model)
    return found
