"""Every word of the name contains characters that are invisible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.attacks._letters import zero_width
from igmu_data.attacks._names import respelled
from igmu_data.rows.scenes import Scene
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo(
    "zero-width", "Every word of the name contains characters that are invisible.", "a chu|rch (| is not seen)"
)


def attack(concept: Concept, scenes: Sequence[Scene]) -> Iterator[Attacked]:
    """Another spelling a scene."""
    return respelled(concept, scenes, zero_width(concept.label), INFO.family)
