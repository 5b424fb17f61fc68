"""SD3, FLUX, PixArt and Sana as they are published: every shape generates, to the byte, what the full folder does."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_published import lora_kohya, saved
from tiny_diffusion import tiny_transformer_pipeline

from igmu_data.errors import WeightsError
from igmu_metrics.images.generate import Request, draw
from igmu_metrics.images.pipelines import find_pipeline
from igmu_metrics.images.published import join

pytestmark = pytest.mark.usefixtures("one_thread")
WEIGHTS: Final = Path("transformer", "diffusion_pytorch_model.safetensors")
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Kind:
    """A family of pipelines.

    Args:
        layers: of its transformer, that methods change.
        texts: its text encoders, each with a tensor of it.
        side: pixels; the least that its pipeline generates without scaling.
        settings: of the transformer.
    """

    layers: tuple[str, ...]
    texts: Mapping[str, str]
    side: int = 32
    settings: Mapping[str, Any] | None = None


CROSS: Final = ("transformer_blocks.0.attn2.to_k", "transformer_blocks.0.attn2.to_v")
CLIP: Final = "encoder.layers.0.self_attn.q_proj.weight"
T5: Final = "encoder.block.0.layer.0.SelfAttention.q.weight"
KINDS: Final = {
    "StableDiffusion3": Kind(
        ("transformer_blocks.0.attn.to_k", "transformer_blocks.0.attn.add_v_proj"),
        {"text_encoder": CLIP, "text_encoder_2": CLIP, "text_encoder_3": T5},
    ),
    "Flux": Kind(
        ("transformer_blocks.0.attn.add_k_proj", "single_transformer_blocks.0.attn.to_v"),
        {"text_encoder": CLIP, "text_encoder_2": T5},
        settings={"guidance_embeds": True},
    ),
    "PixArtAlpha": Kind(CROSS, {"text_encoder": T5}, 256, {"sample_size": 32}),
    "PixArtSigma": Kind(CROSS, {"text_encoder": T5}, 256, {"sample_size": 32}),
    "Sana": Kind(CROSS, {"text_encoder": "layers.0.self_attn.q_proj.weight"}, 512, {"sample_size": 16}),
}


@dataclass(frozen=True)
class Made:
    """A base, what a method changed of it, and the whole folder that this gives."""

    kind: str
    base: Path
    full: Path
    lora: Tensors
    changed: Tensors
    expected: bytes
    plain: bytes


def image(spec: str, out: Path, kind: str, **options: Any) -> bytes:
    side = KINDS[kind].side
    asked = Request("row", 1, "a church at dawn", 4.5, 2, side, side)
    done = draw([asked], find_pipeline(spec, device="cpu", **options), out, progress=False)
    return done.files[asked.key].read_bytes()


def made(kind: str, root: Path) -> Made:
    base = tiny_transformer_pipeline(root / "base", kind, texts=True, **(KINDS[kind].settings or {}))
    weights, draws = load_file(base / WEIGHTS), torch.Generator().manual_seed(5)
    lora, changed = {}, {}
    for layer in KINDS[kind].layers:
        rows, columns = weights[f"{layer}.weight"].shape
        down, up = torch.randn(2, columns, generator=draws), torch.randn(rows, 2, generator=draws)
        lora |= {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}
        changed[f"{layer}.weight"] = weights[f"{layer}.weight"] + up @ down
    full = shutil.copytree(base, root / "full")
    save_file(weights | changed, full / WEIGHTS)
    return Made(kind, base, full, lora, changed, image(str(full), root / "a", kind), image(str(base), root / "b", kind))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    there: dict[str, Made] = {}

    def get(kind: str) -> Made:
        if kind not in there:
            there[kind] = made(kind, tmp_path_factory.mktemp(kind))
        return there[kind]

    return get


def peft(folder: Path, lora: Tensors) -> str:
    """A folder of peft's, with alpha twice the rank: its scale makes it whole again."""
    folder.mkdir()
    saved({f"base_model.model.{k}": v for k, v in lora.items()}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 4}))
    return f"{folder}:0.5"


def named_fp16(base: Path, folder: Path) -> Path:
    copy = shutil.copytree(base, folder)
    for file in copy.rglob("*.safetensors"):
        file.rename(file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")))
    return copy


SHAPES: Final[dict[str, Callable[[Made, Path], dict[str, Any]]]] = {
    "folder": lambda m, tmp: {"transformer": str(shutil.copytree(m.full / "transformer", tmp / "theirs"))},
    "pipeline folder": lambda m, tmp: {"transformer": str(m.full)},
    "all tensors": lambda m, tmp: {"transformer": saved(load_file(m.full / WEIGHTS), tmp / "all.safetensors")},
    "some tensors": lambda m, tmp: {"transformer": saved(m.changed, tmp / "esd.safetensors")},
    "some tensors, .pt": lambda m, tmp: {"transformer": saved(m.changed, tmp / "esd.pt")},
    "wrapped and prefixed, .bin": lambda m, tmp: {
        "transformer": saved({"state_dict": {f"module.{k}": v for k, v in m.changed.items()}}, tmp / "a.bin")
    },
    "transformer. before the names": lambda m, tmp: {
        "transformer": saved({f"transformer.{k}": v for k, v in m.changed.items()}, tmp / "a.safetensors")
    },
    "LoRA, diffusers' names": lambda m, tmp: {
        "lora": saved({f"transformer.{k}": v for k, v in m.lora.items()}, tmp / "l.safetensors")
    },
    "LoRA, peft folder": lambda m, tmp: {"lora": peft(tmp / "peft", m.lora)},
}
QUICK: Final = ("StableDiffusion3", "Flux")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_every_shape_generates_what_the_full_folder_does(
    kind: str, shape: str, models: Callable[[str], Made], tmp_path: Path
) -> None:
    m = models(kind)
    assert image(join(str(m.base), SHAPES[shape](m, tmp_path)), tmp_path / "out", kind) == m.expected != m.plain


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
class TestTheRest:
    def test_every_text_encoder_by_folder_and_by_file(
        self, kind: str, models: Callable[[str], Made], tmp_path: Path
    ) -> None:
        m = models(kind)
        seen = {m.plain}
        for part, name in KINDS[kind].texts.items():
            state = load_file(m.base / part / "model.safetensors")
            (name,) = [k for k in state if k.endswith(name)]
            folder = shutil.copytree(m.base, tmp_path / part)
            save_file(state | {name: state[name] * -3}, folder / part / "model.safetensors", metadata={"format": "pt"})
            wanted = image(str(folder), tmp_path / f"{part}-full", kind)
            file = saved({name: state[name] * -3}, tmp_path / f"{part}.pt")
            for at, given in enumerate((folder, folder / part, file)):
                assert image(f"{m.base},{part}={given}", tmp_path / f"{part}-{at}", kind) == wanted
            assert wanted not in seen  # each encoder counts
            seen.add(wanted)

    def test_a_folder_of_one_variant(self, kind: str, models: Callable[[str], Made], tmp_path: Path) -> None:
        m = models(kind)
        half = named_fp16(m.base, tmp_path / "half")
        assert image(str(half), tmp_path / "a", kind) == m.plain
        assert image(f"{half},variant=fp16", tmp_path / "b", kind) == m.plain
        part = named_fp16(m.full / "transformer", tmp_path / "part")
        assert image(f"{half},transformer={part}", tmp_path / "c", kind) == m.expected

    def test_what_diffusers_does_not_read(self, kind: str, models: Callable[[str], Made], tmp_path: Path) -> None:
        """Whole models in one file, of PixArt and Sana; kohya's layout, of all but FLUX. Said, not misread."""
        m = models(kind)
        if kind not in QUICK:
            file = saved(load_file(m.full / WEIGHTS), tmp_path / "model.safetensors")
            with pytest.raises(WeightsError, match=f"{kind}Pipeline cannot be loaded from a single file"):
                find_pipeline(f"{m.base},checkpoint={file}", device="cpu").load()
        if kind != "Flux":
            file = saved(lora_kohya(m.lora, "lora_transformer_"), tmp_path / "kohya.safetensors")
            with pytest.raises(WeightsError, match=r"kohya\.safetensors"):
                find_pipeline(f"{m.base},lora={file}", device="cpu").load()

    def test_a_unet_has_no_place(self, kind: str, models: Callable[[str], Made], tmp_path: Path) -> None:
        m = models(kind)
        file = saved(m.changed, tmp_path / "a.safetensors")
        with pytest.raises(WeightsError, match=r"has no unet; it has only transformer, text_encoder"):
            find_pipeline(f"{m.base},unet={file}", device="cpu").load()


def test_prompts_reach_the_model_as_they_are(models: Callable[[str], Made], tmp_path: Path) -> None:
    """PixArt cleans them where beautifulsoup4 and ftfy happen to be installed."""
    pipe = find_pipeline(str(models("PixArtAlpha").base), device="cpu").load()
    assert pipe.keywords == {"clean_caption": False}


def test_a_kohya_lora_of_flux(models: Callable[[str], Made], tmp_path: Path) -> None:
    m = models("Flux")
    file = saved(lora_kohya(m.lora, "lora_transformer_"), tmp_path / "kohya.safetensors")
    assert image(f"{m.base},lora={file}", tmp_path / "out", m.kind) == m.expected


def compvis_sd3(state: Tensors) -> Tensors:
    """The transformer's tensors under the names of SD3's own checkpoints."""
    out, layers = {}, 1 + max(int(k.split(".")[1]) for k in state if k.startswith("transformer_blocks."))
    for name, value in state.items():
        for pattern, into in (
            (r"^pos_embed\.pos_embed$", "pos_embed"),
            (r"^pos_embed\.proj\.", "x_embedder.proj."),
            (r"^time_text_embed\.timestep_embedder\.linear_(\d)\.", lambda f: f"t_embedder.mlp.{2 * int(f[1]) - 2}."),
            (r"^time_text_embed\.text_embedder\.linear_(\d)\.", lambda f: f"y_embedder.mlp.{2 * int(f[1]) - 2}."),
            (r"^transformer_blocks\.(\d)\.norm1\.linear\.", r"joint_blocks.\1.x_block.adaLN_modulation.1."),
            (
                r"^transformer_blocks\.(\d)\.norm1_context\.linear\.",
                r"joint_blocks.\1.context_block.adaLN_modulation.1.",
            ),
            (r"^transformer_blocks\.(\d)\.attn\.to_out\.0\.", r"joint_blocks.\1.x_block.attn.proj."),
            (r"^transformer_blocks\.(\d)\.attn\.to_add_out\.", r"joint_blocks.\1.context_block.attn.proj."),
            (r"^transformer_blocks\.(\d)\.ff\.net\.0\.proj\.", r"joint_blocks.\1.x_block.mlp.fc1."),
            (r"^transformer_blocks\.(\d)\.ff\.net\.2\.", r"joint_blocks.\1.x_block.mlp.fc2."),
            (r"^transformer_blocks\.(\d)\.ff_context\.net\.0\.proj\.", r"joint_blocks.\1.context_block.mlp.fc1."),
            (r"^transformer_blocks\.(\d)\.ff_context\.net\.2\.", r"joint_blocks.\1.context_block.mlp.fc2."),
            (r"^norm_out\.linear\.", "final_layer.adaLN_modulation.1."),
            (r"^proj_out\.", "final_layer.linear."),
        ):
            name = re.sub(pattern, into, name)
        last = f"joint_blocks.{layers - 1}.context_block.adaLN_modulation"
        if name.startswith(("final_layer.adaLN", last)):  # scale and shift the other way round
            value = torch.cat(value.chunk(2, dim=0)[::-1])
        out[name] = value
    for i in range(layers):
        for block, name in (("x_block", "to_{}"), ("context_block", "add_{}_proj")):
            for end in ("weight", "bias"):
                out[f"joint_blocks.{i}.{block}.attn.qkv.{end}"] = torch.cat(
                    [out.pop(f"transformer_blocks.{i}.attn.{name.format(which)}.{end}") for which in "qkv"]
                )
    return {f"model.diffusion_model.{k}": v for k, v in out.items()}


@pytest.mark.slow
def test_a_transformer_file_in_sd3s_own_layout(models: Callable[[str], Made], tmp_path: Path) -> None:
    m = models("StableDiffusion3")
    file = saved(compvis_sd3(load_file(m.full / WEIGHTS)), tmp_path / "sd3.safetensors")
    assert image(f"{m.base},transformer={file}", tmp_path / "out", m.kind) == m.expected
