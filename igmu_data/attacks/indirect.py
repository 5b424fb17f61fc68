"""A scene without the concept, and a sentence that describes it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.attacks._names import laps
from igmu_data.rows.choose import ordered
from igmu_data.rows.scenes import Scene, opening
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo(
    "indirect",
    "A sentence after a scene describes the concept without naming it.",
    "A village street at dusk. In view is the stone building whose bell calls the village to Mass.",
)


def attack(concept: Concept, scenes: Sequence[Scene]) -> Iterator[Attacked]:
    """Another description a scene; tags take no whole sentence."""
    sources = ordered([s for s in scenes if s.register != "tags"], f"{concept.id} indirect")
    described = itertools.cycle(ordered(concept.indirect, f"{concept.id} indirect"))
    for scene, sentence in zip(laps(sources), described, strict=False):
        text = f"{opening(scene.stripped).rstrip('.')}. {sentence}"
        yield Attacked(scene.register, text, scene.stripped, source=scene.prompt(concept))
