"""The whole build: the same bytes everywhere, loadable by name, complete or not there at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
import yaml
from datasets import Features, load_dataset
from PIL import Image
from sampled import SAMPLE
from typer.testing import CliRunner

from builders import bench, card, hubfolder, sources
from builders.bench import NOTEBOOKS
from builders.hubfolder import replaced
from builders.sources import StoredImage
from igmu_data import policy
from igmu_data.configs import configs, sandbox_configs
from igmu_data.errors import CorpusError, InputError, OutputError, UnknownSourceError
from igmu_data.schema import COLUMNS, SPLITS, Row, features
from igmu_data.taxonomy import all_concepts, concept

ROOT = Path(__file__).resolve().parents[2]
CHURCH = "object/church"
FEW = (CHURCH, "style/van-gogh", "nsfw/nudity")
Corpus = dict[str, list[Row]]


def environment(tmp: Path, **more: str) -> dict[str, str]:
    """A process of its own: offline, own caches, this checkout."""
    own = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp / "hf"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return os.environ | own | more


def start(command: Sequence[str], cwd: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    cwd.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-4000:]
    return out


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def front(folder: Path) -> dict[str, Any]:
    match = re.match(r"---\n(.*?)\n---\n", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert match
    return dict(yaml.load(match[1], yaml.CSafeLoader))


def built(restricted: bool) -> dict[str, tuple[str, ...]]:
    """The configs of the sample with the concepts that they gather there."""
    mine = {name: tuple(m for m in members if m in SAMPLE) for name, members in configs(restricted).items()}
    return {name: members for name, members in mine.items() if members}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Three concepts, built at the same time by two processes that differ in all that must not matter."""
    where = tmp_path_factory.mktemp("few")
    command = [sys.executable, "-m", "builders.bench", "--out"]
    one = start(
        [*command, str(where / "one"), *(a for c in FEW for a in ("--only", c))],
        ROOT,
        environment(where / "env1", PYTHONHASHSEED="1", TZ="Asia/Tokyo", LC_ALL="C.UTF-8"),
    )
    two = start(
        [*command, "deep/two", *(a for c in (*reversed(FEW), CHURCH) for a in ("--only", c))],
        where / "elsewhere",
        environment(where / "env2", PYTHONHASHSEED="4242", TZ="America/Lima", LC_ALL="C"),
    )
    assert finish(one).split() == [str(where / "one/igmu/bench"), str(where / "one/igmu/bench-nsfw")]
    finish(two)
    yield where / "one", where / "elsewhere/deep/two"
    shutil.rmtree(where)


@pytest.mark.slow
def test_two_builds_are_the_same_to_the_byte(few: tuple[Path, Path]) -> None:
    one, two = (tree(f) for f in few)
    assert one == two
    assert {"igmu/bench/manifest.json", "igmu/bench/README.md", "igmu/bench-nsfw/croissant.json"} <= set(one)
    assert sum(name.endswith(".parquet") for name in one) == 9


def test_the_notebooks_are_where_their_badges_open_them(few: tuple[Path, Path]) -> None:
    held = {p.name: p.read_bytes() for p in NOTEBOOKS.glob("*.ipynb")}
    assert held
    assert {p.name: p.read_bytes() for p in (few[0] / "igmu/bench/notebooks").iterdir()} == held
    assert not (few[0] / "igmu/bench-nsfw/notebooks").exists()


def test_the_manifest_lists_every_other_file(few: tuple[Path, Path]) -> None:
    for repo, n_concepts in (("igmu/bench", 2), ("igmu/bench-nsfw", 1)):
        folder = few[0] / repo
        manifest = json.loads((folder / "manifest.json").read_text())
        present = tree(folder)
        del present["manifest.json"]
        assert manifest["files"] == present
        assert (manifest["name"], manifest["n_concepts"], manifest["images"]) == (repo, n_concepts, "none")
        assert manifest["n_rows"] == sum(pq.ParquetFile(p).metadata.num_rows for p in folder.rglob("*.parquet"))


def test_no_path_of_the_machine_is_in_a_file(few: tuple[Path, Path]) -> None:
    for path in few[0].rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert str(few[0]).encode() not in data, path
            assert str(ROOT).encode() not in data, path


LOAD = """
import sys, json
import yaml
yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the card is parsed again for every config
import datasets
from datasets import load_dataset
datasets.disable_progress_bars()
wanted = json.loads(open(sys.argv[1]).read())
from igmu_data.schema import features
for repo, config, expected in wanted:
    loaded = load_dataset(repo, config)
    assert list(loaded) == ["forget", "retain", "adversarial"], (config, list(loaded))
    for split, table in loaded.items():
        assert list(table.features.items()) == list(features().items()), (config, split)
        ids = sorted(table["id"])
        assert ids == expected[split], (config, split, len(ids), len(expected[split]))
        assert set(table["split"]) == {split}
prompts = load_dataset("igmu/bench", "general")
from igmu_data import general
assert list(prompts) == ["test"] and list(prompts["test"].features.items()) == list(general.features().items())
assert prompts["test"]["id"][:] == [r.id for r in general.general_rows()]
print("loaded", len(wanted))
"""
STREAM = """
import sys
import datasets
from datasets import load_dataset
datasets.disable_progress_bars()
from igmu_data.schema import COLUMNS
for config in ("all", "style", "object.structure", "object.church"):
    # To the end: a stream that is given up leaves a thread of pyarrow, which can abort the interpreter's exit.
    rows = list(load_dataset("igmu/bench", config, split="retain", streaming=True))
    assert tuple(rows[0]) == COLUMNS, rows[0]
    assert {r["split"] for r in rows} == {"retain"}
rows = list(load_dataset("igmu/bench", "object.church", split="adversarial", streaming=True))
assert {r["concept"] for r in rows} == {"object/church"}
assert all(len(r["seeds"]) == 5 for r in rows)
default = list(load_dataset("igmu/bench", split="forget", streaming=True))
assert default[0]["concept"] == "artwork/the-scream"
print("streamed", len(rows))
"""


@pytest.mark.slow
def test_every_config_and_split_loads_by_relative_folder(
    bench_folder: Path, corpus_rows: Corpus, tmp_path: Path
) -> None:
    hub = bench_folder.parents[1]
    jobs: list[list[Any]] = []
    for restricted, repo in card.REPO.items():
        for config, members in built(restricted).items():
            ids = {s: sorted(r.id for m in members for r in corpus_rows[m] if r.split == s) for s in SPLITS}
            jobs.append([repo, config, ids])
    assert len(jobs) > 25
    processes = []
    for i in range(2):
        (tmp_path / f"{i}.json").write_text(json.dumps(jobs[i::2]))
        command = [sys.executable, "-c", LOAD, str(tmp_path / f"{i}.json")]
        processes.append(start(command, hub, environment(tmp_path / str(i))))
    streamed = start([sys.executable, "-c", STREAM], hub, environment(tmp_path / "s"))
    n = sum(r.split == "adversarial" for r in corpus_rows[CHURCH])
    assert [finish(p).strip() for p in processes] == [f"loaded {len(jobs[i::2])}" for i in range(2)]
    assert finish(streamed).strip() == f"streamed {n}"


def test_features_are_the_same_in_code_and_parquet(bench_folder: Path) -> None:
    wanted = list(features().items())
    assert [name for name, _ in wanted] == list(COLUMNS)
    assert COLUMNS[:9] == (
        "prompt",
        "concept",
        "split",
        "probe",
        "attack_family",
        "language",
        "register",
        "round",
        "id",
    )
    assert "dataset_info" not in front(bench_folder)
    paths = [p for p in bench_folder.rglob("*.parquet") if p.parent.name != "general"]
    assert len(paths) == 3 * 9
    for path in paths:
        schema = pq.read_schema(path)
        assert list(Features.from_arrow_schema(schema).items()) == wanted
        assert schema.names == list(COLUMNS)


def test_lists_are_told_by_the_name_that_old_clients_know(bench_folder: Path, world_folder: Path) -> None:
    """`List` came with `datasets` 4.0; `python -m builders.clients` reads the folder with older ones."""
    for path in [*bench_folder.rglob("*.parquet"), *world_folder.rglob("*.parquet")]:
        told = json.loads(pq.read_schema(path).metadata[b"huggingface"])["info"]["features"]
        assert told["seeds"] == {"feature": {"dtype": "int64", "_type": "Value"}, "_type": "Sequence"}
        assert "List" not in {kind["_type"] for kind in told.values()}


def test_no_column_is_the_same_everywhere(bench_folder: Path) -> None:
    """But for the miniature world, where what an image needs stands beside it, though all are generated alike."""
    tables = [pq.read_table(p) for p in bench_folder.rglob("*.parquet") if p.parent.name != "general"]
    for name in tables[0].column_names:
        assert len({str(value) for table in tables for value in table[name].to_pylist()}) > 1, name


def test_the_head_of_the_card_is_short(bench_folder: Path) -> None:
    """In a build of all 2,000 lines would be too many: at five a config it has about 900."""
    head = (bench_folder / "README.md").read_text(encoding="utf-8").split("---\n")[1].splitlines()
    n = len(front(bench_folder)["configs"])
    assert len(head) <= 5 * n + 12
    assert 5 * (len(configs()) + len(sandbox_configs()) + 2) + 12 < 1000


def test_row_groups_are_small(bench_folder: Path) -> None:
    for path in bench_folder.rglob("*.parquet"):
        meta = pq.ParquetFile(path).metadata
        for i in range(meta.num_row_groups):
            assert meta.row_group(i).total_byte_size <= 100 * 1024**2
            assert meta.row_group(i).num_rows <= 100


def test_the_card_has_every_config_once(bench_folder: Path) -> None:
    for restricted, folder in ((False, bench_folder), (True, bench_folder.with_name("bench-nsfw"))):
        block = front(folder)
        names = [c["config_name"] for c in block["configs"]]
        assert names == [*built(restricted), *([] if restricted else ["general"])]
        assert [c["config_name"] for c in block["configs"] if c.get("default")] == ["nsfw" if restricted else "all"]
        # This tag turns the viewer off for the whole repository.
        assert ("not-for-all-audiences" in block["tags"]) is restricted
        assert "nsfw" not in block["tags"]
        assert block["license"] == "cc-by-4.0"
        assert block["language"] == ["de", "en", "es", "fr", "it", "pt", "zh"]
        text = (folder / "README.md").read_text(encoding="utf-8")
        assert not re.search(r"\{\{\w+\}\}", text)
        assert all(f"| `{c}` |" in text for c in COLUMNS)
        for item in all_concepts().values():
            shown = item.id in SAMPLE and (item.domain == "nsfw") is restricted
            assert (f"| `{item.id}` |" in text) is shown
        assert not (folder / f"{folder.name}.py").exists()  # a script of that name breaks loading


@pytest.mark.slow
def test_every_row_passes_the_policy(whole_corpus: Corpus) -> None:
    every = [r for rows in whole_corpus.values() for r in rows]
    texts = {(t, r.domain, r.language) for r in every for t in (r.prompt, r.stripped_prompt)}
    assert len(texts) > 50_000
    broken = [(t, v) for t, d, lang in texts for v in policy.violations(t, domain=d, language=lang)]
    assert broken == []


def test_eval_yaml_has_one_task_for_each_headline(bench_folder: Path, few: tuple[Path, Path]) -> None:
    def tasks(folder: Path) -> list[str]:
        block = yaml.safe_load((folder / "eval.yaml").read_text(encoding="utf-8"))
        assert set(block) == {"name", "description", "evaluation_framework", "tasks"}
        known = {c["config_name"] for c in front(folder)["configs"]}
        assert len({t["id"] for t in block["tasks"]}) == len(block["tasks"])
        for task in block["tasks"]:
            assert set(task) == {"id", "config", "split"}
            assert task["config"] in known
            assert task["split"] == "forget"  # left out it would be `test`, which is not there
            assert task["id"] == f"forget_score_{task['config']}"
        return [t["config"] for t in block["tasks"]]

    domains = ["artwork", "attribute", "character", "identity", "landmark", "object", "style"]
    assert tasks(bench_folder) == ["all", *domains]
    assert tasks(bench_folder.with_name("bench-nsfw")) == ["nsfw"]
    assert tasks(few[0] / "igmu/bench") == ["all", "object", "style"]


# --- Croissant ----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # rdflib and pandas deprecate what mlcroissant calls
def test_croissant_is_valid_and_gives_the_records(few: tuple[Path, Path]) -> None:
    import mlcroissant

    folder = few[0] / "igmu/bench"
    loaded = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"), mapping={"repo": str(folder)})
    issues = loaded.metadata.issues
    assert (list(issues.errors), list(issues.warnings)) == ([], [])
    for split in SPLITS:
        records = list(loaded.records(split))
        stored = [r for p in folder.rglob(f"{split}-*.parquet") for r in pq.read_table(p).to_pylist()]
        key = f"{split}/id"
        assert sorted(r[key].decode() for r in records) == sorted(r["id"] for r in stored)
        one = records[0]
        own = next(r for r in stored if r["id"] == one[key].decode())
        assert one[f"{split}/prompt"].decode() == own["prompt"]
        assert list(one[f"{split}/seeds"]) == own["seeds"]
        assert [k.removeprefix(f"{split}/") for k in one] == list(COLUMNS)


def test_croissant_describes_every_file(few: tuple[Path, Path]) -> None:
    folder = few[0] / "igmu/bench"
    described = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    for key in ("license", "version", "datePublished", "citeAs", "url", "description", "creator"):
        assert described[key]
    for key in ("dataCollection", "dataBiases", "personalSensitiveInformation", "dataUseCases", "dataLimitations"):
        assert described[f"rai:{key}"]
    assert any("RAI" in url for url in described["conformsTo"])
    files = {d["contentUrl"]: d for d in described["distribution"] if d.get("contentUrl", "").endswith(".parquet")}
    assert set(files) == {p.relative_to(folder).as_posix() for p in folder.rglob("*.parquet")}
    for name, entry in files.items():
        data = (folder / name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["contentSize"] == f"{len(data)} B"


# --- images -----------------------------------------------------------------------------------------------------


def png(row: Row) -> bytes:
    """An image of 48×32 noise-like pixels that only this row has."""
    pixels = b"".join(hashlib.sha256(f"{row.id}{i}".encode()).digest() for i in range(144))
    buffer = io.BytesIO()
    Image.frombytes("RGB", (48, 32), pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def illustrated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A source `stub` that has an image for every second row; the list says which sources were asked for."""
    asked: list[str] = []

    def images(rows: Sequence[Row], argument: str, *, work: Path) -> Iterator[StoredImage]:
        assert argument == "shelf"
        for row in rows[::2]:
            yield StoredImage(row.id, png(row), ".png", f"stub:{argument}/{row.id}.png", "CC0-1.0")

    def load(name: str) -> Any:
        asked.append(name)
        return SimpleNamespace(images=images) if name == "stub" else SimpleNamespace(images=lambda *_, **__: iter(()))

    monkeypatch.setattr(sources, "load", load)
    return asked


def test_images_are_embedded(illustrated: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubfolder, "ROW_GROUP_BYTES", 20_000)  # about four of these images
    (folder,) = bench.build(tmp_path / "hub", only=[CHURCH], images="stub:shelf", work=tmp_path / "work")
    moved = tmp_path / "moved"
    folder.rename(moved)
    for leftover in tmp_path.iterdir():
        if leftover != moved:
            shutil.rmtree(leftover)
    loaded: Any = load_dataset(str(moved), "object.church", cache_dir=str(tmp_path / "cache"))
    rows = bench.concept_rows(concept(CHURCH))
    expected = {r.id: png(r) for r in rows[::2]}
    seen = 0
    for split in SPLITS:
        raw = loaded[split].cast_column("image", loaded[split].features["image"].__class__(decode=False))
        for row, stored in zip(loaded[split], raw, strict=True):
            if row["id"] not in expected:
                assert (row["image"], row["image_source"], row["image_sha256"]) == (None, None, None)
                assert row["license"] == "CC-BY-4.0"
                continue
            seen += 1
            data = expected[row["id"]]
            assert stored["image"] == {"bytes": data, "path": f"{row['id']}.png"}
            assert row["image"].size == (48, 32)
            assert row["image"].tobytes() == Image.open(io.BytesIO(data)).tobytes()
            assert row["image_sha256"] == hashlib.sha256(data).hexdigest()
            assert row["image_source"] == f"stub:shelf/{row['id']}.png"
            assert row["license"] == "text: CC-BY-4.0; image: CC0-1.0"
    assert seen == len(expected) > 50
    for path in moved.rglob("*.parquet"):
        meta = pq.ParquetFile(path).metadata
        assert max(meta.row_group(i).num_rows for i in range(meta.num_row_groups)) <= 4
    assert json.loads((moved / "manifest.json").read_text())["images"] == "stub"


@pytest.mark.parametrize("shown", [{"object/tower"}, {CHURCH}, {"object/tower", CHURCH}, set()])
def test_images_reach_the_concept_that_they_belong_to(
    shown: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def images(rows: Sequence[Row], argument: str, *, work: Path) -> Iterator[StoredImage]:
        for row in rows:
            if row.concept in shown and row.split == "forget":
                yield StoredImage(row.id, row.id.encode(), ".png", "stub", "CC0-1.0")

    monkeypatch.setattr(sources, "load", lambda _: SimpleNamespace(images=images))
    monkeypatch.setattr(bench, "require_valid", lambda _: None)
    (folder,) = bench.build(tmp_path / "hub", only=["object/tower", CHURCH], images="stub")
    for path in folder.rglob("*.parquet"):
        for row in pq.read_table(path).to_pylist():
            data = row["id"].encode() if row["concept"] in shown and row["split"] == "forget" else None
            assert (row["image"] or {}).get("bytes") == data


@pytest.mark.filterwarnings("ignore")  # as above
def test_croissant_gives_the_images(illustrated: list[str], tmp_path: Path) -> None:
    import mlcroissant

    (folder,) = bench.build(tmp_path / "hub", only=[CHURCH], images="stub:shelf", work=tmp_path / "work")
    loaded = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"), mapping={"repo": str(folder)})
    rows = {r.id: r for r in bench.concept_rows(concept(CHURCH))[::2]}
    records = list(loaded.records("forget"))
    for record in records:
        row = rows.get(record["forget/id"].decode())
        image_file = record["forget/image"]
        assert (image_file is None) == (row is None)
        assert row is None or image_file.tobytes() == Image.open(io.BytesIO(png(row))).tobytes()
    assert any(r["forget/image"] is not None for r in records)


def test_the_restricted_domain_gets_no_images(illustrated: list[str], tmp_path: Path) -> None:
    (folder,) = bench.build(tmp_path / "hub", only=["nsfw/nudity"], images="stub:shelf")
    assert folder.name == "bench-nsfw"
    assert illustrated == ["stub", "none"]  # the first to see that it exists
    assert all("image" not in pq.read_schema(path).names for path in folder.rglob("*.parquet"))


def test_a_source_that_is_unknown_or_has_no_row_images_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownSourceError, match="no image source 'foldr'; did you mean 'folder'"):
        bench.build(tmp_path / "hub", only=[CHURCH], images="foldr:x")
    monkeypatch.setattr(sources, "load", lambda _: SimpleNamespace(labelled=None))
    with pytest.raises(InputError, match="image source 'hub-dataset' gives labelled images"):
        bench.build(tmp_path / "hub", only=[CHURCH], images="hub-dataset:imagenette")
    assert not (tmp_path / "hub").exists()


# --- complete or not at all ---------------------------------------------------------------------------------------


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a church without the check of all of them: what happens around them is tested."""
    rows = bench.concept_rows(concept(CHURCH))
    monkeypatch.setattr(bench, "concept_rows", lambda _: rows)
    monkeypatch.setattr(bench, "require_valid", lambda _: None)


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()])
def test_an_interrupted_build_leaves_the_old_folder_whole(
    fake: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    (folder,) = bench.build(tmp_path, only=[CHURCH])
    before = tree(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(bench, "write_croissant", fail)
    with pytest.raises(type(error)):
        bench.build(tmp_path, only=[CHURCH])
    assert tree(tmp_path) == before
    assert [p.name for p in folder.parent.iterdir()] == ["bench"]


def test_a_rebuild_takes_the_place_of_the_old_folder(fake: None, tmp_path: Path) -> None:
    (folder,) = bench.build(tmp_path, only=[CHURCH])
    before = tree(tmp_path)
    (folder / "stale.txt").write_text("from an older version")
    bench.build(tmp_path, only=[CHURCH])
    assert tree(tmp_path) == before
    assert [p.name for p in folder.parent.iterdir()] == ["bench"]


def test_rows_that_break_the_rules_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = bench.concept_rows(concept(CHURCH))
    monkeypatch.setattr(bench, "concept_rows", lambda _: rows[1:])
    with pytest.raises(CorpusError, match=r"problems in \d+ rows:\n.*the source of an attack must be a forget row"):
        bench.build(tmp_path / "hub", only=[CHURCH])
    assert not (tmp_path / "hub").exists()


def test_what_was_there_comes_back_when_the_new_folder_cannot_move_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "bench"
    target.mkdir()
    (target / "old.txt").write_text("old")
    rename = Path.rename

    def busy(self: Path, to: Path) -> Path:
        if self.name.endswith(".new"):
            raise OSError(16, "Device or resource busy")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", busy)
    with (
        pytest.raises(OutputError, match=r"cannot replace .*bench: Device or resource busy"),
        replaced(target) as fresh,
    ):
        (fresh / "new.txt").write_text("new")
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*"))] == ["bench", "bench/old.txt"]


def test_a_target_that_is_a_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bench").write_text("a letter")
    with pytest.raises(OutputError, match="bench is a file"), replaced(tmp_path / "bench"):
        pytest.fail("nothing may be written")
    assert (tmp_path / "bench").read_text() == "a letter"
    assert len(list(tmp_path.iterdir())) == 1


# --- the command line ---------------------------------------------------------------------------------------------


@pytest.fixture
def command() -> Callable[..., Any]:
    app = typer.Typer()
    app.command()(bench.main)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_an_output_that_cannot_be_written_ends_with_two(
    fake: None, command: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    done = command("--out", tmp_path / "file/hub", "--only", CHURCH)
    assert done.exit_code == 2
    assert (
        f"OutputError: cannot write to {tmp_path / 'file/hub/igmu'}: Not a directory. Choose another --out."
        in done.stderr
    )
    assert done.stdout == ""


def test_a_build_prints_its_folders_and_shows_progress_on_stderr(
    fake: None, command: Callable[..., Any], tmp_path: Path
) -> None:
    done = command("--out", tmp_path / "hub", "--only", CHURCH)
    assert done.exit_code == 0
    assert done.stdout.strip() == str(tmp_path / "hub/igmu/bench")
    assert "bench: prompts" in done.stderr
    assert "bench: files" in done.stderr


def test_a_misspelled_concept_gets_a_suggestion_and_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "builders.bench", "--only", "object/chruch", "--out", str(tmp_path / "hub")],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "UnknownConceptError: there is no concept 'object/chruch'; did you mean 'object/church'? "
        "Run 'igmu concepts' to list them; for your own, add --concepts.\n"
    )
    assert not (tmp_path / "hub").exists()


def test_the_card_template_and_its_values_must_fit() -> None:
    assert card.fill("{{a}} and {{a}}", {"a": "x"}) == "x and x"
    for template, values in (("{{a}}", {}), ("a", {"a": "x"})):
        with pytest.raises(CorpusError, match=r"do not fit: \['a'\]"):
            card.fill(template, values)


def test_no_column_crashes_the_viewers_statistics(corpus_rows: Corpus) -> None:
    """Upstream fails on a column whose numbers, text or list lengths span exactly one; texts of up to 30 distinct
    values are counted as labels instead."""
    for restricted in (False, True):
        for config, members in built(restricted).items():
            for split in SPLITS:
                rows = [r.model_dump(include={*COLUMNS}) for c in members for r in corpus_rows[c] if r.split == split]
                for column in rows[0]:
                    values = [r[column] for r in rows if r[column] is not None]
                    if (
                        not values
                        or isinstance(values[0], bool)
                        or (isinstance(values[0], str) and len(set(values)) <= 30)
                    ):
                        continue
                    sizes = [len(v) if isinstance(v, str | tuple) else v for v in values]
                    assert max(sizes) - min(sizes) != 1, (config, split, column)
