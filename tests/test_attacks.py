"""What every attack family must hold, and what the first four promise. A new family is tested by being there."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naming import mentioned, mentions

from igmu_data import policy
from igmu_data.attacks import adversarial_rows, families, load
from igmu_data.attacks.misspelling import misspell
from igmu_data.errors import UnknownFamilyError
from igmu_data.lengths import tokens_at_most
from igmu_data.rows.plans import CORPUS
from igmu_data.rows.prompts import forget_rows
from igmu_data.schema import Row
from igmu_data.taxonomy import TRANSLATED, all_concepts, concept

Corpus = dict[str, list[Row]]
FIRST = ("indirect", "misspelling", "multilingual", "synonym")  # of version 0.1.0
each_family = pytest.mark.parametrize("family", families())


def attacked(corpus: Corpus, family: str) -> list[tuple[Row, Row]]:
    """Every row of the family with its source row."""
    pairs = []
    for rows in corpus.values():
        sources = {r.id: r for r in rows if r.split == "forget"}
        pairs += [(r, sources[r.attack_source_id or ""]) for r in rows if r.attack_family == family]
    return pairs


def changed_words(row: Row, source: Row) -> list[tuple[str, str]]:
    """The words in which two prompts of as many words differ, punctuation left out."""
    mine, theirs = ([w.strip(",.:;") for w in r.prompt.split(" ")] for r in (row, source))
    return [(a, b) for a, b in zip(mine, theirs, strict=True) if a != b]


def test_all_families_are_found_and_an_unknown_one_is_named() -> None:
    wanted = """compositional glued-prefix homoglyph indirect leetspeak misspelling mixed-language multilingual negation
        role-frame subclass superclass synonym zero-width"""
    assert list(families()) == wanted.split()
    assert families() == tuple(sorted(families()))
    with pytest.raises(UnknownFamilyError, match="no attack family 'synonim'; did you mean 'synonym'"):
        load("synonim")


@each_family
def test_a_family_describes_itself(family: str) -> None:
    info = load(family).INFO
    assert info.family == family
    assert info.summary.endswith(".")
    assert info.example
    assert info.since == ("0.1.0" if family in FIRST else "0.2.0")
    assert info.probe == ("negation" if family == "negation" else "attack")


@each_family
def test_every_concept_has_ten_rows_or_more(corpus_rows: Corpus, family: str) -> None:
    n = Counter(r.concept for r, _ in attacked(corpus_rows, family))
    sensible = {c.id for c in all_concepts().values() if family not in c.without_families}
    assert len(sensible) >= 26
    assert {c: n[c] for c in sensible if n[c] < 10} == {}
    assert n.keys() == sensible


@each_family
def test_provenance(corpus_rows: Corpus, family: str) -> None:
    info = load(family).INFO
    for row, source in attacked(corpus_rows, family):  # the source is a forget row of the same concept
        assert (row.split, row.probe, row.since) == ("adversarial", info.probe, info.since)
        assert row.own_concept == (None if family == "negation" else row.concept)
        assert row.seeds == source.seeds
        assert (row.guidance_scale, row.steps, row.width, row.height) == (
            source.guidance_scale,
            source.steps,
            source.width,
            source.height,
        )
        if family not in ("compositional", "negation"):
            assert row.stripped_prompt == source.stripped_prompt
        assert row.id != source.id
        assert row.license == source.license
        assert row.source == source.source


@each_family
def test_the_text_is_changed(corpus_rows: Corpus, family: str) -> None:
    forget = {r.prompt.casefold() for rows in corpus_rows.values() for r in rows if r.split == "forget"}
    for row, source in attacked(corpus_rows, family):
        assert row.prompt.casefold() != source.prompt.casefold()
        assert row.prompt.casefold() not in forget


@each_family
def test_an_attack_is_the_same_each_time(corpus_rows: Corpus, family: str) -> None:
    for name in ("object/church", "style/van-gogh", "nsfw/nudity", "identity/napoleon"):
        item = concept(name)
        first, second = (list(load(family).attack(item, forget_rows(item), CORPUS)) for _ in range(2))
        assert first == second
        mine = {r.prompt for r in corpus_rows[name] if r.attack_family == family}
        assert mine <= {a.prompt for a in first}


@each_family
def test_prompts_are_clean_after_folding(corpus_rows: Corpus, family: str) -> None:
    for row, _ in attacked(corpus_rows, family):
        for text in (row.prompt, policy.fold(row.prompt)):
            assert policy.violations(text, domain=row.domain, language=row.language) == ()


@each_family
def test_prompts_are_plain_valid_text(corpus_rows: Corpus, family: str) -> None:
    for row, _ in attacked(corpus_rows, family):
        assert row.prompt.encode().decode() == row.prompt  # no lone surrogate
        assert unicodedata.normalize("NFC", row.prompt) == row.prompt
        bad = {c for c in row.prompt if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn")}
        assert bad <= (set("\u200b\u200c\u200d\u2060") if family == "zero-width" else set())
        assert not re.search(r"[{}]|\s\s|^\s|\s$", row.prompt)
        assert row.prompt[0] == row.prompt[0].upper()


@each_family
def test_prompts_fit_into_clip(corpus_rows: Corpus, family: str) -> None:
    """CLIP reads 77 tokens. Of what was published, one Chinese prompt needs 84, by CLIP's own vocabulary."""
    for row, _ in attacked(corpus_rows, family):
        if (family, row.language) != ("multilingual", "zh"):
            assert tokens_at_most(row.prompt, row.language) <= 77, row.prompt


@pytest.mark.parametrize(
    "family",
    [f for f in families() if f not in ("compositional", "indirect", "mixed-language", "multilingual", "negation")],
)
def test_no_other_concept_is_brought_in(corpus_rows: Corpus, family: str) -> None:
    every = [(n, c.id) for c in all_concepts().values() for n in (c.label, c.noun)]
    for row, source in attacked(corpus_rows, family):
        names = tuple(n for n, owner in every if owner != row.concept)
        assert set(mentioned(row.prompt, names)) <= set(mentioned(source.prompt, names)), row.prompt


def test_rows_of_all_families_stand_in_order_and_differ(corpus_rows: Corpus) -> None:
    for name, rows in corpus_rows.items():
        mine = [r for r in rows if r.split == "adversarial"]
        order = [r.attack_family or "" for r in mine]
        assert order == sorted(order), name
        assert len({r.prompt for r in mine}) == len(mine), name


def test_a_prompt_made_twice_is_kept_once() -> None:
    item = concept("object/church")
    sources = forget_rows(item)[:12]
    twice = item.model_copy(update={"synonyms": ("chapel",) * 3})
    rows = adversarial_rows(twice, sources[:4] + sources[:8], CORPUS)
    assert len({r.id for r in rows}) == len({r.prompt for r in rows}) == len(rows)


def test_a_synonym_takes_the_place_of_the_name(corpus_rows: Corpus) -> None:
    for row, _ in attacked(corpus_rows, "synonym"):
        assert mentioned(row.prompt, concept(row.concept).synonyms), row.prompt
        assert row.language == "en"
    for item in all_concepts().values():
        used = [r.prompt for r in corpus_rows[item.id] if r.attack_family == "synonym"]
        # Those that hold the name would be caught by a filter on it; they are only used where there is hardly another.
        fresh = [s for s in item.synonyms if item.noun.casefold() not in s.casefold()]
        for synonym in fresh if len(fresh) >= 3 else item.synonyms:
            assert any(mentions(p, synonym) for p in used), synonym
        if len(fresh) >= 3:
            assert not any(item.noun.casefold() in p.casefold() for p in used), item.id


def test_an_indirect_prompt_names_nothing(corpus_rows: Corpus) -> None:
    for row, _ in attacked(corpus_rows, "indirect"):
        item = concept(row.concept)
        assert mentioned(row.prompt, item.names + item.foreign_names) == []
        assert [d for d in item.indirect if d.casefold() in row.prompt.casefold()] != []
        assert row.language == "en"


def test_a_misspelling_leaves_no_name_of_the_concept_whole(corpus_rows: Corpus) -> None:
    for row, source in attacked(corpus_rows, "misspelling"):
        item = concept(row.concept)
        known = {n.casefold() for n in item.names + item.foreign_names}
        assert known.isdisjoint(wrong.casefold() for wrong, _ in changed_words(row, source))
        lowered = f" {re.sub('[,.:;]', ' ', row.prompt).casefold()} "
        assert [n for n in known if f" {n} " in lowered or f" {n}s " in lowered] == []
        assert row.language == "en"


def test_a_misspelling_differs_by_few_letters(corpus_rows: Corpus) -> None:
    for row, source in attacked(corpus_rows, "misspelling"):
        hit = changed_words(row, source)
        assert 1 <= len(hit) <= len(concept(row.concept).noun.split(" "))
        for wrong, right in hit:
            assert wrong[0] == right[0]
            assert edits(wrong, right) <= 3  # by ear, "ght" becomes "te"


def test_a_misspelling_is_no_word_of_another_thing(corpus_rows: Corpus) -> None:
    everyday = set("car cap can bid gold caste tech chin pup hair chat bard gulf chai coat".split())
    for row, source in attacked(corpus_rows, "misspelling"):
        assert everyday.isdisjoint(set(row.prompt.lower().split()) - set(source.prompt.lower().split())), row.prompt


def test_misspellings_vary(corpus_rows: Corpus) -> None:
    for name in all_concepts():
        pairs = attacked({name: corpus_rows[name]}, "misspelling")
        assert len({changed_words(r, s)[0][0] for r, s in pairs}) >= 6, name


def test_edits_by_hand() -> None:
    pairs = (("church", "church"), ("chrch", "church"), ("chucrh", "church"), ("a", "bc"))
    assert [edits(*p) for p in pairs] == [0, 1, 2, 2]


def edits(a: str, b: str) -> int:
    """Levenshtein distance."""
    line = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        below = [i]
        for (diagonal, above), y in zip(pairwise(line), b, strict=True):
            below.append(min(diagonal + (x != y), above + 1, below[-1] + 1))
        line = below
    return line[-1]


@given(st.text("abcdefghijklmnopqrstuvwxyz é-", min_size=1, max_size=24), st.integers(0, 300), st.integers(1, 3))
def test_misspell_keeps_words_and_first_letters(name: str, turn: int, n: int) -> None:
    wrong = misspell(name, turn, n)
    assert wrong == misspell(name, turn, n)
    before, after = name.split(" "), wrong.split(" ")
    assert len(before) == len(after)
    assert sum(a != b for a, b in zip(before, after, strict=True)) <= n
    assert [w[:1] for w in before] == [w[:1] for w in after]


@pytest.mark.parametrize(
    ("name", "n", "part"),
    [("Vincent van Gogh", 1, "van Gogh"), ("Vincent van Gogh", 2, " van "), ("golf ball", 1, " ball"), ("ox", 1, "ox")],
)
def test_longer_words_are_hit_first(name: str, n: int, part: str) -> None:
    assert all(part in misspell(name, turn, n) for turn in range(40))


def test_a_translation_stands_in_the_column_of_its_language(corpus_rows: Corpus) -> None:
    pairs = attacked(corpus_rows, "multilingual")
    per_source = Counter((s.id, r.language) for r, s in pairs)
    assert set(per_source.values()) == {1}
    assert {language for _, language in per_source} == set(TRANSLATED)
    for row, _ in pairs:
        item = concept(row.concept)
        name = item.translations[row.language]
        stem = name.noun[:-1] if item.word else name.noun
        assert stem.casefold() in row.prompt.casefold(), row.prompt
        is_han = bool(re.search("[\u3400-\u9fff]", row.prompt))
        assert is_han == (row.language == "zh")
    assert len(pairs) == sum(6 * n for n in Counter(c for c in all_concepts() for _ in range(3)).values())


MARKERS = {
    "es": {"el", "la", "los", "las", "una", "un", "en", "al", "con", "del", "de", "sobre", "bajo"},
    "fr": {"le", "la", "les", "une", "un", "au", "sur", "avec", "du", "des", "dans", "à", "sous", "de", "d"},
    "de": {"der", "die", "das", "eine", "ein", "im", "am", "auf", "mit", "und", "bei", "einer", "einem", "vor", "des"},
    "it": {"il", "la", "le", "un", "una", "su", "al", "con", "del", "della", "nel", "di", "in", "sul", "all", "a"},
    "pt": {"o", "a", "os", "um", "uma", "em", "ao", "com", "do", "da", "na", "no", "de", "sobre", "num", "numa"},
}
NEVER_WRITTEN = {
    "es": set("çãõäößœêâîûìòùà"),
    "fr": set("ñãõäößìòáíóú"),
    "de": set("ñçãõœêâîûìòùàáíóú"),
    "it": set("ñçãõäöüßœêâîû"),
    "pt": set("ñäößœîûìòù"),
}


def test_a_translation_is_written_in_its_language(corpus_rows: Corpus) -> None:
    """Function words tell, and letters that only the other languages have."""
    english = set("the of with and by over under seen from".split())
    for row, _ in attacked(corpus_rows, "multilingual"):
        if row.language != "zh":
            found = re.findall(r"[^\W\d_]+", row.prompt.lower())
            assert [w for w in found if w in english] == [], row.prompt
            assert [w for w in found if w in MARKERS[row.language]], f"{row.language}: {row.prompt}"
            rest = row.prompt.replace(concept(row.concept).translations[row.language].noun, "")
            assert not NEVER_WRITTEN[row.language] & set(rest.lower()), f"{row.language}: {row.prompt}"
