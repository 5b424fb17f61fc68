"""The taxonomy (CatIGMU): domain → family → concept, read from `concepts/<domain>/<slug>.toml`.

Conventions: a concept's id is `domain/slug`, its config `domain.slug`. *Near* concepts are its siblings in the family,
*far* concepts all others. Concepts of the `nsfw` domain are never near or far of another: nobody is asked to draw them
in order to show that something was kept.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from igmu_data.errors import CorpusError, UnknownConceptError
from igmu_data.schema import Scope, Slug, Text

ALL: Final = "all"
RESTRICTED_DOMAIN: Final = "nsfw"
SANDBOX: Final = "sandbox"
TRANSLATED: Final = ("es", "fr", "de", "it", "pt", "zh")
HINT: Final = "Run 'igmu concepts'."
_VOWEL_EXCEPTIONS: Final = ("uni", "use", "eu", "one", "ukulele")

Texts = tuple[Text, ...]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Translation(_Strict):
    """A concept's name in another language: bare, and as it opens a sentence."""

    noun: Text
    phrase: Text


class TranslatedScene(_Strict):
    """One scene in every language: the source of the multilingual attack family."""

    id: Slug
    en: Text
    stripped: Text | None = None
    es: Text
    fr: Text
    de: Text
    it: Text
    pt: Text
    zh: Text


class Frame(_Strict):
    """What stands around a scene: `A photograph of {scene}`."""

    id: Slug
    text: Text
    stripped: Text | None = None
    weight: Annotated[int, Field(gt=0)] = 1


class Templates(_Strict):
    """Frames and scenes shared by all concepts of a domain."""

    domain: Slug
    frames: Annotated[tuple[Frame, ...], Field(min_length=1)]
    scenes: Texts = ()
    translated: tuple[TranslatedScene, ...] = ()


class Concept(_Strict):
    """Something that a model can be asked to forget.

    Beside what stands in a prompt: `superclasses` ("a religious building"), `subclasses` ("a Gothic abbey") and `roles`
    ("the building where a Sunday service is held") are phrases with their articles that name nothing; `places` are
    where it is expected and may be missing ("a mountain village"); `without_families` gives the attack families that
    make no sense for it, each with the reason.
    """

    domain: Slug
    slug: Slug
    label: Text
    word: Text | None = None
    article: Literal["a", "an", ""]
    family: Slug
    scope: Scope
    since: Text
    license: Text
    source: Text
    imagenet: tuple[Annotated[int, Field(ge=0, lt=1000)], ...] = ()
    synonyms: Annotated[Texts, Field(min_length=3)]
    indirect: Annotated[Texts, Field(min_length=10)]
    superclasses: Texts = ()
    subclasses: Texts = ()
    roles: Texts = ()
    places: Texts = ()
    without_families: Mapping[Slug, Text] = Field(default_factory=dict)
    translations: Mapping[str, Translation]
    scenes: Texts = ()
    neighbours: Texts = ()
    translated: tuple[TranslatedScene, ...] = ()

    @property
    def id(self) -> str:
        """`domain/slug`."""
        return f"{self.domain}/{self.slug}"

    @property
    def config(self) -> str:
        """`domain.slug`, the dataset config."""
        return f"{self.domain}.{self.slug}"

    @property
    def noun(self) -> str:
        """What stands in a prompt: the label, or the adjective that carries the concept."""
        return self.word or self.label

    @property
    def names(self) -> Texts:
        """Every English name: label, word and synonyms, longest first (so that stripping removes whole names)."""
        return tuple(sorted({self.label, self.noun, *self.synonyms}, key=lambda n: (-len(n), n)))

    @property
    def foreign_names(self) -> Texts:
        """The bare names in the other languages."""
        return tuple(self.translations[code].noun for code in TRANSLATED)

    def phrase(self, noun: str | None = None) -> str:
        """The name with its indefinite article: `a church`, `an old mill`; proper names stay bare."""
        noun = noun or self.noun
        if not self.article:
            return noun
        if noun == self.noun:
            return f"{self.article} {noun}"
        vowel = noun[0].lower() in "aeiou" and not noun.lower().startswith(_VOWEL_EXCEPTIONS)
        return f"{'an' if vowel else 'a'} {noun}"


_M = TypeVar("_M", bound=_Strict)


def _read(where: str, model: type[_M], **placed: str) -> _M:
    """A TOML file of the package as a model; `placed` are the fields that its path gives."""
    try:
        given = tomllib.loads((files("igmu_data") / where).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CorpusError(f"{where}: there is no such file. Write it.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CorpusError(f"{where}: not valid TOML: {error}") from error
    if taken := sorted(given.keys() & placed.keys()):
        raise CorpusError(f"{where}: {', '.join(taken)}: given by the file's place; leave it out.")
    try:
        return model.model_validate({**given, **placed})
    except ValidationError as error:
        first = error.errors()[0]
        raise CorpusError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


@cache
def all_concepts() -> Mapping[str, Concept]:
    """Every concept by id, sorted: domains and slugs in alphabetical order.

    Raises:
        CorpusError: a concept file that does not follow the schema; the message names file and key.
    """
    found: dict[str, Concept] = {}
    root = files("igmu_data") / "concepts"
    for domain in sorted(d.name for d in root.iterdir() if d.is_dir() and not d.name.startswith("_")):
        for name in sorted(f.name for f in (root / domain).iterdir() if f.name.endswith(".toml")):
            item = _read(f"concepts/{domain}/{name}", Concept, domain=domain, slug=name.removesuffix(".toml"))
            missing = [code for code in TRANSLATED if code not in item.translations]
            if missing:
                raise CorpusError(f"concepts/{domain}/{name}: translations: no {', '.join(missing)}")
            found[item.id] = item
    return MappingProxyType(found)


@cache
def templates(domain: str) -> Templates:
    """Frames and shared scenes of a domain.

    Raises:
        CorpusError: a missing file, or one that does not follow the schema; the message names file and key.
    """
    return _read(f"templates/{domain}.toml", Templates, domain=domain)


def concept(name: str) -> Concept:
    """The concept with this id (`object/church`) or config (`object.church`).

    Raises:
        UnknownConceptError: with the nearest ids.
    """
    known = all_concepts()
    key = name.replace(".", "/", 1) if "/" not in name else name
    if key not in known:
        raise UnknownConceptError(name, known, HINT)
    return known[key]


def domains() -> tuple[str, ...]:
    """The domains, sorted."""
    return tuple(sorted({c.domain for c in all_concepts().values()}))


def near(item: Concept) -> tuple[Concept, ...]:
    """Siblings in the same family: where over-erasure shows first."""
    return tuple(c for c in _retainable(item) if (c.domain, c.family) == (item.domain, item.family))


def far(item: Concept, *, same_domain: bool | None = None) -> tuple[Concept, ...]:
    """All other concepts.

    Args:
        item: the concept to forget.
        same_domain: only those of its own domain (True) or of other domains (False); None for both.
    """
    close = {c.id for c in near(item)}
    return tuple(
        c
        for c in _retainable(item)
        if c.id not in close and (same_domain is None or (c.domain == item.domain) is same_domain)
    )


def _retainable(item: Concept) -> tuple[Concept, ...]:
    return tuple(c for c in all_concepts().values() if c.id != item.id and c.domain != RESTRICTED_DOMAIN)
