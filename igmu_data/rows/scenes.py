"""Scenes: prompts of a concept with the place of its name still open, each with what is left without the concept."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from igmu_data import taxonomy
from igmu_data.rows.choose import ordered
from igmu_data.schema import REGISTERS, Register
from igmu_data.taxonomy import Concept

STYLE: Final = "style"  # the domain whose scenes are shared
OF_SHARED: Final[Mapping[Register, int]] = {"sentence": 40, "short": 15, "tags": 25, "long": 20}
LONG: Final = 32  # words
HELD: Final = 10  # scenes of an attribute that are asked for in-prompt
_SENTENCE: Final = re.compile(r"(?:^|(?<=[.!?] ))\w")


@dataclass(frozen=True, slots=True)
class Scene:
    """A prompt with the place of the name open.

    Args:
        register: how it is written.
        text: with exactly one `{a}` (name with article), `{name}`, `{names}` (plural) or `{adjective}`.
        stripped: a prompt of its own, without the concept.
    """

    register: Register
    text: str
    stripped: str

    def prompt(self, concept: Concept, noun: str | None = None, phrase: str | None = None) -> str:
        """The prompt with the concept's name, another noun (article added where the place wants one), or a phrase."""
        text = self.text.replace("{a}", phrase or concept.phrase(noun)).replace("{name}", noun or concept.label)
        return opening(text.replace("{names}", concept.plural).replace("{adjective}", concept.adjective))

    @property
    def takes_name(self) -> bool:
        """Whether another name in the singular fits."""
        return "{a}" in self.text or "{name}" in self.text


def opening(text: str) -> str:
    """The text with a capital letter at the start of every sentence.

    >>> opening("a church. it is old")
    'A church. It is old'
    """
    return _SENTENCE.sub(lambda m: m[0].title(), text)


def scenes_of(concept: Concept) -> list[Scene]:
    """Every prompt of a concept to forget, its own first."""
    own = [Scene(register, *pair) for register in REGISTERS for pair in concept.scenes.get(register, ())]
    return own + list(styled(concept, OF_SHARED, concept.id)) if concept.domain == STYLE else own


def styled(concept: Concept, numbers: Mapping[Register, int], salt: str) -> Iterator[Scene]:
    """Shared scenes in frames, no frame or scene twice while there are others.

    Args:
        concept: a style.
        numbers: how many of each register.
        salt: chooses among them.
    """
    for register, n in numbers.items():
        contents = ordered(taxonomy.styles().scenes[register], salt)
        around = itertools.cycle(ordered(frames(concept)[register], salt))
        for content, frame in zip(contents[:n], around, strict=False):
            yield Scene(register, frame.replace("{scene}", content).replace("{style}", "{name}"), content)


def frames(concept: Concept) -> Mapping[Register, tuple[str, ...]]:
    """What puts a style to a scene: those of movements, which have an adjective, or of artists."""
    return taxonomy.styles().movement_frames if concept.adjective else taxonomy.styles().frames


def asked(concept: Concept) -> tuple[list[Scene], list[Scene]]:
    """Scenes of the forget rows, and those held back for in-prompt retention."""
    scenes = scenes_of(concept)
    if concept.scope == "subject" or concept.domain == STYLE:
        return scenes, []
    held = ordered(scenes, f"{concept.id} held")[:HELD]
    return [s for s in scenes if s not in held], held


def register_of(text: str) -> Register:
    """The register that a whole prompt is written in.

    >>> register_of("a church at dusk"), register_of("a church, stone, fog, dawn, 35mm, film grain")
    ('short', 'tags')
    """
    n = len(text.split())
    items = text.count(",") + 1
    if n <= 6 and items < 4:
        return "short"
    if items >= 5 and n <= 4 * items and ". " not in text:
        return "tags"
    return "long" if n >= LONG else "sentence"
