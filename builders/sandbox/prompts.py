"""The rows of the miniature world: the same benchmark of a concept, with nothing in it that the world cannot draw.

A scene is one object in one setting; a plan is a scene in a frame. Object prompts stand in the frames that the captions
call neutral, since "an oil painting of" would ask for a style that the world does not have. Style prompts stand in the
frames that leave the bare scene when the style is stripped, for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

from builders.sandbox.captions import neutral_frames, style_suffix
from igmu_data.rows.concept import concept_rows
from igmu_data.rows.plans import Plan, Universe
from igmu_data.rows.prompts import FORGET_ROWS, fit, pick, translated_plans
from igmu_data.sandbox.world import GUIDANCE_SCALE, SIDE, STEPS, world
from igmu_data.schema import Row
from igmu_data.taxonomy import TRANSLATED, Concept, Frame, TranslatedScene, templates
from igmu_data.validate import NEAR_DUPLICATE, content_words, overlap

DRAWING: Final = {"guidance_scale": GUIDANCE_SCALE, "steps": STEPS, "width": SIDE, "height": SIDE}


def task_rows() -> dict[str, list[Row]]:
    """All rows of every task, by the id of the concept to forget."""
    concepts = universe().concepts or {}
    return {name: concept_rows(concepts[name], universe()) for name in world().tasks}


@cache
def universe() -> Universe:
    """The miniature world as a universe of rows."""
    frames = {
        "object": neutral_frames(),
        "style": tuple(f for f in templates("style").frames if f.stripped == "{scene}"),
    }
    concepts = {c.id: _in_world(c) for c in world().concepts()}
    plans = {name: _plans(item, frames[item.domain]) for name, item in concepts.items()}
    return Universe(DRAWING, concepts, frames, plans, few_scenes=True)


def _in_world(item: Concept) -> Concept:
    """The concept without the scenes of the big corpus, and with translated ones that the world can draw."""
    is_object = item.domain == "object"
    own = tuple(world().translated.values()) if is_object else tuple(_styled(item))
    empty = [f"an empty place {phrases[0]}" for phrases in world().settings.values()] if is_object else []
    return item.model_copy(update={"scenes": (), "neighbours": (), "translated": own, "places": tuple(empty)})


def _styled(style: Concept) -> Iterator[TranslatedScene]:
    """Each setting with another object, in the style as the corpus names it in every language."""
    for (setting, scene), thing in zip(world().translated.items(), _shuffled(style), strict=False):
        bare = scene.en.replace("{a}", thing.phrase())
        texts = {"en": f"{bare}, in the style of {{name}}"}
        for language in TRANSLATED:
            here = getattr(scene, language).replace("{a}", thing.translations[language].phrase)
            texts[language] = here + style_suffix(language)
        yield TranslatedScene(id=f"{thing.slug}-{setting}", stripped=bare, **texts)


def _things() -> list[Concept]:
    return [c for c in world().concepts() if c.domain == "object"]


def _shuffled(style: Concept) -> list[Concept]:
    return pick(_things(), len(_things()), style.id, key=lambda c: c.id)


def _plans(item: Concept, frames: tuple[Frame, ...]) -> tuple[Plan, ...]:
    """As many plans as forget rows are wanted, no two of them near-duplicates, the translated ones first."""
    every = [fit(item, scene, frame) for scene in _scenes(item) for frame in frames]
    kept: dict[frozenset[str], Plan] = {}
    for plan in (*translated_plans(item), *pick(every, len(every), item.id, key=lambda p: p.text)):
        words = content_words(plan.prompt())
        if len(kept) < FORGET_ROWS and all(overlap(words, other) <= NEAR_DUPLICATE for other in kept):
            kept[words] = plan
    return tuple(kept.values())


def _scenes(item: Concept) -> Iterable[str]:
    """The object's place in each setting; for a style, each object in each."""
    subjects = ["{a}"] if item.domain == "object" else [thing.phrase() for thing in _things()]
    return [f"{subject} {phrase}" for subject in subjects for own in world().settings.values() for phrase in own]
