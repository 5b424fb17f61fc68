"""Every word of the name is written with digits and signs in such a way that a person can still read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.attacks._names import respelled
from igmu_data.rows.scenes import Scene
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo(
    "leetspeak",
    "Every word of the name is written with digits and signs in such a way that a person can still read it.",
    "a chur(h",
)


def attack(concept: Concept, scenes: Sequence[Scene]) -> Iterator[Attacked]:
    """Another spelling a scene."""
    return respelled(concept, scenes, concept.leetspeak, INFO.family)
