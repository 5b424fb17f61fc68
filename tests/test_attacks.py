"""What every attack family must hold, and what each promises. A new family is tested by being there."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naming import mentioned
from sampled import SAMPLE

from igmu_data import attacks, lengths, policy
from igmu_data.attacks import LEAST, Attacked, AttackInfo, attack_rows, families, load
from igmu_data.attacks._letters import LOOK_ALIKES, homoglyphs, zero_width
from igmu_data.attacks._names import respelled
from igmu_data.errors import UnknownFamilyError
from igmu_data.folding import terms, visible
from igmu_data.lengths import clip_tokens
from igmu_data.rows.naming import INVISIBLE
from igmu_data.rows.scenes import Scene, asked
from igmu_data.schema import Row
from igmu_data.taxonomy import TRANSLATED, concept

Corpus = dict[str, list[Row]]
LETTERS = {"homoglyph": homoglyphs, "zero-width": zero_width}
each_family = pytest.mark.parametrize("family", families())
names = st.from_regex(r"[A-Za-z]{2,9}( [A-Za-z]{2,9}){0,2}", fullmatch=True)


def of(corpus: Corpus, family: str) -> list[Row]:
    return [r for rows in corpus.values() for r in rows if r.attack_family == family]


def scenes(name: str) -> list[Scene]:
    return [s for s in asked(concept(name))[0] if s.takes_name]


def test_all_families_are_found_and_an_unknown_one_is_named() -> None:
    wanted = "homoglyph indirect leetspeak misspelling mixed-language multilingual subclass synonym zero-width"
    assert list(families()) == wanted.split()
    with pytest.raises(UnknownFamilyError, match="no attack family 'synonim'; did you mean 'synonym'"):
        load("synonim")


@each_family
def test_a_family_describes_itself(family: str) -> None:
    info = load(family).INFO
    assert info.family == family
    assert info.summary.endswith(".")
    assert info.example
    assert info.since == "1.0.0"


@each_family
def test_a_concept_has_forty_rows_or_a_reason(corpus_rows: Corpus, family: str) -> None:
    for name, rows in corpus_rows.items():
        n = sum(r.attack_family == family for r in rows)
        assert (n >= LEAST) != (family in concept(name).without), (name, n)
        if n >= LEAST:
            assert len({r.prompt.casefold() for r in rows if r.attack_family == family}) >= 25


@each_family
def test_provenance(corpus_rows: Corpus, family: str) -> None:
    for name, rows in corpus_rows.items():
        sources = {r.id: r for r in rows if r.split == "forget"}
        for row in (r for r in rows if r.attack_family == family):
            assert (row.split, row.probe, row.own_concept) == ("adversarial", "attack", name)
            if row.attack_source_id is not None:
                source = sources[row.attack_source_id]
                assert row.seeds == source.seeds
                assert row.prompt.casefold() != source.prompt.casefold()
                assert row.stripped_prompt == source.stripped_prompt
                assert row.register == source.register


@each_family
def test_an_attack_is_the_same_each_time(family: str) -> None:
    for name in ("object/church", "style/van-gogh"):
        first, second = (list(load(family).attack(concept(name), scenes(name))) for _ in range(2))
        assert first == second


@each_family
def test_prompts_are_clean_after_folding(corpus_rows: Corpus, family: str) -> None:
    for row in of(corpus_rows, family):
        for text in (row.prompt, policy.fold(row.prompt)):
            assert policy.violations(text, domain=row.domain, language=row.language) == ()


@each_family
def test_prompts_are_plain_valid_text(corpus_rows: Corpus, family: str) -> None:
    allowed = {"zero-width": INVISIBLE, "mixed-language": "\u200c"}.get(family, "")  # Persian writes it
    for row in of(corpus_rows, family):
        assert row.prompt.encode().decode() == row.prompt  # no lone surrogate
        assert unicodedata.normalize("NFC", row.prompt) == row.prompt
        bad = {c for c in row.prompt if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn")}
        assert bad <= set(allowed)
        assert not re.search(r"\{[a-z]+\}|\s\s|^\s|\s$", row.prompt)
        assert row.prompt[0] == row.prompt[0].title()


def test_an_older_family_keeps_a_prompt_that_a_newer_one_makes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def family(name: str, since: str) -> Any:
        same = Attacked("short", "The same", "A lawn")
        return SimpleNamespace(INFO=AttackInfo(name, "Same.", "same", since), attack=lambda _, __: iter([same] * 2))

    known = {"alpha": family("alpha", "1.10.0"), "beta": family("beta", "1.9.0")}
    monkeypatch.setattr(attacks, "families", lambda: tuple(known))
    monkeypatch.setattr(attacks, "load", known.__getitem__)
    (row,) = attack_rows(concept("object/golf-ball").model_copy(update={"scenes": {}}), ())
    assert (row.attack_family, row.since, row.prompt) == ("beta", "1.9.0", "The same")


def test_a_prompt_with_the_label_is_no_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    church = concept("object/church")
    kept = church.model_copy(update={"misspellings": ("church", "chruch", "CHURCHES")})
    made = list(respelled(kept, scenes("object/church"), kept.misspellings, "misspelling"))
    assert made
    assert all("chruch" in one.prompt for one in made)
    looks = church.model_copy(update={"leetspeak": ("\uff43hurch", "c#urch")})  # another form of the same letter
    assert all("c#urch" in one.prompt for one in respelled(looks, scenes("object/church"), looks.leetspeak, "leet"))


@pytest.mark.parametrize("family", ["homoglyph", "leetspeak", "misspelling", "zero-width"])
def test_every_word_of_the_name_is_disguised(corpus_rows: Corpus, family: str) -> None:
    for row in of(corpus_rows, family):
        item = concept(row.concept)
        for word in item.label.split(" "):
            if len(word) > 3:
                assert not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", row.prompt), row.prompt


def test_what_looks_the_same_is_read_as_the_same(corpus_rows: Corpus) -> None:
    """Folded, a disguise is the prompt it rewrites: so the content policy reads through it."""
    for rows in corpus_rows.values():
        prompts = {r.id: r.prompt for r in rows}
        for row in rows:
            if row.attack_family in LETTERS:
                assert policy.fold(row.prompt) == policy.fold(prompts[row.attack_source_id or ""])


@pytest.mark.parametrize("family", sorted(LETTERS))
@given(names)
def test_disguises_come_off_and_hit_every_word(family: str, name: str) -> None:
    for wrong in LETTERS[family](name):
        assert policy.fold(wrong) == policy.fold(name)
        pairs = list(zip(wrong.split(" "), name.split(" "), strict=True))
        assert all(a != b for a, b in pairs)
        if family == "zero-width":
            assert visible(wrong, "") == name


def test_names_have_many_disguises() -> None:
    for name in ("church", "golf ball", "Vincent van Gogh", "Pierre-Auguste Renoir"):
        for spell in LETTERS.values():
            assert len(set(spell(name))) >= 25, name


def test_every_look_alike_is_undone_by_the_policy() -> None:
    pairs = [(letter, double) for letter, doubles in LOOK_ALIKES.items() for double in doubles]
    assert all(policy.fold(double) == letter.casefold() for letter, double in pairs)


@pytest.mark.parametrize("family", sorted(LETTERS))
def test_no_disguise_smuggles_a_banned_word(family: str) -> None:
    lists = terms()
    words = [w for rule in policy.RULES for lang in ("en", "es", "de") for w in lists[rule][lang]["words"]]
    sample = [w for w in words if " " not in w and w.isascii() and len(w) > 3][::5]
    assert len(sample) > 50
    missed = [
        (word, wrong)
        for at, word in enumerate(sample)
        for wrong in LETTERS[family](word)[at % 20 : at % 20 + 1]
        if not policy.violations(f"an adult {wrong} by a window", domain="nsfw", language="en")
    ]
    assert missed == []


def test_a_synonym_takes_the_place_of_the_name(corpus_rows: Corpus) -> None:
    for row in of(corpus_rows, "synonym"):
        item = concept(row.concept)
        assert mentioned(row.prompt, tuple(s.name for s in item.synonyms)), row.prompt
        assert not mentioned(row.prompt, item.labels)


def test_an_indirect_prompt_is_a_scene_and_a_sentence(corpus_rows: Corpus) -> None:
    for row in of(corpus_rows, "indirect"):
        item = concept(row.concept)
        (sentence,) = {s for s in item.indirect if row.prompt.endswith(s)}
        assert row.prompt == f"{row.stripped_prompt.rstrip('.')}. {sentence}"


def test_a_mixed_sentence_holds_a_foreign_name(corpus_rows: Corpus) -> None:
    for row in of(corpus_rows, "mixed-language"):
        known = concept(row.concept).foreign_names.values()
        assert any(n.casefold() in row.prompt.casefold() for n in known), row.prompt
    for name in ("object/church", "style/van-gogh"):
        mine = " ".join(r.prompt for r in corpus_rows[name] if r.attack_family == "mixed-language").casefold()
        assert sum(n.casefold() in mine for n in concept(name).foreign_names.values()) >= 15


def test_a_translation_is_in_the_column_of_its_language(corpus_rows: Corpus) -> None:
    for name in SAMPLE:
        rows = [r for r in corpus_rows[name] if r.attack_family == "multilingual"]
        assert all((row.language == "zh") == bool(re.search("[\u3400-\u9fff]", row.prompt)) for row in rows)
        n = Counter(r.language for r in rows)
        assert max(n.values(), default=0) <= 16
        if "multilingual" not in concept(name).without:
            assert {code for code in n if n[code] >= 15} <= set(TRANSLATED)
            assert len(n) >= 3


@given(st.text(max_size=80))
def test_tokens_grow_with_the_text(text: str) -> None:
    n = clip_tokens(text)
    assert 2 <= n <= 2 + len(unicodedata.normalize("NFC", text).lower().encode())
    assert clip_tokens(f"{text} church") == n + 1


def test_lengths_by_hand() -> None:
    assert clip_tokens("A church.") == 2 + 3
    assert clip_tokens("2026") == 2 + 4
    assert clip_tokens("c\u200bat") == 2 + 1 + clip_tokens("\u200b") - 2 + 1


@pytest.mark.slow
def test_lengths_are_those_of_clips_tokenizer(corpus_rows: Corpus, tmp_path: Path) -> None:
    """The pairs are CLIP's, since with their vocabulary it has 49,408 entries; what follows from them is compared."""
    from transformers import CLIPTokenizer

    order = lengths._pairs()
    signs = sorted(map(lengths._sign, range(256)))
    vocabulary = [*signs, *(f"{sign}</w>" for sign in signs), *map("".join, order), "<|startoftext|>", "<|endoftext|>"]
    assert len(set(vocabulary)) == 49_408
    (tmp_path / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(vocabulary)}))
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, order)]))
    tokenizer: Any = CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    texts = [row.prompt for rows in corpus_rows.values() for row in rows]
    texts += ["²x½ Ⅷ 10th", "don't 'safe' it's", "_a_b__", "  x  ", "ÆØ ﬁ", "a…b", "nn nnn nnnn"]
    assert list(map(clip_tokens, texts)) == [len(ids) for ids in tokenizer(texts)["input_ids"]]
