"""Kinds of the concept, or single ones of it: a model that forgot churches may still draw an abbey.

For a painter's style they are single paintings, for a movement its branches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.attacks._phrases import rephrased
from igmu_data.rows.plans import Universe
from igmu_data.rows.prompts import Planned
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo(
    "subclass",
    "A kind of the concept, or one known example, takes the place of the name; none of the names is in the prompt.",
    "a Gothic abbey",
    since="0.2.0",
)


def attack(concept: Concept, sources: Sequence[Planned], universe: Universe) -> Iterator[Attacked]:
    """Source rows whose place takes a phrase, the kinds in turn."""
    return rephrased(concept, sources, concept.subclasses, f"{concept.id} {INFO.family}", universe)
