"""What images are generated with where rows say nothing: the family of a model, told by its configuration alone."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from timeless import TIMES
from tiny_diffusion import tiny_pipeline, tiny_transformer_pipeline, tiny_xl_pipeline
from typer.testing import CliRunner

from igmu_data.errors import InputError, MetadataError
from igmu_data.rows.concept import forget_rows
from igmu_data.schema import Row
from igmu_data.taxonomy import concept
from igmu_metrics.attacks.running.run import AttackRun
from igmu_metrics.cli import app
from igmu_metrics.images import presets
from igmu_metrics.images.generate import Request, draw, requests_for, settled, settled_alike, told
from igmu_metrics.images.pipelines import Pipeline, find_pipeline
from igmu_metrics.images.presets import FAMILIES, Preset, Settings

pytestmark = pytest.mark.usefixtures("one_thread")
ASKED = Request("row", 1, "a church at dusk")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline in the shape of Stable Diffusion 1.x, 32 pixels square."""
    return tiny_pipeline(tmp_path_factory.mktemp("first"), width=768)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Of the corpus, as everybody gets them."""
    found = list(itertools.islice(forget_rows(concept("object/church")), 2))
    assert all(getattr(r, name) is None for r in found for name in presets.FIELDS)
    return found


def preset(folder: Path) -> Preset:
    found = find_pipeline(str(folder), device="cpu").preset
    assert found is not None
    return found()


def described(folder: Path, kind: str, **parts: dict[str, Any]) -> Preset:
    """Of a folder that has configurations and no weights."""
    import diffusers

    for name, config in parts.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(config))
    return presets.preset(folder, getattr(diffusers, kind), {})


# What the published networks' configurations say, as far as it counts.
VAE = {"block_out_channels": [128, 256, 512, 512]}
DC = {"encoder_block_out_channels": [128, 256, 512, 512, 1024, 1024]}
PUBLISHED = [
    ("StableDiffusionPipeline", {"unet": {"cross_attention_dim": 768, "sample_size": 64}}, VAE, "Stable Diffusion 1.x"),
    (
        "StableDiffusionPipeline",
        {"unet": {"cross_attention_dim": 1024, "sample_size": 64}},
        VAE,
        "Stable Diffusion 2.x",
    ),
    (
        "StableDiffusionPipeline",
        {"unet": {"cross_attention_dim": 1024, "sample_size": 96}},
        VAE,
        "Stable Diffusion 2.x",
    ),
    (
        "StableDiffusionXLPipeline",
        {"unet": {"cross_attention_dim": 2048, "sample_size": 128}},
        VAE,
        "Stable Diffusion XL",
    ),
    ("StableDiffusion3Pipeline", {"transformer": {"sample_size": 128, "qk_norm": None}}, VAE, "Stable Diffusion 3"),
    (
        "StableDiffusion3Pipeline",
        {"transformer": {"sample_size": 128, "qk_norm": "rms_norm", "dual_attention_layers": [0, 1, 2]}},
        VAE,
        "Stable Diffusion 3.5 Medium",
    ),
    (
        "StableDiffusion3Pipeline",
        {"transformer": {"sample_size": 128, "qk_norm": "rms_norm", "dual_attention_layers": []}},
        VAE,
        "Stable Diffusion 3.5 Large",
    ),
    ("FluxPipeline", {"transformer": {"guidance_embeds": True}}, VAE, "FLUX.1 dev"),
    ("FluxPipeline", {"transformer": {"guidance_embeds": False}}, VAE, "FLUX.1 schnell"),
    ("PixArtAlphaPipeline", {"transformer": {"sample_size": 128}}, VAE, "PixArt-α"),
    ("PixArtSigmaPipeline", {"transformer": {"sample_size": 128}}, VAE, "PixArt-Σ"),
    ("SanaPipeline", {"transformer": {"sample_size": 32}}, DC, "Sana"),
]
SETTINGS = {
    "Stable Diffusion 1.x": (50, 7.5),
    "Stable Diffusion 2.x": (50, 7.5),
    "Stable Diffusion XL": (50, 5.0),
    "Stable Diffusion 3": (28, 7.0),
    "Stable Diffusion 3.5 Medium": (40, 4.5),
    "Stable Diffusion 3.5 Large": (28, 3.5),
    "FLUX.1 dev": (50, 3.5),
    "FLUX.1 schnell": (4, 0.0),
    "PixArt-α": (20, 4.5),
    "PixArt-Σ": (20, 4.5),
    "Sana": (20, 4.5),
}


class TestFamilies:
    def test_every_one_has_a_source_and_its_figures_here(self) -> None:
        assert {f.name: (f.steps, f.guidance_scale) for f in FAMILIES} == SETTINGS
        assert all(f.source and f.sizes for f in FAMILIES)

    @pytest.mark.parametrize(("kind", "network", "vae", "name"), PUBLISHED)
    def test_the_published_networks(
        self, tmp_path: Path, kind: str, network: dict[str, Any], vae: dict[str, Any], name: str
    ) -> None:
        found = described(tmp_path, kind, vae=vae, **network)
        (config,) = network.values()
        sides = {64: 512, 96: 768, 128: 1024, 32: 1024, None: 1024}
        side = sides[config.get("sample_size")]
        assert found == Preset(name, *SETTINGS[name], side, side)
        (family,) = [f for f in FAMILIES if f.name == name]
        assert side in family.sizes

    def test_as_they_are_saved(self, first: Path, tmp_path: Path) -> None:
        """Real folders of every class, with the names turned around: a name says nothing."""
        folders = {
            "Stable Diffusion 1.x": first,
            "Stable Diffusion 2.x": tiny_pipeline(tmp_path / "stable-diffusion-v1-4", width=1024),
            "Stable Diffusion XL": tiny_xl_pipeline(tmp_path / "FLUX.1-dev"),
        }
        for name, kind, settings in (
            ("Stable Diffusion 3", "StableDiffusion3", {}),
            ("Stable Diffusion 3.5 Large", "StableDiffusion3", {"qk_norm": "rms_norm"}),
            (
                "Stable Diffusion 3.5 Medium",
                "StableDiffusion3",
                {"qk_norm": "rms_norm", "dual_attention_layers": (0,)},
            ),
            ("FLUX.1 dev", "Flux", {"guidance_embeds": True}),
            ("FLUX.1 schnell", "Flux", {"guidance_embeds": False}),
            ("PixArt-α", "PixArtAlpha", {}),
            ("PixArt-Σ", "PixArtSigma", {"sample_size": 64}),
            ("Sana", "Sana", {"sample_size": 16}),
        ):
            folders[name] = tiny_transformer_pipeline(tmp_path / f"sdxl-{len(folders)}", kind, **settings)
        found = {name: preset(folder) for name, folder in folders.items()}
        assert {name: p.name for name, p in found.items()} == {name: name for name in SETTINGS}
        assert {name: p.width for name, p in found.items() if p.width != 1024} == {
            "Stable Diffusion 1.x": 32,
            "Stable Diffusion 2.x": 32,
            "Stable Diffusion XL": 32,
            "PixArt-Σ": 512,
            "Sana": 512,
        }

    @pytest.mark.parametrize(
        ("name", "steps", "guidance"),
        [("StableDiffusionPipeline", 50, 7.5), ("LatentConsistencyModelPipeline", 4, 8.5)],
    )
    def test_of_no_family_the_pipelines_own_defaults(
        self, tmp_path: Path, name: str, steps: int, guidance: float
    ) -> None:
        folder = tiny_pipeline(tmp_path)
        index = json.loads((folder / "model_index.json").read_text())
        (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": name}))
        found = preset(folder)
        assert found == Preset(f"{name}'s own defaults", steps, guidance, 32, 32)
        pipe = find_pipeline(str(folder), device="cpu").load()
        default = inspect.signature(pipe.__call__).parameters
        assert (default["num_inference_steps"].default, default["guidance_scale"].default) == (steps, guidance)
        assert pipe.unet.config.sample_size * pipe.vae_scale_factor == 32
        if name == "StableDiffusionPipeline":  # the other wants a scheduler of its own
            image = pipe("a church", num_inference_steps=1, output_type="np").images[0]  # whose size diffusers chooses
            assert image.shape == (32, 32, 3)

    def test_the_signatures_size_comes_first_and_a_size_may_be_unknown(self, tmp_path: Path) -> None:
        aura = described(tmp_path / "a", "AuraFlowPipeline", transformer={"sample_size": 64}, vae=VAE)
        assert aura == Preset("AuraFlowPipeline's own defaults", 50, 3.5, 1024, 1024)
        pixels = described(tmp_path / "i", "IFPipeline", unet={"sample_size": [48, 64]})
        assert (pixels.width, pixels.height) == (64, 48)
        qwen = described(tmp_path / "q", "QwenImagePipeline", transformer={}, vae={"temperal_downsample": [True]})
        assert qwen == Preset("QwenImagePipeline's own defaults", 50, None, None, None)
        found = Pipeline("qwen", "r1", "cpu", "fp32", lambda: None, lambda: qwen)
        with pytest.raises(InputError, match=r"qwen: some settings \(width, height\) are .*\. Use --size\.$"):
            settled([ASKED], found)
        (one,) = settled([ASKED], found, width=64, height=32)
        assert (one.guidance_scale, str(one)) == (None, "steps 50, guidance none, 64×32")

    def test_a_configuration_of_before_0_9_is_corrected_as_diffusers_does(self, tmp_path: Path) -> None:
        """Old repositories say 32 or less of networks that draw 64 latents."""
        folder = tiny_pipeline(tmp_path, width=768)
        file = folder / "unet" / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"_diffusers_version": "0.6.0"}))
        assert preset(folder).width == 64 * 4
        with pytest.warns(FutureWarning, match="sample_size"):
            pipe = find_pipeline(str(folder), device="cpu").load()
        assert pipe.unet.config.sample_size == 64

    def test_a_folder_put_in_a_networks_place_counts(self, first: Path, tmp_path: Path) -> None:
        base = tiny_transformer_pipeline(tmp_path / "dev", "Flux", guidance_embeds=True)
        other = tiny_transformer_pipeline(tmp_path / "schnell", "Flux", guidance_embeds=False)
        for place in (other, other / "transformer"):
            found = find_pipeline(f"{base},transformer={place}", device="cpu").preset
            assert found is not None
            assert found().name == "FLUX.1 schnell"
        file = first / "unet" / "diffusion_pytorch_model.safetensors"
        found = find_pipeline(f"filter:{first},unet={file}", device="cpu", target="object/church").preset
        assert found is not None
        assert found().name == "Stable Diffusion 1.x"


class TestPrecedence:
    def test_an_option_before_the_row_before_the_preset(self) -> None:
        default = Preset("mine", 50, 7.5, 512, 512)
        found = Pipeline("m", "r1", "cpu", "fp32", lambda: None, lambda: default)
        half = dataclasses.replace(ASKED, steps=20, width=640)
        assert settled([ASKED, half], found) == [Settings(50, 7.5, 512, 512), Settings(20, 7.5, 640, 512)]
        assert settled([ASKED, half], found, steps=3, height=256) == [
            Settings(3, 7.5, 512, 256),
            Settings(3, 7.5, 640, 256),
        ]
        assert settled([ASKED], found, guidance_scale=0.0)[0].guidance_scale == 0.0
        assert told(settled([ASKED], found)) == "steps 50, guidance 7.5, 512×512: mine"
        assert told(settled([ASKED, half, ASKED], found, steps=3)) == (
            "steps 3, guidance 7.5, 512×512: steps from the options, the rest from mine (2 images)\n"
            "steps 3, guidance 7.5, 640×512: steps from the options, width from the rows, the rest from mine (1 image)"
        )

    def test_the_configuration_is_asked_only_for_what_is_left_to_it(self) -> None:
        def never() -> Preset:
            raise AssertionError("read")

        found = Pipeline("m", "r1", "cpu", "fp32", lambda: None, never)
        whole = Request("row", 1, "a church", 7.5, 2, 32, 32)
        assert told(settled([whole], found)) == "steps 2, guidance 7.5, 32×32: from the rows"
        given = {"steps": 2, "guidance_scale": 1.0, "width": 8, "height": 8}
        assert told(settled([ASKED], found, **given)) == "steps 2, guidance 1, 8×8: from the options"

    def test_a_pipeline_without_a_preset_wants_to_be_told(self) -> None:
        found = Pipeline("mine", "r1", "cpu", "fp32", lambda: None)
        with pytest.raises(
            InputError, match=r"mine: some settings \(steps, guidance, width, height\) are set neither in the rows nor"
        ):
            settled([ASKED], found)

    def test_models_that_would_draw_unlike_are_refused(self) -> None:
        def model(name: str, *values: Any) -> Pipeline:
            return Pipeline(name, "r1", "cpu", "fp32", lambda: None, lambda: Preset(name, *values))

        one, same = model("dev", 50, 3.5, 1024, 1024), model("other", 50, 3.5, 1024, 1024)
        other = model("schnell", 4, 0.0, 1024, 1024)
        assert settled_alike([ASKED], {"original": one, "mine": same}) == settled([ASKED], one)
        message = (
            r"church: mine would generate images with steps 4, guidance 0, 1024×1024 \(schnell\), whereas original "
            r"would use steps 50, guidance 3\.5, .*--steps"
        )
        with pytest.raises(InputError, match=message):
            settled_alike([ASKED], {"original": one, "mine": other}, "church")
        assert settled_alike([ASKED], {"a": one, "b": other}, steps=4, guidance_scale=0.0)
        ddim, pndm = replace(one, scheduler="DDIMScheduler"), replace(one, scheduler="PNDMScheduler")
        assert settled_alike([ASKED], {"original": ddim, "mine": one, "alike": ddim})
        with pytest.raises(
            InputError, match=r"church: mine would .* PNDMScheduler, whereas original would use DDIMSch"
        ):
            settled_alike([ASKED], {"original": ddim, "mine": pndm}, "church")


class TestGenerating:
    """Rows of the corpus as they are, end to end."""

    def generate(self, monkeypatch: pytest.MonkeyPatch, rows: list[Row], *arguments: str | Path) -> Any:
        monkeypatch.setattr("igmu_data.load.bench_rows", lambda *_, **__: {r.id: r for r in rows})
        options = ("generate", "--config", "object.church", "--seeds-per-row", "1", "--device", "cpu")
        return CliRunner().invoke(app, [*options, *map(str, arguments)], catch_exceptions=False)

    @pytest.mark.slow
    def test_the_preset_is_said_used_and_recorded(
        self, first: Path, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done = self.generate(monkeypatch, rows, "--model", first, "--out", tmp_path / "out")
        assert done.exit_code == 0, done.output
        assert "steps 50, guidance 7.5, 32×32: Stable Diffusion 1.x" in done.stderr
        assert "2 images, 2 of them new" in " ".join(done.stdout.split())
        lines = [json.loads(x) for x in (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()]
        assert [[r[n] for n in presets.FIELDS] for r in lines] == [[50, 7.5, 32, 32]] * 2
        # The same as of rows that say it themselves.
        said = [r.model_copy(update={"steps": 50, "guidance_scale": 7.5, "width": 32, "height": 32}) for r in rows]
        pipeline = find_pipeline(str(first), device="cpu")
        files = draw(requests_for(said, seeds_per_row=1), pipeline, tmp_path / "said", progress=False).files
        for path in files.values():
            assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()

    def test_options_win_over_rows(
        self, first: Path, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sized = [rows[0].model_copy(update={"steps": 3, "width": 64, "height": 64})]
        done = self.generate(monkeypatch, sized, "--model", first, "--out", tmp_path, "--size", "16")
        assert "steps 3, guidance 7.5, 16×16: size from the options, steps from the rows, the rest from" in done.stderr
        (path,) = tmp_path.glob("*.png")
        assert np.asarray(Image.open(path)).shape == (16, 16, 3)

    @pytest.mark.slow
    def test_a_second_run_asks_for_the_same_and_loads_nothing(
        self, first: Path, rows: list[Row], tmp_path: Path
    ) -> None:
        pipeline = find_pipeline(str(first), device="cpu")
        requests = requests_for(rows, seeds_per_row=1)
        out = tmp_path / "out"
        draw(requests, pipeline, out, steps=2, progress=False)
        before = {p.name: p.read_bytes() for p in out.iterdir() if p.name != TIMES}

        def load() -> Any:
            raise AssertionError("loaded")

        found = dataclasses.replace(find_pipeline(str(first), device="cpu"), load=load)
        assert draw(requests, found, out, steps=2, progress=False).n_drawn == 0
        (next(out.glob("*.png"))).unlink()
        assert draw(requests, pipeline, out, steps=2, progress=False).n_drawn == 1
        assert {p.name: p.read_bytes() for p in out.iterdir() if p.name != TIMES} == before
        # Images of another preset never mix with these.
        other = dataclasses.replace(pipeline, preset=lambda: Preset("of tomorrow", 2, 5.0, 32, 32))
        with pytest.raises(MetadataError, match=r"generated with guidance_scale=7\.5, not 5\.0"):
            draw(requests, other, out, steps=2, progress=False)

    def test_a_run_says_it_and_refuses_models_that_differ(
        self, first: Path, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("igmu_metrics.running.run.bench_rows", lambda *_, **__: {r.id: r for r in rows})
        other = shutil.copytree(first, tmp_path / "other")
        file = other / "unet" / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"sample_size": 16}))
        plan = tmp_path / "run.yaml"
        given = {"original": str(first), "configs": ["object.church"], "seeds_per_row": 1}
        given |= {"scoring": {"detector": "sandbox", "clip": "sandbox"}}  # instruments are opened before all else

        def dry(unlearned: str, *more: str) -> Any:
            plan.write_text(yaml.safe_dump(given | {"unlearned": {"mine": unlearned}}))
            return CliRunner().invoke(app, ["run", str(plan), "--dry-run", "--out", str(tmp_path / "o"), *more])

        done = dry(f"filter:{first}")
        assert "2 models, object.church 2 prompts: 4 images, of which 4 must be generated\n" in done.output
        assert "steps 50, guidance 7.5, 32×32: Stable Diffusion 1.x\n" in done.output
        refused = dry(str(other))
        assert isinstance(refused.exception, InputError)
        assert "object.church: mine would generate images with steps 50, guidance 7.5, 64×64" in str(refused.exception)
        attack = AttackRun(str(other), str(first), "pez", "object.church", device="cpu")
        with pytest.raises(InputError, match=r"other would generate .* 64×64 .*, whereas pipeline would use .* 32×32"):
            attack.run(tmp_path / "attack")
        done = dry(str(other), "--size", "24", "--guidance-scale", "3")
        told = " ".join(done.output.split())
        assert "steps 50, guidance 3, 24×24: guidance and size from the options, the rest from Stable" in told
