"""Loading the corpus: what is found where, and what a wrong name or place says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pytest

from igmu_data import load
from igmu_data.errors import CorpusError, EmptyInputError, InputError, UnknownConfigError
from igmu_data.load import bench_rows, digest, files_of, identity, load_bench, locate
from igmu_data.rows import VERSION
from igmu_data.schema import Row


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.delenv("IGMU_BENCH", raising=False)


@pytest.fixture(scope="module")
def church(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bench of one concept: its card is short, and parsed at every call."""
    from builders.bench import build

    return build(tmp_path_factory.mktemp("church") / "hub", only=["object/church"])[0]


def test_a_config_is_loaded_from_a_folder(church: Path) -> None:
    loaded: Any = load_bench("object.church", bench=church)
    assert list(loaded) == ["forget", "retain", "adversarial"]
    one: Any = load_bench("object.church", "retain", bench=str(church))
    assert set(one["split"]) == {"retain"}
    stream: Any = load_bench("object.church", "forget", bench=church, streaming=True)
    assert {row["concept"] for row in stream} == {"object/church"}


def test_rows_come_back_as_they_were_made(bench_folder: Path, corpus_rows: dict[str, list[Row]]) -> None:
    rows = bench_rows("object", bench=bench_folder)
    made = [r for c in ("church", "golf-ball") for r in corpus_rows[f"object/{c}"]]
    assert rows == {r.id: r for r in made}
    assert Counter(type(r) for r in rows.values()) == {Row: len(made)}


def test_the_restricted_domain_is_found_beside_the_other(bench_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGMU_BENCH", f"{bench_folder}/")
    rows = bench_rows("nsfw.nudity")
    assert {r.concept for r in rows.values()} == {"nsfw/nudity"}
    assert identity(locate("nsfw")) == f"igmu/bench-nsfw {VERSION}"
    assert identity(locate("all")) == f"igmu/bench {VERSION}"


@pytest.mark.parametrize(
    ("config", "bench", "place"),
    [
        ("all", None, "igmu/bench"),
        ("nsfw", None, "igmu/bench-nsfw"),
        ("nsfw.nudity", "me/bench/", "me/bench-nsfw"),
        ("nsfw.nudity", "me/bench-nsfw", "me/bench-nsfw"),
        ("object.church", "me/bench", "me/bench"),
        ("style", Path("/data/bench"), "/data/bench"),
    ],
)
def test_where_a_config_is(config: str, bench: Any, place: str) -> None:
    assert locate(config, bench) == place


def test_identity_of_a_repository_and_of_a_folder_without_manifest(tmp_path: Path) -> None:
    assert identity("igmu/bench") == "igmu/bench"
    assert identity(str(tmp_path)) == tmp_path.name


def test_an_unknown_config_or_split_is_refused(bench_folder: Path) -> None:
    with pytest.raises(UnknownConfigError, match=r"no config 'object\.chruch'; did you mean 'object\.church'"):
        load_bench("object.chruch", bench=bench_folder)
    with pytest.raises(
        InputError, match=r"config 'object\.church' has no split 'train'\. Choose from forget, retain, adv"
    ):
        load_bench("object.church", "train", bench=bench_folder)


@pytest.mark.parametrize("place", [".", "./dist/hub/igmu/bench", "/nowhere/bench", "bench", "a/b/c"])
def test_a_folder_that_is_no_bench_is_refused(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match=r"so it is not a bench folder\. Build one with python -m builders\.bench"):
        load_bench("object.church", bench=place)


def test_a_bench_built_without_the_concept_is_refused(church: Path) -> None:
    assert len(bench_rows("object.church", bench=church)) > 140
    with pytest.raises(CorpusError, match=r"has no config 'style'; it was built without those concepts"):
        load_bench("style", bench=church)
    with pytest.raises(EmptyInputError, match="contains no rows for config 'style'"):
        bench_rows("style", bench=church)
    with pytest.raises(UnknownConfigError):
        bench_rows("stile", bench=church)


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ("all", "*/*/*/forget-*"),
        ("object", "object/*/*/forget-*"),
        ("object.structure", "object/structure/*/forget-*"),
        ("object.church", "object/structure/church/forget-*"),
        ("nsfw.nudity", "nsfw/body/nudity/forget-*"),
    ],
)
def test_the_files_of_a_config_by_hand(config: str, path: str) -> None:
    assert files_of(config, "forget") == path


def test_a_digest_names_a_set() -> None:
    # printf 'a\nb' | sha256sum
    assert digest(["b", "a", "b"]) == digest(iter(["a", "b"])) == "7e18f737311b"
    assert digest([]) != digest(["a"])


def test_many_concepts_show_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    made: Any = vars(load._made)["__wrapped__"]
    concepts = ("object/church", "style/van-gogh")
    monkeypatch.setattr(load, "config_concepts", lambda config: concepts)
    rows = made("all")
    assert {row.concept for row in rows.values()} == set(concepts)
    assert capsys.readouterr() == ("", ""), "two concepts take half a second"
    monkeypatch.setattr(load, "_MANY", 2)
    assert made("all") == rows
    assert capsys.readouterr() == ("", "prompts of config all (without nsfw): 2 of 2\n")


def test_rows_are_made_once_and_no_caller_changes_them() -> None:
    rows = bench_rows("object.church")
    number = len(rows)
    rows.clear()
    assert len(bench_rows("object.church")) == number > 0
