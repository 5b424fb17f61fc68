"""Concept files as their writers check them, the reading of rows, and how unlike prompts are."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest
from browser import chromium
from sampled import SAMPLE

from builders.review import answers, sample
from builders.review.answers import Answer, Answers, Reader, human_checked, take
from builders.review.page import page
from builders.writing import __main__ as checker
from builders.writing import measure
from builders.writing.diversity import distinct_n, self_bleu
from igmu_data.errors import InputError, MetadataError
from igmu_data.schema import Row
from igmu_data.taxonomy import all_concepts, concept

Corpus = dict[str, list[Row]]
FILES = checker.FILES


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
@pytest.mark.parametrize("name", list(all_concepts()))
def test_what_must_hold_of_rows(whole_corpus: Corpus, name: str) -> None:
    assert list(measure.problems(concept(name), whole_corpus[name])) == []


@pytest.mark.parametrize("name", SAMPLE[::4])
def test_what_must_hold_of_a_sample(corpus_rows: Corpus, name: str) -> None:
    assert list(measure.problems(concept(name), corpus_rows[name])) == []


def test_a_broken_file_is_found(tmp_path: Path) -> None:
    text = (checker.CONCEPTS / "object/church.toml").read_text(encoding="utf-8")
    path = tmp_path / "object" / "church.toml"
    path.parent.mkdir()
    for old, new, says in (
        ("beside a slow river", "beside a colourful river", "US spelling: 'colourful'"),
        ('"A slow river', '"A church by a slow river', "the stripped prompt reveals the concept (church)"),
        ('"a slow river', '"a church by a slow river', "the stripped prompt reveals the concept (church)"),
        ('label = "church"', 'label = "church"\nshape = "tall"', "unknown key 'shape'"),
    ):
        if old in text:
            path.write_text(text.replace(old, new, 1), encoding="utf-8")
            assert any(says in line for line in checker.problems(path)), says


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('register = "short"', 'register = "sentence"', "scenes.sentence: 7 and not 6, which leaves the shares"),
        ('register = "short"', 'register = "tags"', "words, 8-45"),
        ('register = "short"', 'register = "shorts"', "register: Input should be"),
        ('register = "short"\n', "", "register: Field required"),
        ('stripped = "open country', 'stripped = "a cat', "stripped gives object/cat away (cat)"),
        ('es = "{a} bajo', 'es = "{a} y {a} bajo', "es: not exactly one {a}"),
        ('en = "{a} under', 'en = "{a} and a tower under', "en: names object/tower twice (tower)"),
        ('fr = "{a} sous', 'fr = "{a} et deux chats sous', "fr: names object/cat twice (chat)"),
        ("muted colors", "muted colours", "US spelling: 'colours'"),
        ("a mosaic of", "a golden late summer evening light of", "too alike"),
    ],
)
def test_a_fault_of_shared_scenes_is_found(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = (checker.CONCEPTS / "_shared/translated/object.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "translated" / "object.toml"
    path.parent.mkdir()
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    found = list(checker.problems(path))
    assert any(says in line for line in found), found


class TestDiversity:
    def test_copies_are_as_alike_as_can_be(self) -> None:
        text = "a red fox runs over the frozen lake"
        assert self_bleu([text] * 60) == pytest.approx(1.0)
        assert distinct_n([text] * 60, 2) == pytest.approx(7 / (7 * 56))

    def test_texts_without_a_common_word_are_not(self) -> None:
        texts = [" ".join(f"w{i}x{j}" for j in range(8)) for i in range(56)]
        assert self_bleu(texts) < 0.02
        assert distinct_n(texts, 2) == 1.0


class TestAnswers:
    def said(self, rows: dict[str, Answer], kind: str = "person", name: str = "Ada") -> Answers:
        reader = Reader.model_validate({"kind": kind, "name": name})
        return Answers(concept="object/church", version="1.0.0", reader=reader, read_on="2026-11-29", rows=rows)

    def test_they_are_kept_a_file_a_reader_and_later_ones_count(self, corpus_rows: Corpus, tmp_path: Path) -> None:
        known = [r.id for r in corpus_rows["object/church"]]
        first = take(self.said({known[0]: Answer(natural=True), known[1]: Answer(natural=False)}), known, tmp_path)
        again = take(self.said({known[1]: Answer(natural=True)}), known, tmp_path)
        assert first == again == tmp_path / "object/church/ada.json"
        assert answers.read(first).rows == {known[0]: Answer(natural=True), known[1]: Answer(natural=True)}

    def test_what_a_model_read_is_not_checked_by_a_person(self, corpus_rows: Corpus, tmp_path: Path) -> None:
        known = [r.id for r in corpus_rows["object/church"]][:3]
        take(self.said({i: Answer(natural=True) for i in known}, "model", "reader 5"), known, tmp_path)
        assert human_checked("object/church", tmp_path) == frozenset()
        take(self.said({i: Answer(natural=True) for i in known[:2]}), known, tmp_path)
        assert human_checked("object/church", tmp_path) == {*known[:2]}
        take(self.said({known[0]: Answer(stripped=False)}, "model", "reader 6"), known, tmp_path)
        assert human_checked("object/church", tmp_path) == {known[1]}
        with pytest.raises(InputError, match=r"is of person 'Ada'\. Give another name"):
            take(self.said({}, "model"), known, tmp_path)

    def test_answers_to_another_version_or_no_answers_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="object/church has no row '0000000000000000'"):
            take(self.said({"0" * 16: Answer()}), ["1" * 16], tmp_path)
        (tmp_path / "a.json").write_text("{}")
        with pytest.raises(MetadataError, match=r"a\.json: concept: Field required"):
            answers.read(tmp_path / "a.json")
        with pytest.raises(MetadataError, match="cannot be read"):
            answers.read(tmp_path / "b.json")

    @pytest.mark.slow
    def test_the_page_saves_what_was_pressed(self, corpus_rows: Corpus, tmp_path: Path) -> None:
        rows = corpus_rows["object/church"][:5]
        path = tmp_path / "review.html"
        path.write_text(page("object/church", rows), encoding="utf-8")
        with chromium(tmp_path) as tab:
            tab.open(path)
            tab.run("document.querySelectorAll('article')[0].querySelector('button').click()")
            tab.run("document.querySelectorAll('article')[1].querySelector('[data-name=stripped]').click()")
            tab.run("document.getElementById('name').value = 'Ada'; document.getElementById('save').click()")
            saved = tmp_path / "object-church-answers.json"
            end = time.monotonic() + 20
            while not saved.is_file() and time.monotonic() < end:
                time.sleep(0.05)
        given = Answers.model_validate(json.loads(saved.read_text()))
        assert given.reader == Reader(kind="person", name="Ada")
        assert [given.rows[r.id].right for r in rows[:2]] == [True, False]
        assert len(given.rows) == 2


class TestSample:
    def test_cells_have_their_share(self, corpus_rows: Corpus) -> None:
        rows = [r for own in corpus_rows.values() for r in own]
        some = sample.drawn(rows, 400, "a")
        assert len({r.id for r in some}) == 400
        for column in ("domain", "split", "language"):
            every, own = (Counter(getattr(r, column) for r in part) for part in (rows, some))
            assert all(abs(own[k] / 400 - n / len(rows)) < 0.02 for k, n in every.items()), column
        other = sample.drawn(rows, 400, "b")
        assert len({r.id for r in some} & {r.id for r in other}) < 120

    def test_the_latest_counts(self, tmp_path: Path) -> None:
        with pytest.raises(MetadataError, match="no sample"):
            sample.latest(tmp_path)
        for name, version, wrong in (("a", "1.0.0", 2), ("b", "1.1.0", 1), ("c", "1.0.9", 5)):
            text = (
                f'n_read = 100\nreader = "x"\ndate = 2026-11-29\nversion = "{version}"\n'
                + "[[wrong]]\nid = 'x'\n" * wrong
            )
            (tmp_path / f"sample-{name}.toml").write_text(text)
        assert sample.latest(tmp_path).share == 0.01
        (tmp_path / "sample-d.toml").write_text("n_read = 3\n")
        with pytest.raises(MetadataError, match=r"sample-d\.toml: reader is missing"):
            sample.latest(tmp_path)
