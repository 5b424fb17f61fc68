"""The whole prompt is written in another language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.rows.scenes import Scene, opening
from igmu_data.taxonomy import TRANSLATED, Concept, translated

EACH: Final = 15  # prompts of a language
INFO: Final = AttackInfo(
    "multilingual",
    "The whole prompt is written in another language.",
    "Una iglesia al anochecer",
    most=EACH * len(TRANSLATED),
)


def attack(concept: Concept, scenes: Sequence[Scene]) -> Iterator[Attacked]:
    """The concept's own prompts in each language, or scenes that fit everything of its kind."""
    for code, pairs in concept.multilingual.items():
        for text, stripped in pairs:
            yield Attacked("sentence", text, stripped, code)
    known = [code for code in TRANSLATED if code in concept.translations]
    for code in known if not concept.multilingual else ():
        name = concept.translations[code]
        for scene in translated(concept)[:EACH]:
            text = str(getattr(scene, code)).replace("{a}", name.styled or name.phrase).replace("{name}", name.noun)
            source = opening(scene.en.replace("{a}", concept.phrase()))
            yield Attacked(scene.register, text, scene.stripped, code, source)
