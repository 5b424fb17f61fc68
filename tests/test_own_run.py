"""A concept of one's own from its file to a report, step by step and in one go, on tiny models."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
from pathlib import Path

import pytest
from drawn import copied, draw
from own_concept import written
from tiny import tiny_clip
from tiny_diffusion import tiny_pipeline
from typer.testing import CliRunner, Result

from igmu_data import taxonomy
from igmu_data.load import bench_rows
from igmu_data.taxonomy import using
from igmu_metrics.cli import app
from igmu_metrics.scorecard import read

CONFIG = "object.zeppelin"


def igmu(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.slow
def test_generate_score_and_report(tmp_path: Path) -> None:
    own = tmp_path / "own"
    written(own)
    model, out = tiny_pipeline(tmp_path / "model"), tmp_path / "images" / "original"
    small = ("--seeds-per-row", 1, "--steps", 1, "--size", 16, "--device", "cpu")
    done = igmu("generate", "--model", model, "--config", CONFIG, "--out", out, *small, "--concepts", own)
    assert "194 images, 194 of them new, 0 failed" in " ".join(done.output.split()), done.output
    copied(out, tmp_path / "images" / "forgetful")
    with using(own):
        rows = bench_rows(CONFIG)
    names = sorted({row.own_concept for row in rows.values() if row.own_concept})
    with (tmp_path / "labels.csv").open("w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle)
        table.writerow(["path", *names])
        for folder in ("original", "forgetful"):
            for line in (tmp_path / "images" / folder / "metadata.jsonl").read_text().splitlines():
                meta = json.loads(line)
                shown = rows[meta["id"]].own_concept
                if folder == "forgetful" and shown == "object/zeppelin":
                    shown = None
                cells = ["yes" if name == shown else "no" for name in names]
                table.writerow([f"images/{folder}/{meta['file_name']}", *cells])
    score = ("score", "--original", out, "--unlearned", tmp_path / "images" / "forgetful", "--config", CONFIG)
    labels = ("--detector", f"labels:{tmp_path / 'labels.csv'}", "--out", tmp_path / "card.json", "--blank", "keep")
    assert "for your own, add --concepts" in str(igmu(*score, *labels).exception)
    done = igmu(*score, *labels, "--concepts", own)
    assert done.exit_code == 0, done.output
    card = read(tmp_path / "card.json")
    signature = card.scores["concept_accuracy"].signature
    assert signature["dataset"] == "the user's own object/zeppelin, by igmu 1.0.0"
    assert card.scores["concept_accuracy"].value == 1.0
    assert card.provenance is not None
    assert card.provenance.command.endswith("--concepts own")
    page = tmp_path / "report.html"
    (printed,) = [line for line in done.output.splitlines() if line.startswith("report: igmu ")]
    done = igmu(*shlex.split(printed)[2:], "--out", page)
    assert done.exit_code == 0, done.output
    assert "zeppelin" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_commands_that_are_printed_can_be_pasted(tmp_path: Path) -> None:
    """From a reference table to the report, with a bench, a concept of one's own and other settings than the usual."""
    draw(tmp_path / "images", list(bench_rows("sandbox.church").values())[::28])
    written(tmp_path / "own")

    def printed(before: str, *words: object) -> list[str]:
        done = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "40"})
        assert done.exit_code == 0, (done.output, done.exception)
        (line,) = [line for line in done.output.splitlines() if line.startswith(before)]
        name, *after = shlex.split(line.removeprefix(before))
        assert name == "igmu"
        assert after[after.index("--bench") + 1] == "sandbox"
        assert after[after.index("--concepts") + 1] == str(tmp_path / "own")
        return after

    given = ("--config", "sandbox.church", "--bench", "sandbox", "--detector", "sandbox", "--threshold", "0.4")
    tables = ("--out", tmp_path / "hub", "--concepts", tmp_path / "own")
    score = printed("To score against this table, run: ", "original", tmp_path / "images" / "original", *given, *tables)
    assert score[score.index("--detector") + 1 :][:1] == ["sandbox"]
    score[score.index("…")] = str(tmp_path / "images" / "forgetful")
    report = printed("report: ", *score, "--out", tmp_path / "card.json")
    done = igmu(*report, "--out", tmp_path / "report.html")
    assert done.exit_code == 0, (done.output, done.exception)
    signature = read(tmp_path / "card.json").scores["concept_accuracy"].signature
    assert signature["detector.threshold"] == 0.4


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own-run")
    written(folder / "own")
    written(folder / "own", "object/airship")
    models = {name: tiny_pipeline(folder / name, seed=at) for at, name in enumerate(("before", "after"))}
    small = ("--protocol", 1, "--seeds-per-row", 1, "--steps", 1, "--size", 16, "--device", "cpu")
    result = igmu(
        *("run", "--original", models["before"], "--unlearned", f"mine={models['after']}", "--config", CONFIG),
        *("--detector", f"clip:{tiny_clip(folder / 'clip')}", *small, "--out", folder / "out"),
        *("--concepts", folder / "own"),
    )
    assert result.exit_code == 0, result.output
    assert taxonomy.ENVIRONMENT not in os.environ
    return folder


class TestRun:
    def test_it_keeps_the_concept_that_it_is_about(self, done: Path) -> None:
        kept = [p.relative_to(done / "out").as_posix() for p in (done / "out").rglob("*.toml")]
        assert kept == ["concepts/object/zeppelin.toml"]
        assert (done / "out" / "report.html").stat().st_size > 10_000

    def test_another_run_of_its_folder_needs_no_option(self, done: Path, tmp_path: Path) -> None:
        out = shutil.copytree(done / "out", tmp_path / "out")
        shutil.rmtree(out / "cards")
        result = igmu("run", out / "run.yaml", "--out", out, "--device", "cpu")
        assert result.exit_code == 0, result.output

    def test_another_concept_of_the_name_is_another_run(self, done: Path, tmp_path: Path) -> None:
        out = shutil.copytree(done / "out", tmp_path / "out")
        written(tmp_path / "own", edit=("a slow river at sunrise", "a slow river at dawn"))
        result = igmu("run", out / "run.yaml", "--out", out, "--device", "cpu", "--concepts", tmp_path / "own")
        assert "the concept has changed since" in str(result.exception)

    def test_verify_reads_it_there(self, done: Path) -> None:
        result = igmu("verify", done / "out", "--device", "cpu", "--detector", f"clip:{done / 'clip'}")
        assert "scoring the images again gave the same lines" in " ".join(result.output.split()), result.output
        assert result.exit_code == 0
