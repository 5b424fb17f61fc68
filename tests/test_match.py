"""Images of other programs are given to rows by what they say, never by guess."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from typer.testing import CliRunner

from igmu_data.errors import EmptyInputError, InputError, MetadataError, OutputError, UnknownIdError
from igmu_data.imports.table import ListFile
from igmu_data.schema import Row
from igmu_metrics.cli import app
from igmu_metrics.detectors import labels
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.generations import of_records
from igmu_metrics.images import matching, programs
from igmu_metrics.images.layouts import find
from igmu_metrics.images.notes import require_pairs
from igmu_metrics.images.prompts import normalized
from igmu_metrics.verdict.counts import check_table


@pytest.fixture(scope="module")
def rows(corpus_rows: dict[str, list[Row]]) -> dict[str, Row]:
    return {r.id: r for r in corpus_rows["object/church"]}


def png(path: Path, **texts: str) -> Path:
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = sum(path.name.encode()) % 200
    image = Image.new("RGB", (8, 8), (shade, 30, 200 - shade))
    image.putpixel((0, 0), (1, 2, 3))
    image.save(path, pnginfo=info)
    return path


def a1111(row: Row, seed: int, **more: Any) -> str:
    extra = "".join(f", {k}: {v}" for k, v in more.items())
    return (
        f"{row.prompt}\nNegative prompt: blurry, Steps: 3\nSteps: 20, Sampler: Euler a, CFG scale: 7.5, Seed: {seed}, "
        f'Size: 8x8, Model: sd14, Lora hashes: "a: 12, b: 34"{extra}, Version: v1.10.1'
    )


def comfy(text: str, seed: Any, **more: Any) -> str:
    graph: dict[str, Any] = {
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": seed,
                "steps": 20,
                "cfg": 7.5,
                "positive": ["12", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
            },
        },
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 8, "height": 8}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
        "12": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["6", 0]}},
    }
    return json.dumps(graph | more)


def matched(folder: Path, rows: dict[str, Row], **options: Any) -> dict[str, tuple[str, int] | str]:
    """By file name: row id and seed, or why there is none."""
    found = matching.match(folder, rows, **options)
    return {m.path.name: (m.row.id, m.seed) if m.row is not None and m.seed is not None else m.how for m in found}


def some(rows: dict[str, Row], n: int) -> list[Row]:
    return [r for r in rows.values() if r.split == "forget"][:n]


class TestPrograms:
    def test_each_program(self, rows: dict[str, Row], tmp_path: Path) -> None:
        a, b, c, d = some(rows, 4)
        png(tmp_path / "00001.png", parameters=a1111(a, 11))
        png(tmp_path / "ComfyUI_00002_.png", prompt=comfy(b.prompt, 12), workflow="{}")
        png(tmp_path / "ComfyUI_00003_.png", prompt=comfy(c.prompt, ["9", 0], **{"9": {"inputs": {"value": 13}}}))
        invoke = {"positive_prompt": d.prompt, "seed": 14, "steps": 30, "cfg_scale": 7.5, "model": {"name": "sd14"}}
        png(tmp_path / "abc.png", invokeai_metadata=json.dumps(invoke))
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + a1111(a, 15).encode("utf-16-be")
        for name in ("x.jpg", "y.webp"):
            image = Image.new("RGB", (8, 8), "red")
            image.save(tmp_path / name, exif=exif)
        got = matched(tmp_path, rows)
        assert got["00001.png"] == (a.id, 11)
        assert got["ComfyUI_00002_.png"] == (b.id, 12)
        assert got["ComfyUI_00003_.png"] == (c.id, 13)
        assert got["abc.png"] == (d.id, 14)
        assert got["x.jpg"] == got["y.webp"]
        assert got["x.jpg"].startswith(f"2 images have row {a.id} and seed 15")

    def test_settings_are_handed_on(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        png(tmp_path / "1.png", parameters=a1111(a, 11))
        found = matching.match(tmp_path, rows)
        record = json.loads(matching.write(tmp_path, found).read_text())
        given = {
            k: record[k] for k in ("steps", "guidance_scale", "width", "height", "sampler", "model", "seed", "prompt")
        }
        assert given == {
            "steps": 20,
            "guidance_scale": 7.5,
            "width": 8,
            "height": 8,
            "sampler": "Euler a",
            "model": "sd14, negative prompt 'blurry, Steps: 3'",
            "seed": 11,
            "prompt": a.prompt,
        }

    def test_every_program_names_its_sampler(self) -> None:
        told = programs.a1111("a\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, Seed: 1")
        assert told is not None
        assert told.settings["sampler"] == "DPM++ 2M Karras"
        graph = json.loads(comfy("a", 1))
        graph["3"]["inputs"] |= {"sampler_name": "euler", "scheduler": "normal"}
        told = programs.comfyui(json.dumps(graph))
        assert told is not None
        assert told.settings["sampler"] == "euler normal"
        del graph["3"]["inputs"]["sampler_name"], graph["3"]["inputs"]["scheduler"]
        graph["3"]["inputs"] |= {"sampler": ["8", 0], "sigmas": ["9", 0]}
        graph["8"] = {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "dpmpp_2m"}}
        graph["9"] = {"class_type": "BasicScheduler", "inputs": {"scheduler": "karras"}}
        told = programs.comfyui(json.dumps(graph))
        assert told is not None
        assert told.settings["sampler"] == "dpmpp_2m karras"
        told = programs.invokeai(json.dumps({"positive_prompt": "a", "seed": 1, "scheduler": "euler_a"}))
        assert told is not None
        assert told.settings["sampler"] == "euler_a"

    def test_what_a1111_puts_onto_the_model_is_not_of_the_prompt(self) -> None:
        told = programs.a1111("a church <lora:esd:0.8>, at dawn <lyco:x:1>\nSteps: 20, Seed: 1")
        assert told is not None
        assert told.prompt == "a church, at dawn"
        assert told.settings["model"] == "<lora:esd:0.8>, <lyco:x:1>"

    def test_two_samplers_or_texts_tell_nothing(self, rows: dict[str, Row], tmp_path: Path) -> None:
        a, b = some(rows, 2)
        other = json.loads(comfy(b.prompt, 12))
        twice = {f"x{k}": v for k, v in other.items()} | {
            "x3": {"inputs": other["3"]["inputs"] | {"positive": ["x6", 0]}}
        }
        png(tmp_path / "1.png", prompt=comfy(a.prompt, 11, **twice))
        png(tmp_path / "2.png", prompt="[1, 2")
        png(tmp_path / "3.png", prompt=json.dumps({"9": {"inputs": {"image": "a.png"}}}))
        got = matched(tmp_path, rows)
        assert "2 samplers and 2 texts" in got["1.png"]
        assert "graph is not valid JSON" in got["2.png"]
        assert "no row has its name as prompt" in got["3.png"]

    def test_a_graph_that_leads_in_circles(self) -> None:
        graph = {
            "1": {"inputs": {"seed": 1, "positive": ["2", 0]}},
            "2": {"inputs": {"a": ["3", 0]}},
            "3": {"inputs": {"a": ["2", 0]}},
        }
        with pytest.raises(InputError, match="0 texts"):
            programs.comfyui(json.dumps(graph))

    @pytest.mark.parametrize("seed", ["1e400", "abc", "", "NaN", "99999999999999999999999"])
    def test_absurd_seeds(self, rows: dict[str, Row], tmp_path: Path, seed: str) -> None:
        (a,) = some(rows, 1)
        png(tmp_path / "1.png", parameters=a1111(a, seed))  # type: ignore[arg-type]
        assert isinstance(matched(tmp_path, rows)["1.png"], str)


INVOKE = {"positive_prompt": "PROMPT", "seed": 1, "generation_mode": "sdxl_txt2img", "model": {"name": "sd14"}}


class TestMoreThanPromptAndSeed:
    """An image of which prompt and seed are only a part is never taken for theirs; the reason is told."""

    @pytest.mark.parametrize(
        "settings",
        [
            {"Variation seed": 7, "Variation seed strength": 0.3},
            {"Variation seed": 0},
            {"Seed resize from": "512x512"},
            {"Denoising strength": 0.7, "Hires upscale": 2, "Hires upscaler": "Latent"},
            {"Denoising strength": 0.75},
            {"Init image hash": "ab12"},
            {"Mask blur": 4},
            {"Inpaint area": "Only masked"},
            {"Conditional mask weight": 1},
            {"ControlNet 0": '"Module: canny, Model: control_canny, Weight: 1"'},
            {"Refiner": "sd_xl_refiner", "Refiner switch at": 0.8},
            {"ADetailer model": "face_yolov8n.pt"},
            {"Face restoration": "CodeFormer"},
            {"Postprocess upscaler": "ESRGAN"},
            {"Script": "X/Y/Z plot"},
        ],
        ids=str,
    )
    def test_a1111(self, rows: dict[str, Row], tmp_path: Path, settings: dict[str, Any]) -> None:
        (a,) = some(rows, 1)
        png(tmp_path / "1.png", parameters=a1111(a, 11, **settings))
        png(tmp_path / "2.png", parameters=a1111(a, 12))
        found = matched(tmp_path, rows)
        assert found["2.png"] == (a.id, 12)
        assert next(iter(settings)).split()[0] in found["1.png"] or "Hires" in str(found["1.png"])
        assert "not only on its prompt and seed" in str(found["1.png"])

    def test_settings_of_no_effect(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        none = {"Variation seed": 7, "Variation seed strength": 0, "Denoising strength": 0, "Clip skip": 2}
        png(tmp_path / "1.png", parameters=a1111(a, 11, **none))
        assert matched(tmp_path, rows) == {"1.png": (a.id, 11)}

    @pytest.mark.parametrize(
        "node",
        [
            "LoadImage",
            "LoadLatent",
            "VAEEncode",
            "ControlNetApplyAdvanced",
            "IPAdapterAdvanced",
            "LatentUpscale",
            "ImageUpscaleWithModel",
            "FaceDetailer",
        ],
    )
    def test_comfyuis_nodes(self, rows: dict[str, Row], tmp_path: Path, node: str) -> None:
        (a,) = some(rows, 1)
        png(tmp_path / "1.png", prompt=comfy(a.prompt, 11, **{"20": {"class_type": node, "inputs": {}}}))
        assert matched(tmp_path, rows)["1.png"].startswith(
            f"the image also depends on {node} (a node of ComfyUI's graph)"
        )  # type: ignore[union-attr]

    def test_comfyuis_passes_and_what_is_put_onto_the_model(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        graph = json.loads(comfy(a.prompt, 11))
        graph["3"]["inputs"]["denoise"] = 0.6
        png(tmp_path / "1.png", prompt=json.dumps(graph))
        again = {"30": {"class_type": "KSampler", "inputs": json.loads(comfy(a.prompt, 11))["3"]["inputs"]}}
        png(tmp_path / "2.png", prompt=comfy(a.prompt, 11, **again))
        lora = {"class_type": "LoraLoader", "inputs": {"lora_name": "esd", "strength_model": 0.8}}
        model = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd14.safetensors"}}
        png(tmp_path / "3.png", prompt=comfy(a.prompt, 11, **{"4": model, "40": lora}))
        found = matched(tmp_path, rows)
        assert "denoise 0.6" in found["1.png"]
        assert "2 samplers" in found["2.png"]
        (told,) = [m.told for m in matching.match(tmp_path, rows) if m.path.name == "3.png"]
        assert told is not None
        assert told.settings["model"] == "sd14.safetensors, <lora:esd:0.8>, negative prompt 'blurry'"

    @pytest.mark.parametrize(
        "more",
        [
            {"generation_mode": "img2img"},
            {"generation_mode": "sdxl_inpaint"},
            {"init_image": "a.png"},
            {"controlnets": [{"control_model": {"name": "canny"}}]},
            {"ipAdapters": [{"image": "a.png"}]},
            {"t2iAdapters": [{"image": "a.png"}]},
            {"ref_images": [{"isEnabled": True}]},
            {"regions": [{"prompt": "x"}]},
            {"refiner_model": {"name": "refiner"}},
            {"hrf_enabled": True},
            {"upscale_model": {"name": "esrgan"}},
            {"positive_style_prompt": "oil"},
        ],
        ids=str,
    )
    def test_invokeai(self, rows: dict[str, Row], tmp_path: Path, more: dict[str, Any]) -> None:
        (a,) = some(rows, 1)
        png(tmp_path / "1.png", invokeai_metadata=json.dumps(INVOKE | {"positive_prompt": a.prompt} | more))
        assert "not only on its prompt and seed" in matched(tmp_path, rows)["1.png"]

    def test_invokeai_without_effect(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        more = {"hrf_enabled": False, "controlnets": [], "ref_images": [{"isEnabled": False}], "refiner_model": None}
        loras = [{"model": {"name": "esd"}, "weight": 0.8}]
        given = INVOKE | {"positive_prompt": a.prompt, "positive_style_prompt": "", "loras": loras} | more
        png(tmp_path / "1.png", invokeai_metadata=json.dumps(given))
        (found,) = matching.match(tmp_path, rows)
        assert (found.row, found.seed) == (a, 1)
        assert found.told is not None
        assert found.told.settings["model"] == "sd14, <lora:esd:0.8>"

    @pytest.mark.parametrize("prompt", ["({})", "[{}]", "({}:)"])
    def test_emphasis_is_not_the_plain_prompt(self, rows: dict[str, Row], tmp_path: Path, prompt: str) -> None:
        (a,) = some(rows, 1)
        text = prompt.format(a.prompt)
        png(tmp_path / "1.png", parameters=a1111(a, 11).replace(a.prompt, text, 1))
        png(tmp_path / "2.png", invokeai_metadata=json.dumps(INVOKE | {"positive_prompt": f"{a.prompt}++"}))
        if "(" in prompt:
            png(tmp_path / "3.png", prompt=comfy(text, 11))
        assert all("as emphasis or a second prompt" in str(how) for how in matched(tmp_path, rows).values())

    def test_signs_of_the_row_itself_and_escaped_ones(self, rows: dict[str, Row], tmp_path: Path) -> None:
        row = next(r for r in rows.values() if "(" in r.prompt)
        png(tmp_path / "1.png", parameters=a1111(row, 11))
        png(tmp_path / "2.png", parameters=a1111(row, 12).replace("(", "\\("))
        assert matched(tmp_path, rows) == {"1.png": (row.id, 11), "2.png": (row.id, 12)}

    def test_a_grid_a_crop_and_a_resized_file(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        wide = a1111(a, 11).replace("Size: 8x8", "Size: 512x512")
        png(tmp_path / "1.png", parameters=wide)
        assert matched(tmp_path, rows) == {
            "1.png": "the file is 8×8, but A1111 generated 512×512, so it may be a grid, "
            "or may have been cropped or resized"
        }
        (tmp_path / "prompts.csv").write_text(f'file,prompt,seed\n1.png,"{a.prompt}",11\n')
        assert matched(tmp_path, rows) == {"1.png": (a.id, 11)}  # who says so in a table is believed


class TestNames:
    def test_prompt_and_seed_in_the_name_or_the_folder(self, rows: dict[str, Row], tmp_path: Path) -> None:
        a, b, c, d = some(rows, 4)
        slug = normalized(a.prompt).replace(" ", "_")
        png(tmp_path / f"{slug}_seed41.png")
        png(tmp_path / f"00012-{b.prompt.replace(',', '')}-42.png")
        png(tmp_path / normalized(c.prompt) / "00043.png")
        png(tmp_path / f"{d.id}_44.png")
        found = {(m.row.id, m.seed) for m in matching.match(tmp_path, rows) if m.row is not None}
        assert found == {(a.id, 41), (b.id, 42), (c.id, 43), (d.id, 44)}

    def test_without_a_seed_only_on_request(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        for name in ("first", "second"):
            png(tmp_path / normalized(a.prompt) / f"{name}.png")
        assert all("--seeds-in-order" in str(how) for how in matched(tmp_path, rows).values())
        got = matched(tmp_path, rows, seeds_in_order=True)
        assert got == {"first.png": (a.id, a.seeds[0]), "second.png": (a.id, a.seeds[1])}

    def test_seeds_in_order_count_as_people_do(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        for name in ("x9b", "x10b"):
            png(tmp_path / normalized(a.prompt) / f"{name}.png")
        got = matched(tmp_path, rows, seeds_in_order=True)
        assert got == {"x9b.png": (a.id, a.seeds[0]), "x10b.png": (a.id, a.seeds[1])}

    def test_a_file_of_no_known_prompt_says_so(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        png(tmp_path / "img_0007.png")
        nothing = "the file itself records no prompt, and no row has its name as prompt"
        assert matched(tmp_path, rows)["img_0007.png"] == f"the folder has no prompts.csv, {nothing}"
        png(tmp_path / "1.png")
        (tmp_path / "prompts.csv").write_text(f'file,prompt,seed\n1.png,"{a.prompt}",7\n')
        assert matched(tmp_path, rows)["img_0007.png"] == f"prompts.csv does not list it, {nothing}"
        (tmp_path / "prompts.csv").write_text("file,prompt,seed\n1.png,a cat,7\n")
        assert matched(tmp_path, rows)["1.png"] == "no row has its prompt, 'a cat'"


class TestTables:
    def test_a_table_wins_over_the_file(self, rows: dict[str, Row], tmp_path: Path) -> None:
        a, b = some(rows, 2)
        png(tmp_path / "1.png", parameters=a1111(a, 11))
        (tmp_path / "prompts.csv").write_text(f'File,Prompt,Seed\n1.png,"{b.prompt.upper()}",77\n')
        assert matched(tmp_path, rows, trust_table=True) == {"1.png": (b.id, 77)}

    def test_tables_that_cannot_be_read(self, rows: dict[str, Row], tmp_path: Path) -> None:
        png(tmp_path / "1.png")
        for text, message in (
            ("a,b\n1,2\n", "has the columns a, b"),
            ("", "no records"),
            ("file,prompt,seed\n1.png,x,1.5\n", r"record 1: the seed is '1\.5'"),
            ("file,prompt,seed\n1.png,x,2.01211E+09\n", "record 1: the seed is '2.*export the table again"),
            ("file,prompt,seed\n1.png,x,9007199254740993.0\n", "record 1: the seed is '9007199254740993"),
            ("a,b\n1,2\n", "--columns file=…,prompt=…,seed=… for other names"),
        ):
            (tmp_path / "t.csv").write_text(text)
            with pytest.raises(MetadataError, match=message):
                matching.match(tmp_path, rows, table=tmp_path / "t.csv")

    @pytest.mark.parametrize("name", ["t.csv", "prompts.xlsx", "old.xls"])
    def test_what_spreadsheets_save_by_default(self, rows: dict[str, Row], tmp_path: Path, name: str) -> None:
        """Every reader of a table says what to do with it."""
        png(tmp_path / "1.png")
        if name.endswith("csv"):
            (tmp_path / name).write_bytes("file,prompt\né,x".encode("utf-16"))
        elif name.endswith("xlsx"):
            with zipfile.ZipFile(tmp_path / name, "w") as workbook:
                workbook.writestr("xl/workbook.xml", "<workbook/>")
            assert f"{name} was not read; give its path with --table" in str(matched(tmp_path, rows)["1.png"])
        else:
            (tmp_path / name).write_bytes(bytes.fromhex("d0cf11e0a1b11ae1"))
        for read in (
            lambda path: matching.match(tmp_path, rows, table=path),
            lambda path: labels.load(str(path)),
            lambda path: check_table(path),
            lambda path: ListFile(path),
        ):
            with pytest.raises(MetadataError, match="export it as CSV with UTF-8 encoding"):
                read(tmp_path / name)

    @pytest.mark.parametrize(
        "name", [r"images\1.png", r"C:\out\images\1.png", "/home/me/out/images/1.png", r"\\server\out\images\1.png"]
    )
    def test_a_table_written_on_another_machine(self, rows: dict[str, Row], tmp_path: Path, name: str) -> None:
        (a,) = some(rows, 1)
        image = png(tmp_path / "images" / "1.png")
        png(tmp_path / "1.png")
        (tmp_path / "prompts.csv").write_text(f'file,prompt,seed\n{name},"{a.prompt}",123.0\n')
        found = {m.path: (m.row and m.row.id, m.seed) for m in matching.match(tmp_path, rows)}
        assert found == {image: (a.id, 123), tmp_path / "1.png": (None, None)}

    def test_other_tables_written_on_windows(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        image = png(tmp_path / "images" / "1.png")
        (tmp_path / "labels.csv").write_text("path,present\nimages\\1.png,yes\n")
        assert labels.load(str(tmp_path / "labels.csv")).paths == [image]
        line = {"file_name": r"images\1.png", "id": a.id, "seed": 123.0}
        (tmp_path / "metadata.jsonl").write_text(json.dumps(line))
        assert find(tmp_path, "metadata", rows).keys == [(a.id, 123)]

    @pytest.mark.parametrize("name", ["1.PNG", "images/1.png", r"images\1.png"])
    def test_a_table_with_other_names_than_the_files(self, rows: dict[str, Row], tmp_path: Path, name: str) -> None:
        a, b = some(rows, 2)
        png(tmp_path / "1.png", parameters=a1111(a, 11))
        (tmp_path / "prompts.csv").write_text(f'file,prompt,seed\n{name},"{b.prompt}",77\n')
        with pytest.raises(MetadataError, match=r"which is not among the images, but does not list '.*1\.png'"):
            matching.match(tmp_path, rows)

    def test_a_table_of_more_and_of_fewer_images_than_there_are(self, rows: dict[str, Row], tmp_path: Path) -> None:
        a, b = some(rows, 2)
        png(tmp_path / "1.png")
        (tmp_path / "prompts.csv").write_text(f"file;prompt;seed\n1.png;{b.prompt};77\n2.png;{a.prompt};78\n")
        with pytest.raises(
            MetadataError, match=r"1 of the 2 files that it lists are not in .*'2\.png'.*--allow-missing"
        ):
            matched(tmp_path, rows)
        assert matched(tmp_path, rows, allow_missing=True) == {"1.png": (b.id, 77)}
        assert [p.name for p in matching.match(tmp_path, rows, allow_missing=True).missing] == ["2.png"]
        png(tmp_path / "2.png")
        png(tmp_path / "3.png", parameters=a1111(a, 11))
        assert matched(tmp_path, rows)["3.png"] == (a.id, 11)

    @pytest.mark.parametrize("seed", ["seed", "Seed", "noise_seed", "evaluation_seed", "Random Seed", "RNG-seed"])
    def test_usual_names_of_columns(self, rows: dict[str, Row], tmp_path: Path, seed: str) -> None:
        (a,) = some(rows, 1)
        png(tmp_path / "1.png")
        (tmp_path / "deliverables.csv").write_text(f'Image File,Caption,{seed}\n1.png,"{a.prompt}",7\n')
        assert "deliverables.csv was not read; give its path with --table" in str(matched(tmp_path, rows)["1.png"])
        assert matched(tmp_path, rows, table=tmp_path / "deliverables.csv") == {"1.png": (a.id, 7)}

    def test_columns_are_named(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        png(tmp_path / "1.png")
        table = tmp_path / "t.csv"
        table.write_text(f'Bild,Satz,Rauschen\n1.png,"{a.prompt}",7\n')
        columns = {"file": "Bild", "prompt": "Satz"}
        assert "--columns seed=" in str(matched(tmp_path, rows, table=table, columns=columns)["1.png"])
        assert matched(tmp_path, rows, table=table, columns=columns | {"seed": "Rauschen"}) == {"1.png": (a.id, 7)}
        for given, wrong, says in (
            (table, {"seed": "Samen"}, "has no column 'Samen'; its columns are Bild, Rauschen, Satz"),
            (table, {"sed": "Rauschen"}, "--columns cannot assign 'sed'; it can only assign file, prompt, seed"),
            (None, {"seed": "Rauschen"}, "contains no table. Specify the table with --table"),
        ):
            with pytest.raises(InputError, match=says):
                matching.match(tmp_path, rows, table=given, columns=wrong)

    @pytest.mark.parametrize("name", ["t.csv", "T.CSV", "t.jsonl"])
    def test_what_windows_and_spreadsheets_write(self, rows: dict[str, Row], tmp_path: Path, name: str) -> None:
        (a,) = some(rows, 1)
        png(tmp_path / "1.png")
        first, _, rest = a.prompt.partition(" ")
        text = f'file,prompt,seed\r\n1.png,"{first}\r\n{rest}",0\r\n'
        if name.endswith("jsonl"):
            text = json.dumps({"file": "1.png", "prompt": f"{first}\n{rest}", "seed": 0})
        (tmp_path / name).write_bytes(f"\ufeff{text}".encode())
        assert matched(tmp_path, rows, table=tmp_path / name, seeds_in_order=True) == {"1.png": (a.id, 0)}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("file,prompt\n1.png,a church, at dawn\n", "record 1: this record has more cells"),
            ("file,prompt,seed\n1.png,a,1\n./1.png,b,1\n", r"record 2: '\./1\.png' has a different prompt"),
            ("file,prompt,seed\n1.png,a,1\n1.png,a,2\n", r"record 2: '1\.png' has a different prompt or seed"),
        ],
    )
    def test_tables_that_can_be_read_in_two_ways(
        self, rows: dict[str, Row], tmp_path: Path, text: str, message: str
    ) -> None:
        png(tmp_path / "1.png")
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(MetadataError, match=message):
            matching.match(tmp_path, rows, table=tmp_path / "t.csv")


class TestWriting:
    def test_what_is_written_is_what_score_reads(self, rows: dict[str, Row], tmp_path: Path) -> None:
        a, b = some(rows, 2)
        png(tmp_path / "1.png", parameters=a1111(a, 11))
        png(tmp_path / "deep" / "2.png", parameters=a1111(b, 12))
        matching.write(tmp_path, matching.match(tmp_path, rows))
        table = find(tmp_path, "metadata", rows)
        assert sorted(table.keys) == sorted([(a.id, 11), (b.id, 12)])

    def test_what_is_left_out_is_listed_and_not_scored(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        png(tmp_path / "1.png", parameters=a1111(a, 11))
        png(tmp_path / "2.png")
        lines = matching.write(tmp_path, matching.match(tmp_path, rows)).read_text().splitlines()
        assert "no row has its name as prompt" in json.loads(lines[1])["left_out"]
        assert find(tmp_path, "metadata", rows).keys == [(a.id, 11)]

    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_a_prompt_and_a_seed_are_enough(self, rows: dict[str, Row], tmp_path: Path, mark: str) -> None:
        a, b = some(rows, 2)
        for name in ("1.png", "2.png"):
            png(tmp_path / name)
        lines = [
            {"file_name": "1.png", "prompt": a.prompt, "seed": 1},
            {"file_name": "2.png", "prompt": f" {b.prompt.upper()}.", "seed": 2},
        ]
        path = tmp_path / "metadata.jsonl"
        path.write_text(mark + "\n".join(map(json.dumps, lines)))
        assert sorted(find(tmp_path, "metadata", rows).keys) == sorted([(a.id, 1), (b.id, 2)])
        path.write_text(json.dumps(lines[0]) + "\n" + json.dumps(lines[1] | {"prompt": "a cat"}))
        with pytest.raises(UnknownIdError, match=r"line 2: no row has its prompt, 'a cat'"):
            find(tmp_path, "metadata", rows)

    def test_another_metadata_is_not_replaced_unasked(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        png(tmp_path / "1.png", parameters=a1111(a, 11))
        (tmp_path / "metadata.jsonl").write_text("{}\n")
        found = matching.match(tmp_path, rows)
        with pytest.raises(OutputError, match="--replace"):
            matching.write(tmp_path, found)
        assert (tmp_path / "metadata.jsonl").read_text() == "{}\n"
        matching.write(tmp_path, found, replacing=True)
        matching.write(tmp_path, found)  # the same again is no replacing

    def test_nothing_matched(self, rows: dict[str, Row], tmp_path: Path) -> None:
        png(tmp_path / "1.png")
        with pytest.raises(EmptyInputError, match="0 of 1 image could"):
            matching.write(tmp_path, matching.match(tmp_path, rows))
        (tmp_path / "empty").mkdir()
        with pytest.raises(EmptyInputError, match="no images"):
            matching.match(tmp_path / "empty", rows)


def test_the_command(bench_folder: Path, rows: dict[str, Row], tmp_path: Path) -> None:
    a, b = some(rows, 2)
    png(tmp_path / "1.png", parameters=a1111(a, 11))
    png(tmp_path / "2.png", parameters=a1111(b, 12).replace(" ", "  ", 1))
    png(tmp_path / "3.png")
    arguments = ["match", str(tmp_path), "--config", "object.church", "--bench", str(bench_folder)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "1 image matched by exact prompt, A1111" in done.output
    assert "not matched: 3.png" in done.output
    assert f"{tmp_path / 'metadata.jsonl'}: matched 2 of 3 images to prompts of object.church" in " ".join(
        done.output.split()
    )


def test_all_bad_folders_are_named_and_the_others_are_matched(
    bench_folder: Path, rows: dict[str, Row], tmp_path: Path
) -> None:
    (a,) = some(rows, 1)
    png(tmp_path / "good" / "1.png", parameters=a1111(a, 11))
    png(tmp_path / "other" / "2.png")
    names = ["missing", "good", "other"]
    words = ["match", *(str(tmp_path / n) for n in names), "--config", "object.church", "--bench", str(bench_folder)]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert isinstance(done.exception, MetadataError)
    first, *each = str(done.exception).splitlines()
    assert first == "2 of the 3 folders could not be matched:"
    assert each[0].startswith(f"{tmp_path / 'missing'} is not a folder.")
    assert each[1].startswith(f"{tmp_path / 'other'}: 0 of 1 image could be matched.")
    (found,) = json.loads(done.stdout)["result"]["folders"]
    assert Path(found["file"]) == tmp_path / "good" / "metadata.jsonl"
    alone = CliRunner().invoke(app, [*words[:1], *words[3:]])  # one bad folder has its own error
    assert isinstance(alone.exception, EmptyInputError)
    assert str(alone.exception).startswith(f"{tmp_path / 'other'}: 0 of 1 image")


class TestRoundedSeeds:
    """As pandas, R and spreadsheets write seeds that are stored in few bits or shown with few digits."""

    @pytest.mark.parametrize("written", ["stored", "shortened"])
    def test_rounded_seeds_are_told_apart_from_other_seeds(
        self, bench_folder: Path, rows: dict[str, Row], tmp_path: Path, written: str
    ) -> None:
        table = ["file,prompt,seed"]
        for n, row in enumerate(some(rows, 4)):
            png(tmp_path / f"{n}.png")
            single = np.float32(row.seeds[0])
            table.append(f'{n}.png,"{row.prompt}",{f"{float(single)}" if written == "stored" else single}')
        (tmp_path / "prompts.csv").write_text("\n".join(table))
        words = ["match", str(tmp_path), "--config", "object.church", "--bench", str(bench_folder)]
        said = " ".join(CliRunner().invoke(app, words).output.split())
        assert re.search(r"All of these seeds are rounded: \d+ is \d+ rounded to single precision \(float32\)", said)
        assert "export the table again with whole numbers" in said
        (tmp_path / "prompts.csv").write_text("\n".join([*table[:-1], table[-1].rpartition(",")[0] + ",5"]))
        said = " ".join(CliRunner().invoke(app, [*words, "--replace"]).output.split())
        assert "are rounded" not in said, "one seed is another one"
        assert "Generate both models' images with the same seeds" in said

    def test_pairs_say_it(self) -> None:
        exact, rounded = ([("a", n)] for n in (610491643, 610491648))
        tables = [of_records([{"id": row, "seed": seed} for row, seed in keys]) for keys in (exact, rounded)]
        why = r"\(610491648 is 610491643 rounded to single precision \(float32\)\)"
        with pytest.raises(EmptyInputError, match=why):
            require_pairs(tables[1], tables[0])
        with pytest.raises(MetadataError, match=why):
            tables[0].paired(tables[1])

    @pytest.mark.parametrize(
        ("seed", "why"),
        [
            ("9.93199e+08", "only 6 of its 9 digits are written"),
            ("1e+09", "only 1 of its 10 digits are written"),
            ("9007199254740993.0", "may be rounded if they are written with a decimal point"),
            ("1.5", "it is not a whole number"),
            ("9.9319862705e+08", "it is not a whole number"),
        ],
    )
    def test_seeds_of_which_digits_are_lost(self, rows: dict[str, Row], tmp_path: Path, seed: str, why: str) -> None:
        (a,) = some(rows, 1)
        png(tmp_path / "1.png")
        line = json.dumps({"file_name": "1.png", "id": a.id, "prompt": a.prompt, "seed": 0}).replace("0}", f"{seed}}}")
        (tmp_path / "prompts.jsonl").write_text(line)
        with pytest.raises(MetadataError, match=why):
            matching.match(tmp_path, rows)
        (tmp_path / "prompts.jsonl").unlink()
        (tmp_path / "prompts.csv").write_text(f'file,prompt,seed\n1.png,"{a.prompt}",{seed}')
        with pytest.raises(MetadataError, match=why):
            matching.match(tmp_path, rows)
        (tmp_path / "metadata.jsonl").write_text(line)
        with pytest.raises(MetadataError, match=why):
            find(tmp_path, "metadata", rows)

    def test_scientific_notation_with_all_digits(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        png(tmp_path / "1.png")
        (tmp_path / "prompts.csv").write_text(f'file,prompt,seed\n1.png,"{a.prompt}",9.931986270e+08')
        assert matched(tmp_path, rows)["1.png"] == (a.id, 993198627)
        (tmp_path / "metadata.jsonl").write_text(f'{{"file_name": "1.png", "id": "{a.id}", "seed": 9.931986270e+08}}')
        assert find(tmp_path, "metadata", rows).keys == [(a.id, 993198627)]


class TestContradictions:
    """A table that is wrong about the images, as after sorting some of its columns alone."""

    @staticmethod
    def table(folder: Path, of: dict[str, tuple[str, int]]) -> None:
        with (folder / "prompts.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("file", "prompt", "seed"), *((name, *told) for name, told in of.items())])

    @pytest.mark.parametrize("wrong", ["prompt", "seed"])
    def test_of_the_files(self, bench_folder: Path, rows: dict[str, Row], tmp_path: Path, wrong: str) -> None:
        found = some(rows, 12)
        files = [png(tmp_path / f"{n:02}.png", parameters=a1111(row, 100 + n)).name for n, row in enumerate(found)]
        own = {name: (row.prompt, 100 + n) for n, (name, row) in enumerate(zip(files, found, strict=True))}
        self.table(tmp_path, own)
        told = matching.match(tmp_path, rows)
        assert (told.notes, len({m.seed for m in told})) == ([], 12)

        def other(name: str, by: int) -> tuple[str, int]:
            prompt, seed = own[name]
            of_prompt, of_seed = own[files[(files.index(name) + by) % 12]]
            return (of_prompt, seed) if wrong == "prompt" else (prompt, of_seed)

        self.table(tmp_path, {name: other(name, 1) for name in files})
        first, second = (repr(r.prompt[:20])[:-1] for r in found[:2]) if wrong == "prompt" else ("100", "101")
        says = (
            rf"12 of the 12 images .*gives '00\.png' the {wrong} {second}.*, but A1111 recorded {first}.*--trust-table"
        )
        with pytest.raises(MetadataError, match=f"{says}\\.$") as error:
            matching.match(tmp_path, rows)
        assert "Correct the table, or remove it to use what the images record" in str(error.value)
        words = ["match", str(tmp_path), "--config", "object.church", "--bench", str(bench_folder)]
        assert isinstance(CliRunner().invoke(app, words).exception, MetadataError)
        assert not (tmp_path / "metadata.jsonl").exists()
        done = CliRunner().invoke(app, [*words, "--trust-table"])
        assert (done.exit_code, "note: the table contradicts 12 of the 12 images" in done.output) == (0, True)

        self.table(tmp_path, own | {files[3]: other(files[3], 1)})
        (note,) = matching.match(tmp_path, rows).notes
        assert note.startswith("the table contradicts 1 of the 12 images")
        assert "'03.png'" in note

    def test_of_the_names(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        one, other = a.seeds[:2]
        for name in (f"a_seed{one}.png", f"a_{other}.png"):
            png(tmp_path / name)
        self.table(tmp_path, {f"a_seed{one}.png": (a.prompt, one), f"a_{other}.png": (a.prompt, other)})
        assert matching.match(tmp_path, rows).notes == []
        self.table(tmp_path, {f"a_seed{one}.png": (a.prompt, other), f"a_{other}.png": (a.prompt, one)})
        with pytest.raises(MetadataError, match=rf"2 of the 2 images .* the seed {one}, but its name says {other}"):
            matching.match(tmp_path, rows)

    def test_numbers_that_count_images_are_no_seeds(self, rows: dict[str, Row], tmp_path: Path) -> None:
        (a,) = some(rows, 1)
        names = ["00012.png", "church-3.png", "a 20260101.png", f"{a.prompt[:20]} 4.png"]
        for name in names:
            png(tmp_path / name)
        self.table(tmp_path, {name: (a.prompt, seed) for name, seed in zip(names, a.seeds, strict=False)})
        found = matching.match(tmp_path, rows)
        assert found.notes == []
        assert all(m.row is not None for m in found)


class TestLostZeroWidthCharacters:
    """A table whose prompts lost them gives an attack's image the plain row."""

    @staticmethod
    def pairs(rows: dict[str, Row], n: int) -> list[tuple[Row, Row, str]]:
        """Attacks, the plain rows that they look like, and their prompts without the characters."""
        by = {row.prompt: row for row in rows.values()}
        shown = ((row, re.sub("[\u200b-\u200f\u2060\ufeff\u00ad]", "", row.prompt)) for row in rows.values())
        return [(row, by[text], text) for row, text in shown if text != row.prompt and text in by][:n]

    def test_two_images_compete(self, rows: dict[str, Row], tmp_path: Path) -> None:
        ((attack, plain, text),) = self.pairs(rows, 1)
        seed = plain.seeds[0]
        files = {"plain.png": text, "attack.png": attack.prompt}
        for name in files:
            png(tmp_path / name)
        TestContradictions.table(tmp_path, {name: (prompt, seed) for name, prompt in files.items()})
        assert matched(tmp_path, rows) == {"plain.png": (plain.id, seed), "attack.png": (attack.id, seed)}
        TestContradictions.table(tmp_path, dict.fromkeys(files, (text, seed)))
        lost = (
            f"2 images have row {plain.id} and seed {seed}: the prompt fits the plain row and attack {attack.id}; "
            "zero-width characters may have been lost"
        )
        assert matched(tmp_path, rows) == dict.fromkeys(files, lost)

    def test_attacks_alone(self, rows: dict[str, Row], tmp_path: Path) -> None:
        ((attack, plain, text),) = self.pairs(rows, 1)
        other = next(r for r in rows.values() if r.split == "adversarial" and r.attack_family != attack.attack_family)
        for name in ("a.png", "b.png"):
            png(tmp_path / name)
        TestContradictions.table(tmp_path, {"a.png": (text, plain.seeds[0]), "b.png": (plain.prompt, plain.seeds[1])})
        assert matching.match(tmp_path, rows).notes == [], "plain images of a folder without attacks"
        TestContradictions.table(tmp_path, {"a.png": (text, plain.seeds[0]), "b.png": (other.prompt, other.seeds[0])})
        (note,) = matching.match(tmp_path, rows).notes
        assert note.startswith("1 image counted as plain, such as a.png: the prompt fits the plain row and attack ")
        png(tmp_path / "c.png", parameters=a1111(attack, attack.seeds[1]))
        assert matching.match(tmp_path, rows).notes == [], "an attack kept its characters"


def test_a_folder_of_which_most_is_left_out(bench_folder: Path, rows: dict[str, Row], tmp_path: Path) -> None:
    (a,) = some(rows, 1)
    png(tmp_path / "1.png", parameters=a1111(a, 11))
    for n in (2, 3):
        png(tmp_path / f"{n}.png", parameters=a1111(a, n).replace("\n", ", 4k\n", 1))
    words = ["match", str(tmp_path), "--config", "object.church", "--bench", str(bench_folder)]
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, MetadataError)
    said = str(refused.exception)
    assert "1 of 3 images could be matched. The most frequent reason (2 images, such as 2.png) is: no row has" in said
    assert said.endswith("leave these images out with --allow-missing.")
    assert not (tmp_path / "metadata.jsonl").exists()
    assert CliRunner().invoke(app, [*words, "--allow-missing"]).exit_code == 0
    (tmp_path / "3.png").unlink()  # of half of the images it is said, but they are no reason to stop
    done = CliRunner().invoke(app, [*words, "--replace"])
    assert (done.exit_code, "matched 1 of 2 images" in done.output) == (0, True)
    png(tmp_path / "1.png")
    assert isinstance(CliRunner().invoke(app, [*words, "--allow-missing"]).exception, EmptyInputError)


def test_what_is_missing_and_seeds_of_ones_own_are_told(
    bench_folder: Path, rows: dict[str, Row], tmp_path: Path
) -> None:
    a, b = some(rows, 2)
    png(tmp_path / "1.png")
    table = tmp_path / "list.csv"
    table.write_text(f'Bild,prompt,seed\n1.png,"{a.prompt}",7\n2.png,"{b.prompt}",8\n')
    words = ["match", str(tmp_path), "--config", "object.church", "--bench", str(bench_folder), "--table", str(table)]
    words += ["--columns", "file=Bild"]
    refused = CliRunner().invoke(app, words)
    assert "--allow-missing" in str(refused.exception)
    assert not (tmp_path / "metadata.jsonl").exists()
    done = CliRunner().invoke(app, [*words, "--allow-missing"])
    assert done.exit_code == 0, done.output
    assert "missing: 2.png" in done.output
    assert f"1 of the {len(rows)} prompts of object.church have an image" in done.output
    said = " ".join(done.output.split())
    assert f"seeds of 1 image; for example, seed 7 of row {a.id} is not among {a.seeds[0]}, " in said
    found = json.loads(CliRunner().invoke(app, [*words, "--allow-missing", "--json"]).output)["result"]["folders"][0]
    assert [Path(p).name for p in found["missing"]] == ["2.png"]
    assert (found["n_prompts"], found["n_prompts_asked"], found["n_other_seeds"]) == (1, len(rows), 1)


def test_seeds_by_order_are_noted_on_the_scorecard_and_other_seeds_refused_with_a_next_step(
    bench_folder: Path, rows: dict[str, Row], tmp_path: Path
) -> None:
    (a,) = some(rows, 1)
    folders = [tmp_path / "before", tmp_path / "after"]
    lines = []
    for folder in folders:
        for name in ("first", "second"):
            lines.append(f"{png(folder / normalized(a.prompt) / f'{folder.name}-{name}.png')},yes")
        matching.write(folder, matching.match(folder, rows, seeds_in_order=True))
    (tmp_path / "labels.csv").write_text("\n".join(["path,object/church", *lines]))
    evaluation = Evaluation("object.church", detector=f"labels:{tmp_path / 'labels.csv'}", bench=str(bench_folder))
    (card,) = evaluation.run(folders[0], [folders[1]])
    assert [note for note in card.notes if "assumed" in note] == [
        f"the seeds of 2 of the {who} model's 2 images are assumed, not recorded (in the order of the file names)"
        for who in ("unlearned", "original")
    ]
    path = folders[1] / "metadata.jsonl"
    text = path.read_text()
    for seed, other in zip(a.seeds, (3, 4), strict=False):
        text = text.replace(f'"seed": {seed},', f'"seed": {other},')
    path.write_text(text)
    with pytest.raises(EmptyInputError, match=r"has seed 3, 4, .*\. Generate both with the same seeds"):
        list(evaluation.run(folders[0], [folders[1]]))


def test_two_folders_at_once_as_the_error_of_scoring_them_says(
    bench_folder: Path, rows: dict[str, Row], tmp_path: Path
) -> None:
    (a,) = some(rows, 1)
    folders = tmp_path / "before", tmp_path / "after"
    for folder in folders:
        png(folder / "1.png", parameters=a1111(a, 11))
    with pytest.raises(MetadataError, match=f"igmu match {folders[0]} --config"):
        find(folders[0], "metadata", rows)
    words = ["match", *map(str, folders), "--config", "object.church", "--bench", str(bench_folder)]
    done = CliRunner().invoke(app, words)
    assert done.output.count("matched 1 of 1 image to prompts of object.church") == 2, done.output
    assert [len(find(folder, "metadata", rows)) for folder in folders] == [1, 1]
