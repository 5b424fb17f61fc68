"""Models as their authors publish them: every shape generates, to the byte, what the full folder does."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_diffusion import tiny_pipeline, tiny_transformer_pipeline, tiny_xl_pipeline

from igmu_data.errors import InputError, WeightsError
from igmu_metrics.images.baselines import around
from igmu_metrics.images.generate import Request, draw, settled_alike
from igmu_metrics.images.pipelines import find_pipeline
from igmu_metrics.images.published import join, parse, put_onto, require_named

REQUESTS = [Request("row", s, "a church at dawn", 7.5, 2, 32, 32) for s in (1, 2)]
UNET = Path("unet", "diffusion_pytorch_model.safetensors")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pipeline(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def change() -> dict[str, torch.Tensor]:
    """What a method changed: the keys and values of cross-attention, by a low-rank step."""
    draws = torch.Generator().manual_seed(5)
    return {
        f"{layer}.{end}": 0.4 * torch.randn(*shape, generator=draws)
        for layer in (f"down_blocks.1.attentions.0.transformer_blocks.0.attn2.{k}" for k in ("to_k", "to_v"))
        for end, shape in (("lora_A.weight", (2, 32)), ("lora_B.weight", (32, 2)))
    }


@pytest.fixture(scope="module")
def changed(base: Path, change: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The changed tensors alone, as ESD and UCE publish them."""
    weights = load_file(base / UNET)
    layers = {name.rpartition(".lora_")[0] for name in change}
    return {
        f"{layer}.weight": weights[f"{layer}.weight"]
        + change[f"{layer}.lora_B.weight"] @ change[f"{layer}.lora_A.weight"]
        for layer in layers
    }


@pytest.fixture(scope="module")
def full(base: Path, changed: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole unlearned model as a folder."""
    folder = shutil.copytree(base, tmp_path_factory.mktemp("full") / "pipeline")
    save_file(load_file(base / UNET) | changed, folder / UNET)
    return folder


def images(spec: str, out: Path, **options: Any) -> list[bytes]:
    done = draw(REQUESTS, find_pipeline(spec, device="cpu", **options), out, progress=False)
    return [done.files[r.key].read_bytes() for r in REQUESTS]


@pytest.fixture(scope="module")
def expected(full: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return images(str(full), tmp_path_factory.mktemp("expected"))


def compvis(name: str) -> str:
    """The CompVis name of a tensor of the tiny U-Net (the layout of stable-diffusion's checkpoints)."""
    for pattern, into in (
        (r"conv_in\.", "input_blocks.0.0."),
        (r"down_blocks\.0\.resnets\.0\.", "input_blocks.1.0."),
        (r"down_blocks\.0\.downsamplers\.0\.conv\.", "input_blocks.2.0.op."),
        (r"down_blocks\.1\.resnets\.0\.", "input_blocks.3.0."),
        (r"down_blocks\.1\.attentions\.0\.", "input_blocks.3.1."),
        (r"mid_block\.resnets\.0\.", "middle_block.0."),
        (r"mid_block\.attentions\.0\.", "middle_block.1."),
        (r"mid_block\.resnets\.1\.", "middle_block.2."),
        (r"up_blocks\.0\.resnets\.(\d)\.", r"output_blocks.\1.0."),
        (r"up_blocks\.0\.attentions\.(\d)\.", r"output_blocks.\1.1."),
        (r"up_blocks\.0\.upsamplers\.0\.conv\.", "output_blocks.1.2.conv."),
        (r"up_blocks\.1\.resnets\.0\.", "output_blocks.2.0."),
        (r"up_blocks\.1\.resnets\.1\.", "output_blocks.3.0."),
        (r"time_embedding\.linear_1\.", "time_embed.0."),
        (r"time_embedding\.linear_2\.", "time_embed.2."),
        (r"conv_norm_out\.", "out.0."),
        (r"conv_out\.", "out.2."),
    ):
        name, n = re.subn(f"^{pattern}", into, name)
        if n:
            break
    if ".attn" not in name and ".transformer_blocks." not in name:
        for old, new in (
            (".norm1.", ".in_layers.0."),
            (".conv1.", ".in_layers.2."),
            (".time_emb_proj.", ".emb_layers.1."),
            (".norm2.", ".out_layers.0."),
            (".conv2.", ".out_layers.3."),
            (".conv_shortcut.", ".skip_connection."),
        ):
            name = name.replace(old, new)
    return f"model.diffusion_model.{name}"


def compvis_vae(name: str) -> str:
    """The CompVis name of a tensor of the tiny autoencoder."""
    for pattern, into in (
        (r"coder\.down_blocks\.(\d)\.resnets\.(\d)\.", r"coder.down.\1.block.\2."),
        (r"coder\.down_blocks\.(\d)\.downsamplers\.0\.", r"coder.down.\1.downsample."),
        (r"coder\.mid_block\.resnets\.0\.", "coder.mid.block_1."),
        (r"coder\.mid_block\.resnets\.1\.", "coder.mid.block_2."),
        (r"coder\.mid_block\.attentions\.0\.", "coder.mid.attn_1."),
        (r"\.conv_norm_out\.", ".norm_out."),
        (r"\.conv_shortcut\.", ".nin_shortcut."),
        (r"\.group_norm\.", ".norm."),
        (r"\.to_out\.0\.", ".proj_out."),
        (r"\.to_([qkv])\.", r".\1."),
    ):
        name = re.sub(pattern, into, name)
    for what, end in (("resnets", "block"), ("upsamplers", "upsample")):
        found = re.search(rf"up_blocks\.(\d)\.{what}\.(\d)\.", name)
        if found:  # counted from the other side
            place = f"up.{2 - int(found[1])}.{end}." + (f"{found[2]}." if what == "resnets" else "")
            name = name.replace(found[0], place)
    return f"first_stage_model.{name}"


def checkpoint(base: Path, unet: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The whole model in one dict of CompVis layout."""
    vae = load_file(base / "vae" / "diffusion_pytorch_model.safetensors")
    text = load_file(base / "text_encoder" / "model.safetensors")
    attention = {k: v[..., None, None] for k, v in vae.items() if re.search(r"\.to_\w+(\.0)?\.weight", k)}
    return {
        **{compvis(k): v for k, v in unet.items()},
        **{compvis_vae(k): v for k, v in (vae | attention).items()},
        **{f"cond_stage_model.transformer.text_model.{k.removeprefix('text_model.')}": v for k, v in text.items()},
    }


Shape = Callable[[Path, Path, dict[str, torch.Tensor], dict[str, torch.Tensor]], dict[str, Any]]


def saved(tensors: Any, path: Path) -> str:
    if path.suffix == ".safetensors":
        save_file({k: v.clone().contiguous() for k, v in tensors.items()}, path)
    else:
        torch.save(tensors, path)
    return str(path)


def lora_diffusers(change: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"unet.{k}": v for k, v in change.items()}


def lora_kohya(change: dict[str, torch.Tensor], prefix: str = "lora_unet_") -> dict[str, torch.Tensor]:
    out = {}
    for name, value in change.items():
        layer, _, end = name.rpartition(".lora_")
        flat = prefix + layer.replace(".", "_")
        out[f"{flat}.lora_{'down' if end[0] == 'A' else 'up'}.weight"] = value
        out[f"{flat}.alpha"] = torch.tensor(2.0)
    return out


def lora_peft_folder(folder: Path, change: dict[str, torch.Tensor]) -> str:
    folder.mkdir()
    saved({f"base_model.model.{k}": v for k, v in change.items()}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 2}))
    return str(folder)


def lora_half_alpha(path: Path, change: dict[str, torch.Tensor]) -> str:
    """Alpha in the header, half the rank: scale 2 makes it whole again."""
    header = {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 1, "unet.r": 2})}
    save_file(lora_diffusers(change), path, metadata=header)
    return f"{path}:2"


def component_folder(tmp: Path, full: Path) -> str:
    return str(shutil.copytree(full / "unet", tmp / "theirs"))


SHAPES: dict[str, Shape] = {
    "unet folder": lambda tmp, full, changed, change: {"unet": component_folder(tmp, full)},
    "unet of a pipeline folder": lambda tmp, full, changed, change: {"unet": str(full)},
    "all tensors, safetensors": lambda tmp, full, changed, change: {
        "unet": saved(load_file(full / UNET), tmp / "all.safetensors")
    },
    "some tensors, safetensors": lambda tmp, full, changed, change: {"unet": saved(changed, tmp / "esd.safetensors")},
    "some tensors, .pt": lambda tmp, full, changed, change: {"unet": saved(changed, tmp / "esd.pt")},
    "wrapped and prefixed, .bin": lambda tmp, full, changed, change: {
        "unet": saved({"state_dict": {f"module.{k}": v for k, v in changed.items()}}, tmp / "a.bin")
    },
    "Custom Diffusion's delta.bin": lambda tmp, full, changed, change: {
        "unet": saved({"unet": changed, "modifier_token": {}}, tmp / "delta.bin")
    },
    "unet. before the names": lambda tmp, full, changed, change: {
        "unet": saved({f"unet.{k}": v for k, v in changed.items()}, tmp / "a.safetensors")
    },
    "CompVis layout, .pt": lambda tmp, full, changed, change: {
        "unet": saved({compvis(k): v for k, v in load_file(full / UNET).items()}, tmp / "compvis.pt")
    },
    "checkpoint, safetensors": lambda tmp, full, changed, change: {
        "checkpoint": saved(checkpoint(full, load_file(full / UNET)), tmp / "model.safetensors")
    },
    "checkpoint, .ckpt": lambda tmp, full, changed, change: {
        "checkpoint": saved({"state_dict": checkpoint(full, load_file(full / UNET))}, tmp / "model.ckpt")
    },
    "LoRA, diffusers' names": lambda tmp, full, changed, change: {
        "lora": saved(lora_diffusers(change), tmp / "l.safetensors")
    },
    "LoRA, kohya's names": lambda tmp, full, changed, change: {
        "lora": saved(lora_kohya(change), tmp / "l.safetensors")
    },
    "LoRA, peft folder": lambda tmp, full, changed, change: {"lora": lora_peft_folder(tmp / "peft", change)},
    "LoRA with alpha in its header": lambda tmp, full, changed, change: {
        "lora": lora_half_alpha(tmp / "l.safetensors", change)
    },
    "two LoRAs": lambda tmp, full, changed, change: {
        "lora": [
            saved(lora_diffusers({k: v for k, v in change.items() if which in k}), tmp / f"{which}.safetensors")
            for which in ("to_k", "to_v")
        ]
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_generates_what_the_full_folder_does(
    shape: str, base: Path, full: Path, changed: Any, change: Any, expected: list[bytes], tmp_path: Path
) -> None:
    parts = SHAPES[shape](tmp_path, full, changed, change)
    spec = join(str(base), parts)
    found = find_pipeline(spec, device="cpu")
    assert images(spec, tmp_path / "out") == expected != images(str(base), tmp_path / "plain")
    assert str(tmp_path) not in found.name  # its place on this machine says nothing
    assert found.revision.startswith("sha256:")
    assert found.revision != find_pipeline(str(base)).revision


def test_the_scale_of_a_lora_counts_and_is_part_of_the_revision(base: Path, change: Any, tmp_path: Path) -> None:
    path = saved(lora_diffusers(change), tmp_path / "l.safetensors")
    specs = [f"{base},lora={path}{scale}" for scale in ("", ":0.5", ":1")]
    drawn = [images(s, tmp_path / str(i)) for i, s in enumerate(specs)]
    assert drawn[0] == drawn[2] != drawn[1]
    assert find_pipeline(specs[0]).revision != find_pipeline(specs[1]).revision


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_alpha_of_pefts_configuration_by_layer(base: Path, change: Any, tmp_path: Path, suffix: str) -> None:
    whole = images(f"{base},lora={saved(lora_diffusers(change), tmp_path / 'l.safetensors')}", tmp_path / "a")
    file = saved({f"base_model.model.{k}": v for k, v in change.items()}, tmp_path / f"adapter_model.{suffix}")
    config = tmp_path / "adapter_config.json"
    config.write_text(json.dumps({"lora_alpha": 1, "alpha_pattern": {"attn2.to_k": 2, r".*\.to_v": 2}}))
    assert images(f"{base},lora={file}", tmp_path / "b") == whole
    before = find_pipeline(f"{base},lora={file}").revision
    config.write_text(json.dumps({"lora_alpha": 2}))
    assert images(f"{base},lora={file}", tmp_path / "c") == whole
    assert find_pipeline(f"{base},lora={file}").revision != before
    config.write_text(json.dumps({"lora_alpha": "much"}))
    with pytest.raises(WeightsError, match="contains no valid alpha"):
        images(f"{base},lora={file}", tmp_path / "d")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"lora_B.bias": torch.ones(32)}, "1 of [0-9]+ tensors cannot be part of a LoRA"),
        ({"lora_mid.weight": torch.eye(2)}, "1 of [0-9]+ tensors cannot be part of a LoRA"),
        ({"lora_B.weight": torch.full((32, 2), torch.nan)}, "not finite"),
    ],
)
def test_a_lora_of_which_a_part_would_be_left_out(
    base: Path, change: Any, tmp_path: Path, more: dict[str, torch.Tensor], message: str
) -> None:
    layer = next(iter(change)).rpartition(".lora_")[0]
    state = lora_diffusers(change) | {f"unet.{layer}.{k}": v for k, v in more.items()}
    with pytest.raises(WeightsError, match=message):
        images(f"{base},lora={saved(state, tmp_path / 'l.safetensors')}", tmp_path / "out")


@pytest.mark.parametrize("scale", ["nan", "inf", "-inf", "much"])
def test_a_scale_that_is_no_number(base: Path, tmp_path: Path, scale: str) -> None:
    (tmp_path / "l.safetensors").touch()
    with pytest.raises(InputError, match="is not a number"):
        parse(f"{base},lora={tmp_path / 'l.safetensors'}:{scale}")


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_file_of_two_networks_is_not_taken_for_one(base: Path, changed: Any, tmp_path: Path, wrapped: bool) -> None:
    other = load_file(base / "text_encoder" / "model.safetensors")
    name = next(k for k in other if k.endswith("layers.1.self_attn.q_proj.weight"))
    both = {"unet": changed, "text_encoder": {name: other[name] * -3}}
    flat = {f"{kind}.{k}": v for kind, state in both.items() for k, v in state.items()}
    file = saved(both if wrapped else flat, tmp_path / "both.pt")
    with pytest.raises(WeightsError, match=r"text_encoder"):
        images(f"{base},unet={file}", tmp_path / "a")
    alone = [saved(state, tmp_path / f"{kind}.pt") for kind, state in both.items()]
    wanted = images(f"{base},unet={alone[0]},text_encoder={alone[1]}", tmp_path / "b")
    assert images(f"{base},unet={file},text_encoder={file}", tmp_path / "c") == wanted


def test_a_tensor_without_the_others_prefix_is_named(base: Path, changed: Any, tmp_path: Path) -> None:
    state = {f"unet.{k}": v for k, v in changed.items()} | {"router.weight": torch.ones(2)}
    with pytest.raises(
        WeightsError, match=r"1 of 3 tensors \(router\.weight\) do not match any tensor of the base model's unet"
    ):
        images(f"{base},unet={saved(state, tmp_path / 'a.pt')}", tmp_path / "a")


def test_a_text_encoder_by_folder_file_and_prefix(base: Path, tmp_path: Path) -> None:
    where = Path("text_encoder", "model.safetensors")
    state = load_file(base / where)
    name = next(k for k in state if k.endswith("layers.1.self_attn.q_proj.weight"))
    folder = shutil.copytree(base, tmp_path / "full")
    save_file(state | {name: state[name] * -3}, folder / where, metadata={"format": "pt"})
    wanted = images(str(folder), tmp_path / "wanted")
    file = saved({name: state[name] * -3}, tmp_path / "part.safetensors")
    bare = saved({name.removeprefix("text_model."): state[name] * -3}, tmp_path / "bare.safetensors")
    for at, part in enumerate((str(folder), str(folder / "text_encoder"), file, bare)):
        assert images(f"{base},text_encoder={part}", tmp_path / str(at)) == wanted


def test_sdxl_takes_a_partial_unet(tmp_path: Path) -> None:
    base = tiny_xl_pipeline(tmp_path / "xl")
    state = load_file(base / UNET)
    name = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    folder = shutil.copytree(base, tmp_path / "full")
    save_file(state | {name: state[name] + 1}, folder / UNET)
    part = saved({name: state[name] + 1}, tmp_path / "esd.safetensors")
    assert images(f"{base},unet={part}", tmp_path / "a") == images(str(folder), tmp_path / "b")


def test_a_lora_of_a_flux_transformer(tmp_path: Path) -> None:
    from diffusers import FluxPipeline, FluxTransformer2DModel

    folder = tiny_transformer_pipeline(tmp_path / "flux", "Flux")
    flux = FluxTransformer2DModel.from_pretrained(folder / "transformer")
    pipe = FluxPipeline(None, None, None, None, None, None, flux)
    layer = "transformer_blocks.0.attn.to_k"
    weight = flux.get_submodule(layer).weight
    before = weight.detach().clone()
    up, down = torch.ones(before.shape[0], 2), torch.ones(2, before.shape[1])
    lora = {f"transformer.{layer}.lora_A.weight": down, f"transformer.{layer}.lora_B.weight": up}
    parts = parse(f"{folder},lora={saved(lora, tmp_path / 'l.safetensors')}:0.5")[1]
    assert put_onto(pipe, parts, folder) is pipe
    torch.testing.assert_close(weight.detach(), before + 1)


def test_a_folder_of_one_variant_is_read_as_it_is(base: Path, tmp_path: Path) -> None:
    half = shutil.copytree(base, tmp_path / "half")
    for file in half.rglob("*.safetensors"):
        file.rename(file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")))
    wanted = images(str(base), tmp_path / "wanted")
    assert images(str(half), tmp_path / "a") == wanted
    assert images(f"{half},variant=fp16", tmp_path / "b") == wanted
    for folder, there in ((half, "fp16"), (base, "none")):
        with pytest.raises(
            WeightsError, match=rf"contains no weights of variant 'bf16' \(available variants: {there}\)"
        ):
            find_pipeline(f"{folder},variant=bf16")


def test_methods_that_are_code_run_only_when_trusted(base: Path, tmp_path: Path) -> None:
    file = tmp_path / "method.py"
    file.write_text(
        "from pathlib import Path\n"
        "Path(__file__).with_suffix('.ran').touch()\n"
        "def erase(pipe):\n"
        "    def run(*, prompt, **given):\n"
        "        return pipe(prompt=[p.replace('church', 'house') for p in prompt], **given)\n"
        "    return run\n"
        "def nothing(pipe):\n"
        "    return 3\n"
    )
    with pytest.raises(InputError, match="--trust-code"):
        find_pipeline(f"{base},code={file}:erase", device="cpu")
    assert not file.with_suffix(".ran").exists()
    drawn = images(f"{base},code={file}:erase", tmp_path / "out", trust_code=True)
    houses = [Request(r.row_id, r.seed, "a house at dawn", 7.5, 2, 32, 32) for r in REQUESTS]
    done = draw(houses, find_pipeline(str(base), device="cpu"), tmp_path / "houses", progress=False)
    assert drawn == [done.files[r.key].read_bytes() for r in houses]
    for wrong, message in (("nothing", "returns int"), ("missing", "no function 'missing'")):
        with pytest.raises(InputError, match=message):
            find_pipeline(f"{base},code={file}:{wrong}", device="cpu", trust_code=True).load()
    with pytest.raises(WeightsError, match="no file or folder"):
        find_pipeline(f"{base},code={tmp_path / 'no.py'}:erase", trust_code=True)


class Bomb:
    """A pickle that leaves a trace where it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("kind", ["unet", "text_encoder", "lora", "embedding", "checkpoint"])
@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_malicious_file_runs_nothing(base: Path, tmp_path: Path, kind: str, how: str) -> None:
    trace, file = tmp_path / "ran", tmp_path / "evil.pt"
    if how == "torch":
        torch.save({"state_dict": Bomb(trace)}, file)
    else:
        file.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(WeightsError, match=r"evil\.pt"):
        find_pipeline(f"{base},{kind}={file}", device="cpu").load()
    assert not trace.exists()


class TestRefused:
    def load(self, spec: str) -> None:
        find_pipeline(spec, device="cpu").load()

    def test_a_file_that_changes_nothing(self, base: Path, change: Any, tmp_path: Path) -> None:
        own = saved(load_file(base / UNET), tmp_path / "own.safetensors")
        still = saved({k: 0 * v for k, v in lora_diffusers(change).items()}, tmp_path / "still.safetensors")
        for part in (f"unet={own}", f"unet={base / 'unet'}", f"lora={still}", f"lora={still}:0"):
            with pytest.raises(WeightsError, match="has no effect"):
                self.load(f"{base},{part}")

    def test_tensors_of_another_model(self, base: Path, changed: Any, change: Any, tmp_path: Path) -> None:
        name, value = next(iter(changed.items()))
        cases = {
            "unknown": (
                {"down_blocks.9.conv.weight": value, name: value},
                r"1 of 2 tensors \(down_blocks\.9",
            ),
            "shape": ({name: value[:3]}, r"has shape \(3, 32\), but has shape \(32, 32\) in the base"),
            "nan": ({name: value * float("nan")}, "not finite"),
        }
        for case, (state, message) in cases.items():
            with pytest.raises(WeightsError, match=message):
                self.load(f"{base},unet={saved(state, tmp_path / f'{case}.safetensors')}")
        for case, state, message in (
            (
                "layer",
                {k.replace("down_blocks.1", "down_blocks.7"): v for k, v in lora_diffusers(change).items()},
                "no layer",
            ),
            ("rest", lora_diffusers(change) | {"unet.a.hada_w1": value}, "cannot be part of a LoRA"),
            ("dora", lora_diffusers(change) | {"unet.a.lora_magnitude_vector": value}, "DoRA"),
        ):
            with pytest.raises(WeightsError, match=message):
                self.load(f"{base},lora={saved(state, tmp_path / f'{case}.safetensors')}")

    def test_a_checkpoint_of_the_base_itself_or_of_another_model(
        self, base: Path, changed: Any, tmp_path: Path
    ) -> None:
        own = saved(checkpoint(base, load_file(base / UNET)), tmp_path / "own.safetensors")
        with pytest.raises(WeightsError, match="has no effect"):
            self.load(f"{base},checkpoint={own}")
        with pytest.raises(WeightsError, match=r"part\.safetensors is not a valid checkpoint"):
            self.load(f"{base},checkpoint={saved(changed, tmp_path / 'part.safetensors')}")

    @pytest.mark.parametrize("part", ["unet", "text_encoder", "vae"])
    def test_a_folder_that_lacks_weights(self, base: Path, full: Path, tmp_path: Path, part: str) -> None:
        """Both libraries put random numbers in their place, which forget everything."""
        folder = shutil.copytree(full, tmp_path / "full")
        (file,) = (folder / part).glob("*.safetensors")
        state = load_file(file)
        name = next(k for k in sorted(state) if "norm" in k and k.endswith(".weight"))
        del state[name]
        save_file(state, file, metadata={"format": "pt"})
        specs = [str(folder)] if part == "vae" else [str(folder), f"{base},{part}={folder}"]
        for spec in specs:
            with pytest.raises(WeightsError, match=rf"{part} is missing 1 tensor \({re.escape(name)}\)"):
                self.load(spec)

    def test_a_folder_with_more_than_the_network_or_of_another(self, base: Path, full: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(full / "unet", tmp_path / "unet")
        file = folder / UNET.name
        save_file(load_file(file) | {"no.such.layer": torch.zeros(1)}, file)
        with pytest.raises(
            WeightsError, match=r"contains 1 tensor \(.*no\.such\.layer.* that UNet2DConditionModel does not have"
        ):
            self.load(f"{base},unet={folder}")
        with pytest.raises(
            WeightsError,
            match=r"of type clip_text_model, but the base model's unet has type UNet2DConditionModel",
        ):
            self.load(f"{base},unet={base / 'text_encoder'}")
        with pytest.raises(
            WeightsError,
            match=r"of type UNet2DConditionModel, .* text_encoder has type CLIPTextModel",
        ):
            self.load(f"{base},text_encoder={base / 'unet'}")

    def test_one_given_as_the_other(self, base: Path, changed: Any, change: Any, tmp_path: Path) -> None:
        lora = saved(lora_diffusers(change), tmp_path / "lora.safetensors")
        whole = saved(changed, tmp_path / "esd.safetensors")
        with pytest.raises(WeightsError, match=rf"If it is a LoRA, use lora={re.escape(lora)}"):
            self.load(f"{base},unet={lora}")
        with pytest.raises(WeightsError, match=rf"If these are whole weights, use unet={re.escape(whole)}"):
            self.load(f"{base},lora={whole}")

    @pytest.mark.parametrize("start", ["model.diffusion_model.", "first_stage_model.", "cond_stage_model."])
    def test_a_checkpoint_that_lacks_weights(self, base: Path, full: Path, tmp_path: Path, start: str) -> None:
        state = checkpoint(full, load_file(full / UNET))
        del state[next(k for k in sorted(state) if k.startswith(start) and k.endswith(".bias"))]
        file = saved(state, tmp_path / "part.safetensors")
        with pytest.raises(WeightsError, match=r"part\.safetensors"):
            self.load(f"{base},checkpoint={file}")

    def test_a_component_that_the_base_does_not_have(self, base: Path, changed: Any, tmp_path: Path) -> None:
        file = saved(changed, tmp_path / "a.safetensors")
        with pytest.raises(WeightsError, match="has no transformer; it has only unet, text_encoder"):
            self.load(f"{base},transformer={file}")

    def test_paths_and_scales(self, base: Path, tmp_path: Path) -> None:
        (tmp_path / "l.safetensors").touch()
        with pytest.raises(WeightsError, match="no file or folder"):
            parse(f"{base},unet={tmp_path / 'missing'}")
        with pytest.raises(InputError, match="is not a number"):
            parse(f"{base},lora={tmp_path / 'l.safetensors'}:strong")
        with pytest.raises(WeightsError, match=r"l\.safetensors"):
            self.load(f"{base},unet={tmp_path / 'l.safetensors'}")
        (tmp_path / "empty").mkdir()
        with pytest.raises(WeightsError, match=r"config\.json or safetensors files are missing"):
            self.load(f"{base},unet={tmp_path / 'empty'}")


class TestBaselines:
    """Any base with what needs no training."""

    def test_a_filter_takes_the_names_out(self, base: Path, tmp_path: Path) -> None:
        found = find_pipeline(f"filter:{base}", device="cpu", target="object/church")
        assert (found.name, found.revision != find_pipeline(str(base)).revision) == (f"filter:{base.name}", True)
        asked = [Request("a", 1, "the church at dawn", 7.5, 2, 32, 32), Request("b", 1, "una iglesia", 7.5, 2, 32, 32)]
        plain = [Request("a", 1, "at dawn", 7.5, 2, 32, 32), Request("b", 1, "una", 7.5, 2, 32, 32)]
        drawn = draw(asked, found, tmp_path / "a", progress=False)
        wanted = draw(plain, find_pipeline(str(base), device="cpu"), tmp_path / "b", progress=False)
        for r in plain:
            assert drawn.files[r.key].read_bytes() == wanted.files[r.key].read_bytes()
        other = find_pipeline(f"filter:{base}", device="cpu", target="object/castle")
        assert other.revision != found.revision

    def test_a_negative_prompt_is_the_name(self, base: Path, tmp_path: Path) -> None:
        found = find_pipeline(f"negative-prompt:{base}", device="cpu", target="object/church")
        drawn = draw(REQUESTS[:1], found, tmp_path / "a", progress=False)
        pipe = find_pipeline(str(base), device="cpu").load()
        same = {"num_inference_steps": 2, "guidance_scale": 7.5, "width": 32, "height": 32, "output_type": "pil"}
        image = pipe(
            prompt=[REQUESTS[0].prompt] * 2,  # igmu fills a batch of small images on a CPU; the first is the same
            negative_prompt=["church"] * 2,
            generator=[torch.Generator("cpu").manual_seed(1) for _ in range(2)],
            **same,
        ).images[0]
        from PIL import Image, ImageChops

        difference = ImageChops.difference(image, Image.open(drawn.files[REQUESTS[0].key]))
        assert max(high for _, high in difference.getextrema()) <= 1
        assert drawn.files[REQUESTS[0].key].read_bytes() != images(str(base), tmp_path / "plain")[0]

    def test_a_negative_prompt_that_would_not_be_read(self, base: Path, tmp_path: Path) -> None:
        found = find_pipeline(f"negative-prompt:{base}", device="cpu", target="object/church")
        with pytest.raises(InputError, match="negative prompts have no effect at a guidance scale of 1"):
            draw(REQUESTS[:1], found, tmp_path / "a", progress=False, guidance_scale=1.0)

        class Distilled:  # as FLUX's
            def __call__(self, prompt: Any, negative_prompt: Any = None, true_cfg_scale: float = 1.0) -> None: ...

        with pytest.raises(WeightsError, match="Distilled ignores negative prompts"):
            around(Distilled(), "negative-prompt", ["church"])

    def test_a_safety_checker_refuses_apart(self, base: Path, tmp_path: Path) -> None:
        checked = tiny_pipeline(tmp_path / "checked", checker=True)
        assert find_pipeline(f"safety-checker:{checked}", device="cpu").load().safety_checker is not None

    def test_one_concept_is_needed(self, base: Path) -> None:
        for name in ("filter", "negative-prompt"):
            with pytest.raises(InputError, match=f"{name} requires a single concept"):
                find_pipeline(f"{name}:{base}")


class TestNoEffect:
    """What would change nothing, or only a part of what was given, is refused before the first image."""

    @pytest.fixture
    def token(self, base: Path, tmp_path: Path) -> Path:
        vector = load_file(base / "text_encoder" / "model.safetensors")
        width = next(v for k, v in vector.items() if k.endswith("token_embedding.weight")).shape[1]
        file = tmp_path / "mine.safetensors"
        save_file({"<zyx>": torch.ones(2, width)}, file)
        return file

    def plain(self, prompt: str = "a church at dawn") -> list[Request]:
        return [Request("row", 1, prompt, 7.5, 2, 32, 32)]

    def test_an_embedding_whose_token_no_prompt_contains(self, base: Path, token: Path, tmp_path: Path) -> None:
        found = find_pipeline(f"{base},embedding={token}", device="cpu")
        with pytest.raises(InputError, match=r"mine.*none of the prompts \(1\) contains its token '<zyx>'"):
            settled_alike(self.plain(), {"mine": found})
        named = [*self.plain(), Request("b", 1, "a <ZYX> at dawn", 7.5, 2, 32, 32)]
        assert settled_alike(named, {"mine": found})
        pair = [find_pipeline(s, device="cpu") for s in (f"{base},embedding={token}", str(base))]
        drawn = [draw(named, p, tmp_path / str(i), progress=False).files for i, p in enumerate(pair)]
        same = [drawn[0][r.key].read_bytes() == drawn[1][r.key].read_bytes() for r in named]
        assert same == [True, False]

    def test_code_may_write_the_token(self, base: Path, token: Path, tmp_path: Path) -> None:
        (tmp_path / "m.py").write_text("def erase(pipe): return pipe\n")
        spec = f"{base},embedding={token},code={tmp_path / 'm.py'}:erase"
        assert settled_alike(self.plain(), {"mine": find_pipeline(spec, device="cpu", trust_code=True)})

    @pytest.mark.parametrize(
        ("name", "state", "token"),
        [
            ("a.pt", {"string_to_param": {"*": torch.ones(1, 4)}, "name": "zyx"}, "zyx"),
            ("b.pt", {"string_to_param": {"<own>": torch.ones(1, 4)}, "name": "x"}, "<own>"),
            ("called.safetensors", {"emb_params": torch.ones(1, 4)}, "called"),
            ("two.safetensors", {"clip_g": torch.ones(1, 4), "clip_l": torch.ones(1, 4)}, None),
            ("unet.pt", {"state_dict": {"a": torch.ones(1)}}, None),
            ("none.pt", {"string_to_param": {"*": torch.ones(1, 4)}}, None),
        ],
    )
    def test_tokens_of_each_layout(self, tmp_path: Path, name: str, state: Any, token: str | None) -> None:
        parts = parse(f"base,embedding={saved(state, tmp_path / name)}")[1]
        if token is None:
            with pytest.raises(WeightsError, match="not a textual inversion"):
                require_named(parts, ["a church"])
            return
        require_named(parts, [f"an {token} at dawn"])
        with pytest.raises(InputError, match=f"token '{token}'"):
            require_named(parts, ["a church"])

    @pytest.mark.parametrize("kind", ["unet", "transformer", "text_encoder", "checkpoint"])
    def test_a_part_of_which_there_is_one_twice(self, tmp_path: Path, kind: str) -> None:
        for name in "ab":
            (tmp_path / name).touch()
        with pytest.raises(InputError, match=f"{kind} appears 2 times"):
            parse(f"base,{kind}={tmp_path / 'a'},{kind}={tmp_path / 'b'}")

    def test_a_part_of_a_network_that_is_saved_in_several_files(self, base: Path, full: Path, tmp_path: Path) -> None:
        state = load_file(full / UNET)
        half = saved(dict(list(state.items())[::2]), tmp_path / "model-00001-of-00002.safetensors")
        with pytest.raises(WeightsError, match=r"unet: .* contains only a part of the weights"):
            find_pipeline(f"{base},unet={half}", device="cpu")
        alone = saved(state, tmp_path / "model-00001-of-00001.safetensors")
        assert find_pipeline(f"{base},unet={alone}", device="cpu")

    def test_averaged_weights_beside_the_last_ones(self, base: Path, changed: Any, tmp_path: Path) -> None:
        for names in (("state_dict", "ema_state_dict"), ("unet", "ema_unet"), ("model", "ema")):
            file = saved(dict.fromkeys(names, changed), tmp_path / "both.pt")
            with pytest.raises(WeightsError, match=f"contains '{names[0]}' and '{names[1]}'"):
                images(f"{base},unet={file}", tmp_path / "out")

    def test_a_folder_with_an_at_sign(self, base: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(base, tmp_path / "esd@v2")
        found = find_pipeline(str(folder), device="cpu")
        assert (found.name, found.revision) == ("esd@v2", find_pipeline(str(base), device="cpu").revision)

    def test_a_variant_or_the_same_lora_twice_and_a_part_without_a_value(self, tmp_path: Path) -> None:
        (tmp_path / "a").touch()
        for spec, says in (
            ("base,variant=fp16,variant=bf16", "variant appears 2 times"),
            (f"base,lora={tmp_path / 'a'},lora={tmp_path / 'a'}:0.5", "lora=.* appears 2 times"),
            ("base,unet=", "unet= has no value"),
            ("base,variant=", "variant= has no value"),
        ):
            with pytest.raises(InputError, match=says):
                parse(spec)
        with pytest.raises(WeightsError, match=r"no file or folder 'x\.safetensors'"):
            parse("base,lora=x.safetensors")

    def test_a_lora_before_the_network_that_it_is_put_into(
        self, base: Path, full: Path, change: Any, tmp_path: Path
    ) -> None:
        lora, unet = saved(lora_diffusers(change), tmp_path / "l.safetensors"), full / "unet"
        specs = [f"{base},unet={unet},lora={lora}", f"{base},lora={lora},unet={unet}"]
        drawn = [images(spec, tmp_path / str(at)) for at, spec in enumerate(specs)]
        assert drawn[0] == drawn[1] != images(str(full), tmp_path / "full")
        assert len({find_pipeline(spec).revision for spec in specs}) == 1

    def test_a_checkpoint_keeps_the_bases_safety_checker(self, full: Path, tmp_path: Path) -> None:
        checked = tiny_pipeline(tmp_path / "checked", checker=True)
        file = saved(checkpoint(full, load_file(full / UNET)), tmp_path / "model.safetensors")
        found = find_pipeline(f"safety-checker:{checked},checkpoint={file}", device="cpu")
        assert found.load().safety_checker is not None

    def test_baselines_that_a_model_cannot_have_are_refused_unopened(self, base: Path, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="without a safety checker"):
            find_pipeline(f"safety-checker:{base}", device="cpu")
        flux = tiny_transformer_pipeline(tmp_path / "flux", "Flux")
        with pytest.raises(WeightsError, match="FluxPipeline ignores negative prompts"):
            find_pipeline(f"negative-prompt:{flux}", device="cpu", target="object/church")
        lcm = shutil.copytree(base, tmp_path / "lcm")
        config = lcm / "unet" / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"time_cond_proj_dim": 8}))
        with pytest.raises(WeightsError, match="ignores negative prompts at its default guidance"):
            find_pipeline(f"negative-prompt:{lcm}", device="cpu", target="object/church")

    def test_guidance_at_which_no_negative_prompt_is_read(self, base: Path) -> None:
        found = find_pipeline(f"negative-prompt:{base}", device="cpu", target="object/church")
        assert settled_alike(self.plain(), {"negative": found})
        for guidance in (0.0, 1.0):
            with pytest.raises(
                InputError, match=f"negative prompts have no effect at a guidance scale of {guidance:g}"
            ):
                settled_alike(self.plain(), {"negative": found}, guidance_scale=guidance)
