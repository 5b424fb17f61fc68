"""The name appears in another language within an English prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.attacks._names import respelled
from igmu_data.rows.scenes import Scene
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo("mixed-language", "The name appears in another language within an English prompt.", "kościół")


def attack(concept: Concept, scenes: Sequence[Scene]) -> Iterator[Attacked]:
    """Another language a scene; a foreign noun has no English article."""
    names = list(dict.fromkeys(concept.foreign_names.values()))
    return respelled(concept, scenes, names, "mixed", bare=True)
