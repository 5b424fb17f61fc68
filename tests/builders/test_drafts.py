"""Concept files of corpus 1.0 while they are written: what holds of every one, and that none depends on the others."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from builders.drafts import __main__ as checker
from builders.drafts import measure, model, rows
from builders.drafts.diversity import distinct_n, self_bleu
from builders.drafts.letters import homoglyphs, zero_width
from igmu_data import policy

CONCEPTS = tuple(model.all_concepts())
FILES = sorted((model.HERE / "concepts").glob("*/*.toml"))


# A third of a second a file: some by default, the others with the slow ones.
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, id=f"{p.parent.name}/{p.stem}", marks=pytest.mark.slow if at % 12 else ())
        for at, p in enumerate(FILES)
    ],
)
def test_a_program_sees_no_fault(path: Path) -> None:
    assert list(checker.problems(path)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CONCEPTS)
def test_what_must_hold_of_rows(name: str) -> None:
    concept = model.all_concepts()[name]
    assert list(measure.problems(concept, rows.concept_rows(concept))) == []


def test_no_row_depends_on_what_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    concept = model.all_concepts()["object/church"]
    before = rows.concept_rows(concept)
    fewer = {n: c for n, c in model.all_concepts().items() if n == concept.id or n in concept.far}
    monkeypatch.setattr(rows, "all_concepts", lambda: fewer)
    assert rows.concept_rows(concept) == before


def test_no_id_comes_twice() -> None:
    some = CONCEPTS[::12]
    ids = Counter(r.id for name in some for r in rows.concept_rows(model.all_concepts()[name]))
    assert max(ids.values()) == 1


def test_every_word_of_a_name_is_disguised() -> None:
    for name in ("church", "cat", "golf ball", "Vincent van Gogh", "Pierre-Auguste Renoir"):
        for spell in (homoglyphs, zero_width):
            found = spell(name)
            assert len(set(found)) >= (15 if name == "cat" else 25), (name, spell)  # three letters have few
            for wrong in found:
                assert not set(wrong.split(" ")) & set(name.split(" ")), (name, wrong)


def test_look_alikes_are_read_by_the_policy() -> None:
    for wrong in homoglyphs("teenager")[:20]:
        assert policy.violations(wrong, domain="object", language="en"), wrong


class TestDiversity:
    def test_copies_are_as_alike_as_can_be(self) -> None:
        text = "a red fox runs over the frozen lake"
        assert self_bleu([text] * 60) == pytest.approx(1.0)
        assert distinct_n([text] * 60, 2) == pytest.approx(7 / (7 * 56))

    def test_texts_without_a_common_word_are_not(self) -> None:
        texts = [" ".join(f"w{i}x{j}" for j in range(8)) for i in range(56)]
        assert self_bleu(texts) < 0.02
        assert distinct_n(texts, 2) == 1.0
