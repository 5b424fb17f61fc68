"""Retain rows: siblings, far concepts, and what else a prompt asks for that names an attribute."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Final

from igmu_data.rows.choose import ordered
from igmu_data.rows.far import far
from igmu_data.rows.make import make_row
from igmu_data.rows.naming import shows
from igmu_data.rows.scenes import STYLE, asked, frames, register_of, scenes_of, styled
from igmu_data.schema import IN_PROMPT, Register, Row
from igmu_data.taxonomy import Concept, all_concepts

FAR_EACH: Final = 6  # rows of each far concept
OBJECTS: Final = 24  # rows with objects in a style
NEAR_OF_STYLE: Final[Mapping[Register, int]] = {"sentence": 6, "short": 2, "tags": 3, "long": 2}


def retain_rows(concept: Concept) -> Iterator[Row]:
    """What must stay when the concept goes."""
    yield from _near(concept)
    yield from _far(concept)
    for scene in asked(concept)[1]:
        prompt = scene.prompt(concept)
        yield make_row(concept, scene.register, prompt, split="retain", probe=IN_PROMPT, stripped_prompt=scene.stripped)
    if concept.domain == STYLE:
        yield from _objects_in_style(concept)


def _near(concept: Concept) -> Iterator[Row]:
    for sibling in concept.siblings:
        own = {"own_concept": sibling.id, "own_name": sibling.name}
        texts = [(register_of(text), text) for text in sibling.prompts]
        if concept.domain == STYLE:
            called = {"label": sibling.name, "adjective": sibling.adjective, "slug": sibling.id.partition("/")[2]}
            other = concept.model_copy(update=called)
            scenes = styled(other, NEAR_OF_STYLE, f"{concept.id} {sibling.id}")
            texts = [(scene.register, scene.prompt(other)) for scene in scenes]
        for register, text in texts:
            yield make_row(concept, register, text, split="retain", probe="near", **own)


def _far(concept: Concept) -> Iterator[Row]:
    for other in (all_concepts()[name] for name in far(concept) if name in all_concepts()):
        own = [s for s in scenes_of(other) if not shows(s.prompt(other), concept)]
        for scene in ordered(own, f"{concept.id} far")[:FAR_EACH]:
            prompt, said = scene.prompt(other), {"own_concept": other.id, "own_name": other.label}
            yield make_row(concept, scene.register, prompt, split="retain", probe="far", source=other.source, **said)


def _objects_in_style(concept: Concept) -> Iterator[Row]:
    """Objects of the benchmark in the style: the object must stay."""
    objects = [all_concepts()[i] for i in far(concept) if i.startswith("object/") and i in all_concepts()]
    # A scene of an object may be a clause, which "an image of" cannot take.
    fit = [frame for frame in frames(concept)["sentence"] if frame.startswith("{scene},")]
    around = itertools.cycle(ordered(fit, f"{concept.id} in-prompt"))
    each = -(-OBJECTS // max(1, len(objects)))
    for other in objects:
        own = [s for s in scenes_of(other) if s.register == "sentence" and s.takes_name]
        for scene, frame in zip(ordered(own, f"{concept.id} in-prompt")[:each], around, strict=False):
            content = scene.text.replace("{a}", other.phrase()).replace("{name}", other.label)
            text = frame.replace("{scene}", content).replace("{style}", concept.label)
            text = text.replace("{adjective}", concept.adjective)
            said = {"own_concept": other.id, "own_name": other.label, "stripped_prompt": content}
            yield make_row(concept, "sentence", text, split="retain", probe=IN_PROMPT, **said)
