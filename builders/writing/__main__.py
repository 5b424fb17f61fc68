"""`python -m builders.writing FILE…`: every problem of concept files that a program can see.

The rules are those of GUIDE.md beside this file. Without files, all are read. Exit code 1 where a problem was found.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

import igmu_data
from builders.writing.diversity import distinct_n, self_bleu
from igmu_data import policy
from igmu_data.attacks import families
from igmu_data.folding import fold
from igmu_data.schema import ASIDE
from igmu_data.validate import content_words, overlap

CONCEPTS: Final = Path(igmu_data.__file__).parent / "concepts"
REGISTERS: Final = {"sentence": 24, "short": 9, "tags": 15, "long": 12}
OF_STYLE: Final = {"sentence": 8, "short": 3, "tags": 5, "long": 4}
LEAST: Final = {"superclasses": 4, "companions": 10, "cues": 3, "misspellings": 25, "leetspeak": 25, "indirect": 25}
KEYS: Final = (
    "label plural article pos family scope since license source dates imagenet synonyms superclasses companions absent "
    "cues misspellings leetspeak translations names scenes siblings indirect subclasses without adjective multilingual "
    "far"
).split()
CELLS: Final = frozenset((*families(), *ASIDE))
_NOT_ENGLISH: Final = (*("translations", "names", "multilingual", "misspellings", "leetspeak", "source", "without"),)
_PLACES: Final = ("{a}", "{name}", "{names}", "{adjective}")
PLACE: Final = re.compile(r"\{[a-z]+\}")
_BRITISH: Final = re.compile(
    r"\b(?:\w*colour\w*|grey(?!hound)\w*|harbour\w*|centre\w*|theatre\w*|favour\w*|neighbour\w*|jewellery|travell\w+|"
    r"mould\w*|plough\w*|moustach\w+|kerb|tyres?|aluminium|storeys?|cosy|pyjamas)\b"
)


def problems(path: Path) -> Iterator[str]:
    """What is wrong with one file."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        yield f"not valid TOML: {error}"
        return
    domain = path.parent.name
    style = domain == "style"
    for key in sorted(given.keys() - set(KEYS)):
        yield f"unknown key {key!r}"
    for key in ("label", "family", "scope", "since", "license", "source", "pos"):
        if not given.get(key):
            yield f"{key} is missing"
    if domain in ("identity", "style", "artwork", "character") and not given.get("dates"):
        yield "dates is missing"
    without = given.get("without", {})
    if unknown := sorted(without.keys() - CELLS):
        yield f"without: unknown {unknown}; there are {sorted(CELLS)}"
    skipped = {"companions": "composition", "superclasses": "superclass", "misspellings": "misspelling"}
    for key, least in LEAST.items():
        found = given.get(key, [])
        if (
            (style and key == "companions")
            or skipped.get(key, key) in without
            or (domain == "nsfw" and key == "companions")
        ):
            continue
        if len(found) < least:
            yield f"{key}: {len(found)}, at least {least}"
        yield from (f"{key}: {x!r} twice" for x, n in Counter(found).items() if n > 1)
    for code in ("es", "fr", "de", "it", "pt", "zh"):
        wanted = {"noun", "phrase", "styled"} if style else {"noun", "phrase"}
        if set(given.get("translations", {}).get(code, {})) != wanted:
            yield f"translations.{code} needs {', '.join(sorted(wanted))}"
    if len(given.get("names", {})) < 19 and "mixed-language" not in without:
        yield f"names: {len(given.get('names', {}))} languages, at least 19"
    yield from _scenes(given, OF_STYLE if style else REGISTERS)
    yield from _siblings(given, domain)
    yield from _others(given)
    yield from _texts(given, domain)


def names(given: dict[str, Any]) -> list[str]:
    """Every English name of the concept, plural and adjective included."""
    found = [given.get("label", ""), given.get("plural", ""), given.get("adjective", "")]
    found += [s["name"] for s in given.get("synonyms", [])]
    return [n for n in found if n]


def prompts_of(given: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(register, text with the name in place, stripped) of every scene."""
    label, article = given.get("label", ""), given.get("article", "")
    phrase = f"{article} {label}".strip()
    out = []
    for register, pairs in given.get("scenes", {}).items():
        for pair in pairs:
            if isinstance(pair, list) and len(pair) == 2:
                text = (
                    pair[0].replace("{a}", phrase).replace("{names}", given.get("plural", "")).replace("{name}", label)
                )
                text = text.replace("{adjective}", given.get("adjective", ""))
                out.append((register, text, pair[1]))
    return out


def _named(text: str, found: Sequence[str]) -> str | None:
    folded = fold(text)
    return next((n for n in found if re.search(rf"(?<!\w){re.escape(fold(n))}(?:s|es|'s)?(?!\w)", folded)), None)


def foreign(given: dict[str, Any]) -> list[str]:
    """The names in other languages, some of which are English words of another meaning (Italian "cane")."""
    found = [t.get("noun", "") for t in given.get("translations", {}).values()] + list(given.get("names", {}).values())
    return [n for n in found if n and n[-1] < "\u2e80"]


def _whole(text: str, found: Sequence[str]) -> str | None:
    folded = fold(text)
    return next((n for n in found if re.search(rf"(?<!\w){re.escape(fold(n))}(?!\w)", folded)), None)


def shape(register: str, text: str) -> str | None:
    """What is wrong with the length or form of a text of this register, or None."""
    n = len(text.split())
    low, high = {"sentence": (7, 24), "short": (2, 7), "tags": (8, 45), "long": (38, 95)}[register]
    if not low <= n <= high:
        return f"{n} words, {low}-{high}"
    if register == "tags" and text.count(",") < 4:
        return "fewer than five items"
    return None


def _scenes(given: dict[str, Any], least: dict[str, int]) -> Iterator[str]:
    scenes = given.get("scenes", {})
    for register, n in least.items():
        if len(scenes.get(register, [])) < n:
            yield f"scenes.{register}: {len(scenes.get(register, []))}, at least {n}"
    for register in scenes.keys() - least.keys():
        yield f"scenes.{register}: no such register"
    cues = [c.casefold() for c in given.get("cues", [])]
    for register, pairs in scenes.items():
        for pair in pairs:
            if not (isinstance(pair, list) and len(pair) == 2):
                yield f"scenes.{register}: {pair!r} is no pair"
                continue
            text, stripped = pair
            if [p for p in PLACE.findall(text) if p in _PLACES] != PLACE.findall(text)[:1] or "{" not in text:
                yield f"not exactly one {{a}}, {{name}} or {{names}}: {text!r}"
            article = given.get("article") and re.search(r"\ban? \{names?\}", text)
            if article or ("{a}" in text and re.search(r"\b(?:an?|the) \{a\}", text)):
                yield f"article before the place: {text!r}"
            if "{names}" in text and not given.get("plural"):
                yield f"no plural for {text!r}"
            if wrong := shape(register, text):
                yield f"scenes.{register}: {wrong}: {text!r}"
            if PLACE.search(stripped):
                yield f"stripped has a place: {stripped!r}"
            if register != "short" and len(stripped.split()) < 0.4 * len(text.split()):
                yield f"stripped is a stump: {stripped!r}"
            if found := _named(stripped, names(given)) or _named(stripped, cues) or _whole(stripped, foreign(given)):
                yield f"stripped gives it away ({found}): {stripped!r}"
            if _named(PLACE.sub(" ", text), names(given)):
                yield f"names it twice: {text!r}"
    yield from _variety(prompts_of(given), prompts_of({**given, "label": "@", "plural": "@", "article": ""}))


def _variety(prompts: list[tuple[str, str, str]], masked: list[tuple[str, str, str]]) -> Iterator[str]:
    texts = [t for _, t, _ in prompts]
    if len(texts) < 20:
        return
    yield from (f"twice: {t!r}" for t, n in Counter(map(str.casefold, texts)).items() if n > 1)
    long = [(t, content_words(t)) for r, t, _ in prompts if r in ("sentence", "long")]
    for i, (text, own) in enumerate(long):
        for other, theirs in long[:i]:
            if overlap(own, theirs) > 0.5:
                yield f"too alike: {text!r} ~ {other!r}"
    most = max(2, len(texts) // 20)
    words = [t.casefold().replace(",", " ,").split() for _, t, _ in masked]  # the name itself is no repetition
    for what, grams in (("opens", [" ".join(w[:3]) for w in words]), ("ends", [" ".join(w[-3:]) for w in words])):
        yield from (f"{n} prompts {what} with {g!r}, at most {most}" for g, n in Counter(grams).items() if n > most)
    if (bleu := self_bleu(texts)) > 0.42:
        yield f"self-BLEU-4 {bleu:.2f} of at most 0.42"
    if (share := distinct_n(texts, 2)) < 0.55:
        yield f"distinct-2 {share:.2f} of at least 0.55"


def _siblings(given: dict[str, Any], domain: str) -> Iterator[str]:
    siblings = given.get("siblings", [])
    if len(siblings) < 8:
        yield f"siblings: {len(siblings)}, at least 8"
    own = [*names(given), *(given.get("cues", []))]
    for s in siblings:
        if not re.fullmatch(r"[a-z]+/[a-z0-9]+(-[a-z0-9]+)*", s.get("id", "")):
            yield f"sibling id {s.get('id')!r}"
        if domain == "style":
            continue
        prompts = s.get("prompts", [])
        if len(prompts) < 13:
            yield f"sibling {s.get('id')}: {len(prompts)} prompts, at least 13"
        for text in prompts:
            if found := _named(text, own) or _whole(text, foreign(given)):
                yield f"sibling {s.get('id')} names {found!r}: {text!r}"
            if s.get("name", "").split()[-1].casefold()[:4] not in text.casefold():
                yield f"sibling {s.get('id')} is not named: {text!r}"
    texts = [t for s in siblings for t in s.get("prompts", [])]
    yield from (f"sibling prompt twice: {t!r}" for t, n in Counter(map(str.casefold, texts)).items() if n > 1)


def _others(given: dict[str, Any]) -> Iterator[str]:
    own = names(given)
    for text in given.get("indirect", []):
        if found := _named(text, own) or _whole(text, foreign(given)):
            yield f"indirect names {found!r}: {text!r}"
        if not (text[:1].isupper() and text.endswith(".")):
            yield f"indirect is no whole sentence: {text!r}"
    subclasses = given.get("subclasses", [])
    if len(subclasses) < 40 and "subclass" not in given.get("without", {}):
        yield f"subclasses: {len(subclasses)}, at least 40, or a reason in [without]"
    for pair in subclasses:
        if not (isinstance(pair, list) and len(pair) == 2):
            yield f"subclasses: {pair!r} is no pair"
        elif found := _named(pair[0], own) or _named(pair[1], [*own, *given.get("cues", [])]):
            yield f"subclass names {found!r}: {pair!r}"
    label = fold(given.get("label", "")).split()
    for key in ("misspellings", "leetspeak"):
        for text in given.get(key, []):
            kept = [w for w in text.casefold().split() if w in label and len(w) > 2]
            if kept:
                yield f"{key}: {text!r} leaves {kept}"
            if key == "leetspeak" and "#" in text:
                yield f"leetspeak with '#': {text!r}"
    for code, name in chain(given.get("names", {}).items()):
        if fold(name) in map(fold, own):
            yield f"names.{code} is the English name"


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from chain.from_iterable(map(_strings, value))
    elif isinstance(value, dict):
        yield from chain.from_iterable(map(_strings, value.values()))


def _texts(given: dict[str, Any], domain: str) -> Iterator[str]:
    english = {k: v for k, v in given.items() if k not in _NOT_ENGLISH}
    for text in _strings(english):
        for v in policy.violations(PLACE.sub(given.get("label", ""), text), domain=domain, language="en"):
            yield f"policy ({v.rule}): {v.term!r} in {text!r}"
        if found := _BRITISH.search(text.casefold()):
            yield f"US spelling: {found.group()!r} in {text!r}"
        if re.search(r"[“”‘’–—…]", text):
            yield f"typographic sign in {text!r}"
        if re.search(r"\b(\w{3,}) \1\b", text) and text not in names(given):
            yield f"doubled word in {text!r}"
    for code, pairs in given.get("multilingual", {}).items():
        for text, stripped in pairs:
            for one, language in ((text, code), (stripped, "en")):
                yield from (
                    f"policy: {v.term!r} in {one!r}" for v in policy.violations(one, domain=domain, language=language)
                )
        if len(pairs) < 15:
            yield f"multilingual.{code}: {len(pairs)}, at least 15"
    for code, item in given.get("translations", {}).items():
        for text in item.values():
            yield from (
                f"policy: {v.term!r} in {text!r}" for v in policy.violations(text, domain=domain, language=code)
            )


def main() -> int:
    """Print the problems of the files given, or of all."""
    files = [Path(a) for a in sys.argv[1:]] or sorted(CONCEPTS.glob("[a-z]*/*.toml"))
    bad = 0
    for path in files:
        found = list(problems(path))
        bad += bool(found)
        for line in found:
            print(f"{path.parent.name}/{path.stem}: {line}")
    print(f"{len(files) - bad} of {len(files)} files without a problem")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
