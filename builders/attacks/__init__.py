"""One attack family a file: `INFO` and `attack(concept, sources)`, which rewrites forget rows without any weights.

Adding a family is adding a module; `families()` finds it, the shared tests run over it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol, cast

from builders.plans import DRAWING
from builders.prompts import Planned, make_row
from igmu_data.errors import UnknownFamilyError
from igmu_data.schema import Row
from igmu_data.taxonomy import Concept


@dataclass(frozen=True, slots=True)
class AttackInfo:
    """What a family does, for the card.

    Args:
        family: its name in the column `attack_family`.
        summary: one sentence.
        example: what becomes of "a church".
    """

    family: str
    summary: str
    example: str


@dataclass(frozen=True, slots=True)
class Attacked:
    """A rewritten prompt with the row it comes from."""

    source: Planned
    prompt: str
    language: str = "en"


class Attack(Protocol):
    """A module in `builders.attacks`."""

    INFO: AttackInfo

    def attack(self, concept: Concept, sources: Sequence[Planned]) -> Iterator[Attacked]:
        """Rewritten prompts; the same for the same input."""


@cache
def families() -> tuple[str, ...]:
    """Names of all families, sorted."""
    return tuple(sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__)))


def load(family: str) -> Attack:
    """The module of a family.

    Raises:
        UnknownFamilyError: with the nearest names.
    """
    if family not in families():
        raise UnknownFamilyError(family, families(), "See builders/attacks.")
    return cast(Attack, importlib.import_module(f"{__name__}.{family.replace('-', '_')}"))


def adversarial_rows(concept: Concept, sources: Sequence[Planned]) -> list[Row]:
    """The rows of every family for one concept, in the order of the families; a prompt made twice is kept once."""
    rows: dict[str, Row] = {}
    for family in families():
        for item in load(family).attack(concept, sources):
            rows.setdefault(item.prompt, _row(concept, family, item))
    return list(rows.values())


def _row(concept: Concept, family: str, item: Attacked) -> Row:
    source, plan = item.source.row, item.source.plan
    return make_row(
        concept,
        plan,
        drawing={key: getattr(source, key) for key in DRAWING},
        prompt=item.prompt,
        own=concept.id,
        split="adversarial",
        probe="attack",
        stripped=source.stripped_prompt,
        attack_family=family,
        attack_source_id=source.id,
        language=item.language,
        seeds=source.seeds,
    )
