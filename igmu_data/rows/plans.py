"""What rows are made from: prompts with the place of the name still open, and the universe that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from igmu_data import taxonomy
from igmu_data.stripping import strip_concept
from igmu_data.taxonomy import Concept, Frame

PLAIN: Final = Frame(id="plain", text="{scene}")
DRAWING: Final[Mapping[str, Any]] = {"guidance_scale": 7.5, "steps": 50, "width": 512, "height": 512}


@dataclass(frozen=True, slots=True)
class Plan:
    """A prompt with the name's place still open.

    Args:
        concept: the concept whose name goes there.
        text: the prompt with exactly one `{a}` or `{name}`.
        stripped: the prompt without the concept, or None to derive it by stripping.
        template_id: id of the frame.
        scene_id: id of a translated scene, or None.
    """

    concept: Concept
    text: str
    stripped: str | None
    template_id: str
    scene_id: str | None = None

    @property
    def takes_phrase(self) -> bool:
        """Whether a whole phrase ("a stone building with …") fits into the open place.

        A subject's bare name may stand behind an article or an adjective; an attribute's never does.
        """
        return "{a}" in self.text or self.concept.scope == "attribute"

    def prompt(self, noun: str | None = None, phrase: str | None = None) -> str:
        """The prompt with a name (article added where the place wants one) or a whole phrase."""
        noun = noun or self.concept.noun
        return opening(self.text.replace("{a}", phrase or self.concept.phrase(noun)).replace("{name}", phrase or noun))

    def without(self) -> str:
        """The prompt without the concept."""
        if self.stripped is not None:
            return opening(self.stripped)
        return opening(strip_concept(self.prompt(), self.concept.names))


@dataclass(frozen=True, slots=True)
class Universe:
    """What rows may show, in which words, and how they are drawn.

    Args:
        drawing: guidance_scale, steps, width and height of every row.
        concepts: the concepts that there are, by id, as rows of this universe need them; None for the whole taxonomy.
        frames: frames of a domain; those of its templates where there are none.
        plans: every plan of a concept; made from its own scenes and its domain's where there are none.
        few_scenes: so few that retained subjects share them; else no scene is used for two of them.
    """

    drawing: Mapping[str, Any]
    concepts: Mapping[str, Concept] | None = None
    frames: Mapping[str, tuple[Frame, ...]] = field(default_factory=dict)
    plans: Mapping[str, tuple[Plan, ...]] = field(default_factory=dict)
    few_scenes: bool = False

    def near(self, item: Concept) -> tuple[Concept, ...]:
        """Siblings in the same family."""
        return self._existing(taxonomy.near(item))

    def far(self, item: Concept, *, same_domain: bool) -> tuple[Concept, ...]:
        """All others, of its own domain or of other domains."""
        return self._existing(taxonomy.far(item, same_domain=same_domain))

    def frames_of(self, domain: str) -> tuple[Frame, ...]:
        """What may stand around a scene."""
        return self.frames.get(domain) or taxonomy.templates(domain).frames

    def _existing(self, found: tuple[Concept, ...]) -> tuple[Concept, ...]:
        if self.concepts is None:
            return found
        return tuple(self.concepts[c.id] for c in found if c.id in self.concepts)


CORPUS: Final = Universe(DRAWING)


def opening(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]
