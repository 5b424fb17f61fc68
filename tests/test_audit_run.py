"""`igmu audit`, from an empty folder to the page, on a package of tiny models whose answers mean nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_sandbox import installed, tiny_bench, tiny_package
from typer.testing import CliRunner

from builders.sandbox.corpus import task_rows
from igmu_data.errors import WeightsError
from igmu_data.sandbox.packaged import VERSIONS
from igmu_metrics.cli import app
from igmu_metrics.images import pipelines
from igmu_metrics.sandbox.audit.checks import Outcome
from igmu_metrics.sandbox.audit.gather import Evidence, gather
from igmu_metrics.sandbox.audit.measures import MEASURES
from igmu_metrics.sandbox.audit.run import run
from igmu_metrics.sandbox.audit.seen import REFERENCE

pytestmark = pytest.mark.slow  # it draws with six pipelines and looks at every image


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("package")
    tiny_package(root)
    for rows in task_rows().values():
        tiny_bench(root, [r for r in rows if r.attack_family in (None, "synonym")])
    with installed(root), pytest.MonkeyPatch.context() as patch:
        patch.setitem(run.__kwdefaults__, "grades", 1)
        yield root


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, package: Path) -> tuple[Path, str]:
    """The folder of an audit, and what it printed."""
    place = tmp_path_factory.mktemp("audit")
    result = CliRunner().invoke(
        app, ["audit", "--out", str(place / "docs"), "--work", str(place / "work")], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return place, result.stdout


@pytest.fixture(scope="module")
def evidence(done: tuple[Path, str]) -> Evidence:
    return gather(done[0] / "work", seeds_per_row=2)


@pytest.fixture
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*arguments: Any) -> Any:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(pipelines, "_load", load)


def test_it_leaves_other_pages_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a folder is given, even where the user's own project has pages of these names."""
    said: list[Path] = []

    def recorded(out: Path, work: Path, **options: Any) -> Any:
        said.extend((out, work))
        return SimpleNamespace(checks=())

    monkeypatch.setattr("igmu_metrics.sandbox.audit.run.run", recorded)
    assert CliRunner().invoke(app, ["audit"], catch_exceptions=False).exit_code == 0
    assert said == [Path("igmu-audit"), Path("igmu-audit/work")]


def test_it_writes_the_page_and_its_figure(done: tuple[Path, str]) -> None:
    place, printed = done
    text = (place / "docs" / "audit.md").read_text(encoding="utf-8")
    assert all(f"| {m.title} |" in text for m in MEASURES)
    assert all(f"sandbox:{v}" in text for v in VERSIONS)
    assert "church" in text
    assert "van-gogh" in text
    assert "nan" not in text.lower().split()
    assert (place / "docs" / "audit.svg").read_text(encoding="utf-8").startswith("<svg")
    # A model of random weights is neither gold nor collapsed: findings are facts, and end with exit code 0.
    assert f"{Outcome.FAILS}: church: collapsed" in printed
    assert str(place / "docs" / "audit.md") in printed


def test_every_version_drew_the_same_for_both_tasks(done: tuple[Path, str]) -> None:
    for task in ("church", "van-gogh"):
        drawn = [
            {p.name for p in (done[0] / "work" / task / "drawn" / v).iterdir() if p.suffix == ".png"} for v in VERSIONS
        ]
        assert len(set(map(frozenset, drawn))) == 1
        assert drawn[0]


@pytest.mark.usefixtures("no_models")
def test_a_second_run_draws_nothing_and_finds_the_same(done: tuple[Path, str], tmp_path: Path) -> None:
    place, _ = done
    run(tmp_path, place / "work", seeds_per_row=2)
    for name in ("audit.md", "audit.svg", "audit-truth.svg", "audit.json"):
        assert (tmp_path / name).read_bytes() == (place / "docs" / name).read_bytes()


@pytest.mark.usefixtures("no_models")
@pytest.mark.parametrize("split", ["retain", "adversarial", "forget"])
def test_what_one_version_could_not_draw_is_left_out_for_all(
    done: tuple[Path, str], evidence: Evidence, split: str
) -> None:
    """Of whatever split: prompts with fewer images than others end no audit."""
    work = done[0] / "work"
    folder = work / "church" / "drawn" / "collapsed"
    lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    one = evidence.seen["church", "collapsed"]  # what is counted by itself is no part of it
    asked = {*one["id"][one["split"] == split].tolist()}
    first = next(line for line in lines if json.loads(line)["id"] in asked)
    record, others = json.loads(first), [line for line in lines if line != first]
    image_file = (folder / record["file_name"]).read_bytes()
    (folder / record["file_name"]).unlink()
    (folder / "metadata.jsonl").write_text("".join(others), encoding="utf-8")
    (folder / "failed.jsonl").write_text(json.dumps(record | {"reason": "not finite"}) + "\n", encoding="utf-8")
    try:
        found = gather(work, seeds_per_row=2)
    finally:
        (folder / "failed.jsonl").unlink()
        (folder / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")
        (folder / record["file_name"]).write_bytes(image_file)
    assert (evidence.left_out, found.left_out) == ({"church": 0, "van-gogh": 0}, {"church": 1, "van-gogh": 0})
    for version in VERSIONS:
        keys, fewer = (keys_of(e, version) for e in (evidence, found))
        assert keys - fewer == {(record["id"], record["seed"])}


def keys_of(evidence: Evidence, version: str) -> set[tuple[str, int]]:
    one = evidence.seen["church", version]
    return set(one.keys)


def test_both_ways_of_stripping_are_looked_at(evidence: Evidence) -> None:
    one = evidence.seen["church", "esd"]
    forget = one["split"] == "forget"
    assert not (one["loss"][forget] == one[REFERENCE][forget]).any()
    own = evidence.seen["church", "original"]
    assert all((np.nan_to_num(own[how]) == 0).all() for how in ("loss", REFERENCE))
    # The tiny CLIP reads single characters: seven copies of any prompt are too long for it.
    assert all(too_long == n > 0 for too_long, n in evidence.glued.values())


def test_without_models_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGMU_SANDBOX", str(tmp_path / "nothing"))
    with pytest.raises(WeightsError, match=r"builders\.sandbox"):
        run(tmp_path / "docs", tmp_path / "work", seeds_per_row=2)
    assert not (tmp_path / "work").exists()
