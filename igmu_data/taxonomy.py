"""The taxonomy (CatIGMU): domain → family → concept, read from `concepts/<domain>/<slug>.toml`.

Conventions: a concept's id is `domain/slug`, its config `domain.slug`. *Near* concepts are its siblings: things that
look like it, listed in its file, whether or not they are concepts themselves. *Far* concepts are twelve others, listed
there too, so that nothing changes when a concept is added. Concepts of the `nsfw` domain are never near or far: nobody
has to generate them to show that something was retained.

The user's own concepts are files of the same kind in a folder given by `--concepts` or the environment variable
IGMU_CONCEPTS. They are added to the packaged ones, which they cannot replace. `igmu_data.writing` checks them.
"""

from __future__ import annotations

import os
import re
import tomllib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial, wraps
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, ParamSpec, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from igmu_data.errors import CorpusError, DuplicateIdError, InputError, UnknownConceptError, nearest
from igmu_data.files import read_text
from igmu_data.schema import FIRST, ConceptId, Language, Register, Scope, Slug, Text

ALL: Final = "all"
RESTRICTED_DOMAIN: Final = "nsfw"
SANDBOX: Final = "sandbox"
TRANSLATED: Final[tuple[Language, ...]] = ("es", "fr", "de", "it", "pt", "zh")
HINT: Final = "Run 'igmu concepts' to list them; for your own, add --concepts."
ENVIRONMENT: Final = "IGMU_CONCEPTS"
CONCEPTS: Final = "concepts"  # the folder of their files in a corpus or a run
RESERVED: Final = (SANDBOX, ALL, "general", CONCEPTS)  # names of configs or folders that no domain may have
SHARED: Final = "_shared"  # the folder of what concepts share
_VOWEL_EXCEPTIONS: Final = ("uni", "use", "eu", "one", "ukulele")

Texts = tuple[Text, ...]
Name = Annotated[str, Field(pattern=r"\w")]  # what texts are searched for
Pos = Literal["noun", "proper noun", "adjective"]
Article = Literal["", "a", "an", "the"]
Pair = tuple[Text, Text]  # a prompt with the place of the name open, and the prompt without the concept
Version = Annotated[str, Field(pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}$")]

_ID: Final = re.compile(r"[a-z]+/[a-z0-9]+(-[a-z0-9]+)*")
_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Translation(_Strict):
    """A name in another language: bare, as it opens a sentence, and (styles) as it follows a scene."""

    noun: Name
    phrase: Text
    styled: str = ""


class Synonym(_Strict):
    """Another name for the same thing."""

    name: Name
    pos: Pos = "noun"
    article: Article = ""


class Sibling(_Strict):
    """Something that looks similar but is different; may be a concept itself."""

    id: ConceptId
    name: Name
    article: Article = ""
    adjective: str = ""
    prompts: Texts = ()

    @property
    def phrase(self) -> str:
        """The name with its article."""
        return f"{self.article} {self.name}".strip()


with warnings.catch_warnings():
    warnings.filterwarnings("ignore", 'Field name "register"')  # as in `schema`

    class TranslatedScene(_Strict):
        """One scene in every language, `{a}` where the name goes: the source of the multilingual attack family."""

        register: Register = Field()  # without it a method of its class, of this name, would be its default
        en: Text
        stripped: Text
        es: Text
        fr: Text
        de: Text
        it: Text
        pt: Text
        zh: Text


class Concept(_Strict):
    """Something that a model can be asked to forget; builders/writing/GUIDE.md says what each key is."""

    domain: Slug
    slug: Slug
    label: Name
    plural: Annotated[str, Field(pattern=r"^$|\w")] = ""
    article: Article = ""
    pos: Pos
    family: Slug
    scope: Scope
    since: Version
    license: Text
    source: Text
    dates: str = ""
    adjective: Annotated[str, Field(pattern=r"^$|\w")] = ""
    imagenet: tuple[Annotated[int, Field(ge=0, lt=1000)], ...] = ()
    synonyms: tuple[Synonym, ...] = ()
    superclasses: Texts = ()
    companions: Texts = ()
    absent: Texts = ()  # forms of negation of its own
    cues: Texts = ()
    misspellings: Texts = ()
    leetspeak: Texts = ()
    translations: Mapping[Language, Translation]
    foreign: Mapping[str, Name] = Field(default_factory=dict, alias="names")  # in languages beside the translated ones
    scenes: Mapping[Register, tuple[Pair, ...]]
    siblings: tuple[Sibling, ...] = ()
    indirect: Texts = ()
    subclasses: tuple[Pair, ...] = ()
    multilingual: Mapping[Language, tuple[Pair, ...]] = Field(default_factory=dict)
    without: Mapping[str, Text] = Field(default_factory=dict)
    far: tuple[ConceptId, ...] = ()

    @property
    def id(self) -> str:
        """`domain/slug`."""
        return f"{self.domain}/{self.slug}"

    @property
    def config(self) -> str:
        """`domain.slug`, the dataset config."""
        return f"{self.domain}.{self.slug}"

    @property
    def folder(self) -> str:
        """Where its rows are, relative to a repository."""
        return f"{self.domain}/{self.family}/{self.slug}"

    @property
    def labels(self) -> Texts:
        """The label, its plural and its adjective, longest first: what `name_kept` looks for."""
        return longest_first({self.label, self.plural, self.adjective})

    @property
    def names(self) -> Texts:
        """Every English name: the labels and the synonyms, longest first, so that stripping removes whole names."""
        return longest_first({*self.labels, *(s.name for s in self.synonyms)})

    @property
    def foreign_names(self) -> Mapping[str, str]:
        """The bare name in every other language that the file has, by its ISO code."""
        return {code: t.noun for code, t in self.translations.items()} | dict(self.foreign)

    def phrase(self, noun: str | None = None, article: str | None = None) -> str:
        """The name with its article: `a church`, `the Eiffel Tower`; proper names stay bare.

        Args:
            noun: another name; the indefinite article follows its first letter.
            article: instead of the concept's own.
        """
        if article is None:
            article = self.article
            if noun is not None and noun != self.label and article in ("a", "an"):
                article = indefinite(noun)
        return f"{article} {noun or self.label}".strip()


class OwnConcept(Concept):
    """A concept of the user's: little is required, and kinds of rows without material are left out."""

    pos: Pos = "noun"
    family: Slug = "own"
    scope: Scope = "subject"
    since: Version = FIRST
    license: Text = "not stated"
    source: Text = "a concept of the user's own"
    translations: Mapping[Language, Translation] = Field(default_factory=dict)
    scenes: Mapping[Register, tuple[Pair, ...]] = Field(default_factory=dict)


def indefinite(noun: str) -> str:
    """The indefinite article of a noun.

    >>> indefinite("old mill"), indefinite("unicorn")
    ('an', 'a')
    """
    vowel = noun[0].lower() in "aeiou" and not noun.lower().startswith(_VOWEL_EXCEPTIONS)
    return "an" if vowel else "a"


def longest_first(names: set[str]) -> Texts:
    """Names in the order in which they are looked for, without empty ones: whole names before their parts."""
    return tuple(sorted(names - {""}, key=lambda n: (-len(n), n)))


class Styles(_Strict):
    """Scenes that all styles share, and the frames that a style goes into."""

    scenes: Mapping[Register, Texts]
    frames: Mapping[Register, Texts]
    movement_frames: Mapping[Register, Texts]


class TranslatedScenes(_Strict):
    """What `concepts/_shared/translated/<family or domain>.toml` holds."""

    scenes: tuple[TranslatedScene, ...]


_M = TypeVar("_M", bound=_Strict)


def read(text: str, where: str, model: type[_M], **placed: Any) -> _M:
    """A TOML text as a model.

    Args:
        text: the TOML.
        where: its file, for messages.
        model: what it has to be.
        placed: fields that the file's place gives.

    Raises:
        CorpusError: not such a file; the message names it and the key.
    """
    try:
        given = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise CorpusError(f"{where} is not valid TOML ({error}).") from error
    if taken := sorted(given.keys() & placed.keys()):
        raise CorpusError(
            f"{where}: the path of the file already specifies {' and '.join(taken)}. Remove this from the file."
        )
    try:
        return model.model_validate({**given, **placed})
    except ValidationError as error:
        first = error.errors()[0]
        raise CorpusError(f"{where}, key {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _packaged(where: str, model: type[_M], **placed: Any) -> _M:
    try:
        text = (files("igmu_data") / "concepts" / where).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise CorpusError(f"concepts/{where}: this file does not exist. Create it.") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"concepts/{where} is not encoded as UTF-8 ({error}).") from error
    return read(text, f"concepts/{where}", model, **placed)


def cached(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """`functools.cache` with a separate cache for each state of the user's concept files."""
    kept: dict[tuple[Any, ...], _T] = {}

    @wraps(function)
    def call(*given: _P.args, **named: _P.kwargs) -> _T:
        files = [(str(path), (of := path.stat()).st_mtime_ns, of.st_size) for path in own_files().values()]
        key = (*files, given, tuple(sorted(named.items())))
        if key not in kept:
            kept[key] = function(*given, **named)
        return kept[key]

    return call


@contextmanager
def using(folder: str | os.PathLike[str] | None) -> Iterator[None]:
    """Add the concepts of a folder to the packaged ones until the block ends, here and in processes started in it.

    Args:
        folder: with files `<domain>/<slug>.toml`; None changes nothing.

    Raises:
        InputError: there is no such folder, or no such file in it.
    """
    before = os.environ.get(ENVIRONMENT)
    try:
        if folder is not None:
            os.environ[ENVIRONMENT] = os.path.abspath(folder)
            own_files()
        yield
    finally:
        os.environ.pop(ENVIRONMENT, None)
        os.environ |= {} if before is None else {ENVIRONMENT: before}


def own_files() -> Mapping[str, Path]:
    """The files of the user's own concepts by id, sorted; none unless IGMU_CONCEPTS names a folder.

    Raises:
        InputError: there is no such folder, or nothing in it.
    """
    if not (place := os.environ.get(ENVIRONMENT)):
        return {}
    found = sorted(Path(place).glob("*/*.toml"))
    if not found:
        what = "contains no <domain>/<slug>.toml file" if Path(place).is_dir() else "is not a folder"
        raise InputError(
            f"no concepts can be read from {place}, because it {what}. Create a concept with 'igmu concept new', or "
            f"leave out --concepts and unset {ENVIRONMENT}."
        )
    return {f"{path.parent.name}/{path.stem}": path for path in found}


def require_own_id(name: str, where: object) -> None:
    """Refuse what cannot be the id of a user's own concept.

    Args:
        name: the id.
        where: its file or argument, for the message.

    Raises:
        InputError: it is not a `domain/slug`, or the domain is reserved or not one of igmu's.
        DuplicateIdError: a packaged concept has it.
    """
    if not _ID.fullmatch(name):
        raise InputError(
            f"{where}: {name!r} is not a valid concept id. Use the form domain/slug, such as object/hot-air-balloon. "
            "The domain may contain lower-case letters; the slug may contain lower-case letters, digits and single "
            "hyphens."
        )
    if (domain := name.partition("/")[0]) in RESERVED:
        raise InputError(
            f"{where}: {domain!r} is reserved and cannot be used as the domain of a concept. Choose another domain."
        )
    if domain not in domains():
        like = "".join(f"did you mean {one!r}? " for one in nearest(domain, domains(), 1))
        raise InputError(f"{where}: there is no domain {domain!r}; {like}Use one of {', '.join(domains())}.")
    if name in packaged():
        raise DuplicateIdError(f"{where}: igmu already has a concept {name!r}. Choose another name for your concept.")


def own_concept(path: Path) -> OwnConcept:
    """The concept of one file of the user's.

    Raises:
        CorpusError: it does not follow the schema; the message names the key.
        InputError: see `require_own_id`.
    """
    domain, slug = path.parent.name, path.stem
    require_own_id(f"{domain}/{slug}", path)
    try:
        return read(read_text(path), str(path), OwnConcept, domain=domain, slug=slug)
    except CorpusError as error:
        found = str(error).rstrip(".")
        raise CorpusError(f"{found}. Run 'igmu concept check {path}' to list all problems.") from error


class _Concepts(Mapping[str, Concept]):
    """Concepts by id, each read when it is first asked for: most commands are about one of many."""

    def __init__(self, readers: Mapping[str, Callable[[], Concept]]) -> None:
        self._readers = readers
        self._read: dict[str, Concept] = {}

    def __getitem__(self, name: str) -> Concept:
        if name not in self._read:
            self._read[name] = self._readers[name]()
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._readers

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


@cached
def all_concepts() -> Mapping[str, Concept]:
    """Every concept by id, the user's own among them, sorted: domains and slugs in alphabetical order.

    Raises:
        CorpusError: a concept file that does not follow the schema; the message names file and key. Those of the
            package are read when they are asked for.
        InputError: a name that is not an id, or is the id of a packaged concept.
    """
    own = {name: own_concept(path) for name, path in own_files().items()}
    every: dict[str, Callable[[], Concept]] = {name: partial(packaged().__getitem__, name) for name in packaged()}
    every |= {name: partial(own.__getitem__, name) for name in own}
    return _Concepts({name: every[name] for name in sorted(every)})


@cache
def packaged() -> Mapping[str, Concept]:
    """The concepts of the corpus by id, sorted, each read when it is asked for.

    Raises:
        CorpusError: at that moment: a concept file that does not follow the schema; the message names file and key.
    """
    root = files("igmu_data") / "concepts"
    found = (
        (domain.name, file.name.removesuffix(".toml"))
        for domain in root.iterdir()
        if domain.is_dir() and not domain.name.startswith("_")
        for file in domain.iterdir()
        if file.name.endswith(".toml")
    )
    return _Concepts({f"{domain}/{slug}": partial(_packaged_concept, domain, slug) for domain, slug in sorted(found)})


def _packaged_concept(domain: str, slug: str) -> Concept:
    item = _packaged(f"{domain}/{slug}.toml", Concept, domain=domain, slug=slug)
    if missing := [code for code in TRANSLATED if code not in item.translations]:
        lacking = ", ".join(map(repr, missing))
        raise CorpusError(
            f"concepts/{domain}/{slug}.toml, key translations: there is no translation for {lacking}. Add one."
        )
    return item


@cache
def styles() -> Styles:
    """What all styles share.

    Raises:
        CorpusError: a missing file, or one that does not follow the schema; the message names file and key.
    """
    return _packaged(f"{SHARED}/style.toml", Styles)


def translated(item: Concept) -> tuple[TranslatedScene, ...]:
    """The scenes in every language that fit a concept: of its family, else of its domain; () if there are none."""
    return _translated(item.family) or _translated(item.domain)


@cache
def _translated(kind: str) -> tuple[TranslatedScene, ...]:
    where = f"{SHARED}/translated/{kind}.toml"
    return _packaged(where, TranslatedScenes).scenes if (files("igmu_data") / "concepts" / where).is_file() else ()


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
    """The domains of the corpus, sorted; a user's own concept belongs to one of them, too."""
    return tuple(sorted({name.partition("/")[0] for name in packaged()}))


def near(item: Concept) -> tuple[str, ...]:
    """Ids of its siblings, concepts or not: where over-erasure shows first."""
    return tuple(s.id for s in item.siblings)


@cached
def siblings() -> Mapping[str, Sibling]:
    """Everything that is a sibling of some concept but not a concept itself, by id, sorted."""
    return siblings_of(all_concepts())


def siblings_of(concepts: Mapping[str, Concept]) -> Mapping[str, Sibling]:
    """Everything that is a sibling of one of the given concepts but not one of them, by id, sorted.

    If a packaged concept and one of the user's share a sibling, the packaged concept's entry is used.
    """
    every = sorted(concepts.values(), key=lambda c: not isinstance(c, OwnConcept))
    found = {s.id: s for c in every for s in c.siblings}
    return MappingProxyType({i: found[i] for i in sorted(found.keys() - concepts.keys())})


def own_of(names: Iterable[str]) -> tuple[str, ...]:
    """The user's own concepts among some, and those that they name as near or far."""
    own = own_files()
    known = [concept(name) for name in names if name in own]
    wanted = {i for item in known for i in (item.id, *near(item), *item.far)}
    return tuple(name for name in own if name in wanted)


def known_ids() -> frozenset[str]:
    """The ids of all concepts and of all that is near one."""
    return frozenset(all_concepts()) | frozenset(siblings())
