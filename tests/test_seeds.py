"""Seeds that a generator takes for one another are refused wherever images are asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tiny_diffusion import tiny_pipeline
from tiny_sandbox import tiny_bench, tiny_package
from typer.testing import CliRunner

from igmu_data.errors import IgmuError
from igmu_data.imports.rows import import_prompts
from igmu_data.load import bench_rows
from igmu_data.schema import LARGEST_SEED, Row
from igmu_metrics.cli import app
from igmu_metrics.images.generate import Request, draw
from igmu_metrics.images.pipelines import find_pipeline
from igmu_metrics.sandbox import demo
from igmu_metrics.training.run import HeadTraining

LARGE: Final = 2**32 + 1
SEED: Final = r"row .*seeds.0 is 4\d{9}: .*less than or equal to 4294967295"
MODEL: Final = "model/pipeline"


def noise(seed: int) -> list[float]:
    drawn: list[float] = torch.randn(64, generator=torch.Generator("cpu").manual_seed(seed)).tolist()
    return drawn


def test_the_bound_is_what_the_generator_of_the_noise_tells_apart() -> None:
    """Where this fails, torch reads more bits, and the bound may go."""
    assert noise(1) == noise(LARGE) == noise(2**33 + 1)
    assert noise(LARGEST_SEED) == noise(2**63 - 1) != noise(LARGEST_SEED - 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, world_rows: dict[str, list[Row]]) -> Path:
    """A model, a bench folder whose rows have such seeds, and a list."""
    root = tmp_path_factory.mktemp("seeds")
    tiny_pipeline(root / "model")
    tiny_bench(root, world_rows["object/church"])
    shutil.copytree(root / "bench", root / "good")
    for path in (root / "bench").rglob("*.parquet"):
        table = pq.read_table(path)
        seeds = [[seed + 2**32 for seed in row] for row in table["seeds"].to_pylist()]
        at = table.schema.get_field_index("seeds")
        pq.write_table(table.set_column(at, table.schema.field(at), pa.array(seeds, table.schema.field(at).type)), path)
    (root / "list.csv").write_text(f"case_number,prompt,evaluation_seed,evaluation_guidance\n0,a church,{LARGE},7\n")
    return root


def _draw(place: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    request = Request("row", LARGE, "a church", 7.0, 1, 16, 16)
    return draw([request], find_pipeline(str(place / MODEL), device="cpu"), out)


def _command(*words: str) -> object:
    done = CliRunner().invoke(app, list(words))
    if done.exception is not None:
        raise done.exception
    return done.output


def _generate(place: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    given = ("--model", str(place / MODEL), "--config", "sandbox.church", "--bench", str(place / "bench"))
    return _command("generate", *given, "--out", str(out))


def _attack(place: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    models = ("--model", str(place / MODEL), "--original", str(place / MODEL), "--attack", "pez")
    given = ("--config", "sandbox.church", "--bench", str(place / "bench"))
    return _command("attack", *models, *given, "--out", str(out))


def _world(place: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    if not (place / "models").is_dir():
        tiny_package(place)
    monkeypatch.setenv("IGMU_SANDBOX", str(place))
    return demo.run(out, ["church"])


def _rows(place: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    return bench_rows("sandbox.church", bench=place / "bench")


def _list(place: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    return import_prompts(
        place / "list.csv", "unlearndiffatk", concept_name="object/church", license="CC0-1.0", source="a test"
    )


def _train(place: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    return HeadTraining(str(place), "object/church", seed=LARGE).run(out / "head.safetensors")


ENTRIES: Final[dict[str, tuple[Callable[[Path, Path, pytest.MonkeyPatch], object], str]]] = {
    "generate.draw": (_draw, "seed 4294967297"),
    "igmu generate": (_generate, SEED),
    "igmu attack": (_attack, SEED),
    "igmu demo": (_world, SEED),
    "bench_rows": (_rows, SEED),
    "import_prompts": (_list, "'evaluation_seed' contains '4294967297'"),
    "train-detector": (_train, "seed is 4294967297"),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_seeds_beyond_32_bits_are_refused(
    entry: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, says = ENTRIES[entry]
    with pytest.raises(IgmuError, match=says):
        run(place, tmp_path / "out", monkeypatch)


def test_others_are_not(place: Path) -> None:
    rows: list[Any] = list(bench_rows("sandbox.church", bench=place / "good").values())
    assert len({seed for row in rows for seed in row.seeds}) > 5
