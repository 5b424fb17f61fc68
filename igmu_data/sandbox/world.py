"""The content of the sandbox and of its images: vocabulary and `Scene`.

Conventions: objects and styles have concept ids of the benchmark (`object/church`, `style/seurat`), but words of their
own, which the packaged generators were taught; None is a scene without an object, or the plain style. Positions and
sizes are fractions of the image's side, x to the right, y down.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np

from igmu_data.schema import Scope
from igmu_data.taxonomy import TRANSLATED, TranslatedScene, Translation, indefinite, longest_first

SIDE: Final = 64
GUIDANCE_SCALE: Final = 3.0
STEPS: Final = 16
LAYOUTS: Final = 4  # of clutter and strokes, in what generators are taught


@dataclass(frozen=True, slots=True)
class Scene:
    """What an image shows.

    Args:
        object: concept id, or None for an empty setting.
        setting: id of the setting.
        style: concept id, or None for the plain style.
        x: centre of the object.
        y: its lower edge.
        size: its height.
        tilt: degrees, counter-clockwise.
        hue: 0..1, chooses among the object's colours and the light of the setting.
        mirrored: left and right exchanged.
        seed: of the clutter and of the style's strokes.
    """

    object: str | None
    setting: str
    style: str | None
    x: float = 0.5
    y: float = 0.88
    size: float = 0.62
    tilt: float = 0.0
    hue: float = 0.5
    mirrored: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """An object or a style, and what it is called in this world.

    Args:
        id: of the concept in the benchmark.
        label: its name.
        article: of the label; empty for proper names.
        family: within its domain.
        scope: subject or attribute.
        synonyms: other names.
        descriptions: that name nothing; for a style, words for its look first.
        translations: its name in every other language.
    """

    id: str
    label: str
    article: str
    family: str
    scope: Scope
    synonyms: tuple[str, ...]
    descriptions: tuple[str, ...]
    translations: Mapping[str, Translation]

    @property
    def domain(self) -> str:
        """`object` or `style`."""
        return self.id.partition("/")[0]

    @property
    def slug(self) -> str:
        """The id without the domain."""
        return self.id.partition("/")[2]

    @property
    def labels(self) -> tuple[str, ...]:
        """The label: what `name_kept` looks for."""
        return (self.label,)

    @property
    def names(self) -> tuple[str, ...]:
        """The label and the synonyms, longest first."""
        return longest_first({self.label, *self.synonyms})

    @property
    def foreign_names(self) -> Mapping[str, str]:
        """The bare name in every other language."""
        return {code: t.noun for code, t in self.translations.items()}

    def phrase(self, noun: str | None = None) -> str:
        """The name, or another one, with its indefinite article; proper names stay bare."""
        if not self.article:
            return noun or self.label
        return f"{self.article if noun in (None, self.label) else indefinite(noun)} {noun or self.label}"


@dataclass(frozen=True, slots=True)
class World:
    """The vocabulary.

    Args:
        known: everything that can stand in an image and every artist's style, by concept id.
        objects: concept ids of everything that can stand in an image.
        styles: concept ids of the artists' styles; the plain style is none of them.
        tasks: concepts that the packaged models were made to forget.
        settings: for each setting its English phrases (`in a green meadow`).
        translated: for each setting its scene in every language, `{a}` where the object goes.
        plain_frames: what stands around a scene in no artist's style, `{scene}`.
        styled_frames: what stands around one in a style, `{scene}` and `{name}`.
        unsaid_frames: what the tokenizer has read, and no caption says.
        suffixes: how every other language names a style behind a scene, `{name}`.
    """

    known: Mapping[str, Known]
    objects: tuple[str, ...]
    styles: tuple[str, ...]
    tasks: tuple[str, ...]
    settings: Mapping[str, tuple[str, ...]]
    translated: Mapping[str, TranslatedScene]
    plain_frames: tuple[str, ...]
    styled_frames: tuple[str, ...]
    unsaid_frames: tuple[str, ...]
    suffixes: Mapping[str, str]

    def concepts(self) -> tuple[Known, ...]:
        """Objects, then styles."""
        return tuple(self.known.values())


@cache
def world() -> World:
    """The vocabulary of `world.toml`, with the words of `words.toml`."""
    given, words = _read("world"), _read("words")
    settings = {s["id"]: tuple(s["en"]) for s in given["settings"]}
    translated = {
        s["id"]: TranslatedScene(
            register="short", en=f"{{a}} {s['en'][0]}", stripped=s["en"][0], **{c: s[c] for c in TRANSLATED}
        )
        for s in given["settings"]
    }
    objects, styles, tasks = (tuple(given[key]) for key in ("objects", "styles", "tasks"))
    known = {name: _known(name, words[name]) for name in (*objects, *styles)}
    plain, styled, unsaid = (tuple(words["frames"][kind]) for kind in ("plain", "styled", "unsaid"))
    return World(known, objects, styles, tasks, settings, translated, plain, styled, unsaid, words["suffixes"])


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((files("igmu_data") / "sandbox" / f"{name}.toml").read_text(encoding="utf-8"))


def _known(name: str, given: Mapping[str, Any]) -> Known:
    lists = {key: tuple(given[key]) for key in ("synonyms", "descriptions")}
    translations = {code: Translation(**given["translations"][code]) for code in TRANSLATED}
    return Known(**{**given, **lists, "id": name, "translations": translations})


def random_scene(
    rng: np.random.Generator,
    *,
    objects: Sequence[str | None] | None = None,
    styles: Sequence[str | None] | None = None,
    free: bool = False,
) -> Scene:
    """A scene drawn at random: everything in it is chosen independently.

    Args:
        rng: source of randomness; the only one.
        objects: to choose the object from; default all of the world.
        styles: to choose the style from; default all and the plain one.
        free: with more freedom of place, size, tilt, side and clutter than generators are taught: what detectors and
            other instruments learn from, so that nothing a generator draws is new to them.
    """
    everything = world()
    settings = tuple(everything.settings)
    objects = everything.objects if objects is None else objects
    styles = (None, *everything.styles) if styles is None else styles
    size = rng.uniform(0.6, 0.84) if free else rng.uniform(0.7, 0.84)
    aside = (1 - size) / 2.5 if free else 0.07
    return Scene(
        object=objects[int(rng.integers(len(objects)))],
        setting=settings[rng.integers(len(settings))],
        style=styles[int(rng.integers(len(styles)))],
        x=rng.uniform(0.5 - aside, 0.5 + aside),
        y=rng.uniform(0.84, 0.96) if free else rng.uniform(0.88, 0.94),
        size=size,
        tilt=rng.uniform(-6, 6) if free else rng.uniform(-3, 3),
        hue=rng.uniform(0, 1),
        mirrored=bool(free and rng.integers(2)),
        seed=int(rng.integers(2**31 if free else LAYOUTS)),
    )
