"""One evaluation in parts gives the card of one run, to the byte; parts that are missing or differ are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import draw
from tiny import tiny_clip, tiny_trunk

from igmu_data.errors import InputError, MetadataError
from igmu_data.load import bench_rows
from igmu_metrics import generations
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.generations import Generations
from igmu_metrics.images import stored
from igmu_metrics.images.parts import parsed
from igmu_metrics.scale import shards as sharding

N = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "images"
    rows = sorted(bench_rows("sandbox.church", bench="sandbox").values(), key=lambda r: r.id)
    forget, attacks, retain = ([r for r in rows if r.split == s] for s in ("forget", "adversarial", "retain"))
    sources = {r.id for r in forget[:16]}
    draw(out, [*forget[:16], *[r for r in attacks if r.attack_source_id in sources], *retain[:32]])
    for n, model in enumerate(("original", "forgetful")):
        weights = stored.Weights(tensors={"unet/w": (5, 20 + n, 16 * "0")}, files={})
        (out / model / "model.json").write_text(stored.Model(weights=weights).model_dump_json())
    return out


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    place = tmp_path_factory.mktemp("networks")
    trunk = tiny_trunk(place / "trunk.safetensors")
    clip = tiny_clip(place / "clip")
    return Evaluation(
        "sandbox.church",
        bench="sandbox",
        detector=f"clip:{clip}",
        threshold=0.04,
        lpips=f"alex?trunk={trunk}&size=64",
        on_error="skip",
        cache=False,
    )


@pytest.fixture(scope="module")
def parts(evaluation: Evaluation, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("parts")
    broken = sorted((folder / "forgetful").rglob("*.png"))[0]
    broken.write_bytes(broken.read_bytes()[:50])  # one image cannot be read
    for i in range(1, N + 1):
        other = replace(evaluation, batch_size=1 + i)
        sharding.look(other, folder / "original", [folder / "forgetful", folder / "unchanged"], (i, N), out)
    return out


def test_merged_parts_are_one_run_to_the_byte(evaluation: Evaluation, folder: Path, parts: Path) -> None:
    whole = list(evaluation.run(folder / "original", [folder / "forgetful", folder / "unchanged"]))
    merged = list(sharding.merge(parts))
    assert [c.model for c in merged] == ["forgetful", "unchanged"]
    assert len(whole[0].failures) == 1
    assert whole[0].efficiency
    assert (whole[0].efficiency.extra_parameters, whole[1].efficiency) == (5, None)
    for one, other in zip(whole, merged, strict=True):
        assert one.model_dump_json() == other.model_dump_json()


def test_every_generation_is_in_one_part(evaluation: Evaluation, folder: Path, parts: Path) -> None:
    found = evaluation.found(folder / "original", [])[0]
    homes = [sharding.part(found, i, N) for i in range(1, N + 1)]
    assert sorted(key for home in homes for key in home.keys) == sorted(found.keys)
    assert min(map(len, homes)) > len(found) / N / 2
    of_row = [{key[0] for key in home.keys} for home in homes]
    assert sum(map(len, of_row)) == len(set.union(*of_row))  # the seeds of a prompt stay together
    keys = [key for path in parts.glob("original-*.parquet") for key in generations.read(path)[0].keys]
    assert sorted(keys) == sorted(found.keys)


def test_a_missing_part_is_named(parts: Path, tmp_path: Path) -> None:
    for path in parts.iterdir():
        if path.name != "forgetful-00002-of-00003.parquet":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(MetadataError, match=r"shards of forgetful are missing \(2/3\)"):
        list(sharding.merge(tmp_path))
    with pytest.raises(MetadataError, match="contains no tables"):
        list(sharding.merge(tmp_path / "nowhere"))
    (tmp_path / "forgetful-00002-of-00003.parquet").write_bytes(b"half a file")
    with pytest.raises(MetadataError, match="forgetful-00002"):
        list(sharding.merge(tmp_path))


def test_parts_made_otherwise_are_refused(evaluation: Evaluation, folder: Path, parts: Path, tmp_path: Path) -> None:
    for path in parts.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    other = replace(evaluation, threshold=0.5)
    sharding.look(other, folder / "original", [folder / "forgetful", folder / "unchanged"], (2, N), tmp_path)
    with pytest.raises(MetadataError, match="the evaluation differs"):
        list(sharding.merge(tmp_path))


@pytest.mark.parametrize("name", ["evaluation", "instruments", "original", "igmu"])
def test_parts_agree_in_each_of_their_facts(parts: Path, tmp_path: Path, name: str) -> None:
    for path in (files := sorted(parts.glob("*.parquet"))):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    table, facts = generations.read(files[-1])
    other = {**facts[name], "clip": "another"} if isinstance(facts[name], dict) else "another"
    generations.write(table, tmp_path / files[-1].name, {**facts, name: other})
    with pytest.raises(MetadataError, match=f"{files[-1].name}: the {name} differs from that of"):
        list(sharding.merge(tmp_path))


def test_parts_that_other_networks_looked_at_are_not_merged_here(parts: Path, tmp_path: Path) -> None:
    for path in parts.glob("*.parquet"):
        table, facts = generations.read(path)
        role = facts["instruments"]["detector"]
        facts["instruments"]["detector"] = {**role, "detector.revision": "another"}
        generations.write(table, tmp_path / path.name, facts)
    with pytest.raises(MetadataError, match="differ from those used for the shards"):
        list(sharding.merge(tmp_path))


@pytest.mark.parametrize("given", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3"])
def test_a_shard_that_is_none(given: str) -> None:
    with pytest.raises(InputError, match="i/n"):
        parsed(given)


@pytest.mark.parametrize(
    "change",
    [
        lambda t, f: (t, {k: v for k, v in f.items() if k != "model"}),
        lambda t, f: (t, {**f, "format": 1}),
        lambda t, f: (t, {**f, "shard": [1, "x"]}),
        lambda t, f: (t, {**f, "evaluation": {**f["evaluation"], "surprise": 1}}),
        lambda t, f: (t.without("status"), f),
        lambda t, f: (t, {**f, "efficiency": {"extra_bytes": -1}}),
    ],
)
def test_tables_that_no_shard_wrote_are_refused(parts: Path, tmp_path: Path, change: Any) -> None:
    for path in parts.glob("*.parquet"):
        table, facts = generations.read(path)
        other, told = change(table, facts)
        generations.write(other, tmp_path / path.name, told)
    with pytest.raises(MetadataError, match="again"):
        list(sharding.merge(tmp_path))


def test_a_flipped_bit_of_a_table_is_noticed(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(50, 8))
    path = tmp_path / "table.parquet"
    generations.write(Generations({"features": values}), path, {})
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    with pytest.raises(MetadataError, match="not a valid table"):
        generations.read(path)


def test_a_table_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    features = {
        "clip_features": rng.normal(size=(3, 4)),
        "features": rng.normal(size=(3, 2)).astype(np.float32).astype(float),
    }
    features["clip_features"][1] = features["features"][1] = np.nan
    table = Generations(
        {
            "id": list("xyz"),
            "seed": [1, 2**62, 3],
            "split": ["forget"] * 3,
            "prompt": ["p", None, "q"],
            "path": [Path(name) for name in "abc"],
            "status": ["ok", "failed: broken", "unclear"],
            "sha256": ["a", None, "c"],
            "width": [7, None, 9],
            "probability": [rng.random(), None, None],
            "present": [True, None, None],
            "lpips": rng.random(3),
            **features,
        },
        {"target": "object/a", "k": 2},
    )
    generations.write(table, tmp_path / "t.parquet", {"x": [1]})
    got, facts = generations.read(tmp_path / "t.parquet")
    assert (dict(got.facts), facts) == (dict(table.facts), {"x": [1]})
    assert list(got.records()) == list(table.records())
    assert got["path"].tolist() == table["path"].tolist()
    assert got.columns.keys() == table.columns.keys()
    for name in ("clip_features", "features", "lpips"):
        assert got[name].tobytes() == table[name].tobytes()
