"""`python -m builders.writing FILE…`: every problem of concept files that a program can see.

The rules are those of GUIDE.md beside this file: those of `igmu_data.writing`, which hold for users' own concepts, too,
and what is asked of packaged ones. Without files, all are read. Exit code 1 where a problem was found.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import igmu_data
from builders.writing.diversity import distinct_n, self_bleu
from igmu_data.errors import CorpusError
from igmu_data.rows.naming import named
from igmu_data.rows.scenes import Scene
from igmu_data.schema import Register
from igmu_data.taxonomy import SHARED, TRANSLATED, Concept, TranslatedScenes, packaged, read
from igmu_data.validate import alike
from igmu_data.writing import PLACE, examined, strings

CONCEPTS: Final = Path(igmu_data.__file__).parent / "concepts"
TRANSLATIONS: Final = "translated"  # the folder of scenes in every language
FILES: Final = sorted([*CONCEPTS.glob("[a-z]*/*.toml"), *CONCEPTS.glob(f"{SHARED}/{TRANSLATIONS}/*.toml")])
REGISTERS: Final[Mapping[Register, int]] = {"sentence": 24, "short": 9, "tags": 15, "long": 12}
OF_STYLE: Final[Mapping[Register, int]] = {"sentence": 8, "short": 3, "tags": 5, "long": 4}
OF_TRANSLATED: Final[Mapping[Register, int]] = {"sentence": 6, "short": 3, "tags": 4, "long": 3}  # beside one's own
LEAST: Final = {"superclasses": 4, "companions": 10, "cues": 3, "misspellings": 25, "leetspeak": 25, "indirect": 25}
_NOT_ENGLISH: Final = ("translations", "names", "multilingual", "misspellings", "leetspeak", "source", "without")
_BRITISH: Final = re.compile(
    r"\b(?:\w*colour\w*|grey(?!hound)\w*|harbour\w*|centre\w*|theatre\w*|favour\w*|neighbour\w*|jewellery|travell\w+|"
    r"mould\w*|plough\w*|moustach\w+|kerb|tyres?|aluminium|storeys?|cosy|pyjamas)\b"
)


def problems(path: Path) -> Iterator[str]:
    """What is wrong with one file, of a concept or of scenes in every language."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        yield f"not UTF-8: {error}"
        return
    if path.parent.name == TRANSLATIONS:
        yield from _translated(path, text)
        return
    item, found = examined(text, path.parent.name, path.stem, Concept)
    yield from map(str, found)
    if item is None:
        return
    given = tomllib.loads(text)
    domain = path.parent.name
    style = domain == "style"
    if domain in ("identity", "style", "artwork", "character") and not given.get("dates"):
        yield "dates is missing"
    without = given.get("without", {})
    skipped = {"companions": "composition", "superclasses": "superclass", "misspellings": "misspelling"}
    for key, least in LEAST.items():
        own = given.get(key, [])
        if (
            (style and key == "companions")
            or skipped.get(key, key) in without
            or (domain == "nsfw" and key == "companions")
        ):
            continue
        if len(own) < least:
            yield f"{key}: {len(own)}, at least {least}"
    for code in TRANSLATED:
        wanted = {"noun", "phrase", "styled"} if style else {"noun", "phrase"}
        if set(given.get("translations", {}).get(code, {})) != wanted:
            yield f"translations.{code} needs {', '.join(sorted(wanted))}"
    if len(given.get("names", {})) < 19 and "mixed-language" not in without:
        yield f"names: {len(given.get('names', {}))} languages, at least 19"
    for code, pairs in item.multilingual.items():
        if len(pairs) < 15:
            yield f"multilingual.{code}: {len(pairs)}, at least 15"
    if len(item.subclasses) < 40 and "subclass" not in without:
        yield f"subclasses: {len(item.subclasses)}, at least 40, or a reason in [without]"
    yield from _scenes(item, OF_STYLE if style else REGISTERS)
    yield from _siblings(item)
    yield from _texts(given, item)


def shape(register: str, text: str) -> str | None:
    """What is wrong with the length or form of a text of this register, or None."""
    n = len(text.split())
    low, high = {"sentence": (7, 24), "short": (2, 7), "tags": (8, 45), "long": (38, 95)}[register]
    if not low <= n <= high:
        return f"{n} words, {low}-{high}"
    if register == "tags" and text.count(",") < 4:
        return "fewer than five items"
    return None


def _scenes(item: Concept, least: Mapping[Register, int]) -> Iterator[str]:
    for register, n in least.items():
        if len(own := item.scenes.get(register, ())) < n:
            yield f"scenes.{register}: {len(own)}, at least {n}"
    for register, pairs in item.scenes.items():
        for text, stripped in pairs:
            yield from _written(register, text, stripped)
    masked = item.model_copy(update={"label": "@", "plural": "@", "article": ""})
    scenes = [Scene(register, *pair) for register, pairs in item.scenes.items() for pair in pairs]
    yield from _variety([(s.register, s.prompt(item)) for s in scenes], [s.prompt(masked) for s in scenes])


def _written(register: Register, text: str, stripped: str) -> Iterator[str]:
    if wrong := shape(register, text):
        yield f"scenes.{register}: {wrong}: {text!r}"
    if register != "short" and len(stripped.split()) < 0.4 * len(text.split()):
        yield f"stripped is a stump: {stripped!r}"


def _translated(path: Path, text: str) -> Iterator[str]:
    """Problems of scenes in every language, which have to fit every concept that has them."""
    try:
        scenes = read(text, path.name, TranslatedScenes).scenes
    except CorpusError as error:
        yield str(error)
        return
    there = [other.stem for other in (CONCEPTS / SHARED / TRANSLATIONS).glob("*.toml")]
    of = [c for c in packaged().values() if (c.family if c.family in there else c.domain) == path.stem]
    found = Counter(scene.register for scene in scenes)
    for register, n in OF_TRANSLATED.items():
        if found[register] != n:
            yield f"scenes.{register}: {found[register]} and not {n}, which leaves the shares of registers as they are"
    called = {code: [_called(c, code) for c in of] for code in ("en", *TRANSLATED)}
    for scene in scenes:
        yield from _written(scene.register, scene.en, scene.stripped)
        for code, items in called.items():
            said = str(getattr(scene, code))
            if PLACE.findall(said) != ["{a}"]:
                yield f"{code}: not exactly one {{a}}: {said!r}"
            bare = PLACE.sub(" ", said)
            yield from (f"{code}: names {c.id} twice ({it}): {said!r}" for c in items if (it := named(bare, c)))
        away = [(c.id, it) for c in of if (it := named(scene.stripped, c, foreign=True))]
        yield from (f"stripped gives {name} away ({it}): {scene.stripped!r}" for name, it in away)
        yield from _english([scene.en, scene.stripped])
    told = [scene.en for scene in scenes if scene.register in ("sentence", "long")]
    yield from (f"too alike: {told[i]!r} ~ {told[j]!r}" for i, j in alike(told, 0.5))


def _called(item: Concept, code: str) -> Concept:
    """The concept with the names that it has in a language: another language's may be an ordinary word."""
    if code == "en":
        return item
    return item.model_copy(update={"label": item.foreign_names[code], "plural": "", "adjective": "", "synonyms": ()})


def _variety(prompts: list[tuple[Register, str]], masked: list[str]) -> Iterator[str]:
    texts = [t for _, t in prompts]
    if len(texts) < 20:
        return
    told = [t for r, t in prompts if r in ("sentence", "long")]
    yield from (f"too alike: {told[i]!r} ~ {told[j]!r}" for i, j in alike(told, 0.5))
    most = max(2, len(texts) // 20)
    words = [t.casefold().replace(",", " ,").split() for t in masked]  # the name itself is no repetition
    for what, grams in (("opens", [" ".join(w[:3]) for w in words]), ("ends", [" ".join(w[-3:]) for w in words])):
        yield from (f"{n} prompts {what} with {g!r}, at most {most}" for g, n in Counter(grams).items() if n > most)
    if (bleu := self_bleu(texts)) > 0.42:
        yield f"self-BLEU-4 {bleu:.2f} of at most 0.42"
    if (share := distinct_n(texts, 2)) < 0.55:
        yield f"distinct-2 {share:.2f} of at least 0.55"


def _siblings(item: Concept) -> Iterator[str]:
    if len(item.siblings) < 8:
        yield f"siblings: {len(item.siblings)}, at least 8"
    for s in item.siblings if item.domain != "style" else ():
        if len(s.prompts) < 13:
            yield f"sibling {s.id}: {len(s.prompts)} prompts, at least 13"


def _texts(given: dict[str, Any], item: Concept) -> Iterator[str]:
    yield from _english(strings({k: v for k, v in given.items() if k not in _NOT_ENGLISH}), item.names)
    yield from (f"leetspeak with '#': {text!r}" for text in item.leetspeak if "#" in text)


def _english(texts: Iterable[str], names: Collection[str] = ()) -> Iterator[str]:
    for text in texts:
        if found := _BRITISH.search(text.casefold()):
            yield f"US spelling: {found.group()!r} in {text!r}"
        if re.search(r"[“”‘’–—…]", text):
            yield f"typographic sign in {text!r}"
        if re.search(r"\b(\w{3,}) \1\b", text) and text not in names:
            yield f"doubled word in {text!r}"


def main() -> int:
    """Print the problems of the files given, or of all."""
    files = [Path(a) for a in sys.argv[1:]] or FILES
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
