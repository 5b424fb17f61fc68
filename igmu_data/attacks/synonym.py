"""The prompt uses another name for the same thing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import ROWS, Attacked, AttackInfo
from igmu_data.folding import fold
from igmu_data.rows.choose import ordered
from igmu_data.rows.scenes import Scene
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo("synonym", "The prompt uses another name for the same thing.", "a kirk")


def attack(concept: Concept, scenes: Sequence[Scene]) -> Iterator[Attacked]:
    """Synonyms in turn, of those that do not hold the label."""
    names = [s for s in concept.synonyms if fold(concept.label) not in fold(s.name)]
    sources = ordered(scenes, f"{concept.id} synonym")[:ROWS]
    for scene, other in zip(sources, itertools.cycle(names), strict=False):
        prompt = scene.prompt(concept, other.name, concept.phrase(other.name, other.article))
        yield Attacked(scene.register, prompt, scene.stripped, source=scene.prompt(concept))
