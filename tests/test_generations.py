from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import image_file, metadata

from igmu_data.errors import DuplicateIdError, EmptyInputError, InputError, MetadataError, UnknownIdError
from igmu_data.schema import Row
from igmu_metrics.generations import Generations, joined, read, write
from igmu_metrics.images.layouts import find
from igmu_metrics.networks.observe import observe

ROW = "0123456789abcdef"


@pytest.fixture
def rows(corpus_rows: dict[str, list[Row]]) -> dict[str, Row]:
    return {r.id: r for r in corpus_rows["object/church"]}


@pytest.fixture
def some(rows: dict[str, Row]) -> list[str]:
    return [r.id for r in rows.values() if r.split == "forget"][:3]


def test_metadata_layout_knows_row_seed_and_split(tmp_path: Path, rows: dict[str, Row], some: list[str]) -> None:
    lines = [{"file_name": f"a/{i}.png", "id": r, "seed": 7 + i} for i, r in enumerate(some)]
    for line in lines:
        image_file(tmp_path / line["file_name"])
    metadata(tmp_path, lines)
    found = find(tmp_path, "metadata", rows)
    assert set(found.keys) == {(r, 7 + i) for i, r in enumerate(some)}
    assert set(found["split"].tolist()) == {"forget"}
    assert set(found["concept"].tolist()) == {"object/church"}
    assert found["prompt"].tolist() == [rows[r].prompt for r, _ in found.keys]


def test_metadata_order_does_not_matter(tmp_path: Path, rows: dict[str, Row], some: list[str]) -> None:
    lines = [{"file_name": f"{r}.png", "id": r, "seed": 1} for r in some]
    for line in lines:
        image_file(tmp_path / line["file_name"])
    metadata(tmp_path, lines)
    before = find(tmp_path, "metadata", rows)
    metadata(tmp_path, lines[::-1])
    assert list(find(tmp_path, "metadata", rows).records()) == list(before.records())


@pytest.mark.parametrize(
    ("line", "error", "says"),
    [
        ({"file_name": "x.png", "seed": 1}, MetadataError, "'id' is missing"),
        ({"file": "x.png", "id": ROW, "seed": 1}, MetadataError, "'file_name' is missing"),
        ({"file_name": "x.png", "id": ROW}, MetadataError, "'seed' is missing"),
        ({"file_name": "x.png", "id": ROW, "seed": "1"}, MetadataError, "seed is '1'"),
        ({"file_name": "x.png", "id": ROW, "seed": True}, MetadataError, "seed is True"),
        ({"file_name": "../x.png", "id": ROW, "seed": 1}, MetadataError, "outside"),
        ({"file_name": "x.png", "id": ROW, "seed": 1}, UnknownIdError, ROW),
    ],
)
def test_wrong_metadata_names_the_line(
    tmp_path: Path, rows: dict[str, Row], line: dict[str, Any], error: type[Exception], says: str
) -> None:
    image_file(tmp_path / "x.png")
    metadata(tmp_path, [line])
    with pytest.raises(error, match=says) as caught:
        find(tmp_path, "metadata", rows)
    assert "line 1" in str(caught.value)


@pytest.mark.parametrize("text", ["{not json}", '["a list"]'])
def test_metadata_that_is_no_object(tmp_path: Path, rows: dict[str, Row], text: str) -> None:
    (tmp_path / "metadata.jsonl").write_text(text + "\n", encoding="utf-8")
    with pytest.raises(MetadataError, match="line 1"):
        find(tmp_path, "metadata", rows)


def test_duplicate_row_and_seed(tmp_path: Path, rows: dict[str, Row], some: list[str]) -> None:
    for name in ("a.png", "b.png"):
        image_file(tmp_path / name)
    metadata(tmp_path, [{"file_name": n, "id": some[0], "seed": 1} for n in ("a.png", "b.png")])
    with pytest.raises(DuplicateIdError, match=some[0]):
        find(tmp_path, "metadata", rows)


def test_unlisted_image_is_an_error(tmp_path: Path, rows: dict[str, Row], some: list[str]) -> None:
    for name in ("a.png", "stray.png"):
        image_file(tmp_path / name)
    metadata(tmp_path, [{"file_name": "a.png", "id": some[0], "seed": 1}])
    with pytest.raises(MetadataError, match=r"stray\.png"):
        find(tmp_path, "metadata", rows)


@pytest.mark.parametrize("layout", ["igmu", "flat"])
def test_empty_folder(tmp_path: Path, layout: str) -> None:
    with pytest.raises(EmptyInputError, match=str(tmp_path)):
        find(tmp_path, layout)


def test_no_metadata_no_folder_no_layout(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match=r"no metadata\.jsonl"):
        find(tmp_path, "metadata", {})
    with pytest.raises(MetadataError, match="is not a folder"):
        find(tmp_path / "nothing", "flat")
    with pytest.raises(InputError, match="metadata, igmu, flat"):
        find(tmp_path, "folders")


def test_reference_layout(tmp_path: Path) -> None:
    for name in ("forget/0_0_0.png", "forget/0_0_1.png", "forget/0_1_0.png", "retain/2_0_0.png"):
        image_file(tmp_path / name)
    assert [tuple(g.values()) for g in find(tmp_path, "igmu").records("split", "id", "seed")] == [
        ("forget", "forget/0_0", 0),
        ("forget", "forget/0_0", 1),
        ("forget", "forget/0_1", 0),
        ("retain", "retain/2_0", 0),
    ]
    image_file(tmp_path / "forget" / "church.png")
    with pytest.raises(MetadataError, match=r"church\.png"):
        find(tmp_path, "igmu")


def test_pairs_or_a_name_for_what_is_missing(tmp_path: Path) -> None:
    for model, names in (("a", ("0_0_0", "0_0_1")), ("b", ("0_0_1", "0_0_2"))):
        for name in names:
            image_file(tmp_path / model / "forget" / f"{name}.png")
    a, b = (find(tmp_path / m, "igmu") for m in "ab")
    with pytest.raises(MetadataError, match="seed 0"):
        b.paired(a)
    both, reasons = b.paired(a, skip=True)
    assert both["seed"].tolist() == [1]
    assert (both["path"][0].parts[-3], both["path_original"][0].parts[-3]) == ("b", "a")
    assert len(reasons) == 2


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("seed", [1, 2**63]),  # numpy would make -2**63 of it, and floats of a list that has -1 beside it
        ("seed", [2**64, 1]),
        ("seed", [1.5, 1]),
        ("seed", np.array([0.5, 1.0])),
        ("width", [1, "2"]),
        ("present", [0.2, 0.0]),  # a probability is no decision
        ("present", np.array([np.nan, 1.0])),
        ("probability", [1, "a"]),
        ("of_a_plugin", [1.0, "a"]),
        ("features", [[1.0], [1.0, 2.0]]),
        ("features", [1.0, 2.0]),
        ("features", np.zeros((2, 2, 2))),
        *(
            (name, values)
            for name in ("seed", "present", "probability", "width")
            for values in ([[], []], [[1], [2]], [(1, 0), (0, 1)], np.zeros((2, 0)), np.zeros((2, 3)), [1 + 2j, 0])
        ),
        ("id", np.zeros((2, 3))),
    ],
)
def test_values_of_another_kind_are_refused(name: str, values: Any) -> None:
    with pytest.raises(InputError, match=name):
        Generations({name: values})


def test_rows_without_a_vector() -> None:
    assert np.isnan(Generations({"features": [None, [1.0, 2.0]]})["features"][0]).tolist() == [True, True]
    assert Generations({"features": [None, None]})["features"].shape == (2, 0)
    assert Generations({"features": []})["features"].shape == (0, 0)


def test_large_seeds_and_numbers_as_ids_stay_what_they_are() -> None:
    table = Generations({"id": np.array([7, 8]), "seed": [2**63 - 1, -1]})
    assert table.keys == [("7", 2**63 - 1), ("8", -1)]


def test_features_of_two_widths_are_not_joined() -> None:
    """Those of the narrower network became NaN, as if its images had failed."""
    tables = [Generations({"features": np.ones((2, width))}) for width in (3, 4)]
    with pytest.raises(InputError, match="3 and 4"):
        joined(tables)
    nothing_read = Generations({"features": np.full((1, 0), np.nan)})
    assert joined([tables[0], nothing_read])["features"].shape == (3, 3)


def test_a_generation_given_twice_is_no_pair() -> None:
    """The last one was taken, without a word."""
    once, twice = (Generations({"id": ids, "seed": [1] * len(ids)}) for ids in (["a"], ["a", "a"]))
    for one, other in ((once, twice), (twice, once)):
        with pytest.raises(DuplicateIdError, match="'a' with seed 1"):
            one.paired(other)


def test_metadata_that_is_not_utf_8_names_the_line(tmp_path: Path, rows: dict[str, Row], some: list[str]) -> None:
    metadata(tmp_path, [{"file_name": "a.png", "id": some[0], "seed": 0}])
    with (tmp_path / "metadata.jsonl").open("ab") as file:
        file.write(b"\xff\n")
    with pytest.raises(MetadataError, match=r"line \d+: this line cannot be decoded as UTF-8"):
        find(tmp_path, "metadata", rows)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_the_name_of_an_image_need_not_be_text(tmp_path: Path) -> None:
    """On Linux it may be any bytes; a failure that quotes it goes into tables and cards all the same."""
    path = tmp_path / os.fsdecode(b"\xff.png")
    path.write_bytes(b"none")
    table = Generations({"path": [path], **observe([path], on_error="skip")})
    write(table, tmp_path / "table.parquet", {})
    again = read(tmp_path / "table.parquet")[0]
    assert again["path"].tolist() == [Path("\\udcff.png")]
    assert again["status"].tolist() == table["status"].tolist()
    assert "\\udcff.png" in again["status"][0]
