"""Drawing with a small real pipeline: the right images, the same images, and nothing half done."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from faked import Fake, asked, fake
from PIL import Image
from tiny_diffusion import tiny_pipeline, tiny_xl_pipeline

from builders.sources import diffusers as source
from igmu_data.errors import (
    ChecksumError,
    DuplicateIdError,
    EmptyInputError,
    InputError,
    LicenseError,
    MetadataError,
    OutOfRangeError,
    OutputError,
    PolicyError,
    WeightsError,
)
from igmu_data.rows.concept import forget_rows
from igmu_data.schema import Row
from igmu_data.taxonomy import concept
from igmu_metrics.images.generate import Drawing, Request, draw, requests_for
from igmu_metrics.images.layouts import find
from igmu_metrics.images.pipelines import Pipeline, find_pipeline
from igmu_metrics.images.schedulers import described

# Fewer steps than the preset's; guidance and size are the model's business, as in all of the corpus.
ROWS = [r.model_copy(update={"steps": 2}) for r in itertools.islice(forget_rows(concept("object/church")), 3)]
REQUESTS = requests_for(ROWS, seeds_per_row=2)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pipeline(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def pipeline(model: Path) -> Pipeline:
    """Loaded once for all tests."""
    found = find_pipeline(str(model), device="cpu")
    pipe = found.load()
    return dataclasses.replace(found, load=lambda: pipe)


@pytest.fixture(scope="module")
def drawn(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rows with two seeds each, drawn without interruption, one at a time."""
    out = tmp_path_factory.mktemp("drawn")
    draw(REQUESTS, pipeline, out, batch_size=1)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    """All but how long it took."""
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != "times.jsonl"}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestImages:
    def test_each_is_what_diffusers_draws_for_its_prompt_and_seed(self, model: Path, drawn: Path) -> None:
        from diffusers import StableDiffusionPipeline

        pipe = StableDiffusionPipeline.from_pretrained(model, safety_checker=None, requires_safety_checker=False)
        pipe.set_progress_bar_config(disable=True)
        seen = set()
        for row in ROWS:
            for seed in row.seeds[:2]:
                (expected,) = pipe(
                    row.prompt,
                    generator=torch.Generator().manual_seed(seed),
                    num_inference_steps=2,
                    guidance_scale=7.5,
                    width=32,
                    height=32,
                ).images
                found = Image.open(drawn / f"{row.id}-{seed}.png")
                # Here it is alone in its call, there it was not: see the head of `drawing`.
                assert np.abs(np.asarray(found).astype(int) - np.asarray(expected)).max() <= 1
                seen.add(found.tobytes())
        assert len(seen) == len(REQUESTS)  # rows and seeds differ

    def test_a_pipeline_in_the_shape_of_sdxl_draws_likewise(self, tmp_path: Path) -> None:
        found = find_pipeline(str(tiny_xl_pipeline(tmp_path / "xl")), device="cpu")
        pipe = found.load()
        assert type(pipe).__name__ == "StableDiffusionXLPipeline"
        drawing = draw(REQUESTS, dataclasses.replace(found, load=lambda: pipe), tmp_path / "out", batch_size=1)
        assert (drawing.n_drawn, drawing.failures) == (len(REQUESTS), {})
        request = REQUESTS[-1]
        # On a CPU small images share a call of sixteen; the last ones fill it up.
        alone = pipe(
            prompt=[*(r.prompt for r in REQUESTS), *[request.prompt] * (16 - len(REQUESTS))],
            generator=[torch.Generator("cpu").manual_seed(r.seed) for r in [*REQUESTS, *[request] * 10]],
            num_inference_steps=2,
            guidance_scale=5.0,
            width=32,
            height=32,
            output_type="np",
        ).images[len(REQUESTS) - 1]
        pixels = np.asarray(Image.open(drawing.files[request.key]))
        assert np.array_equal(pixels, (alone * 255).round().astype(np.uint8))
        again = draw(REQUESTS, found, tmp_path / "out")
        assert again.n_drawn == 0

    def test_bytes_depend_on_nothing_but_row_and_seed(self, pipeline: Pipeline, drawn: Path, tmp_path: Path) -> None:
        # At 64 pixels, the size of a call does show in the bytes (see the next test).
        for side in (64, 72):  # sixteen a call, one a call
            one, four = tmp_path / f"one-{side}", tmp_path / f"four-{side}"
            draw(REQUESTS, pipeline, one, batch_size=1, width=side, height=side)
            draw(REQUESTS[::-1], pipeline, four, batch_size=4, width=side, height=side)
            assert {n: b for n, b in contents(four).items() if n.endswith(".png")} == {
                n: b for n, b in contents(one).items() if n.endswith(".png")
            }
        few = [REQUESTS[4], REQUESTS[1], REQUESTS[3]]
        draw(few, pipeline, tmp_path / "few", batch_size=3)
        for r in few:
            name = f"{r.row_id}-{r.seed}.png"
            assert (tmp_path / "few" / name).read_bytes() == (drawn / name).read_bytes()

    def test_shared_calls_differ_by_rounding_alone(self, pipeline: Pipeline, tmp_path: Path) -> None:
        # The same CPU under another name: what an accelerator would be given.
        shared = dataclasses.replace(pipeline, device="accelerator")
        size = {"width": 64, "height": 64}
        draw(REQUESTS, pipeline, tmp_path / "alone", **size)
        files = draw(REQUESTS, shared, tmp_path / "shared", batch_size=4, **size).files.values()
        pairs = [(np.asarray(Image.open(p)), np.asarray(Image.open(tmp_path / "alone" / p.name))) for p in files]
        levels = np.abs(np.stack([a.astype(int) - b.astype(int) for a, b in pairs]))
        assert levels.max() <= 1
        assert np.mean(levels > 0) < 1e-3

    def test_webp_has_the_same_pixels_and_neither_has_exif(
        self, pipeline: Pipeline, drawn: Path, tmp_path: Path
    ) -> None:
        files = draw(REQUESTS[:2], pipeline, tmp_path, extension=".webp").files
        for (row_id, seed), path in files.items():
            webp, png = Image.open(path), Image.open(drawn / f"{row_id}-{seed}.png")
            assert (webp.format, png.format) == ("WEBP", "PNG")
            assert (np.asarray(webp) == np.asarray(png)).all()
            assert not webp.getexif()
            assert not png.getexif()
            assert "exif" not in webp.info
            assert png.info == {}

    def test_rounded_as_diffusers_rounds(self, tmp_path: Path) -> None:
        files = draw(asked(0, 1, 127, 128, 255, side=8), fake(Fake()), tmp_path).files
        assert {seed: np.asarray(Image.open(p)).ravel().tolist() for (_, seed), p in files.items()} == {
            seed: [seed] * 192 for seed in (0, 1, 127, 128, 255)
        }


class TestMetadata:
    def test_says_how_each_was_drawn(self, pipeline: Pipeline, drawn: Path) -> None:
        found = lines(drawn / "metadata.jsonl")
        assert [r["file_name"] for r in found] == sorted(p.name for p in drawn.glob("*.png"))
        by_key = {(r["id"], r["seed"]): r for r in found}
        assert by_key.keys() == {r.key for r in REQUESTS}
        row = ROWS[1]
        assert by_key[row.id, row.seeds[1]] == {
            "file_name": f"{row.id}-{row.seeds[1]}.png",
            "id": row.id,
            "seed": row.seeds[1],
            "prompt": row.prompt,
            "steps": 2,
            "guidance_scale": 7.5,
            "width": 32,
            "height": 32,
            "model": "pipeline",
            "revision": pipeline.revision,
            "dtype": "fp32",
            "scheduler": described(pipeline.load()),
            "sha256": hashlib.sha256((drawn / f"{row.id}-{row.seeds[1]}.png").read_bytes()).hexdigest(),
        }

    def test_the_scheduler_is_the_one_that_generates(self, pipeline: Pipeline, model: Path) -> None:
        assert pipeline.scheduler == "DDIMScheduler"
        told = described(pipeline.load())
        assert re.fullmatch(r"DDIMScheduler [0-9a-f]{8}", told)
        assert described(find_pipeline(f"filter:{model}", device="cpu", target="object/church").load()) == told
        suppressed = find_pipeline(f"negative-prompt:{model}", device="cpu", target="object/church")
        assert described(suppressed.load()) == told

    def test_is_read_by_datasets_and_by_igmu_score(
        self, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import datasets

        monkeypatch.setattr(
            datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False
        )  # it reports each load of an imagefolder
        loaded = datasets.load_dataset("imagefolder", data_dir=str(drawn), split="train", cache_dir=str(tmp_path))
        assert {(r["id"], r["seed"]) for r in loaded} == {r.key for r in REQUESTS}
        assert loaded[0]["image"].size == (32, 32)
        rows: dict[str, Row] = {r.id: r for r in ROWS}
        assert set(find(drawn, "metadata", rows).keys) == {r.key for r in REQUESTS}

    def test_overrides_are_used_and_recorded(self, pipeline: Pipeline, tmp_path: Path) -> None:
        draw(REQUESTS[:1], pipeline, tmp_path, steps=1, guidance_scale=1.5, width=48, height=40)
        (found,) = lines(tmp_path / "metadata.jsonl")
        assert [found[k] for k in ("steps", "guidance_scale", "width", "height")] == [1, 1.5, 48, 40]
        assert np.asarray(Image.open(tmp_path / found["file_name"])).shape == (40, 48, 3)


class TestResume:
    def test_draws_only_what_is_missing(self, tmp_path: Path) -> None:
        first, second, third = Fake(), Fake(), Fake()
        assert draw(asked(1, 2), fake(first), tmp_path).n_drawn == 2
        done: Drawing = draw(asked(1, 2, 3), fake(second), tmp_path)
        assert (first.calls, second.calls) == ([[1], [2]], [[3]])
        assert (done.n_drawn, len(done.files)) == (1, 3)
        (tmp_path / "row-2.png").unlink()
        draw(asked(3, 2, 1), fake(third), tmp_path)
        assert third.calls == [[2]]

    def test_small_images_are_drawn_sixteen_a_call_on_a_cpu(self, tmp_path: Path) -> None:
        pipe = Fake()
        assert draw(asked(*range(1, 19), side=8), fake(pipe), tmp_path, batch_size=1).n_drawn == 18
        assert pipe.calls == [[*range(1, 17)], [17, *[18] * 15]]
        assert len(list(tmp_path.glob("*.png"))) == 18

    def test_nothing_is_loaded_when_nothing_is_missing(self, drawn: Path, pipeline: Pipeline) -> None:
        before = contents(drawn)

        def load() -> Any:
            raise AssertionError("loaded")

        assert draw(REQUESTS, dataclasses.replace(pipeline, load=load), drawn).n_drawn == 0
        assert contents(drawn) == before

    def test_on_an_accelerator_a_batch_is_drawn_again_whole(self, tmp_path: Path) -> None:
        first, second = Fake(), Fake()
        wanted = [*asked(1, 2, 3), *asked(4, steps=3), *asked(5, 6)]
        draw(wanted, fake(first, "cuda"), tmp_path, batch_size=2)
        assert first.calls == [[1, 2], [3, 5], [6, 6], [4, 4]]  # every call has one shape
        kept = (tmp_path / "row-3.png").stat().st_mtime_ns
        (tmp_path / "row-5.png").unlink()
        assert draw(wanted, fake(second, "cuda"), tmp_path, batch_size=2).n_drawn == 1
        assert second.calls == [[3, 5]]
        assert (tmp_path / "row-3.png").stat().st_mtime_ns == kept

    @pytest.mark.slow
    def test_killed_at_any_write_the_resumed_folder_is_the_same(
        self, model: Path, pipeline: Pipeline, tmp_path: Path
    ) -> None:
        """A process of its own forks a child for every write that drawing does; each child is killed there."""
        script = tmp_path / "kill.py"
        script.write_text(KILL)
        requests = tmp_path / "requests.json"
        requests.write_text(json.dumps([dataclasses.asdict(r) for r in REQUESTS[:4]]))
        root = Path(__file__).parents[2]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(root)}
        done = subprocess.run(
            [sys.executable, str(script), str(model), str(requests), str(tmp_path / "out")],
            env=env,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        states = json.loads(done.stdout)
        # What the model stores and 4 images, each a file (written, renamed), a line for each image; then the
        # sorted list (written, renamed).
        assert len(states) == 16
        assert {s["finished"] for s in states} == {0, 1, 2, 3, 4}
        draw(REQUESTS[:4], pipeline, tmp_path / "uninterrupted")
        whole = contents(tmp_path / "uninterrupted")
        for at, state in enumerate(states):
            assert state["whole"], f"an image was half written, or listed and not there, when killed at write {at}"
            assert contents(tmp_path / "out" / str(at)) == whole, f"killed at write {at}"

    def test_rests_of_a_kill_are_cleared(self, tmp_path: Path) -> None:
        draw(asked(1, 2), fake(Fake()), tmp_path)
        whole = contents(tmp_path)
        for name in (".row-2.png.7.new", ".row-9.png.7.new"):  # the second is of an image that nobody asks for now
            (tmp_path / name).write_bytes(b"half")
        text = (tmp_path / "metadata.jsonl").read_text()
        (tmp_path / "metadata.jsonl").write_text(text[:-20])  # a torn line
        again = Fake()
        draw(asked(1, 2), fake(again), tmp_path)
        assert again.calls == [[2]]
        assert contents(tmp_path) == whole

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"revision": "r2"}, "generated with revision='r1', not 'r2'"),
            ({"name": "other"}, "generated with model='fake', not 'other'"),
            ({"dtype": "fp16"}, "generated with dtype='fp32', not 'fp16'"),
        ],
    )
    def test_images_of_another_model_are_not_taken(self, tmp_path: Path, changed: dict[str, str], message: str) -> None:
        draw(asked(1), fake(Fake()), tmp_path)
        with pytest.raises(MetadataError, match=message):
            draw(asked(2), dataclasses.replace(fake(Fake()), **changed), tmp_path)

    def test_other_settings_a_changed_file_and_a_foreign_list_are_errors(self, tmp_path: Path) -> None:
        draw(asked(1), fake(Fake()), tmp_path)
        with pytest.raises(MetadataError, match="generated with steps=2, not 9"):
            draw(asked(1), fake(Fake()), tmp_path, steps=9)
        with pytest.raises(MetadataError, match=r"line 1: .*file_name"):
            draw(asked(1), fake(Fake()), tmp_path, extension=".webp")
        (tmp_path / "row-1.png").write_bytes((tmp_path / "row-1.png").read_bytes() + b" ")
        with pytest.raises(ChecksumError, match=r"row-1\.png"):
            draw(asked(1), fake(Fake()), tmp_path)
        for text in ('{"file_name": "../row-1.png", "id": "row", "seed": 1}\n', "no JSON\n", "[]\n"):
            (tmp_path / "metadata.jsonl").write_text(text)
            with pytest.raises(MetadataError, match="line 1"):
                draw(asked(1), fake(Fake()), tmp_path)

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="file"):
            draw(asked(1), fake(Fake()), tmp_path / "file")


KILL = """
import hashlib, json, os, signal, sys
from pathlib import Path

import torch
from igmu_metrics.images.generate import Request, draw
from igmu_metrics.images.pipelines import find_pipeline
import dataclasses

torch.set_num_threads(1)
model, requests, out = sys.argv[1], json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3])
requests = [Request(**r) for r in requests]
found = find_pipeline(model, device="cpu")
pipe = found.load()
found = dataclasses.replace(found, load=lambda: pipe)
fsync, replace = os.fsync, os.replace
states = []
while True:
    left = len(states)
    folder = out / str(left)
    child = os.fork()
    if child == 0:
        def doom(real):
            def write(*args):
                global left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                return real(*args)
            return write
        os.fsync, os.replace = doom(fsync), doom(replace)
        draw(requests, found, folder, batch_size=4, progress=False)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status):
        assert status == 0, status
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
    from PIL import Image
    whole = True
    for path in folder.glob("*.png"):
        try:
            Image.open(path).load()
        except Exception:
            whole = False
    lines = folder / "metadata.jsonl"
    listed = [json.loads(line)["file_name"] for line in lines.read_text().splitlines()] if lines.exists() else []
    whole = whole and all((folder / name).exists() for name in listed)
    states.append({"whole": whole, "finished": len(listed)})
    draw(requests, found, folder, batch_size=4, progress=False)
print(json.dumps(states))
"""


class TestFailures:
    def test_flagged_and_not_finite_images_are_recorded_and_never_stored(self, tmp_path: Path) -> None:
        done = draw(asked(1, 2, 3), fake(Fake(flagged=[2], broken=[3]), "cuda"), tmp_path, batch_size=3)
        assert set(done.files) == {("row", 1)}
        assert done.failures == {("row", 2): "safety checker", ("row", 3): "values that are not finite"}
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            "failed.jsonl",
            "metadata.jsonl",
            "row-1.png",
            "times.jsonl",
        ]
        assert [(r["seed"], r["reason"]) for r in lines(tmp_path / "failed.jsonl")] == [
            (2, "safety checker"),
            (3, "values that are not finite"),
        ]

    def test_a_failure_is_not_tried_again(self, tmp_path: Path) -> None:
        draw(asked(1), fake(Fake(flagged=[1])), tmp_path)
        again = Fake()
        assert draw(asked(1), fake(again), tmp_path).failures == {("row", 1): "safety checker"}
        assert again.calls == []

    def test_a_real_checker_that_is_there_all_the_same(self, tmp_path: Path) -> None:
        import diffusers

        folder = tiny_pipeline(tmp_path / "tiny", checker=True)
        # Without igmu's loader, the checker is loaded and, with cosines of at least -1, flags everything.
        pipe = diffusers.DiffusionPipeline.from_pretrained(folder)
        pipe.set_progress_bar_config(disable=True)
        pipe.safety_checker.concept_embeds_weights.data.fill_(-2.0)
        done = draw(REQUESTS[:1], fake(pipe), tmp_path / "out", guidance_scale=7.5, width=32, height=32)
        assert list(done.failures.values()) == ["safety checker"]
        assert not list((tmp_path / "out").glob("*.png"))
        # With it, there is none.
        assert find_pipeline(str(folder), device="cpu").load().safety_checker is None

    @pytest.mark.parametrize(
        ("requests", "error", "message"),
        [
            ([], EmptyInputError, "nothing to generate"),
            (asked(1, 2, 1), DuplicateIdError, r"requests\[2\].*seed 1"),
            (asked(-1), OutOfRangeError, "seed -1"),
            (asked(1, 2**32 + 1), OutOfRangeError, r"requests\[1\]: seed 4294967297 .* the same as for seed 1\."),
            (asked(1, steps=0), OutOfRangeError, "steps, width and height are 0"),
            ([dataclasses.replace(asked(1)[0], row_id="../row")], InputError, "file name"),
        ],
    )
    def test_requests_that_cannot_be_drawn(
        self, tmp_path: Path, requests: list[Request], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            draw(requests, fake(Fake()), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_what_the_pipeline_refuses_or_draws_otherwise(self, pipeline: Pipeline, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"cannot generate an image for row .*33"):
            draw(REQUESTS[:1], pipeline, tmp_path, width=33)

        def small(**_: Any) -> Any:
            return SimpleNamespace(images=np.zeros((1, 4, 4, 3)))

        with pytest.raises(InputError, match="72×72"):
            draw(asked(1), fake(small), tmp_path)
        with pytest.raises(OutOfRangeError, match="batch_size"):
            draw(asked(1), fake(Fake()), tmp_path, batch_size=0)
        with pytest.raises(InputError, match="format"):
            draw(asked(1), fake(Fake()), tmp_path, extension=".jpg")


class TestFindPipeline:
    def test_the_revision_is_a_hash_of_weights_and_settings(self, model: Path, tmp_path: Path) -> None:
        import shutil

        copy = shutil.copytree(model, tmp_path / "copy")
        found = find_pipeline(str(copy), device="cpu")
        assert found.name == "copy"
        assert found.revision == find_pipeline(str(model)).revision
        assert found.revision.startswith("sha256:")
        assert find_pipeline(f"{copy}@{found.revision}").revision == found.revision
        with pytest.raises(WeightsError, match="not sha256:0"):
            find_pipeline(f"{copy}@sha256:0")
        schedule = copy / "scheduler" / "scheduler_config.json"
        schedule.write_text(schedule.read_text().replace("0.012", "0.013"))
        assert find_pipeline(str(copy)).revision != found.revision

    def test_what_is_no_pipeline(self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import shutil

        with pytest.raises(WeightsError, match="no folder"):
            find_pipeline(str(tmp_path / "nothing"))
        with pytest.raises(
            WeightsError, match=r"Add parts to a base model as in BASE,unet=FILE \(or checkpoint, transformer"
        ):
            find_pipeline(f"{model},esd.safetensors")
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "esd.pt").touch()
        monkeypatch.chdir(tmp_path)
        with pytest.raises(
            WeightsError,
            match=r"models/esd\.pt is a file\. Specify its base model and which part the file replaces",
        ):
            find_pipeline("models/esd.pt")
        with pytest.raises(WeightsError, match="model_index"):
            find_pipeline(str(tmp_path))
        copy = shutil.copytree(model, tmp_path / "copy")
        index = json.loads((copy / "model_index.json").read_text())
        for name, message in (
            ("DDPMPipeline", "cannot generate images from prompts"),
            ("NoSuchPipeline", "not a pipeline in diffusers"),
            (["my_code", "MyPipeline"], "not a pipeline in diffusers"),
            ("AutoencoderKL", "not a pipeline in diffusers"),
        ):
            (copy / "model_index.json").write_text(json.dumps(index | {"_class_name": name}))
            with pytest.raises(WeightsError, match=message):
                find_pipeline(str(copy), device="cpu").load()
        for weights in copy.rglob("*.safetensors"):
            weights.rename(weights.with_suffix(".bin"))
        with pytest.raises(WeightsError, match="no safetensors"):
            find_pipeline(str(copy))

    def test_a_folder_of_images_is_for_other_commands(self, drawn: Path, tmp_path: Path) -> None:
        for name in ("a.png", "b.png"):
            Image.new("RGB", (8, 8)).save(tmp_path / name)
        with pytest.raises(WeightsError) as told:
            find_pipeline(str(tmp_path))
        assert str(told.value).startswith(
            f"{tmp_path} contains 2 images, but no model. First run igmu match {tmp_path}"
        )
        with pytest.raises(WeightsError, match=r"but no model\. To score existing images, run igmu score --original"):
            find_pipeline(str(drawn))
        (tmp_path / "unet.pt").touch()  # weights with samples
        with pytest.raises(WeightsError, match=r"contains no model_index.json"):
            find_pipeline(str(tmp_path))

    def test_pickled_weights_are_not_read(self, model: Path, tmp_path: Path) -> None:
        import shutil

        from safetensors.torch import load_file

        copy = shutil.copytree(model, tmp_path / "copy")
        weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
        torch.save(load_file(weights), weights.with_suffix(".bin"))  # complete, and readable by whoever reads pickles
        weights.unlink()
        with pytest.raises(WeightsError, match="cannot be loaded"):
            find_pipeline(str(copy), device="cpu").load()


class TestSource:
    def test_gives_the_image_of_each_rows_first_seed(self, model: Path, drawn: Path, tmp_path: Path) -> None:
        argument = f"{model}?license=openrail&device=cpu"
        found = list(source.images(ROWS, argument, work=tmp_path))
        assert [p.row_id for p in found] == [r.id for r in ROWS]
        assert [p.data for p in found] == [(drawn / f"{r.id}-{r.seeds[0]}.png").read_bytes() for r in ROWS]
        revision = find_pipeline(str(model)).revision
        assert {(p.extension, p.license, p.origin) for p in found} == {
            (".png", "openrail", f"diffusers:pipeline@{revision}")
        }
        (folder,) = (tmp_path / "diffusers").iterdir()
        assert len(list(folder.glob("*.png"))) == 15  # three rows, five seeds
        first = list(source.images(ROWS[:1], f"{argument}&seeds=first&format=webp&steps=1", work=tmp_path))
        (other,) = set((tmp_path / "diffusers").iterdir()) - {folder}
        assert [p.extension for p in first] == [".webp"]
        assert len(list(other.glob("*.webp"))) == 1
        assert lines(other / "metadata.jsonl")[0]["steps"] == 1

    @pytest.mark.parametrize(
        ("argument", "error", "message"),
        [
            ("?license=openrail", InputError, "needs a model"),
            ("MODEL", LicenseError, "license="),
            ("MODEL?license=", LicenseError, "license="),
            ("MODEL?license=unknown", LicenseError, "unknown"),
            ("MODEL?license=openrail&step=2", InputError, "unknown option 'step'"),
            ("MODEL?license=openrail&steps=two", InputError, "steps is 'two'"),
            ("MODEL?license=openrail&batch_size=", InputError, "batch_size"),
            ("MODEL?license=openrail&seeds=2", InputError, "seeds"),
            ("MODEL?license=openrail&format=jpg", InputError, "format"),
            ("MODEL?license=openrail&dtype=fp8", InputError, "dtype"),
            ("MODEL?license=openrail&device=abacus", InputError, "device"),
            ("./no/such/folder?license=openrail", WeightsError, "no folder"),
        ],
    )
    def test_bad_arguments(
        self, model: Path, tmp_path: Path, argument: str, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            list(source.images(ROWS, argument.replace("MODEL", str(model)), work=tmp_path))

    def test_draws_nothing_for_the_domain_of_prompts_only(self, model: Path, tmp_path: Path) -> None:
        rows = [next(forget_rows(concept("nsfw/nudity")))]
        with pytest.raises(PolicyError, match=rows[0].id):
            list(source.images([*ROWS, *rows], f"{model}?license=openrail", work=tmp_path))
        assert not (tmp_path / "diffusers").exists()
