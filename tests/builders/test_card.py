"""What the card says beside its tables, and that several clients read what it describes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from builders import card, clients
from builders.review.sample import latest
from igmu_data.errors import InputError
from igmu_data.rows import VERSION


def test_the_newest_sample_is_told() -> None:
    found = latest()
    said = f"They found {found.n_wrong} of them ({found.share:.1%}) wrong"
    assert said in card._sample()
    assert f"a random sample of {found.n_read} rows" in card._sample()
    assert found.version == VERSION
    assert found.n_read >= 600
    assert found.share <= 0.02


def test_the_packaged_sample_is_in_the_card(bench_folder: Path) -> None:
    text = (bench_folder / "README.md").read_text(encoding="utf-8")
    assert card._sample() in text


def test_the_card_has_a_datasheet_and_both_citations(bench_folder: Path) -> None:
    for folder in (bench_folder, bench_folder.with_name("bench-nsfw")):
        text = (folder / "README.md").read_text(encoding="utf-8")
        assert "by the igmu authors" in text
        sheet = text.partition("## Datasheet")[2].partition("\n## ")[0]
        headings = re.findall("^### (.*)", sheet, re.MULTILINE)
        assert headings == ["Motivation", "Composition", "Collection", "Uses", "Distribution and maintenance"]
        assert "Rethinking Machine Unlearning in Image Generation Models" in text
        assert f"note   = {{version {VERSION}}}" in text
        assert ("### General prompts" in text) is (folder == bench_folder)
        assert all(f"`{probe}`" in text or f"| {probe} |" in text for probe in card.PROBES)


def test_the_citation_file_is_valid_and_this_versions() -> None:
    """What cff 1.2.0 asks for, and the formats that it names."""
    told = card.citation()
    assert {"cff-version", "message", "title", "authors"} <= told.keys()
    assert told["cff-version"] == "1.2.0"
    assert told["type"] == "dataset"
    assert str(told["version"]) == VERSION
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(told["date-released"]))
    paper = told["preferred-citation"]
    assert {"type", "title", "authors"} <= paper.keys()
    assert all({"family-names", "given-names"} == set(a) for a in paper["authors"])
    assert all(i["type"] in ("doi", "url", "swh", "other") for i in paper["identifiers"])
    known = {"cff-version", "message", "title", "type", "version", "date-released", "license", "authors", "keywords"}
    assert set(told) == known | {"preferred-citation"}
    assert set(yaml.safe_load(card.CITATION.read_text(encoding="utf-8"))) == set(told)


@pytest.mark.slow
def test_a_client_reads_a_built_folder(bench_folder: Path) -> None:
    seen = clients.loaded(Path(sys.executable), bench_folder, ("object.church", "general"))
    assert list(seen["object.church"]["rows"]) == ["forget", "retain", "adversarial"]
    assert seen["object.church"]["lists"] == ["seeds"]
    assert seen["object.church"]["streamed"]
    assert seen["general"]["rows"] == {"test": 1000}
    assert seen["general"]["lists"] == ["answers", "questions", "seeds"]


def test_what_a_client_cannot_read_is_told(bench_folder: Path, tmp_path: Path) -> None:
    assert "error" in clients.loaded(Path(sys.executable), bench_folder, ("sandbox",))["sandbox"]
    with pytest.raises(InputError, match="cannot be run"):
        clients.loaded(tmp_path / "python", bench_folder)
    app = typer.Typer()
    app.command()(clients.main)
    told = CliRunner().invoke(app, [str(bench_folder), str(tmp_path / "python")])
    assert told.exit_code == 2
