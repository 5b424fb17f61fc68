"""What people would write about a scene: names, synonyms, descriptions, other languages, wrong spellings.

The words are the world's own (`words.toml`), more than a keyword filter knows. A few synonyms and descriptions of each
concept are kept out of training, to see whether the rest generalises.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np

from builders.sandbox.misspelling import misspell
from igmu_data.rows.naming import named
from igmu_data.sandbox.world import Scene, world
from igmu_data.taxonomy import TRANSLATED

SMALL, LARGE = 0.74, 0.80  # of the image's height: from here on a caption may say so
_T = TypeVar("_T")


@dataclass(frozen=True)
class Words:
    """The English words for one concept.

    Args:
        names: label and synonyms; the label first.
        descriptions: that do not name it.
    """

    names: tuple[str, ...]
    descriptions: tuple[str, ...]


@cache
def words(name: str, *, without: str | None = None, held_out: bool = False) -> Words:
    """The words for a concept that training uses, or those held out of it.

    Args:
        name: concept id.
        without: a concept that none of the words may name.
        held_out: the other ones: every fifth synonym and description.
    """
    item = world().known[name]
    banned = world().known[without] if without else None
    names = [n for n in item.synonyms if not (banned and named(n, banned))]
    described = [d for d in item.descriptions if not (banned and named(d, banned))]
    if held_out:
        return Words(tuple(names[4::5]), tuple(described[4::5]))
    return Words(
        (item.label, *(n for i, n in enumerate(names) if i % 5 != 4)),
        tuple(d for i, d in enumerate(described) if i % 5 != 4),
    )


def caption(scene: Scene, rng: np.random.Generator, *, without: str | None = None, held_out: bool = False) -> str:
    """One caption of a scene.

    Args:
        scene: what the image shows.
        rng: chooses the words.
        without: concept that must not be named (a model that never saw it never read of it either).
        held_out: use only words that are kept out of training.
    """
    if scene.object and not held_out and rng.random() < 0.14:
        return _translated(scene, rng)
    text = _object(scene, rng, without, held_out)
    phrases = world().settings[scene.setting]
    if scene.object is None:
        text = f"an empty place {phrases[rng.integers(len(phrases))]}"
    elif rng.random() < 0.85:
        phrase = phrases[rng.integers(len(phrases))]
        text = f"{phrase}, {text}" if rng.random() < 0.1 else f"{text} {phrase}"
    if scene.style is None:
        return _choose(world().plain_frames, rng).replace("{scene}", text)
    own = words(scene.style, without=without, held_out=held_out)
    if held_out or rng.random() < 0.35:
        name = _choose(own.descriptions, rng)
    elif rng.random() < 0.12:
        name = misspell(world().known[scene.style].label, int(rng.integers(280)), 2)
    else:
        name = own.names[0] if rng.random() < 0.5 else _choose(own.names, rng)
    if rng.random() < 0.1:
        return f"{text}, {name}"
    return _choose(world().styled_frames, rng).replace("{scene}", text).replace("{name}", name)


def _object(scene: Scene, rng: np.random.Generator, without: str | None, held_out: bool) -> str:
    if scene.object is None:
        return ""
    item, own = world().known[scene.object], words(scene.object, without=without, held_out=held_out)
    kind = rng.random()
    if held_out:
        return item.phrase(own.names[0]) if own.names and kind < 0.5 else _choose(own.descriptions, rng)
    if kind < 0.22:
        return _choose(own.descriptions, rng)
    if kind < 0.32:
        return item.phrase(misspell(item.label, int(rng.integers(280))))
    noun = own.names[0] if kind < 0.66 else _choose(own.names, rng)
    if rng.random() < 0.2 and (scene.size < SMALL or scene.size > LARGE):
        return f"a {'small' if scene.size < SMALL else 'large'} {noun}"
    if rng.random() < 0.04:
        return noun
    return item.phrase(noun)


def _translated(scene: Scene, rng: np.random.Generator) -> str:
    """The whole caption in another language."""
    language, known = TRANSLATED[rng.integers(len(TRANSLATED))], world().known
    own = known[scene.object or ""].translations[language]
    text = str(getattr(world().translated[scene.setting], language)).replace("{a}", own.phrase)
    if scene.style:
        text += world().suffixes[language].replace("{name}", known[scene.style].translations[language].noun)
    return text


def _choose(items: Sequence[_T], rng: np.random.Generator) -> _T:
    return items[int(rng.integers(len(items)))]


def vocabulary() -> Iterator[str]:
    """Every word that a caption may hold, for the tokenizer."""
    everything = world()
    for item in everything.concepts():
        yield from item.names
        yield from item.descriptions
        yield from item.foreign_names.values()
        yield from (t.phrase for t in item.translations.values())
    for phrases in everything.settings.values():
        yield from phrases
    for scene in everything.translated.values():
        yield from (getattr(scene, language) for language in TRANSLATED)
    for frame in (*everything.plain_frames, *everything.unsaid_frames, *everything.styled_frames):
        yield frame.replace("{scene}", "").replace("{name}", "")
