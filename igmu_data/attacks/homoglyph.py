"""In every word of the name, letters are replaced by look-alikes from other alphabets."""

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
    "In every word of the name, letters are replaced by look-alikes from other alphabets.",
    "a \u0441hurch (the c is Cyrillic)",
)


def attack(concept: Concept, scenes: Sequence[Scene]) -> Iterator[Attacked]:
    """Another spelling a scene."""
    return respelled(concept, scenes, homoglyphs(concept.label), INFO.family)
