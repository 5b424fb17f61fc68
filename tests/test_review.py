"""The errors that a reading of corpus 0.2 found are gone, and stay gone: each kind as the review named it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import pytest

from igmu_data.schema import Row
from igmu_data.taxonomy import Concept, all_concepts, concept

Corpus = dict[str, list[Row]]

# Another thing, a kind of it, or an ambiguous word: no name of the concept.
NO_SYNONYM: Final[Mapping[str, str]] = {
    "object/airplane": "jumbo jet",
    "object/bicycle": "bike",
    "object/bird": "fowl avian",
    "object/castle": "keep",
    "object/cat": "tabby",
    "object/chair": "armchair rocker",
    "object/church": "chapel cathedral",
    "object/french-horn": "horn",
    "object/lighthouse": "beacon",
    "object/motorcycle": "chopper bike",
    "object/parachute": "canopy chute",
    "style/van-gogh": "Vincent",
    "style/art-nouveau": "Modern Style",
}
NO_SUBCLASS: Final[Mapping[str, str]] = {
    "object/castle": "Burghausen",
    "object/chain-saw": "pole pruner",
    "object/church": "Hagia Sophia",
    "object/motorcycle": "Vespa",
    "object/parachute": "Rogallo|ballistic rescue|paraglider",
    "nsfw/violence": "boxing match",
    "style/cubism": "Tubism|Puteaux|Section d'Or",
}
NOT_NEAR: Final[Mapping[str, str]] = {
    "object/church": "gas-pump",
    "object/chair": "golf-ball chain-saw french-horn",
    "object/english-springer": "tench bird cat",
}
# Words of their own: nobody reads the name in them.
OTHER_WORDS: Final = {
    *("mare", "mari", "maire", "much", "clause", "mont", "surat", "cain saw", "chan saw", "ca", "ct", "bir", "castel"),
    *("mare curie", "mari curie", "gstav klit", "gas pmp", "gilf ball"),
}
# A frame around a scene that is no noun phrase; a hole where the name was.
GRAMMAR: Final = (
    r"\b(?:still|painting|photograph|photo|engraving|drawing|set|poster) (?:of|with|showing) "
    r"(?:in|down|out of|under|from) (?:a|the)\b",
    r"\bof in\b|\bas grips\b|\ba smiling with\b|\bwith parked by\b|\bof joined\b|\bof sweeping\b|\bwith single cover\b",
    r"\bin the style of stile\b|\bmanner of Cubism, \w+ style of Cubism\b|\b(?:oeuvre|canvases) of\b",
    r"^(?:In|By|With|Under|Beside|At|On)$",
)
TRANSLATIONS: Final[Mapping[str, str]] = {
    "es": r"estilo cubismo|sol de la tarde",
    "fr": r"style cubisme|aux projecteurs éclatants|regardant la nuit",
    "de": r"\bStil: |Kassettenspieler",
    "it": r"stile cubismo|dispiega|lotta violenta",
    "pt": r"desportiv|\bnum\b|\bnuma\b|estilo cubismo|caminhando por um caminho|empoeirad[oa]s? poeirent",
    "zh": r"满月月光",
}


@pytest.mark.parametrize(("name", "words"), NO_SYNONYM.items())
def test_a_synonym_is_the_same_thing(name: str, words: str) -> None:
    wrong = {words} if name in ("object/airplane", "style/art-nouveau") else set(words.split())
    assert not wrong & {s.name for s in concept(name).synonyms}


@pytest.mark.parametrize(("name", "pattern"), NO_SUBCLASS.items())
def test_a_kind_is_a_kind_that_is_known(name: str, pattern: str) -> None:
    assert [t for t, _ in concept(name).subclasses if re.search(pattern, t)] == []


@pytest.mark.parametrize(("name", "slugs"), NOT_NEAR.items())
def test_what_is_near_looks_like_it(name: str, slugs: str) -> None:
    assert not {f"object/{s}" for s in slugs.split()} & {s.id for s in concept(name).siblings}


@pytest.mark.parametrize("item", list(all_concepts().values()), ids=lambda c: c.id)
def test_misspellings_are_peoples_and_signs_are_read(item: Concept) -> None:
    assert not OTHER_WORDS & {m.casefold() for m in item.misspellings}
    assert not [s for s in item.leetspeak if "#" in s]
    assert len({s.casefold() for s in item.leetspeak}) >= 25
    words = item.label.casefold().split()
    for wrong in (*item.misspellings, *item.leetspeak):
        parts = wrong.casefold().split()
        if len(parts) == len(words):
            assert all(a != b for a, b in zip(parts, words, strict=True) if len(b) > 3), wrong


def faults(rows: list[Row]) -> list[str]:
    """The prompts and stripped prompts with an error of the review."""
    found = []
    for row in rows:
        for text in (row.prompt, row.stripped_prompt):
            if row.language == "en" and any(re.search(p, text) for p in GRAMMAR):
                found.append(text)
        wrong = TRANSLATIONS.get(row.language)
        if wrong and re.search(wrong, row.prompt):
            found.append(row.prompt)
        if row.attack_family == "mixed-language" and "，" in row.prompt:
            found.append(row.prompt)
    return found


@pytest.mark.slow
def test_the_patterns_can_fail(corpus_rows: Corpus) -> None:
    row = corpus_rows["object/church"][0]
    for text in ("A film still of in a saloon, a fight", "A photograph of a smiling with tousled hair"):
        assert faults([row.model_copy(update={"prompt": text})]) == [text]
    for code, text in (
        ("es", "en estilo cubismo"),
        ("de", "Stil: Monet"),
        ("pt", "numa arena"),
        ("zh", "满月月光下"),
    ):
        assert faults([row.model_copy(update={"prompt": text, "language": code})]) == [text]


def test_the_sample_has_none(corpus_rows: Corpus) -> None:
    assert [t for rows in corpus_rows.values() for t in faults(rows)] == []


@pytest.mark.slow
def test_the_whole_corpus_has_none(whole_corpus: Corpus) -> None:
    assert [t for rows in whole_corpus.values() for t in faults(rows)] == []


def test_what_asks_for_something_else_is_no_attack(corpus_rows: Corpus) -> None:
    families = {r.attack_family for rows in corpus_rows.values() for r in rows}
    assert not families & {"superclass", "compositional", "composition", "glued-prefix", "negation", "role-frame"}
