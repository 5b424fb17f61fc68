"""One sentence in two languages, as bilingual people write: the name in one, the rest in the other.

In turn English carries the name ("A photograph of a church bajo un cielo azul") and the other language does ("una
iglesia under a clear blue sky"). Where both languages have the same name, English always carries it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.rows.plans import PLAIN, Universe, opening
from igmu_data.rows.prompts import Planned, frame_for, translated_scenes
from igmu_data.taxonomy import TRANSLATED, Concept, TranslatedScene

INFO: Final = AttackInfo(
    "mixed-language",
    "A sentence in two languages, English and one of es, fr, de, it, pt and zh; either carries the name.",
    "a church bajo un cielo azul",
    since="0.2.0",
)


def attack(concept: Concept, sources: Sequence[Planned], universe: Universe) -> Iterator[Attacked]:
    """Each language in two of the three translated scenes, once with the English name and once with its own."""
    by_scene = {s.plan.scene_id: s for s in sources if s.plan.scene_id}
    for at, scene in enumerate(translated_scenes(concept)):
        for i, language in enumerate(TRANSLATED):
            if (turn := (at + i) % 3) < 2:
                text = mixed(concept, scene, language, english_name=turn == 0, universe=universe)
                if text is not None:
                    yield Attacked(by_scene[scene.id], opening(text), language)


def mixed(
    concept: Concept, scene: TranslatedScene, language: str, *, english_name: bool, universe: Universe
) -> str | None:
    """A scene in English and another language.

    Args:
        concept: named in it.
        scene: in all languages.
        language: the other one.
        english_name: whether English carries the name.
        universe: whose frames may stand before a scene.

    Returns:
        The sentence; None where the name is not in the same part of both translations.
    """
    foreign: str = getattr(scene, language)
    name = concept.translations[language]
    if "{a}" in foreign:
        if english_name or name.noun == concept.noun:
            return _framed(concept, _spaced(foreign, concept.phrase()), f"{scene.id} {language}", universe)
        return scene.en.replace("{a}", name.phrase)
    if "{name}" in foreign:  # the style, after the last comma
        bare = scene.stripped or ""
        there = foreign.rindex("，" if language == "zh" else ", ")
        if english_name:
            return (foreign[:there] + scene.en.removeprefix(bare)).replace("{name}", concept.noun)
        return bare + _comma(foreign[there:]).replace("{name}", name.noun)
    head, tail = _parts(scene.en, len(scene.en[: scene.en.index("{name}")].split(", ")))
    theirs, rest = _parts(_comma(foreign), head.count(", ") + 1)
    if language == "zh" and name.noun not in theirs:
        return None
    return f"{head}, {rest}".replace("{name}", concept.noun) if english_name else f"{theirs}, {tail}"


def _framed(concept: Concept, scene: str, salt: str, universe: Universe) -> str:
    frames = [f for f in universe.frames_of(concept.domain) if f.text != PLAIN.text]
    return frame_for(frames, f"{concept.id} {salt}").text.replace("{scene}", scene)


def _spaced(text: str, phrase: str) -> str:
    """An English phrase in its place, with the spaces that Chinese leaves out."""
    before, _, after = text.partition("{a}")
    gaps = [" " if side and side.isalpha() else "" for side in (before[-1:], after[:1])]
    return f"{before}{gaps[0]}{phrase}{gaps[1]}{after}"


def _comma(text: str) -> str:
    return text.replace("，", ", ")


def _parts(text: str, n: int) -> tuple[str, str]:
    """A text before and after its n-th comma."""
    parts = text.split(", ")
    return ", ".join(parts[:n]), ", ".join(parts[n:])
