"""Nothing published moves: every planted loss of a published row is told, and a stale ledger names its command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from builders import bench, ledger
from igmu_data.errors import CorpusError
from igmu_data.rows import VERSION
from igmu_data.schema import Row

CHURCH = "object/church"


@dataclass
class Made:
    """As much of a row as the ledger sees."""

    id: str
    since: str = "1.0.0"


def corpus(ids: str, since: str = "1.0.0") -> dict[str, list[Made]]:
    return {CHURCH: [Made(c, since) for c in ids], "style/monet": [Made("x"), Made("y")]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """1.0.0 is published, with rows a, b and c of a church."""
    (tmp_path / "1.0.0.txt").write_text(ledger.text(corpus("abc"), tmp_path, "1.0.0"))
    return tmp_path


def note(rows: dict[str, list[Made]], folder: Path, now: str) -> None:
    (folder / f"{now}.txt").write_text(ledger.text(rows, folder, now))


def test_the_file_has_a_line_a_concept_and_only_what_is_new(folder: Path) -> None:
    assert (folder / "1.0.0.txt").read_text() == "object/church a b c\nstyle/monet x y\n"
    more = corpus("abc")
    more[CHURCH].append(Made("d", "1.1.0"))
    assert ledger.text(more, folder, "1.1.0") == "object/church d\n"
    ledger.require_kept(corpus("abc"), folder, "1.0.0")


def test_a_row_that_is_lost_is_told(folder: Path) -> None:
    rows = corpus("ab")
    note(rows, folder, "1.1.0")
    with pytest.raises(CorpusError, match=r"object/church: 1 rows of 1\.0\.0 are not made any more \(the first is c\)"):
        ledger.require_kept(rows, folder, "1.1.0")


def test_a_whole_concept_that_is_lost_is_told(folder: Path) -> None:
    rows = {CHURCH: corpus("abc")[CHURCH]}
    note(rows, folder, "1.1.0")
    with pytest.raises(CorpusError, match=r"style/monet: 2 rows"):
        ledger.require_kept(rows, folder, "1.1.0")


def test_a_row_may_be_superseded_by_a_later_one_and_not_by_one_that_says_it_is_old(folder: Path) -> None:
    for since, kept in (("1.1.0", True), ("1.0.0", False)):
        rows = corpus("ab")
        rows[CHURCH].append(Made("d", since))
        note(rows, folder, "1.1.0")
        if kept:
            ledger.require_kept(rows, folder, "1.1.0")
        else:
            with pytest.raises(CorpusError, match=r"only 0 are of a later version"):
                ledger.require_kept(rows, folder, "1.1.0")


def test_one_later_row_does_not_stand_for_two(folder: Path) -> None:
    rows = corpus("a")
    rows[CHURCH].append(Made("d", "1.1.0"))
    note(rows, folder, "1.1.0")
    with pytest.raises(CorpusError, match=r"2 rows of 1\.0\.0"):
        ledger.require_kept(rows, folder, "1.1.0")


def test_what_was_superseded_stays_so_in_later_versions(folder: Path) -> None:
    rows = corpus("ab")
    rows[CHURCH].append(Made("d", "1.1.0"))
    note(rows, folder, "1.1.0")
    note(rows, folder, "1.10.0")
    ledger.require_kept(rows, folder, "1.10.0")
    rows[CHURCH][-1] = Made("e", "1.10.0")
    note(rows, folder, "1.10.0")
    ledger.require_kept(rows, folder, "1.10.0")  # e stands for c of 1.0.0 and for d of 1.1.0
    rows[CHURCH][-1] = Made("e", "1.1.0")
    with pytest.raises(CorpusError, match=r"1 rows of 1\.1\.0 are not made any more \(the first is d\)"):
        ledger.require_kept(rows, folder, "1.10.0")


@pytest.mark.parametrize("ids", ["ab", "abcd", "abd"])
def test_a_stale_file_names_the_command(folder: Path, ids: str) -> None:
    with pytest.raises(CorpusError, match=r"1\.0\.0\.txt: stale, .* Run python -m builders\.ledger\."):
        ledger.require_kept(corpus(ids), folder, "1.0.0")
    with pytest.raises(CorpusError, match=r"1\.1\.0\.txt: not there.* Run python -m builders\.ledger\."):
        ledger.require_kept(corpus("abc"), folder, "1.1.0")


def test_a_broken_file_is_told(folder: Path) -> None:
    for text in ("object/church\n", "object/church a\nobject/church b\n"):
        (folder / "1.0.0.txt").write_text(text)
        with pytest.raises(CorpusError, match=r"'object/church' stands twice or without rows"):
            ledger.require_kept(corpus("abc"), folder, "1.0.0")


def test_the_command_overwrites_only_what_nobody_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corpus_rows: dict[str, list[Row]]
) -> None:
    monkeypatch.setattr(ledger, "LEDGER", tmp_path)
    monkeypatch.setattr(ledger, "_read", lambda folder: {})
    monkeypatch.setattr(ledger, "all_concepts", lambda: {CHURCH: bench.concept(CHURCH)})
    monkeypatch.setattr(ledger, "concept_rows", lambda item: corpus_rows[item.id])
    app = typer.Typer()
    app.command()(ledger.main)
    path = tmp_path / f"{VERSION}.txt"
    assert CliRunner().invoke(app, []).stdout.strip() == str(path)
    lines = path.read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["general", CHURCH]
    assert lines[1].split()[1:] == sorted(r.id for r in corpus_rows[CHURCH])
    assert CliRunner().invoke(app, []).exit_code == 0
    path.write_text("object/church a\n")
    refused = CliRunner().invoke(app, [])
    assert refused.exit_code == 2
    assert "if not, python -m builders.ledger --unpublished" in refused.stderr.replace("\n", " ")
    assert CliRunner().invoke(app, ["--unpublished"]).exit_code == 0
    assert path.read_text().splitlines() == lines


def test_a_build_of_all_is_held_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corpus_rows: dict[str, list[Row]]
) -> None:
    """And one of a few concepts is not: the others' rows are not made."""
    monkeypatch.setattr(ledger, "LEDGER", tmp_path)
    monkeypatch.setattr(ledger.require_kept, "__defaults__", (tmp_path, VERSION))
    monkeypatch.setattr(bench, "all_concepts", lambda: {CHURCH: bench.concept(CHURCH)})
    monkeypatch.setattr(bench, "concept_rows", lambda item: corpus_rows[item.id])
    with pytest.raises(CorpusError, match=r"Run python -m builders\.ledger\."):
        bench.build(tmp_path / "hub", world=False)
    assert not (tmp_path / "hub").exists()
    (tmp_path / f"{VERSION}.txt").write_text(ledger.text(ledger.everything({CHURCH: corpus_rows[CHURCH]}), tmp_path))
    assert bench.build(tmp_path / "hub", world=False)
    (tmp_path / f"{VERSION}.txt").unlink()
    assert bench.build(tmp_path / "hub", only=[CHURCH])


@pytest.mark.slow
def test_the_ledger_is_this_versions(whole_corpus: dict[str, list[Row]]) -> None:
    ledger.require_kept(ledger.everything(whole_corpus))
