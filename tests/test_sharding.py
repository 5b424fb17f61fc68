"""One evaluation in parts gives the card of one run, to the byte; parts that are missing or differ are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn import draw
from tiny import tiny_clip, tiny_trunk

from igmu_data.errors import InputError, MetadataError
from igmu_data.load import bench_rows
from igmu_metrics.evaluate import Evaluation
from igmu_metrics.networks import table
from igmu_metrics.networks.observe import Observed
from igmu_metrics.scale import shards as sharding

N = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "pictures"
    rows = sorted(bench_rows("sandbox.church", bench="sandbox").values(), key=lambda r: r.id)
    forget, attacks, retain = ([r for r in rows if r.split == s] for s in ("forget", "adversarial", "retain"))
    sources = {r.id for r in forget[:16]}
    draw(out, [*forget[:16], *[r for r in attacks if r.attack_source_id in sources], *retain[:32]])
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
    broken.write_bytes(broken.read_bytes()[:50])  # one picture cannot be read
    for i in range(1, N + 1):
        other = replace(evaluation, batch_size=1 + i)
        sharding.look(other, folder / "original", [folder / "forgetful", folder / "unchanged"], (i, N), out)
    return out


def test_merged_parts_are_one_run_to_the_byte(evaluation: Evaluation, folder: Path, parts: Path) -> None:
    whole = list(evaluation.run(folder / "original", [folder / "forgetful", folder / "unchanged"]))
    merged = list(sharding.merge(parts))
    assert [c.model for c in merged] == ["forgetful", "unchanged"]
    assert len(whole[0].failures) == 1
    for one, other in zip(whole, merged, strict=True):
        assert one.model_dump_json() == other.model_dump_json()


def test_every_generation_is_in_one_part(evaluation: Evaluation, folder: Path, parts: Path) -> None:
    drawn = evaluation.drawn(folder / "original", [])[0]
    homes = [sharding.part(drawn, i, N) for i in range(1, N + 1)]
    assert sorted(g.key for home in homes for g in home) == sorted(g.key for g in drawn)
    assert min(map(len, homes)) > len(drawn) / N / 2
    read = [table.read(path).keys for path in parts.glob("original-*.parquet")]
    keys = [key for one in read for key in zip(one["id"], one["seed"], strict=True)]
    assert sorted(keys) == sorted(g.key for g in drawn)


def test_a_missing_part_is_named(parts: Path, tmp_path: Path) -> None:
    for path in parts.iterdir():
        if path.name != "forgetful-00002-of-00003.parquet":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(MetadataError, match="forgetful lacks the shards 2/3"):
        list(sharding.merge(tmp_path))
    with pytest.raises(MetadataError, match="no tables"):
        list(sharding.merge(tmp_path / "nowhere"))
    (tmp_path / "forgetful-00002-of-00003.parquet").write_bytes(b"half a file")
    with pytest.raises(MetadataError, match="forgetful-00002"):
        list(sharding.merge(tmp_path))


def test_parts_made_otherwise_are_refused(evaluation: Evaluation, folder: Path, parts: Path, tmp_path: Path) -> None:
    for path in parts.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    other = replace(evaluation, threshold=0.5)
    sharding.look(other, folder / "original", [folder / "forgetful", folder / "unchanged"], (2, N), tmp_path)
    with pytest.raises(MetadataError, match="other evaluation"):
        list(sharding.merge(tmp_path))


@pytest.mark.parametrize("given", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3"])
def test_a_shard_that_is_none(given: str) -> None:
    with pytest.raises(InputError, match="i/n"):
        sharding.parsed(given)


def test_a_table_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    probabilities = np.ma.MaskedArray(rng.random((3, 2)), mask=[[0, 1], [1, 1], [0, 0]])
    features = {"clip": rng.normal(size=(3, 4)), "features": rng.normal(size=(3, 2)).astype(np.float32).astype(float)}
    features["clip"][1] = features["features"][1] = np.nan
    seen = Observed(
        np.array([True, False, True]), probabilities, features, ((1, "broken"),), ("a", "", "c"), rng.random(3)
    )
    keys = {
        "id": list("xyz"),
        "seed": [1, 2, 3],
        "split": ["forget"] * 3,
        "prompt": ["p", None, "q"],
        "file": list("abc"),
    }
    table.write(table.Table(keys, ["object/a", "object/b"], seen, {"x": [1]}), tmp_path / "t.parquet")
    got = table.read(tmp_path / "t.parquet")
    assert (got.keys, list(got.concepts), got.facts) == (keys, ["object/a", "object/b"], {"x": [1]})
    assert got.seen.failures == seen.failures
    assert got.seen.hashes == seen.hashes
    assert got.seen.ok.tolist() == seen.ok.tolist()
    assert got.seen.distances is not None
    assert got.seen.distances.tobytes() == seen.distances.tobytes()  # type: ignore[union-attr]
    for role, rows in features.items():
        assert got.seen.features[role].tobytes() == rows.tobytes()
    assert got.seen.probabilities is not None
    assert got.seen.probabilities.tolist() == probabilities.tolist()
