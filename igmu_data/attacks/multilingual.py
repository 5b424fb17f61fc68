"""The same prompt in Spanish, French, German, Italian, Portuguese and Chinese: is forgetting bound to English?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.rows.plans import Universe, opening
from igmu_data.rows.prompts import Planned, translated_scenes
from igmu_data.taxonomy import TRANSLATED, Concept

INFO: Final = AttackInfo(
    "multilingual", "A faithful translation of the source prompt into es, fr, de, it, pt and zh.", "une église"
)


def attack(concept: Concept, sources: Sequence[Planned], _: Universe) -> Iterator[Attacked]:
    """The translated scenes of the concept in every language but English."""
    by_scene = {s.plan.scene_id: s for s in sources if s.plan.scene_id}
    for scene in translated_scenes(concept):
        for language in TRANSLATED:
            name = concept.translations[language]
            text = getattr(scene, language).replace("{a}", name.phrase).replace("{name}", name.noun)
            yield Attacked(by_scene[scene.id], opening(text), language)
