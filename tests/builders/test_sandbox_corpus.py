"""The miniature world's part of the corpus: written, copied, loaded, described, and every defect of it found."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import load_dataset
from PIL import Image
from world_corpus import ORIGIN, RENDERS, image_of, in_place

from builders import bench, ledger
from builders.sandbox import corpus
from builders.sandbox.corpus import task_rows
from builders.sources import StoredImage, renders
from igmu_data.configs import configs, sandbox_configs
from igmu_data.errors import CorpusError, InputError, UnknownConfigError
from igmu_data.folder import check_folder
from igmu_data.load import bench_rows, files_of, identity, load_bench, locate
from igmu_data.rows.concept import concept_rows
from igmu_data.sandbox import labelled, packaged
from igmu_data.sandbox.render import render
from igmu_data.sandbox.world import random_scene, world
from igmu_data.schema import ALL_COLUMNS, SPLITS, Row, detector_features, features
from igmu_data.taxonomy import concept
from igmu_metrics.evaluation import Evaluation

CHURCH = "object/church"
LABELS = ["airplane", "bird", "castle", "cat", "chair", "church", "lighthouse", "parachute", "none"]
FORGET = "sandbox/church/forget-00000-of-00001.parquet"
TRAIN, TEST = (f"sandbox_detector/{s}-00000.parquet" for s in ("train", "test"))


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return {r.id: r for own in task_rows().values() for r in own}


@pytest.fixture(scope="module")
def built(world_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The church of the big corpus with the miniature world beside it."""
    with in_place(world_folder):
        (folder,) = bench.build(tmp_path_factory.mktemp("world") / "hub", only=[CHURCH], world=True)
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.delenv("IGMU_BENCH", raising=False)


@pytest.fixture
def package(world_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The world's corpus in the place of the package's own."""
    monkeypatch.setenv("IGMU_SANDBOX", str(world_folder.parent))
    return world_folder


def tree(folder: Path) -> dict[str, str]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def front(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1]))


# --- the repository inside the package ----------------------------------------------------------------------------


def test_it_loads_with_its_images(world_folder: Path, rows: dict[str, Row]) -> None:
    loaded: Any = load_dataset(str(world_folder))  # no config: the default one
    assert {s: len(loaded[s]) for s in loaded} == dict(Counter(r.split for r in rows.values()))
    for split in SPLITS:
        assert loaded[split].features == features(ALL_COLUMNS)
        for row in loaded[split]:
            wanted = image_of(rows[row["id"]])
            assert row["prompt"] == rows[row["id"]].prompt
            assert row["image"].tobytes() == Image.open(io.BytesIO(wanted.data)).tobytes()
            assert (row["image_source"], row["image_sha256"]) == (ORIGIN, wanted.sha256)
            assert row["license"] == "text: CC-BY-4.0; image: CC-BY-4.0"
    church: Any = load_dataset(str(world_folder), "sandbox.church", split="forget")
    assert sorted(church["id"]) == sorted(r.id for r in rows.values() if (r.concept, r.split) == (CHURCH, "forget"))


def test_its_card_and_manifest(world_folder: Path, rows: dict[str, Row]) -> None:
    block = front(world_folder)
    assert [c["config_name"] for c in block["configs"]] == ["sandbox", "sandbox.church", "sandbox.van-gogh"]
    assert [c["config_name"] for c in block["configs"] if c.get("default")] == ["sandbox"]
    assert {p.relative_to(world_folder).as_posix() for p in world_folder.rglob("*.parquet")} == {
        f"sandbox/{slug}/{split}-00000-of-00001.parquet" for slug in ("church", "van-gogh") for split in SPLITS
    }
    text = (world_folder / "README.md").read_text(encoding="utf-8")
    assert f"{len(rows):,} prompts (160 forget" in text
    assert "8 objects, 4 artists' styles" in text
    manifest = json.loads((world_folder / "manifest.json").read_text())
    assert (manifest["name"], manifest["n_rows"], manifest["n_concepts"]) == ("igmu/sandbox", len(rows), 2)
    assert manifest["images"] == ORIGIN
    assert check_folder(world_folder) == []


def test_written_twice_it_is_the_same_and_takes_the_old_place(
    world_folder: Path, rows: dict[str, Row], tmp_path: Path
) -> None:
    place = tmp_path / "bench"
    place.mkdir()
    (place / "stale.txt").write_text("from before")
    corpus.write_bench(place, {r.id: image_of(r) for r in reversed(rows.values())})
    assert tree(place) == tree(world_folder)


def test_every_row_needs_its_image(rows: dict[str, Row], tmp_path: Path) -> None:
    sample_images = {r.id: image_of(r) for r in rows.values()}
    first = min(sample_images)
    with pytest.raises(CorpusError, match=f"1 rows without an image or images without a row, the first is {first}"):
        corpus.write_bench(tmp_path / "bench", {k: p for k, p in sample_images.items() if k != first})
    with pytest.raises(CorpusError, match="2 rows without"):
        corpus.write_bench(
            tmp_path / "bench", sample_images | {"f" * 16: sample_images[first], "e" * 16: sample_images[first]}
        )
    assert not list(tmp_path.iterdir())


def test_the_packaged_original_draws_it(rows: dict[str, Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def images(asked: list[Row], argument: str, *, work: Path) -> Iterator[StoredImage]:
        assert argument == "sandbox:original?license=CC-BY-4.0&seeds=first"
        assert work == tmp_path / "work"
        return map(image_of, asked)

    monkeypatch.setattr(corpus.diffusers, "images", images)
    corpus.draw_bench(tmp_path / "bench", tmp_path / "work")
    assert bench_rows("sandbox", bench=tmp_path / "bench").keys() == rows.keys()


@pytest.mark.skipif(not corpus.available(), reason="the models are not trained yet")
def test_the_package_is_valid_and_written_again_as_it_is(tmp_path: Path) -> None:
    there = packaged.bench_folder()
    assert check_folder(there) == []
    records = [r for p in there.rglob("*.parquet") for r in pq.read_table(p).to_pylist()]
    images = {
        r["id"]: StoredImage(r["id"], r["image"]["bytes"], ".png", r["image_source"], "CC-BY-4.0") for r in records
    }
    corpus.write_bench(tmp_path / "bench", images)
    assert (tmp_path / "bench" / "README.md").read_text() == (there / "README.md").read_text()
    for path in there.rglob("*.parquet"):
        assert pq.read_table(tmp_path / "bench" / path.relative_to(there)).equals(pq.read_table(path))


# --- configs ------------------------------------------------------------------------------------------------------


def test_configs_are_found_in_the_package(package: Path, rows: dict[str, Row], monkeypatch: pytest.MonkeyPatch) -> None:
    assert locate("sandbox") == locate("sandbox.church") == locate("object.church", "sandbox") == str(package)
    assert locate("nsfw", "sandbox") == str(package)
    assert locate("sandbox", "me/bench") == "me/bench"
    assert identity(locate("sandbox")) == "igmu/sandbox 1.0.0"
    assert {r.concept for r in bench_rows("sandbox.van-gogh").values()} == {"style/van-gogh"}
    assert bench_rows("sandbox").keys() == rows.keys()
    loaded: Any = load_bench("sandbox.church")
    assert list(loaded) == list(SPLITS)
    with pytest.raises(CorpusError, match=r"has no config 'object\.church'"):
        load_bench("object.church", bench="sandbox")
    with pytest.raises(UnknownConfigError, match=r"no config 'sandbox\.chruch'; did you mean 'sandbox\.church'"):
        load_bench("sandbox.chruch")
    monkeypatch.setenv("IGMU_BENCH", "/elsewhere")
    assert locate("sandbox") == "/elsewhere"


def test_a_package_without_it_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGMU_SANDBOX", str(tmp_path))
    for call in (load_bench, bench_rows):
        with pytest.raises(CorpusError, match=r"not a bench folder\. Build one with python -m builders\.sandbox\."):
            call("sandbox.church")


def test_a_config_of_one_concept_can_be_evaluated() -> None:
    assert Evaluation("sandbox.church").target() == CHURCH
    assert Evaluation("sandbox.van-gogh").target() == "style/van-gogh"
    with pytest.raises(InputError, match=r"'sandbox' contains 2 concepts, .* such as 'sandbox\.church'"):
        Evaluation("sandbox").target()


def test_no_config_reaches_into_another_part(built: Path) -> None:
    def gathered(config: str) -> set[str]:
        return {p.relative_to(built).parts[0] for s in SPLITS for p in built.glob(files_of(config, s))}

    assert all(gathered(c) <= {"object"} for c in configs())
    assert gathered("all") == {"object"}
    assert all(gathered(c) == {"sandbox"} for c in sandbox_configs())
    assert {p.relative_to(built).parts[0] for p in built.glob("sandbox_detector/*")} == {"sandbox_detector"}


# --- in igmu/bench ------------------------------------------------------------------------------------------------


def test_the_build_takes_the_files_over_and_is_valid(built: Path, world_folder: Path, rows: dict[str, Row]) -> None:
    mine, theirs = tree(built), tree(world_folder)
    copied = {k: v for k, v in theirs.items() if k.endswith(".parquet")}
    assert len(copied) == 6
    assert copied.items() <= mine.items()
    assert check_folder(built) == []
    manifest = json.loads((built / "manifest.json").read_text())
    assert (manifest["n_world_rows"], manifest["n_labelled_images"]) == (len(rows), 54)
    names = [c["config_name"] for c in front(built)["configs"]]
    assert names == ["all", "object", "object.church", "object.structure", *sandbox_configs(), "sandbox_detector"]
    assert [c["config_name"] for c in front(built)["configs"] if c.get("default")] == ["all"]


def test_the_card_describes_it(built: Path) -> None:
    text = (built / "README.md").read_text(encoding="utf-8")
    assert "### Sandbox\n" in text
    assert "542 prompts (160 forget, 152 retain, 230 adversarial)" in text
    assert "`sandbox_detector` has 36 train and 18 test renders" in text
    assert not re.search(r"\{\{\w+\}\}", text)
    assert "\n\n\n" not in text
    tasks = yaml.safe_load((built / "eval.yaml").read_text())["tasks"]
    assert [t["config"] for t in tasks] == ["all", "object"]


def test_rows_of_all_configs_load(built: Path, rows: dict[str, Row]) -> None:
    every: Any = load_dataset(str(built), "all")
    assert all("width" not in every[s].features for s in SPLITS)
    world_: Any = load_dataset(str(built), "sandbox")
    assert {i for s in SPLITS for i in world_[s]["id"]} == rows.keys()
    assert all(image.size == (64, 64) for image in world_["forget"]["image"])


def test_labelled_renders_load(built: Path) -> None:
    loaded: Any = load_dataset(str(built), "sandbox_detector")
    assert {s: len(loaded[s]) for s in loaded} == RENDERS
    for split, table in loaded.items():
        assert table.features == detector_features(LABELS)
        assert list(table.features) == list(detector_features(LABELS))
        assert set(Counter(table["label"]).values()) == {RENDERS[split] // 9}
        for row in table:
            name = LABELS[row["label"]]
            assert row["concept"] == (None if name == "none" else f"object/{name}")
            assert row["image"].size == (64, 64)
            assert row["license"] == "CC-BY-4.0"
            assert row["source"].startswith(f"igmu's miniature world: {row['concept'] or 'nothing'}, ")
    digests = [set(table["image_sha256"]) for table in loaded.values()]
    assert len(digests[0] | digests[1]) == sum(RENDERS.values())


@pytest.mark.filterwarnings("ignore")  # rdflib and pandas deprecate what mlcroissant calls
def test_croissant_gives_the_records_of_each_part_apart(built: Path, rows: dict[str, Row]) -> None:
    import mlcroissant

    loaded = mlcroissant.Dataset(jsonld=str(built / "croissant.json"), mapping={"repo": str(built)})
    assert (list(loaded.metadata.issues.errors), list(loaded.metadata.issues.warnings)) == ([], [])
    big = {r["forget/id"].decode() for r in loaded.records("forget")}
    small = {r["sandbox-forget/id"].decode() for r in loaded.records("sandbox-forget")}
    assert big == {r.id for r in concept_rows(concept(CHURCH)) if r.split == "forget"}
    assert small == {r.id for r in rows.values() if r.split == "forget"}
    labelled = list(loaded.records("sandbox_detector-test"))
    assert Counter(int(r["sandbox_detector-test/label"]) for r in labelled) == dict.fromkeys(range(9), 2)
    assert labelled[0]["sandbox_detector-test/image"].size == (64, 64)


def test_rows_that_break_the_rules_are_not_taken_over(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = {name: own[1:] for name, own in task_rows().items()}
    monkeypatch.setattr(corpus, "task_rows", lambda: fewer)
    with pytest.raises(CorpusError, match="problems in 540 rows"):
        bench.build(tmp_path / "hub", only=[CHURCH], world=True)
    assert not list((tmp_path / "hub").rglob("*.parquet"))


def test_a_build_of_all_has_the_world_if_the_package_does(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr(bench, "concept_rows", lambda _: [])
    monkeypatch.setattr(ledger, "require_kept", lambda _: None)
    monkeypatch.setattr(
        bench, "_build_repo", lambda target, rows, images, work, parts, _: asked.append((target.name, parts.world))
    )
    bench.build(tmp_path)
    bench.build(tmp_path, only=[CHURCH])
    bench.build(tmp_path, world=False)
    assert "without the sandbox" not in capsys.readouterr().err
    monkeypatch.setenv("IGMU_SANDBOX", str(tmp_path))
    bench.build(tmp_path)
    assert asked == [
        *(("bench", True), ("bench-nsfw", False)),
        ("bench", False),
        *(("bench", False), ("bench-nsfw", False)),
        *(("bench", False), ("bench-nsfw", False)),
    ]
    assert capsys.readouterr().err.startswith("without the sandbox: the package does not hold it yet")


# --- the source of the renders ------------------------------------------------------------------------------------


def test_renders_are_those_of_the_renderer_and_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert labelled.COUNTS == {"train": 1600, "test": 800}
    assert list(renders.labels("sandbox")) == LABELS
    monkeypatch.setattr(labelled, "COUNTS", {"train": 12, "test": 3})
    first, again = (list(renders.labelled("sandbox", split="train")) for _ in range(2))
    assert first == again
    assert [p.label for p in first] == [*LABELS, *LABELS[:3]]
    scene = random_scene(np.random.default_rng([*b"renders/train", 5]), objects=[CHURCH], free=True)
    pixels = np.asarray(Image.open(io.BytesIO(first[5].data)))
    assert np.array_equal(pixels, render(scene))
    assert first[5].source == f"igmu's miniature world: {CHURCH}, {scene.setting}, {scene.style or 'plain'}"
    assert first[:3] != list(renders.labelled("sandbox", split="test"))
    for wrong in ("", "church"):
        with pytest.raises(InputError, match="renders:sandbox"):
            renders.labels(wrong)
    with pytest.raises(InputError, match="train or test"):
        next(renders.labelled("sandbox", split="validation"))


# --- what the validator finds -------------------------------------------------------------------------------------


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


def spoil(folder: Path, name: str, column: str, value: Any, at: int = 3) -> None:
    """Another value in one cell, with a manifest that knows of it."""
    table = pq.read_table(folder / name)
    values = table[column].to_pylist()
    values[at] = value(values) if callable(value) else value
    field = table.schema.field(column)
    pq.write_table(
        table.set_column(table.column_names.index(column), field, pa.array(values, field.type)), folder / name
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


Value = Callable[[list[Any]], Any]


@pytest.mark.parametrize(
    ("name", "column", "value", "where", "rule"),
    [
        (FORGET, "image", lambda v: v[0], FORGET, "image_sha256 must match the image"),
        (FORGET, "image", None, FORGET, "image_sha256 must match the image"),
        (FORGET, "prompt", lambda v: f"{v[3]} at last", "", "the id must be the hash of the row"),
        (TRAIN, "image", lambda v: v[0], TRAIN, "image_sha256 must match the image"),
        (TRAIN, "image", {"bytes": None, "path": "/home/1.png"}, TRAIN, "images must be embedded"),
        (TRAIN, "label", 9, TRAIN, "a label must be one of the classes"),
        (TRAIN, "label", None, TRAIN, "a label must be one of the classes"),
        (
            TRAIN,
            "label",
            5,
            "sandbox_detector",
            "each class must belong to at most one concept, which must be in the taxonomy",
        ),
        (
            TEST,
            "concept",
            "object/chruch",
            "sandbox_detector",
            "each class must belong to at most one concept, which must be in the taxonomy",
        ),
        (TEST, "license", " ", TEST, "every row must have a value for license"),
        (TEST, "source", None, TEST, "every row must have a value for source"),
    ],
)
def test_a_spoilt_cell_is_found(
    copy: Path, name: str, column: str, value: Value | object, where: str, rule: str
) -> None:
    spoil(copy, name, column, value)
    found = {(p.where, p.rule) for p in check_folder(copy)}
    assert rule in {r for _, r in found}
    assert not where or (where, rule) in found


def test_an_image_in_both_splits_and_a_lost_one_are_found(copy: Path) -> None:
    other = pq.read_table(copy / TRAIN, columns=["image", "image_sha256"]).to_pylist()[3]
    for column, value in other.items():
        spoil(copy, TEST, column, value)
    assert {(p.where, p.rule) for p in check_folder(copy)} == {("sandbox_detector", "no image may be in two splits")}
    for column in other:
        spoil(copy, TEST, column, None)
    assert {(p.where, p.rule) for p in check_folder(copy)} == {(TEST, "every label must have an image")}


def test_a_row_of_the_big_corpus_in_the_world_is_found(copy: Path) -> None:
    shutil.copy(copy / "object/structure/church/forget-00000-of-00001.parquet", copy / FORGET)
    assert "this one occurs in both corpora" in {p.found for p in check_folder(copy)}


def test_other_classes_in_one_of_two_files_are_found(copy: Path) -> None:
    table = pq.read_table(copy / TEST)
    told = table.schema.metadata[b"huggingface"]
    swapped = told.replace(b'"cat", "chair"', b'"chair", "cat"')
    assert swapped != told
    pq.write_table(table.replace_schema_metadata({b"huggingface": swapped}), copy / TEST)
    found = {(p.where, p.rule) for p in check_folder(copy)} - {(TEST, "the SHA-256 must match the manifest")}
    assert found == {("sandbox_detector", "the files of a config must have the same features")}


def test_forbidden_names_of_classes_are_found(tmp_path: Path) -> None:
    from igmu_data.images import label_problems

    columns = {k: ["x"] for k in ("concept", "image_source", "image_sha256", "license", "source")}
    pq.write_table(pa.table({**columns, "label": [0], "concept": [None]}), tmp_path / "train-0.parquet")
    found = list(label_problems({"data/train-0.parquet": tmp_path / "train-0.parquet"}, ["a schoolgirl"]))
    assert {(p.where, p.rule) for p in found} == {("data", "the text must follow the content policy (minor)")}


def test_the_world_of_the_labels_is_the_world() -> None:
    assert [f"object/{name}" for name in LABELS[:-1]] == list(world().objects)
    assert all(concept(name).domain == "object" for name in world().objects)
