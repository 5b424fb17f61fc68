"""The real `datasets` client against a local Hub: what a researcher types on the first day."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from hub_server import Hub
from world_corpus import RENDERS

from igmu_data.schema import SPLITS

pytestmark = pytest.mark.hub
CHURCH = "object/structure/church"
Client = Callable[..., str]


def ids(folder: Path, split: str, under: str = "*/*/*") -> list[str]:
    """Row ids of a split, as the Parquet files have them."""
    files = sorted(folder.glob(f"{under}/{split}-*.parquet"))
    return [row for file in files for row in pq.read_table(file, columns=["id"])["id"].to_pylist()]


def test_church_loads_streams_and_is_pinned(folders: Path, hub: Hub, client: Client, tmp_path: Path) -> None:
    bench = folders / "igmu/bench"
    older = shutil.copytree(bench, tmp_path / "older")
    first = older / CHURCH / "forget-00000-of-00001.parquet"
    pq.write_table(pq.read_table(first).slice(1), first)
    commit = hub.add_folder("dataset", "igmu/bench", older)
    hub.repos["datasets", "igmu/bench"].refs["v0.0.9"] = commit
    hub.add_folder("dataset", "igmu/bench", bench)
    code = f"""
    import json
    from datasets import load_dataset
    from igmu_data.schema import features

    church = load_dataset("igmu/bench", "object.church")
    stream = load_dataset("igmu/bench", "object.church", streaming=True)
    old = dict(name="object.church", split="forget", verification_mode="no_checks")
    print(json.dumps({{
        "ids": {{split: rows["id"][:] for split, rows in church.items()}},
        "streamed": {{split: [row["id"] for row in rows] for split, rows in stream.items()}},
        "features": [rows.features == features() for rows in [*church.values(), *stream.values()]],
        "order": list(church["forget"].features) == list(features()),
        "by commit": load_dataset("igmu/bench", revision="{commit}", **old)["id"][:],
        "by tag": load_dataset("igmu/bench", revision="v0.0.9", **old)["id"][:],
        "row": church["forget"][0]["prompt"],
    }}))
    """
    found = json.loads(client(code, hub))
    wanted = {split: ids(bench, split, CHURCH) for split in SPLITS}
    assert all(len(rows) >= 40 for rows in wanted.values())
    assert found["ids"] == found["streamed"] == wanted
    assert found["features"] == [True] * 6
    assert found["order"]
    assert found["by commit"] == found["by tag"] == wanted["forget"][1:]
    assert "church" in found["row"]
    fetched = {path for method, path, _ in hub.log if method == "GET" and path.endswith(".parquet")}
    assert fetched
    assert all(f"/{CHURCH}/" in path for path in fetched), "a config brings only its own files"


@pytest.mark.slow
def test_every_config_and_split(folders: Path, hub: Hub, client: Client) -> None:
    bench = folders / "igmu/bench"
    hub.add_folder("dataset", "igmu/bench", bench)
    code = """
    import json
    from datasets import get_dataset_config_names, get_dataset_default_config_name, load_dataset

    found = {"default": get_dataset_default_config_name("igmu/bench"), "sizes": {}, "streamed": {}}
    for name in get_dataset_config_names("igmu/bench"):
        found["sizes"][name] = {split: len(rows) for split, rows in load_dataset("igmu/bench", name).items()}
        stream = load_dataset("igmu/bench", name, streaming=True)
        found["streamed"][name] = {split: sum(1 for row in rows) for split, rows in stream.items()}
    print(json.dumps(found))
    """
    found = json.loads(client(code, hub))
    header = yaml.safe_load((bench / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert list(found["sizes"]) == [entry["config_name"] for entry in header["configs"]]
    globs = {
        "all": "*/*/*",
        "object": "object/*/*",
        "object.structure": "object/structure/*",
        "object.castle": "object/structure/castle",
        "object.church": CHURCH,
        "style": "style/*/*",
        "style.van-gogh": "style/*/van-gogh",
        "sandbox": "sandbox/*",
        "sandbox.church": "sandbox/church",
    }
    assert globs.keys() <= found["sizes"].keys()
    for name, under in globs.items():
        assert found["sizes"][name] == {split: len(ids(bench, split, under)) for split in SPLITS}, name
    assert found["sizes"]["sandbox_detector"] == RENDERS
    assert found["sizes"]["general"] == {"test": 1000}
    assert found["streamed"] == found["sizes"]
    assert found["default"] == "all"


def test_a_relative_folder_needs_no_hub(folders: Path, hub: Hub, client: Client) -> None:
    code = """
    from datasets import load_dataset

    print(len(load_dataset("igmu/bench", "object.church", split="forget")))
    """
    assert int(client(code, hub, cwd=folders)) == len(ids(folders / "igmu/bench", "forget", CHURCH))
    assert hub.log == []


def test_the_restricted_part_is_gated(folders: Path, hub: Hub, client: Client) -> None:
    folder = folders / "igmu/bench-nsfw"
    hub.add_folder("dataset", "igmu/bench-nsfw", folder, gated="auto")
    code = """
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError

    try:
        print(len(load_dataset("igmu/bench-nsfw", "nsfw.nudity", split="forget")))
    except DatasetNotFoundError as error:
        print("refused:", error)
    """
    refused = client(code, hub, token="")
    assert refused.startswith("refused:")
    assert "gated" in refused
    assert not any(path.endswith(".parquet") and status == 200 for _, path, status in hub.log)
    assert int(client(code, hub)) == len(ids(folder, "forget"))


@pytest.mark.slow
def test_rows_of_the_hub_are_those_that_the_package_makes(folders: Path, hub: Hub, client: Client) -> None:
    commit = hub.add_folder("dataset", "igmu/bench", folders / "igmu/bench")
    code = f"""
    from igmu_data.load import bench_rows, signed

    made = bench_rows("object.church")
    for options in ({{"bench": "igmu/bench"}}, {{"revision": "{commit}"}}):
        asked = bench_rows("object.church", **options)
        assert list(asked.values()) == list(made.values())
        assert signed("object.church", asked.values(), **options)["dataset"] == "igmu/bench"
        digests = {{signed("object.church", rows.values(), **options)["dataset.rows"] for rows in (made, asked)}}
        assert len(digests) == 1
    print(len(made))
    """
    assert int(client(code, hub)) > 250


def test_what_the_hub_refuses_names_the_way_out(folders: Path, hub: Hub, client: Client) -> None:
    """Gated rows are never made by the package: whoever has not accepted the terms is told where to."""
    hub.add_folder("dataset", "igmu/bench", folders / "igmu/bench")
    hub.add_folder("dataset", "igmu/bench-nsfw", folders / "igmu/bench-nsfw", gated="auto")
    code = """
    from igmu_data.errors import HubError
    from igmu_data.load import bench_rows

    for config, options in (
        ("nsfw.nudity", {}),
        ("object.church", {"revision": "v9.9"}),
        ("object.church", {"bench": "nobody/nothing"}),
        ("object.cat", {"bench": "igmu/bench"}),
    ):
        try:
            print(len(bench_rows(config, **options)))
        except HubError as error:
            print(error)
    """
    gated, revision, missing, concept = client(code, hub, token="").splitlines()
    assert "gated" in gated
    assert "'igmu/bench' at v9.9" in revision
    assert "'nobody/nothing'" in missing
    assert "no config 'object.cat'" in concept
    assert all(
        line.endswith("with a folder that contains this config.") for line in (gated, revision, missing, concept)
    )
    assert int(client(code, hub).splitlines()[0]) > 100
