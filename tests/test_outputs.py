"""No command replaces a file that igmu did not write; what igmu wrote is replaced."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from golden.record import unpack
from typer.testing import CliRunner

from igmu_data.errors import OutputError
from igmu_data.files import begins, require_own
from igmu_metrics.cli import app
from igmu_metrics.detectors._calibrated import read
from igmu_metrics.detectors._head_file import read_facts
from igmu_metrics.report.thumbnails import Gallery

FOREIGN = {
    "report": "<!doctype html>\n<html><body>my thesis, with <span>igmu</span></body></html>\n",
    "leaderboard": "<html></html>",
    "export --latex": "\\documentclass{article}\n% \\usepackage{booktabs}\n",
    "export --csv": "name,n\na,1\n",
    "export --model-index": "---\nlicense: mit\n---\n# My model\n",
}


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    unpack(folder)
    return folder / "cards"


@pytest.mark.parametrize("command", FOREIGN)
def test_only_files_of_igmu_are_replaced(cards: Path, tmp_path: Path, command: str) -> None:
    out = tmp_path / "out"
    card = cards if command in ("report", "leaderboard") else next(cards.glob("*.json"))
    words = [*command.split(), str(card), "--out", str(out)]
    out.write_text(FOREIGN[command])
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, OutputError)
    assert str(done.exception).startswith(f"{out} already exists, and it is not an earlier output")
    assert out.read_text() == FOREIGN[command]
    out.write_text("")
    for _ in range(2):  # over an empty file, and over its own
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.exception
        assert out.read_text()


def test_a_chart_replaces_only_a_chart(cards: Path, tmp_path: Path) -> None:
    chart = tmp_path / "chart.svg"
    words = ["families", str(next(cards.glob("esd*.json"))), "--chart", str(chart)]
    chart.write_text('<svg xmlns="http://www.w3.org/2000/svg"><path/></svg>')
    assert isinstance(CliRunner().invoke(app, words).exception, OutputError)
    chart.unlink()
    for _ in range(2):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.exception


def test_networks_and_other_json_are_no_outputs_of_training(tmp_path: Path) -> None:
    weights, table = tmp_path / "model.safetensors", tmp_path / "table.json"
    weights.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    table.write_text("{}")
    for path, own in ((weights, read_facts), (table, read)):
        with pytest.raises(OutputError, match="it is not an earlier output of this kind"):
            require_own(path, own)
    require_own(tmp_path / "new", begins(re.compile("a")))


def test_the_images_of_a_report_do_not_replace_other_scripts(tmp_path: Path) -> None:
    (tmp_path / "00001.js").write_text("export default 1\n")
    with pytest.raises(OutputError, match=re.escape("00001.js already exists")):
        Gallery().write(tmp_path)
    (tmp_path / "00001.js").write_text('igmu.take("a", 0, []);\n')
    Gallery().write(tmp_path)
    assert not list(tmp_path.iterdir()), "of an earlier, larger report"
