"""Finds every problem of a concept file at once, whether the concept is the user's own or packaged.

Conventions: a problem names the key and the value. Whatever breaks the schema is reported and left out, and the rest is
checked without it. Packaged files must meet stricter rules (`builders.writing`). A user's own concept may be small:
eight scenes, and two siblings with three prompts each.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from igmu_data import policy
from igmu_data.attacks import families
from igmu_data.errors import CorpusError, InputError, nearest
from igmu_data.files import read_text
from igmu_data.folding import fold
from igmu_data.rows.concept import concept_rows
from igmu_data.rows.naming import named, names_any
from igmu_data.rows.scenes import HELD, STYLE, Scene
from igmu_data.schema import ASIDE, FIRST, Register, Row
from igmu_data.taxonomy import (
    RESTRICTED_DOMAIN,
    TRANSLATED,
    Concept,
    OwnConcept,
    Sibling,
    Synonym,
    Translation,
    domains,
    packaged,
    require_own_id,
)
from igmu_data.template import template
from igmu_data.validate import NEAR_DUPLICATE, alike
from igmu_data.validate import problems as broken

SCENES: Final = 8  # of an own concept, at least; an attribute has as many again to be held back
SIBLINGS: Final = 2
PROMPTS: Final = 3  # of each sibling
CELLS: Final = frozenset((*families(), *ASIDE))
PLACE: Final = re.compile(r"\{[^{}]*\}")
_PLACES: Final = ("{a}", "{name}", "{names}", "{adjective}")
_TOLD: Final[tuple[Register, ...]] = ("sentence", "long")
_LISTS: Final = ("superclasses", "companions", "absent", "cues", "misspellings", "leetspeak", "indirect")
_NOT_ENGLISH: Final = (
    *("translations", "names", "multilingual", "misspellings", "leetspeak"),
    *("without", "source", "license"),
)
_INSIDE: Final[Mapping[str, type[BaseModel]]] = {"siblings": Sibling, "synonyms": Synonym, "translations": Translation}
# What is put in for a required key that is missing, so that the rest can be judged.
_FILLED: Final = {
    **dict.fromkeys(("family", "license", "source"), "other"),
    "pos": "noun",
    "scope": "subject",
    "since": FIRST,
    "translations": {},
    "scenes": {},
}
_ATTRIBUTES: Final = ("attribute", STYLE)  # domains of properties; concepts of nsfw are both
_LOOSE: Final = "scene"  # domain of siblings that are clothed instead of nude, which are not objects
_CODE: Final = re.compile(r"[a-z]{2,3}")
_M = TypeVar("_M", bound=Concept)
_Place = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One problem: at which key, what is wrong, and the value (None where there is none to show)."""

    key: str
    what: str
    value: str | None = None

    def __str__(self) -> str:
        return f"{self.key}: {self.what}" + (f": {self.value!r}" if self.value is not None else "")


def check(path: Path) -> tuple[tuple[Row, ...], list[Fault]]:
    """The rows of a user's own concept and every problem of its file; rows only if there are no problems.

    Args:
        path: `…/<domain>/<slug>.toml`.

    Raises:
        MetadataError: the file does not exist or cannot be read.
    """
    text = read_text(path)
    place = path.absolute()
    domain, slug = place.parent.name, place.stem
    try:
        require_own_id(f"{domain}/{slug}", "the path of the file")
    except InputError as error:
        return (), [Fault("id", str(error))]
    item, found = examined(text, domain, slug, OwnConcept)
    if item is None:
        return (), found
    beside = {f"{p.parent.name}/{p.stem}" for p in place.parent.parent.glob("*/*.toml")}
    found += [*_unreplaced(item), *_small(item), *_far(item, beside | packaged().keys())]
    if found:
        return (), found
    rows = tuple(concept_rows(item))
    return rows, [Fault(f"rows of {p.where}", f"{p.rule}, but {p.found}") for p in broken(rows, {item.id: item})]


def require_sound(path: Path) -> tuple[Row, ...]:
    """The rows of a user's own concept.

    Raises:
        CorpusError: there is a problem with its file.
        MetadataError: it cannot be read.
    """
    rows, found = check(path)
    if found:
        several = f" (the first of {len(found)} problems)" if len(found) > 1 else ""
        raise CorpusError(f"{path}: {found[0]}{several}. Correct the file, then run 'igmu concept check {path}'.")
    return rows


def examined(text: str, domain: str, slug: str, model: type[_M]) -> tuple[_M | None, list[Fault]]:
    """The usable part of a concept file, and what is wrong with it by the rules for all concepts.

    Args:
        text: the TOML.
        domain: of the concept.
        slug: of the concept.
        model: `Concept` or `OwnConcept`.

    Returns:
        The concept without what breaks the schema, None where nothing is left; the problems.
    """
    try:
        given = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return None, [Fault("TOML", str(error))]
    item, found = _read(given, model, {"domain": domain, "slug": slug})
    if item is not None:
        for rule in (_kinds, _names, _scenes, _siblings, _wider, _pairs, _spellings, _twice):
            found += rule(item)
        found += _policy(item, given)
    return item, found


# --- the schema -----------------------------------------------------------------------------------------------------


def _read(given: Mapping[str, Any], model: type[_M], placed: Mapping[str, str]) -> tuple[_M | None, list[Fault]]:
    taken = given.keys() & placed.keys()
    found = [
        Fault(key, "this key is determined by the path of the file; leave it out", str(given[key]))
        for key in sorted(taken)
    ]
    kept: Any = {key: value for key, value in given.items() if key not in taken}
    filled: dict[Any, Any] = {**_FILLED, "label": placed["slug"].replace("-", " ")}
    told = False
    while True:
        try:
            return model.model_validate({**kept, **placed}), found
        except ValidationError as error:
            errors = error.errors(include_url=False, include_context=False)
        # What is left out may leave something else too small; that is no problem of its own.
        found += [] if told else [_fault(e["type"], e["loc"], e["msg"], e["input"], model) for e in errors]
        told = True
        wrong = {_wrong(e["type"], e["loc"]) for e in errors}
        before, kept = kept, _without(kept, wrong)
        kept |= {key: filled[key] for (key,) in (loc for loc in wrong if len(loc) == 1) if key in filled}
        if kept == before:
            return None, found


def _wrong(kind: str, loc: _Place) -> _Place:
    """What to leave out: the value, or what lacks one."""
    return loc[:-1] if loc[-1] == "[key]" or (kind == "missing" and len(loc) > 1) else loc


def _without(value: Any, wrong: set[_Place], at: _Place = ()) -> Any:
    if isinstance(value, dict):
        return {k: _without(v, wrong, (*at, k)) for k, v in value.items() if (*at, k) not in wrong}
    if isinstance(value, list):
        return [_without(v, wrong, (*at, i)) for i, v in enumerate(value) if (*at, i) not in wrong]
    return value


def _fault(kind: str, loc: _Place, message: str, value: Any, model: type[BaseModel]) -> Fault:
    where, last = _key(loc[:-1]), str(loc[-1])
    if kind == "missing":
        return Fault(
            where or last,
            f"{f'the key {last!r}' if isinstance(loc[-1], str) else 'the second text of a pair'} is missing",
        )
    if kind == "extra_forbidden":
        inside = _INSIDE.get(str(loc[0]), model) if len(loc) > 1 else model
        known = [f.alias or name for name, f in inside.model_fields.items() if name not in ("domain", "slug")]
        like = nearest(last, known, 1)
        return Fault(where or last, f"unknown key {last!r}" + (f"; did you mean {like[0]!r}?" if like else ""))
    shown = value if isinstance(value, str) else repr(value)
    key = _key(loc[:-1] if last == "[key]" else loc)
    return Fault(key, message[:1].lower() + message[1:], shown if len(shown) <= 200 else f"{shown[:200]}…")


def _key(loc: Iterable[int | str]) -> str:
    """A place in a file, counted from 1 as people do.

    >>> _key(("siblings", 0, "prompts", 2))
    'siblings[1].prompts[3]'
    """
    return "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


# --- rules for all --------------------------------------------------------------------------------------------------


def _given_away(text: str, item: Concept, *, cues: bool = True) -> str | None:
    """A name of the concept in any language, or a word that calls for it, in a text."""
    return named(text, item, foreign=True) or (_cue(text, item.cues) if cues else None)


def _cue(text: str, cues: Sequence[str]) -> str | None:
    folded = fold(text)
    return next((c for c in cues if re.search(rf"(?<!\w){re.escape(fold(c))}(?:s|es|'s)?(?!\w)", folded)), None)


def _kinds(item: Concept) -> Iterator[Fault]:
    """Values that do not fit the domain, or the languages of the corpus."""
    wanted = "attribute" if item.domain in _ATTRIBUTES else "subject"
    if item.domain != RESTRICTED_DOMAIN and item.scope != wanted:
        yield Fault("scope", f"this must be {wanted!r} in the domain {item.domain!r}", item.scope)
    for code, translation in item.translations.items():
        if bool(translation.styled) != (item.domain == STYLE):
            what = "required for a style" if item.domain == STYLE else "only for styles; leave it out"
            yield Fault(f"translations.{code}.styled", f"this text is {what}", translation.styled)
    told = f"the languages are {', '.join(TRANSLATED)}"
    for key in ("translations", "multilingual"):
        yield from (Fault(f"{key}.{code}", told, code) for code in getattr(item, key) if code not in TRANSLATED)
    for other in item.foreign:
        if not _CODE.fullmatch(other) or other in ("en", *TRANSLATED):
            what = f"use an ISO 639 code of two or three letters; en, {', '.join(TRANSLATED)} are not allowed here"
            yield Fault(f"names.{other}", what, other)


def _names(item: Concept) -> Iterator[Fault]:
    own = [name.casefold() for name in item.labels]
    for at, other in enumerate(item.synonyms):
        if other.name.casefold() in own:
            yield Fault(_key(("synonyms", at)), "the concept already has this name", other.name)
        own.append(other.name.casefold())
    for code, name in item.foreign.items():
        if fold(name) in map(fold, item.names):
            yield Fault(f"names.{code}", "this name must differ from the English names", name)
    if unknown := sorted(item.without.keys() - CELLS):
        yield Fault("without", f"the attack families or probes {unknown} do not exist; choose from {sorted(CELLS)}")


def _scenes(item: Concept) -> Iterator[Fault]:
    for register, pairs in item.scenes.items():
        for at, (text, stripped) in enumerate(pairs):
            key = _key(("scenes", register, at))
            yield from (Fault(key, what, text) for what in _open(text, item))
            yield from _half(key, stripped, item)
            if found := named(PLACE.sub(" ", text), item):
                yield Fault(key, f"the text must name the concept only once, but also contains {found!r}", text)
    for at, text in enumerate(item.absent):
        places = set(PLACE.findall(text))
        said = places & {"{a}", "{name}"} or names_any(text, item)
        if "{scene}" not in places or not said or places - {"{scene}", "{a}", "{name}"}:
            yield Fault(_key(("absent", at)), "the text must contain {scene}, and {a} or {name}", text)
    told = [Scene(register, *pair) for register in _TOLD for pair in item.scenes.get(register, ())]
    prompts = [scene.prompt(item) for scene in told]
    for i, j in alike(prompts, NEAR_DUPLICATE):
        yield Fault(f"scenes.{told[i].register}", f"the text is too similar to {prompts[j]!r}", prompts[i])


def _open(text: str, item: Concept) -> Iterator[str]:
    """What is wrong with the placeholder of the name."""
    places = PLACE.findall(text)
    if len(places) != 1 or places[0] not in _PLACES or re.search("[{}]", PLACE.sub("", text)):
        yield "the text must contain exactly one placeholder ({a}, {name}, {names} or {adjective})"
    if (item.article and re.search(r"\ban? \{names?\}", text)) or re.search(r"\b(?:an?|the) \{a\}", text):
        yield "the text must not have an article before the placeholder"
    if "{names}" in text and not item.plural:
        yield "the text uses {names}, but the concept has no plural"
    if "{adjective}" in text and not item.adjective:
        yield "the text uses {adjective}, but the concept has no adjective"


def _half(key: str, stripped: str, item: Concept) -> Iterator[Fault]:
    """What is wrong with the half of a pair that is without the concept."""
    if re.search("[{}]", stripped):
        yield Fault(key, "the stripped prompt must not contain a placeholder", stripped)
    if found := _given_away(stripped, item):
        yield Fault(key, f"the stripped prompt reveals the concept ({found})", stripped)


def _siblings(item: Concept) -> Iterator[Fault]:
    for at, other in enumerate(item.siblings):
        key = _key(("siblings", at))
        if other.id == item.id or other.id in (s.id for s in item.siblings[:at]):
            yield Fault(f"{key}.id", "this id is used twice, or is the concept's own id", other.id)
        if other.id.startswith(f"{RESTRICTED_DOMAIN}/"):
            yield Fault(f"{key}.id", f"this id must not be in the {RESTRICTED_DOMAIN} domain", other.id)
        elif other.id.partition("/")[0] not in (*domains(), _LOOSE):
            known = ", ".join(name for name in domains() if name != RESTRICTED_DOMAIN)
            yield Fault(f"{key}.id", f"there is no such domain; use one of {known}", other.id)
        if found := named(other.name, item):
            yield Fault(f"{key}.name", f"this text must not name the concept ({found})", other.name)
        for n, text in enumerate(other.prompts):
            where = f"{key}.prompts[{n + 1}]"
            if found := _given_away(text, item):
                yield Fault(where, f"this text must not name the concept ({found})", text)
            if other.name.split()[-1].casefold()[:4] not in text.casefold():
                yield Fault(where, f"this text must name the sibling ({other.name})", text)
            if re.search("[{}]", text):
                yield Fault(where, "this text must not contain a placeholder", text)


def _wider(item: Concept) -> Iterator[Fault]:
    for key, texts, foreign in (("superclasses", item.superclasses, False), ("companions", item.companions, True)):
        for at, text in enumerate(texts):
            if (found := named(text, item, foreign=foreign)) or re.search("[{}]", text):
                what = (
                    f"this text must not name the concept ({found})"
                    if found
                    else "this text must not contain a placeholder"
                )
                yield Fault(_key((key, at)), what, text)


def _pairs(item: Concept) -> Iterator[Fault]:
    for at, text in enumerate(item.indirect):
        if found := _given_away(text, item, cues=False):
            yield Fault(_key(("indirect", at)), f"this text must not name the concept ({found})", text)
        if not (text[:1].isupper() and text.endswith(".")):
            yield Fault(_key(("indirect", at)), "this text must be a complete sentence", text)
    for at, (text, stripped) in enumerate(item.subclasses):
        key = _key(("subclasses", at))
        if found := _given_away(text, item, cues=False):
            yield Fault(key, f"this text must not name the concept ({found})", text)
        yield from _half(key, stripped, item)
    for code, pairs in item.multilingual.items():
        for at, (_, stripped) in enumerate(pairs):
            yield from _half(_key(("multilingual", code, at)), stripped, item)


def _spellings(item: Concept) -> Iterator[Fault]:
    label = fold(item.label).split()
    for key in ("misspellings", "leetspeak"):
        for at, text in enumerate(getattr(item, key)):
            if kept := [w for w in text.casefold().split() if w in label and len(w) > 2]:
                what = f"this text must change every word of the label, but contains {', '.join(kept)}"
                yield Fault(_key((key, at)), what, text)


def _twice(item: Concept) -> Iterator[Fault]:
    lists: dict[str, list[str]] = {}
    lists["scenes"] = [text for pairs in item.scenes.values() for text, _ in pairs]
    lists["siblings.prompts"] = [text for sibling in item.siblings for text in sibling.prompts]
    lists["subclasses"] = [text for text, _ in item.subclasses]
    for key, texts in lists.items():
        lists[key] = [text.casefold() for text in texts]
    lists |= {key: list(getattr(item, key)) for key in _LISTS}  # where a capital letter makes another spelling
    for key, texts in lists.items():
        yield from (Fault(key, "this text appears more than once", text) for text, n in Counter(texts).items() if n > 1)


def _policy(item: Concept, given: Mapping[str, Any]) -> Iterator[Fault]:
    """All English texts, whether they follow the schema or not; misspelled names in the prompts that they get into."""
    texts: list[tuple[str, str, str | None]]
    texts = [(k, text, "en") for k, value in given.items() if k not in _NOT_ENGLISH for text in strings(value)]
    texts += [("names", text, None) for text in item.foreign.values()]
    for code, name in item.translations.items():
        texts += [(f"translations.{code}", text, code) for text in (name.noun, name.phrase, name.styled)]
    for code, pairs in item.multilingual.items():
        for text, stripped in pairs:
            texts += [(f"multilingual.{code}", text, code), (f"multilingual.{code}", stripped, "en")]
    for key, text, language in texts:
        for v in policy.violations(PLACE.sub(item.label, text), domain=item.domain, language=language):
            yield Fault(key, f"this text violates the content policy ({v.rule}), because it contains {v.term!r}", text)


def strings(value: Any) -> Iterator[str]:
    """Every text in a value of a file, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)


# --- rules for a user's own ----------------------------------------------------------------------------------------


def _small(item: Concept) -> Iterator[Fault]:
    """Parts with too few entries for a benchmark."""
    if item.domain == STYLE:  # has the scenes of all styles, and its siblings have them
        least = prompts = 0
    else:
        least, prompts = SCENES + HELD * (item.scope == "attribute"), PROMPTS
    n = sum(map(len, item.scenes.values()))
    if n < least:
        why = f" ({HELD} scenes of an attribute are held back)" if least > SCENES else ""
        yield Fault("scenes", f"at least {least} entries are required{why}; found {n}")
    if len(item.siblings) < SIBLINGS:
        yield Fault("siblings", f"at least {SIBLINGS} entries are required; found {len(item.siblings)}")
    for at, sibling in enumerate(item.siblings):
        if len(sibling.prompts) < prompts:
            what = f"at least {prompts} entries are required; found {len(sibling.prompts)}"
            yield Fault(_key(("siblings", at, "prompts")), what, sibling.id)


def _unreplaced(item: Concept) -> Iterator[Fault]:
    """Examples of the template that are not about the concept."""
    examples = OwnConcept.model_validate({**tomllib.loads(template(item.id, "")), "domain": "object", "slug": "x"})
    scenes = {text for pairs in examples.scenes.values() for text, _ in pairs}
    lookalikes = {text for other in examples.siblings for text in (other.id, other.name, *other.prompts)}
    texts = [(_key(("scenes", r, at)), text, scenes) for r, pairs in item.scenes.items()
             for at, (text, _) in enumerate(pairs)]  # fmt: skip
    for at, other in enumerate(item.siblings):
        key = _key(("siblings", at))
        texts += [(f"{key}.id", other.id, lookalikes), (f"{key}.name", other.name, lookalikes)]
        texts += [(f"{key}.prompts[{n + 1}]", text, lookalikes) for n, text in enumerate(other.prompts)]
    for key, text, known in texts:
        if text in known:
            yield Fault(key, "this is still an example from the template; replace it", text)


def _far(item: Concept, known: Iterable[str]) -> Iterator[Fault]:
    known = list(known)
    for at, name in enumerate(item.far):
        if name in item.far[:at]:
            yield Fault(_key(("far", at)), "this concept is listed twice", name)
        if name not in known:
            like = nearest(name, known, 1)
            guess = f"; did you mean {like[0]!r}?" if like else ""
            yield Fault(_key(("far", at)), f"this is not a known concept{guess}", name)
        elif name.startswith(f"{RESTRICTED_DOMAIN}/") or name in (item.id, *(s.id for s in item.siblings)):
            what = f"this must not be the concept itself, one of its siblings or an {RESTRICTED_DOMAIN} concept"
            yield Fault(_key(("far", at)), what, name)
