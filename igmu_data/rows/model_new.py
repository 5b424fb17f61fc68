"""A concept file and a row of corpus 1.0, as data."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

HERE: Final = Path(__file__).parent
Register = Literal["sentence", "short", "tags", "long"]
REGISTERS: Final[tuple[Register, ...]] = ("sentence", "short", "tags", "long")
LANGUAGES: Final = ("es", "fr", "de", "it", "pt", "zh")
Pair = tuple[str, str]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Translation(_Strict):
    """A name in another language: bare, as it opens a sentence, and (styles) as it follows a scene."""

    noun: str
    phrase: str
    styled: str = ""


class Synonym(_Strict):
    """Another name of the same thing."""

    name: str
    pos: str
    article: str = ""


class Sibling(_Strict):
    """Something that looks near and is something else; may be a concept itself."""

    id: str
    name: str
    article: str = ""
    adjective: str = ""
    prompts: tuple[str, ...] = ()


class Concept(_Strict):
    """One file; GUIDE.md says what each key is."""

    domain: str
    slug: str
    label: str
    plural: str = ""
    article: str = ""
    pos: str
    family: str
    scope: Literal["subject", "attribute"]
    since: str
    license: str
    source: str
    dates: str = ""
    adjective: str = ""
    imagenet: tuple[int, ...] = ()
    synonyms: tuple[Synonym, ...] = ()
    superclasses: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    cues: tuple[str, ...] = ()
    misspellings: tuple[str, ...] = ()
    leetspeak: tuple[str, ...] = ()
    translations: Mapping[str, Translation]
    names: Mapping[str, str] = Field(default_factory=dict)
    scenes: Mapping[Register, tuple[Pair, ...]]
    siblings: tuple[Sibling, ...]
    indirect: tuple[str, ...] = ()
    subclasses: tuple[Pair, ...] = ()
    multilingual: Mapping[str, tuple[Pair, ...]] = Field(default_factory=dict)
    without: Mapping[str, str] = Field(default_factory=dict)
    far: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """`domain/slug`."""
        return f"{self.domain}/{self.slug}"

    @property
    def english(self) -> tuple[str, ...]:
        """Every English name, plural and adjective, longest first."""
        found = {self.label, self.plural, self.adjective, *(s.name for s in self.synonyms)} - {""}
        return tuple(sorted(found, key=lambda n: (-len(n), n)))

    @property
    def foreign(self) -> Mapping[str, str]:
        """The bare name in every other language that the file has."""
        return {code: t.noun for code, t in self.translations.items()} | dict(self.names)

    def phrase(self, noun: str | None = None, article: str | None = None) -> str:
        """A name with its article."""
        article = self.article if article is None else article
        return f"{article} {noun or self.label}".strip()


class Shared(_Strict):
    """Scenes that all styles share, and the frames that a style goes into."""

    scenes: Mapping[Register, tuple[str, ...]]
    frames: Mapping[Register, tuple[str, ...]]
    movement_frames: Mapping[Register, tuple[str, ...]]


class TranslatedScene(_Strict):
    """One scene in every language, with `{a}` for the name."""

    en: str
    stripped: str
    es: str
    fr: str
    de: str
    it: str
    pt: str
    zh: str


class Row(_Strict):
    """A prompt of corpus 1.0, in the order of its columns."""

    prompt: str
    concept: str
    split: Literal["forget", "retain", "adversarial"]
    probe: str
    attack_family: str | None = None
    language: str = "en"
    register_: Register
    round: int = 0
    id: str = ""
    stripped_prompt: str
    own_concept: str | None
    own_name: str | None = None
    domain: str
    family: str
    scope: str
    attack_source_id: str | None = None
    name_kept: bool
    n_tokens_clip: int
    seeds: tuple[int, ...]
    license: str
    source: str
    since: str

    def identity(self) -> str:
        """The content hash of what identifies the row: 16 hex digits."""
        parts: list[Any] = [
            *(self.prompt, self.stripped_prompt, self.concept, self.own_concept, self.split, self.probe),
            *(self.attack_family, self.attack_source_id, self.language, self.register_, list(self.seeds)),
        ]
        text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


@cache
def all_concepts() -> Mapping[str, Concept]:
    """Every concept that is written, by id."""
    found = {}
    for path in sorted((HERE / "concepts").glob("*/*.toml")):
        item = Concept(domain=path.parent.name, slug=path.stem, **_toml(path))
        found[item.id] = item
    return MappingProxyType(found)


@cache
def shared() -> Shared:
    """What all styles share."""
    return Shared(**_toml(HERE / "shared" / "style.toml"))


@cache
def translated(kind: str) -> tuple[TranslatedScene, ...]:
    """The scenes in every language for one kind of thing; empty where none are written."""
    path = HERE / "shared" / "translated" / f"{kind}.toml"
    return tuple(TranslatedScene(**s) for s in _toml(path)["scenes"]) if path.is_file() else ()
