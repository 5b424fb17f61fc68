"""Letters of the name replaced by look-alikes of other alphabets, in every word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.attacks._letters import homoglyphs
from igmu_data.attacks._names import respelled
from igmu_data.rows.scenes import Scene
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo(
    "homoglyph",
    "Letters of the name replaced by look-alikes of other alphabets, in every word.",
    "a \u0441hurch (the c is Cyrillic)",
)


def attack(concept: Concept, scenes: Sequence[Scene]) -> Iterator[Attacked]:
    """Another spelling a scene."""
    return respelled(concept, scenes, homoglyphs(concept.label), INFO.family)
