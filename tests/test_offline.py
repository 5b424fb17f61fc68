"""The package makes its own rows, without a network; the Hub is asked for others, and says in one line what failed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn import copied, draw
from sampled import SAMPLE
from tiny import tiny_clip
from tiny_diffusion import tiny_pipeline
from typer.testing import CliRunner

from builders import checked as recorded
from igmu_data import load
from igmu_data.configs import configs
from igmu_data.errors import CorpusError, HubError, IncomparableError, InputError
from igmu_data.load import bench_rows, load_bench, signed
from igmu_data.rows import concept as rows_of_concept
from igmu_data.schema import COLUMNS, SPLITS, Row, row_id, stored_columns
from igmu_metrics.cli import app
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.report.view import Section, view
from igmu_metrics.scorecard import Scorecard, write
from igmu_metrics.verdict.compare import compared, require_comparable

CHURCH = "object.church"


@pytest.fixture(autouse=True)
def _nobody_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IGMU_BENCH", raising=False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def unplugged(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection at all, not even to this machine."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("asked the network")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(datasets, "load_dataset", refuse)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the Hub was asked for; it answers that there is no connection."""
    calls: list[tuple[Any, ...]] = []

    def ask(place: str, config: str, **options: Any) -> Any:
        calls.append((place, config, options["revision"]))
        raise ConnectionError(f"Couldn't reach {place!r} on the Hub\n(LocalEntryNotFoundError)")

    monkeypatch.setattr(datasets, "load_dataset", ask)
    return calls


@pytest.mark.usefixtures("unplugged")
@pytest.mark.parametrize("config", [c for c, members in configs().items() if {*members} <= {*SAMPLE}])
@pytest.mark.slow
def test_the_rows_are_those_of_the_built_folder(config: str, bench_folder: Path) -> None:
    """Every column of every row, and their order."""
    made, built = bench_rows(config), bench_rows(config, bench=bench_folder)
    assert [r.model_dump() for r in made.values()] == [r.model_dump() for r in built.values()]
    assert list(made) == list(built)


@pytest.mark.parametrize("config", [CHURCH, "style.van-gogh", "general"])
def test_the_tables_are_those_of_the_built_folder(config: str, bench_folder: Path) -> None:
    made: Any = load_bench(config)
    built: Any = load_bench(config, bench=bench_folder)
    assert list(made) == list(built) == (["test"] if config == "general" else list(SPLITS))
    for split in made:
        assert made[split].features == built[split].features
        assert made[split].data.table.combine_chunks().equals(built[split].data.table.combine_chunks())
        one: Any = load_bench(config, split)
        assert one.data.table.equals(made[split].data.table)
        streams: Any = load_bench(config, streaming=True)
        assert list(streams[split]) == list(load_bench(config, split, streaming=True)) == made[split].to_list()


@pytest.mark.usefixtures("unplugged")
def test_generate_and_score_need_no_network(tmp_path: Path) -> None:
    model, clip = tiny_pipeline(tmp_path / "model"), tiny_clip(tmp_path / "clip")
    small = ["--split", "forget", "--seeds-per-row", "1", "--steps", "1", "--size", "16", "--device", "cpu"]
    out = tmp_path / "images"
    run = CliRunner().invoke
    done = run(app, ["generate", "--model", str(model), "--config", CHURCH, "--out", str(out), *small])
    n = sum(row.split == "forget" for row in bench_rows(CHURCH).values())
    assert f"{n} images, {n} of them new" in done.stdout, done.output
    folders = ["--original", str(out), "--unlearned", str(copied(out, tmp_path / "same"))]
    card = tmp_path / "card.json"
    done = run(app, ["score", *folders, "--config", CHURCH, "--detector", f"clip:{clip}", "--out", str(card)])
    assert done.exit_code == 0, done.output
    signature = json.loads(card.read_text())["scores"]["concept_accuracy"]["signature"]
    assert signature["dataset"] == "igmu/bench 1.0.0"
    assert run(app, ["verify", str(card)]).exit_code == 0


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("offline") / "images"
    draw(folder, list(bench_rows(CHURCH).values()))
    return folder


def score(images: Path, model: str, **settings: Any) -> Scorecard:
    evaluation = Evaluation(CHURCH, detector=f"labels:{images / 'labels.csv'}", cache=False, **settings)
    return next(iter(evaluation.run(images / "original", [images / model])))


def test_cards_of_the_package_and_of_a_built_folder_are_comparable(
    images: Path, bench_folder: Path, tmp_path: Path
) -> None:
    made = score(images, "forgetful")
    built = score(images, "unchanged", bench=str(bench_folder))
    for name, entry in made.scores.items():
        assert entry.signed().differences(built.scores[name].signed()) == {}
        assert {k: v for k, v in entry.signature.items() if k != "model"} == {
            k: v for k, v in built.scores[name].signature.items() if k != "model"
        }
    for card in (made, built):
        write(card, tmp_path / f"{card.model}.json")
    done = CliRunner().invoke(app, ["compare", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "unchanged" in done.stdout


def test_the_same_rows_under_another_name_are_comparable_and_other_rows_are_not(
    images: Path, bench_folder: Path, tmp_path: Path
) -> None:
    copy = copied(bench_folder / "object", tmp_path / "copy" / "object").parent
    made, other = score(images, "forgetful"), score(images, "unchanged", bench=str(copy))
    assert other.scores["concept_accuracy"].signature["dataset"] == "copy"
    require_comparable([made, other])
    assert compared([made, other])
    fewer = next((copy / "object/structure/church").glob("retain-*"))
    table = pq.read_table(fewer)
    drawn = {g["id"] for g in made.generations.records("id")}
    at = next(i for i, name in enumerate(table["id"].to_pylist()) if name not in drawn)
    pq.write_table(pa.concat_tables([table.slice(0, at), table.slice(at + 1)]), fewer)
    with pytest.raises(IncomparableError, match=r"dataset: 'igmu/bench 1\.0\.0' and 'copy'; dataset\.rows: "):
        require_comparable([made, score(images, "unchanged", bench=str(copy))])


def test_a_signature_says_where_rows_are_from(bench_folder: Path) -> None:
    rows = list(bench_rows(CHURCH).values())
    made = signed(CHURCH, rows)
    assert made == signed(CHURCH, reversed(rows), bench=bench_folder)
    assert made == {
        "dataset": "igmu/bench 1.0.0",
        "dataset.revision": "default",
        "dataset.rows": load.digest(r.id for r in rows),
    }
    hub = signed(CHURCH, rows, revision="v1")
    assert hub == made | {"dataset": "igmu/bench", "dataset.revision": "v1"}
    assert signed(CHURCH, rows[1:])["dataset.rows"] != made["dataset.rows"]


@pytest.mark.parametrize(
    ("config", "options", "place"),
    [
        ("nsfw", {}, "igmu/bench-nsfw"),
        ("nsfw.nudity", {}, "igmu/bench-nsfw"),
        (CHURCH, {"revision": "v0.1.0"}, "igmu/bench"),
        (CHURCH, {"bench": "me/bench"}, "me/bench"),
        (CHURCH, {"bench": "igmu/bench"}, "igmu/bench"),
        ("sandbox.church", {"revision": "v0.1.0"}, "igmu/bench"),
    ],
)
@pytest.mark.parametrize("call", [bench_rows, load_bench])
def test_what_the_package_does_not_make_is_asked_of_the_hub(
    config: str, options: dict[str, str], place: str, call: Callable[..., Any], asked: list[tuple[Any, ...]]
) -> None:
    """Above all what is gated there: the package would give it to those who accepted no terms."""
    with pytest.raises(
        HubError, match=r"^cannot fetch config '.*' of '.*' .*--bench FOLDER with a folder that contains this config\.$"
    ) as refused:
        call(config, **options)
    assert asked == [(place, config, options.get("revision"))]
    assert "\n" not in str(refused.value)
    gated = f"(accept the terms of {place} on the Hub, and log in with 'hf auth login')"
    assert (gated in str(refused.value)) == place.endswith("-nsfw")


def test_the_environment_names_a_place_too(asked: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGMU_BENCH", "me/bench")
    with pytest.raises(HubError, match="me/bench"):
        bench_rows(CHURCH)
    assert asked == [("me/bench", CHURCH, None)]


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Couldn't reach 'igmu/bench' on the Hub (OfflineModeIsEnabled)"),
        datasets.exceptions.DatasetNotFoundError("Dataset 'igmu/bench' is a gated dataset on the Hub."),
        datasets.exceptions.DatasetGenerationError("An error occurred while generating the dataset"),
        ValueError("Couldn't find cache for igmu/bench for config 'object.church'\nAvailable configs in the cache: []"),
        ValueError("BuilderConfig 'object.church' not found. Available: ['object']"),
        RuntimeError("Dataset scripts are no longer supported"),
        TimeoutError(),
    ],
)
def test_whatever_the_hub_says_is_one_line_that_names_the_way_out(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(
        HubError, match=r"'igmu/bench' at main from the Hub \(\S.*--bench FOLDER .* contains this config\.$"
    ):
        bench_rows(CHURCH, revision="main")


@pytest.mark.parametrize("command", ["generate", "score", "attack"])
def test_every_command_that_reads_rows_ends_in_one_line(command: str, images: Path, tmp_path: Path) -> None:
    folders = ["--original", str(images / "original"), "--unlearned", str(images / "forgetful")]
    models = ["--model", "sandbox:esd/church", "--original", "sandbox:original", "--attack", "pez"]
    own = {"generate": ["--model", "sandbox:original"], "score": folders, "attack": models}[command]
    line = [command, *own, "--out", str(tmp_path / "out"), "--config", CHURCH, "--revision", "v9"]
    done = subprocess.run(
        [sys.executable, "-c", "from igmu_metrics.cli import main; main()", *line],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    (told,) = filter(None, done.stderr.splitlines())
    assert told.startswith("HubError: cannot fetch config 'object.church' of 'igmu/bench' at v9 from the Hub (")
    assert told.endswith("--bench FOLDER with a folder that contains this config.")


def test_a_report_shows_images_of_the_revision_that_the_card_names(images: Path, asked: list[tuple[Any, ...]]) -> None:
    card = score(images, "forgetful")
    assert card.provenance is not None
    section = Section([card], {"original": images / "original", "forgetful": images / "forgetful"})
    assert view(section).lines
    options = card.provenance.options | {"bench": "me/bench", "revision": "v0.1.0"}
    other = card.model_copy(update={"provenance": card.provenance.model_copy(update={"options": options})})
    with pytest.raises(HubError):
        view(replace(section, cards=[other]))
    with pytest.raises(HubError):
        view(replace(section, bench="my/bench", revision="v2"))
    assert asked == [("me/bench", CHURCH, "v0.1.0"), ("my/bench", CHURCH, "v2")]


def test_a_folder_has_no_revisions(bench_folder: Path) -> None:
    for call in (bench_rows, load_bench):
        with pytest.raises(InputError, match=r"revision 'v1' is specified for the folder .*, but only repositories on"):
            call(CHURCH, bench=bench_folder, revision="v1")


def test_a_folder_of_something_else_is_told(bench_folder: Path, tmp_path: Path) -> None:
    copy = copied(bench_folder / "object", tmp_path / "bench" / "object").parent
    first = next((copy / "object/structure/church").glob("forget-*"))
    table = pq.read_table(first)
    pq.write_table(table.drop_columns("prompt"), first)
    with pytest.raises(
        CorpusError, match=r"bench: row '\w{16}' does not match the schema of the corpus \(prompt: Field required"
    ):
        bench_rows(CHURCH, bench=copy)
    first.write_bytes(first.read_bytes()[:200])
    with pytest.raises(CorpusError, match=r"forget-.* cannot be read \(.*Build or download it again"):
        bench_rows(CHURCH, bench=copy)


def test_the_checked_rows_are_these(corpus_rows: dict[str, list[Row]]) -> None:
    """`test_validate` and `test_policy` prove the same rows to break no rule. Else: python -m builders.checked."""
    noted, made = json.loads(recorded.FILE.read_text(encoding="utf-8")), json.loads(recorded.text(corpus_rows))
    assert {name: noted.get(name) for name in made} == made


def test_rows_that_the_package_makes_have_the_columns_of_all() -> None:
    """Without making all: a column that some concept needs is there for each."""
    assert load._columns() == stored_columns(bench_rows(CHURCH).values()) == COLUMNS


def test_rows_that_were_not_checked_are(monkeypatch: pytest.MonkeyPatch, corpus_rows: dict[str, list[Row]]) -> None:
    """A concept of one's own, or one that was changed, is held to the policy as by the builder."""
    *others, last = corpus_rows["object/church"]
    fields = last.model_dump() | {"prompt": "A child beside a church"}
    planted = [*others, Row(**fields | {"id": row_id(fields)})]
    monkeypatch.setattr(rows_of_concept, "concept_rows", lambda item: planted)
    for kept in ("_made", "_made_of"):
        monkeypatch.setattr(load, kept, vars(getattr(load, kept))["__wrapped__"])
    with pytest.raises(CorpusError, match="content policy"):
        bench_rows(CHURCH)
