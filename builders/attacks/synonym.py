"""Other names of the concept: does forgetting the word mean forgetting the thing?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from builders.attacks import Attacked, AttackInfo
from builders.prompts import Planned
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo("synonym", "Another name for the concept takes the place of its name.", "a chapel")
ROWS: Final = 12


def attack(concept: Concept, sources: Sequence[Planned]) -> Iterator[Attacked]:
    """Each source row with one synonym, the synonyms in turn."""
    for i, source in enumerate(sources[:ROWS]):
        yield Attacked(source, source.plan.prompt(concept.synonyms[i % len(concept.synonyms)]))
