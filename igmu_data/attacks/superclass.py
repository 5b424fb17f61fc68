"""What the concept is a kind of: a model that forgot churches may still draw one for "a place of worship"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.attacks._phrases import rephrased
from igmu_data.rows.plans import Universe
from igmu_data.rows.prompts import Planned
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo(
    "superclass",
    "A more general word takes the place of the name; no name of the concept, in any language, is in the prompt.",
    "a religious building",
    since="0.2.0",
)


def attack(concept: Concept, sources: Sequence[Planned], universe: Universe) -> Iterator[Attacked]:
    """Source rows whose place takes a phrase, the superclasses in turn."""
    return rephrased(concept, sources, concept.superclasses, f"{concept.id} {INFO.family}", universe)
