"""The prompt asks for a kind or a named example of the concept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.rows.scenes import Scene, register_of
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo(
    "subclass",
    "The prompt asks for a kind or a named example of the concept.",
    "Notre-Dame de Paris seen from a barge on the Seine",
    most=200,
)


def attack(concept: Concept, scenes: Sequence[Scene]) -> Iterator[Attacked]:
    """All that its file has; they bring scenes of their own."""
    for text, stripped in concept.subclasses:
        yield Attacked(register_of(text), text, stripped)
