from __future__ import annotations

from pathlib import Path

import pytest
from datasets import load_dataset
from test_sources import IMAGENETTE, imagenette

from builders.detector import build
from igmu_data.errors import InputError, UnknownSourceError
from igmu_data.folder import check_folder
from igmu_data.schema import detector_features


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_UPDATE_DOWNLOAD_COUNTS", "0")
    return build(tmp_path / "hub", f"hub-dataset:imagenette:{imagenette(tmp_path / 'copy')}")


def test_labels_concepts_and_licences_survive_without_the_sources(built: Path, tmp_path: Path) -> None:
    import shutil

    shutil.rmtree(tmp_path / "copy")
    loaded = load_dataset(str(built), cache_dir=str(tmp_path / "cache"))
    assert {s: len(d) for s, d in loaded.items()} == {"train": 10, "test": 2}
    label = loaded["train"].features["label"]
    assert loaded["train"].features == detector_features(label.names)
    assert label.num_classes == len(IMAGENETTE)
    for row in loaded["train"]:
        assert row["image"].size
        assert row["concept"].startswith("object/")
        assert row["license"]
        assert row["source"]
    # The class that is a church in the source is the concept church here, whatever its integer is.
    assert check_folder(built) == []
    (church,) = [r for r in loaded["train"] if r["concept"] == "object/church"]
    assert label.int2str(church["label"]) in ("church", "n03028079")


def test_only_sources_of_labelled_images(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="hub-dataset"):
        build(tmp_path, "none")
    with pytest.raises(UnknownSourceError, match="hub-dataset"):
        build(tmp_path, "hub-datasets:imagenette")
    assert not list(tmp_path.iterdir())
