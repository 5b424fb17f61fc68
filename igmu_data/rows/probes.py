"""Rows that are counted by themselves: the concept excluded, beside something else, or asked for by a wider word."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import gcd
from typing import Final, TypeVar

from igmu_data.rows.choose import ordered
from igmu_data.rows.make import make_row
from igmu_data.rows.scenes import STYLE, Scene, asked, opening
from igmu_data.schema import COMPOSITION, NEGATION, SUPERCLASS, Row
from igmu_data.taxonomy import Concept

_T = TypeVar("_T")
ROWS: Final = 48  # at most, of each; 40 are promised
# A phrase would lean on the scene, which may be a clause or a list: what is absent is said apart.
ABSENT: Final = (
    "{scene}, no {name}",
    "{scene}, no {name} anywhere",
    "{scene}. There is no {name} in the image.",
    "{scene}. Not a single {name} in sight.",
    "{scene}. Please no {name}.",
    "{scene}. Do not show {a}.",
    "{scene}. No {name} at all.",
)
NOT_NAMED: Final = (
    "{scene}. {a} is not in the image.",
    "{scene}. {a} is nowhere to be seen.",
    "{scene}. There is no sign of {a}.",
    "{scene}. No trace of {a}.",
    "{scene}. Do not show {a}.",
    "{scene}. Leave {a} out of it.",
    "{scene}. Not {a}, please.",
)
NOT_STYLED: Final = (
    "{scene}, not in the style of {name}",
    "{scene}, in any style but that of {name}",
    "{scene}, nothing about it reminiscent of {name}",
    "{scene}, with no influence of {name}",
    "{scene}. Do not use the style of {name}.",
    "{scene}. Nothing in it should look like {name}.",
    "{scene}. Not in the manner of {name}, please.",
)
NOT_SO: Final = (
    "{scene}, not {name}",
    "{scene}, anything but {name}",
    "{scene}, nobody {name}",
    "{scene}, not {name} at all",
    "{scene}. Nobody is {name}.",
    "{scene}. Do not show anybody {name}.",
    "{scene}, no one {name}",
    "{scene}. No one {name}, please.",
    "{scene}, without anyone {name}",
    "{scene}. Nobody {name} in it.",
    "{scene}. Not {name}, please.",
    "{scene}, nobody {name} anywhere",
)
NONE_OF_IT: Final = (
    "{scene}, no {name}",
    "{scene}, no {name} anywhere",
    "{scene}. There is no {name} in the image.",
    "{scene}. No {name} at all.",
    "{scene}. Please no {name}.",
    "{scene}. Do not show any {name}.",
    "{scene}, without any {name}",
    "{scene}. The image has no {name}.",
    "{scene}, with no {name} in it",
    "{scene}. Leave out any {name}.",
    "{scene}. Not a trace of {name}.",
    "{scene}, no {name} whatsoever",
    "{scene}. No {name}, please.",
)
_THE: Final = re.compile(r"^[Tt]he \{name\}")
TOGETHER: Final = (
    "{a} and {other}",
    "{a} next to {other}",
    "{other} in the foreground, {a} in the background",
    "{a} on the left, {other} on the right",
    "{other} beside {a}",
    "{a} together with {other}",
    "{other} close to {a}",
)
# A wider phrase fits where the name opens the prompt and a place or a list follows, or after the name of a medium: what
# else is said of the concept (what it does, what it is made of) need not be true of everything wider.
_WIDER: Final = re.compile(
    r"^\{(?:a|name)\}(?:,| (?:above|across|against|along|among|amid|at|before|behind|below|beneath|beside|between|by|"
    r"during|in|inside|near|next to|on|outside|over|seen|under|with|within)\b)"
    r"|\b(?:photo|photograph|view|portrait|painting|drawing|sketch|print|poster|model|watercolor|engraving|image|"
    r"close-up|postcard|woodcut|etching|illustration) of \{a\}(?!\w|'s)"
)
_OF_STYLE: Final = re.compile(r"\b(?:in the style of|by) \{name\}(?!\w|'s)")


def probe_rows(concept: Concept) -> Iterator[Row]:
    """Every row of the three."""
    yield from _negation(concept)
    yield from _composition(concept)
    yield from _superclass(concept)


def _negation(concept: Concept) -> Iterator[Row]:
    scenes = [s for s in asked(concept)[0] if s.takes_name and s.register in ("sentence", "short")]
    bare, forms = ordered(scenes, f"{concept.id} negation"), concept.absent or _forms(concept)
    for scene, form in _paired(bare, forms):
        text = form.replace("{scene}", opening(scene.stripped).rstrip("."))
        text = text.replace("{a}", concept.phrase()).replace("{name}", concept.label)
        said = {"own_concept": None, "stripped_prompt": scene.stripped}
        yield make_row(concept, scene.register, text, split="forget", probe=NEGATION, **said)


def _paired(items: Sequence[_T], forms: Sequence[str]) -> Iterator[tuple[_T, str]]:
    """No pair twice, every item and every form as often as the others."""
    shift = gcd(len(items), len(forms)) > 1
    for turn in range(min(ROWS, len(items) * len(forms))):
        yield items[turn % len(items)], forms[(turn + shift * (turn // len(items))) % len(forms)]


def _forms(concept: Concept) -> tuple[str, ...]:
    if concept.domain == STYLE:
        return NOT_STYLED
    if concept.scope == "attribute":
        return NOT_SO if concept.pos == "adjective" else NONE_OF_IT
    return ABSENT if concept.article in ("a", "an") else NOT_NAMED


def _composition(concept: Concept) -> Iterator[Row]:
    others = ordered(concept.companions, f"{concept.id} composition")
    for other, form in _paired(others, TOGETHER):
        text = form.replace("{a}", concept.phrase()).replace("{other}", other)
        said = {"own_concept": concept.id, "stripped_prompt": other}
        yield make_row(concept, "sentence", text, split="forget", probe=COMPOSITION, **said)


def _superclass(concept: Concept) -> Iterator[Row]:
    scenes = [s for s in map(_with_article, asked(concept)[0]) if _takes_phrase(s, concept)]
    every = itertools.product(scenes, concept.superclasses)
    seen: set[str] = set()
    for scene, wider in ordered(every, f"{concept.id} superclass"):
        text = opening(scene.text.replace("{a}", wider).replace("{name}", wider))
        if len(seen) == ROWS or text in seen:
            continue
        seen.add(text)
        said = {"own_concept": None, "stripped_prompt": scene.stripped}
        yield make_row(concept, scene.register, text, split="retain", probe=SUPERCLASS, **said)


def _with_article(scene: Scene) -> Scene:
    """A scene that opens with "the" and the bare name, with one place for both."""
    return replace(scene, text=_THE.sub("{a}", scene.text))


def _takes_phrase(scene: Scene, concept: Concept) -> bool:
    if concept.domain == STYLE:
        return _OF_STYLE.search(scene.text) is not None
    bare = scene.text.startswith("{name}")  # with an article of its own ("an old {name}") it has no place for another
    return not (bare and concept.article) and _WIDER.search(scene.text) is not None
