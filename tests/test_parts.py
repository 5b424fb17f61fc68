"""Images made in parts are those of one run, to the byte; calls that the memory does not hold are halved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faked import Fake, asked, fake
from timeless import TIMES
from tiny_diffusion import tiny_pipeline
from tiny_sandbox import installed, tiny_bench, tiny_package
from typer.testing import CliRunner, Result

from igmu_data.errors import BusyError, InputError, MetadataError, OutOfRangeError, WeightsError
from igmu_data.files import owned
from igmu_data.schema import Row
from igmu_metrics.cli import app
from igmu_metrics.cli._generating import batch_of, ray_wanted
from igmu_metrics.contract import Signature
from igmu_metrics.images import parts
from igmu_metrics.images.folder import Folder
from igmu_metrics.images.generate import draw, draw_part
from igmu_metrics.images.layouts import find, of_listed
from igmu_metrics.images.notes import generated
from igmu_metrics.images.pipelines import find_pipeline

N = 3
ROWS = [f"row-{i}" for i in range(9)]
REQUESTS = [r for row in ROWS for r in asked(1, 2, 3, side=8, row=row)]
FAILING = {"flagged": [2]}


def contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != TIMES)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    draw(REQUESTS, fake(Fake(**FAILING)), tmp_path / "whole")
    return contents(tmp_path / "whole")


def made(out: Path, *which: int) -> Path:
    for i in which or range(1, N + 1):
        draw_part(REQUESTS, fake(Fake(**FAILING)), out, (i, N))
    return out


def test_a_prompts_seeds_are_in_one_part_and_every_prompt_is_in_one(tmp_path: Path) -> None:
    made(tmp_path)
    homes: dict[str, set[str]] = {}
    for path in tmp_path.glob("part-*/*.png"):
        homes.setdefault(path.name.rpartition("-")[0], set()).add(path.parent.name)
    assert homes.keys() == set(ROWS)
    assert all(len(of) == 1 for of in homes.values())
    assert len({name for of in homes.values() for name in of}) > 1


def test_joined_parts_are_one_run_to_the_byte(whole: dict[str, bytes], tmp_path: Path) -> None:
    out = made(tmp_path / "out", 2, 3, 1)
    assert parts.join(out) == len(REQUESTS) * 2 // 3
    assert contents(out) == whole
    assert sum(json.loads(line)["images"] for line in (out / TIMES).read_text().splitlines()) == len(REQUESTS)
    assert parts.join(out) == len(REQUESTS) * 2 // 3  # nothing is left to do


def test_parts_in_several_folders_are_joined_and_stay(whole: dict[str, bytes], tmp_path: Path) -> None:
    folders = [made(tmp_path / str(i), i) for i in range(1, N + 1)]
    before = [contents(folder) for folder in folders]
    parts.join(tmp_path / "out", folders)
    assert contents(tmp_path / "out") == whole
    assert [contents(folder) for folder in folders] == before


def test_an_unsharded_run_takes_what_the_parts_have(whole: dict[str, bytes], tmp_path: Path) -> None:
    out, rest = made(tmp_path / "out", 1, 2), Fake(**FAILING)
    draw(REQUESTS, fake(rest), out)
    assert contents(out) == whole
    drawn = {r.row_id for r in REQUESTS if parts.home(r.row_id, N) != 3}
    assert len(rest.calls) < len(REQUESTS) / 16 + 1 or drawn == set()


def test_what_the_whole_has_no_part_makes_again(whole: dict[str, bytes], tmp_path: Path) -> None:
    out, again = made(tmp_path / "out"), Fake()
    parts.join(out)
    assert draw_part(REQUESTS, fake(again), out, (1, N)).n_drawn == 0
    assert again.calls == []


@pytest.mark.parametrize("at", range(1, 14, 3))
def test_killed_while_joining_it_joins_again(
    whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    out, calls = made(tmp_path / "out"), []

    def doomed(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **more: Any) -> Any:
            calls.append(real)
            if len(calls) == at:
                raise KeyboardInterrupt
            return real(*given, **more)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(parts, "_put", doomed(parts._put))
        patch.setattr(parts, "_keep", doomed(parts._keep))
        patch.setattr(Folder, "close", doomed(Folder.close))
        patch.setattr(shutil, "rmtree", doomed(shutil.rmtree))
        with pytest.raises(KeyboardInterrupt):
            parts.join(out)
    parts.join(out)
    assert contents(out) == whole


def test_a_part_that_was_finished_once_is_not_while_more_is_made(tmp_path: Path) -> None:
    made(tmp_path)

    def broken(**given: Any) -> Any:
        raise ValueError("no")

    more = [*REQUESTS, *(r for row in ROWS for r in asked(4, side=8, row=row))]
    with pytest.raises(InputError):
        draw_part(more, fake(broken), tmp_path, (2, N))
    with pytest.raises(MetadataError, match="00002-of-00003 is not finished"):
        parts.join(tmp_path)


def test_parts_that_cannot_be_joined(tmp_path: Path) -> None:
    out = made(tmp_path / "out", 1, 3)
    with pytest.raises(MetadataError, match=r"some parts are missing .2/3"):
        parts.join(out)
    made(out, 2)
    part = parts.place(out, 2, N)
    (part / ".done").unlink()
    with pytest.raises(MetadataError, match="00002-of-00003 is not finished"):
        parts.join(out)
    (part / ".done").touch()
    with owned(part), pytest.raises(BusyError):
        parts.join(out)
    text = (part / "metadata.jsonl").read_text()
    (part / "metadata.jsonl").write_text(text.replace('"r1"', '"r2"'))
    with pytest.raises(MetadataError, match=r"more than one model \(fake@r1@fp32 and fake@r2@fp32\)"):
        parts.join(out)
    (part / "metadata.jsonl").write_text(text)
    shutil.copytree(part, tmp_path / "other" / part.name)
    other = tmp_path / "other" / part.name / "metadata.jsonl"
    other.write_text(text.replace('"sha256": "', '"sha256": "0', 1))
    with pytest.raises(MetadataError, match="differs from the same row and seed in"):
        parts.join(out, [tmp_path / "other"])
    with pytest.raises(MetadataError, match=r"igmu merge .*out"):
        find(out, "metadata", {})
    draw_part(REQUESTS, fake(Fake()), out, (1, 2))
    with pytest.raises(MetadataError, match=r"divided differently .into 2 and 3 parts"):
        parts.join(out)


class TestMemory:
    def test_auto_halves_until_it_fits(self, tmp_path: Path) -> None:
        pipe = Fake(room=5)
        draw(asked(*range(6)), fake(pipe, "cuda"), tmp_path / "auto", batch_size="auto")
        assert [len(call) for call in pipe.calls] == [32, 16, 8, 4, 4]
        lines = [json.loads(line) for line in (tmp_path / "auto" / "metadata.jsonl").read_text().splitlines()]
        assert {line["batch_size"] for line in lines} == {4}
        draw(asked(*range(6)), fake(Fake(), "cuda"), tmp_path / "four", batch_size=4)
        assert contents(tmp_path / "auto") == contents(tmp_path / "four")

    @pytest.mark.parametrize(
        ("room", "device", "size", "says"),
        [(0, "cuda", "auto", "1 image of 72×72 pixels in one call .*--dtype"), (2, "cuda", 4, "--batch-size auto"),
         (0, "cpu", "auto", "memory of cpu .*--dtype")],
    )  # fmt: skip
    def test_what_never_fits_is_told(self, tmp_path: Path, room: int, device: str, size: Any, says: str) -> None:
        with pytest.raises(InputError, match=says):
            draw(asked(1, 2, 3), fake(Fake(room=room), device), tmp_path, batch_size=size)

    @pytest.mark.parametrize("size", [0, -1, "most"])
    def test_no_batch_size(self, tmp_path: Path, size: Any) -> None:
        with pytest.raises(OutOfRangeError, match="at least 1, or 'auto'"):
            draw(asked(1), fake(Fake()), tmp_path, batch_size=size)

    def test_on_the_command_line(self) -> None:
        assert (batch_of("auto"), batch_of("8")) == ("auto", 8)
        for wrong in ("0", "-1", "most", "2.5", "²"):
            with pytest.raises(InputError, match="must be auto or a whole number"):
                batch_of(wrong)
        with pytest.raises(InputError, match=r"--shard .* and --engine ray are both given"):
            ray_wanted("ray", "1/2")
        with pytest.raises(InputError, match=r"engine 'spark' does not exist\. Choose from local, ray"):
            ray_wanted("spark", None)


class TestSigned:
    def signed(self, **of_both: Any) -> dict[str, str]:
        row = Row.model_construct(id="a", split="forget", prompt="p", stripped_prompt="", attack_family=None)
        row = row.model_copy(update=dict.fromkeys(("probe", "concept", "own_concept", "own_name", "family"), ""))
        record = {"file_name": "a-1.png", "id": "a", "seed": 1, "prompt": "p", "steps": 2, **of_both}
        table = of_listed([(row.model_copy(update={"attack_source_id": None}), 1, Path("a-1.png"), record, "here")])
        return generated(table.paired(table)[0])

    def test_what_rounds_is_said_and_excused(self) -> None:
        plain = self.signed()
        assert plain == self.signed(dtype="fp32") == {"generated": "steps 2"}
        rounded = self.signed(batch_size=8, compiled="yes")
        assert rounded == {"generated": "steps 2", "generated.rounding": "batch_size 8, compiled"}
        assert Signature(plain).differences(Signature(rounded)) == {}

    def test_half_precision_is_another_way_of_generating(self) -> None:
        half = self.signed(dtype="fp16")
        assert half == {"generated": "steps 2, dtype fp16"}
        assert Signature(self.signed()).differences(Signature(half)).keys() == {"generated"}


class TestCompiled:
    def test_what_cannot_be_compiled_is_told(self, tmp_path: Path) -> None:
        def broken(**given: Any) -> Any:
            raise RuntimeError("InvalidCxxCompiler: no working C++ compiler")

        with pytest.raises(WeightsError, match=r"no working C\+\+ compiler.*Leave --compile out"):
            draw(asked(1), fake(broken, compiled=True), tmp_path)
        with pytest.raises(RuntimeError, match="no working"):  # a defect of the pipeline's own stays one
            draw(asked(1), fake(broken), tmp_path / "other")

    @pytest.mark.slow
    def test_differs_by_rounding_and_is_kept_apart(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import numpy as np
        import torch
        from PIL import Image

        compiling, compiled_ = torch.nn.Module.compile, []

        def traced(module: torch.nn.Module) -> None:
            compiled_.append(type(module).__name__)
            compiling(module, backend="eager")  # machine code takes minutes on a busy CPU

        monkeypatch.setattr(torch.nn.Module, "compile", traced)
        model = str(tiny_pipeline(tmp_path / "tiny"))
        wanted = asked(1, 2, side=32)
        plain = draw(wanted, find_pipeline(model, device="cpu"), tmp_path / "plain")
        compiled = draw(wanted, find_pipeline(model, device="cpu", compiled=True), tmp_path / "compiled")
        assert compiled_ == ["UNet2DConditionModel"]
        for key, path in plain.files.items():
            pair = [np.asarray(Image.open(p)).astype(int) for p in (path, compiled.files[key])]
            assert np.abs(pair[0] - pair[1]).max() <= 1
        with pytest.raises(MetadataError, match="compiled"):
            draw(wanted, find_pipeline(model, device="cpu", compiled=True), tmp_path / "plain")


def test_number_formats_have_two_names() -> None:
    model = "sandbox:original"
    for given, short in (("float32", "fp32"), ("bfloat16", "bf16"), ("float16", "fp16"), ("fp16", "fp16")):
        assert find_pipeline(model, device="cpu", dtype=given).dtype == short
    with pytest.raises(InputError, match=r"dtype 'int8' does not exist\. Choose from"):
        find_pipeline(model, dtype="int8")


def igmu(*words: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_real_images_by_the_command(tmp_path: Path, world_rows: dict[str, list[Row]]) -> None:
    with installed(tiny_package(tmp_path / "package")) as root:
        bench = tiny_bench(root, world_rows["object/church"])
        how = ["generate", "--model", "sandbox:uce/church", "--config", "sandbox.church", "--bench", bench]
        assert igmu(*how, "--out", tmp_path / "whole").exit_code == 0
        for i in (1, 2):
            done = igmu(*how, "--shard", f"{i}/2", "--out", tmp_path / "parts")
            assert f"igmu merge {tmp_path / 'parts'}" in " ".join(done.output.split())
            assert igmu(*how, "--shard", f"{i}/2", "--out", tmp_path / str(i)).exit_code == 0
        assert "images." in igmu("merge", tmp_path / "parts").output
        assert igmu("merge", tmp_path / "1", tmp_path / "2", "--out", tmp_path / "joined").exit_code == 0
        assert contents(tmp_path / "whole") == contents(tmp_path / "parts") == contents(tmp_path / "joined")
