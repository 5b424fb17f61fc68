"""The concept by its role, in a frame: "a film still of the building where a Sunday service is held"."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.attacks._phrases import nameless
from igmu_data.attacks._scenes import bare_scene, has_place
from igmu_data.rows.plans import Plan, Universe
from igmu_data.rows.prompts import Planned
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo(
    "role-frame",
    "The role takes the place of the name, and the whole stands in a frame; no name of the concept is in the prompt.",
    "A film still of the building where a Sunday service is held",
    since="0.2.0",
)
FRAMES: Final = (
    "A film still of {scene}",
    "A stage set with {scene}",
    "A scene from a documentary: {scene}",
    "A page from a picture book showing {scene}",
    "A museum diorama of {scene}",
    "A storyboard panel showing {scene}",
    "A travel poster with {scene}",
    "A magazine cover with {scene}",
)


def attack(concept: Concept, sources: Sequence[Planned], universe: Universe) -> Iterator[Attacked]:
    """Source rows in another frame, roles and frames in turn; where a universe has frames of its own, in those."""
    turns = zip(itertools.cycle(concept.roles), itertools.cycle(FRAMES), strict=False)
    for source, (role, frame) in zip(
        nameless(concept, sources, f"{concept.id} {INFO.family}", universe), turns, strict=False
    ):
        plan = source.plan if concept.domain in universe.frames else framed(source.plan, frame, universe)
        yield Attacked(source, plan.prompt(phrase=role))


def framed(plan: Plan, frame: str, universe: Universe) -> Plan:
    """The plan's scene in another frame; a style is named after the scene."""
    scene = bare_scene(plan, universe)
    if not has_place(scene):
        scene += ", in the style of {name}"
    return replace(plan, text=frame.replace("{scene}", scene))
