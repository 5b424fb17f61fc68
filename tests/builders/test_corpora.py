"""The table of corpora: what it counts, on folders small enough to count by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from builders.benchmarks import corpora
from builders.review.sample import latest
from igmu_data.taxonomy import all_concepts

ROOT = Path(__file__).parents[2]
ALIKE = ["a red church on the hill", "a red church on the hill", "a red church at dawn", "snow over the old church"]
UNLIKE = ["two dogs asleep", "dog swims ashore", "wet paws, muddy floor"]


def folder(at: Path, **concepts: list[str]) -> Path:
    """A corpus as the command reads it."""
    at.mkdir()
    for name, prompts in concepts.items():
        (at / f"{name}.txt").write_text("\n".join(["", *prompts, " "]), encoding="utf-8")
    return at


def cells(row: list[str]) -> dict[str, str]:
    """A row by its heads."""
    return dict(zip(corpora.HEAD, row, strict=True))


def test_counts_are_those_by_hand(tmp_path: Path) -> None:
    found = cells(corpora.measured("x", corpora.read(folder(tmp_path / "x", church=ALIKE, dog=UNLIKE))))
    assert found["concepts"] == "2"
    assert found["prompts"] == "7"
    assert found["compared a concept"] == "3–4"
    assert found["words"] == "5"
    # of 6 + 3 pairs one is above 0.6: the equal ones; {red, church, hill} and {red, church, dawn} have 0.5
    assert found["near-duplicate pairs"] == "11.1%"
    assert found["exact duplicates"] == "14.3%"
    # three of the churches begin with "a red church", one dog each with its own words
    assert found["same opening"] == "57.1%"


def test_what_repeats_itself_is_told_from_what_does_not(tmp_path: Path) -> None:
    same = cells(corpora.measured("same", {"church": ["a red church on the hill"] * 5}))
    unlike = cells(corpora.measured("unlike", {"dog": UNLIKE}))
    assert same["self-BLEU-4"] == "1.00, at most 1.00"
    assert same["near-duplicate pairs"] == "100.0%"
    assert same["exact duplicates"] == "80.0%"
    assert float(unlike["self-BLEU-4"].partition(",")[0]) < 0.3
    assert unlike["distinct-2"] == "1.00, at least 1.00"


def test_every_corpus_is_cut_to_the_same_number_of_prompts() -> None:
    many = {"church": [f"church number {k}" for k in range(100)]}
    found = cells(corpora.measured("many", many))
    assert (found["prompts"], found["compared a concept"]) == ("100", "56")
    assert cells(corpora.measured("many", many, 10))["compared a concept"] == "10"


def test_the_command_prints_ours_and_each_folder_for_each_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(corpora, "ours", lambda: {"igmu": {"object/church": ALIKE}})
    at = folder(tmp_path / "theirs", dog=UNLIKE)
    monkeypatch.setattr(sys, "argv", ["corpora", f"theirs={at}", "--n", "56", "2"])
    corpora.main()
    lines = capsys.readouterr().out.splitlines()
    names = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    assert [n for n in names if "igmu" in n or n == "theirs"] == ["igmu", "theirs"] * 2


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("theirs", "give NAME=FOLDER"),
        ("=here", "give NAME=FOLDER"),
        ("x={}/none", "no text file"),
        ("x={}", "1 prompts"),
    ],
)
def test_what_cannot_be_measured_is_said(
    argument: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = folder(tmp_path / "one", dog=["alone"])
    monkeypatch.setattr(sys, "argv", ["corpora", argument.format(at)])
    with pytest.raises(SystemExit) as stopped:
        corpora.main()
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_ours_are_the_direct_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    known = all_concepts()
    chosen = {k: known[k] for k in ("object/church", "style/monet", "attribute/beard")}
    monkeypatch.setattr(corpora, "all_concepts", lambda: chosen)
    found = corpora.ours()
    assert {name: list(concepts) for name, concepts in found.items()} == {
        "igmu": list(chosen),
        "igmu, objects": ["object/church"],
        "igmu, styles": ["style/monet"],
        "igmu, whole sentences": list(chosen),
    }
    church = found["igmu"]["object/church"]
    assert len(church) == len(set(church)) >= 56
    assert set(found["igmu, whole sentences"]["object/church"]) < set(church)


def test_the_page_gives_the_errors_of_the_newest_sample() -> None:
    newest = latest()
    said = f"{newest.n_wrong} of {newest.n_read} rows wrong"
    assert said in (ROOT / "docs" / "comparison.md").read_text()
