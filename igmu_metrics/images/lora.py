"""LoRAs in the layouts of diffusers, kohya and peft, merged into the weights of a pipeline.

Conventions: read from safetensors or by `torch.load(weights_only=True)`. Layouts are translated by diffusers if its
pipeline class can load LoRAs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from igmu_data.errors import WeightsError
from igmu_data.files import parse_json, read_text
from igmu_metrics.images.components import COMPONENTS, component, first_line
from igmu_metrics.networks import loading

if TYPE_CHECKING:
    import torch

_PEFT: Final = "base_model.model."
_PAIRS: Final = (
    (".lora_A.weight", ".lora_B.weight"),
    (".lora.down.weight", ".lora.up.weight"),
    (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"),
    ("_lora.down.weight", "_lora.up.weight"),
)
_PEFT_FILE: Final = "adapter_model"  # with its configuration beside it
_FILES: Final = ("pytorch_lora_weights.safetensors", f"{_PEFT_FILE}.safetensors")


def merge(pipe: Any, place: Path, scale: float) -> bool:
    """W + scale · alpha/rank · up · down (Hu et al. 2022), in single precision.

    Args:
        pipe: loaded diffusers pipeline; its weights are changed.
        place: file, or folder that contains it.
        scale: factor of the change.

    Returns:
        Whether any weight changed.

    Raises:
        WeightsError: not a LoRA, or a LoRA for a different base.
    """
    import torch

    path, settings = _file(place)
    state = {k: v for k, v in loading.load_tensors(path).items() if isinstance(v, torch.Tensor)}
    if any("dora_scale" in k or "lora_magnitude_vector" in k for k in state):
        raise WeightsError(
            f"{path.name} is a DoRA, which igmu cannot merge. Merge it yourself, and specify the folder of the merged "
            "model."
        )
    state, alphas = _diffusers_names(pipe, state, path)
    changed = False
    taken: set[str] = set()
    with torch.no_grad():
        for name, down, up in _pairs(state):
            target, weight = _target(pipe, name, path)
            rank, own = down.shape[0], f"{name}.alpha"
            alpha = float(alphas.get(own, state[own] if own in state else settings(target, name, rank)))
            delta = (up.float().flatten(1) @ down.float().flatten(1)).reshape(weight.shape) * (scale * alpha / rank)
            new = (weight.float() + delta.to(weight.device)).to(weight.dtype)
            if not bool(torch.isfinite(new).all()):
                raise WeightsError(
                    f"{path.name}: after merging, {name} contains values that are not finite. Download the LoRA again."
                )
            changed |= not torch.equal(new, weight)
            weight.copy_(new)
            # Nothing more: a bias, or a matrix between the two, is part of the change and would be left out of it.
            taken |= {own, *(name + end for pair in _PAIRS for end in pair)}
    if rest := sorted(state.keys() - taken):
        why = "" if taken else f" If these are whole weights, use unet={path} (or transformer=, text_encoder=)."
        some = f"{len(rest)} of {len(state)} tensors"
        raise WeightsError(f"{path.name}: {some} cannot be part of a LoRA ({', '.join(rest[:3])}).{why}")
    return changed


def configuration(path: Path) -> list[Path]:
    """The file next to a peft adapter that contains its alpha, if there is one."""
    beside = path.parent / "adapter_config.json"
    return [beside] if path.stem == _PEFT_FILE and beside.is_file() else []


def _file(path: Path) -> tuple[Path, Callable[[str, str, int], float]]:
    """The file, and the alpha from its header or configuration for a target, layer and rank."""
    folder = path if path.is_dir() else None
    if folder:
        found = [folder / n for n in _FILES if (folder / n).is_file()] or sorted(folder.glob("*.safetensors"))
        if len(found) != 1:
            raise WeightsError(f"{folder} contains {len(found)} files that may be LoRAs. Specify the path of one file.")
        path = found[0]
    config: dict[str, Any] = {}
    if beside := configuration(path):
        config = parse_json(read_text(beside[0]), str(beside[0]), "Download the adapter again.")
    elif path.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="pt") as file:
                config = json.loads((file.metadata() or {}).get("lora_adapter_metadata", "{}"))
        except (SafetensorError, ValueError) as error:
            raise WeightsError(f"{path.name} is not a safetensors file ({error}). Download it again.") from error

    def alpha(target: str, layer: str, rank: int) -> float:
        def told(setting: str, default: Any) -> Any:
            return config.get(f"{target}.{setting}", config.get(setting, default))

        try:
            # As peft reads them: the first pattern that the end of a layer's name follows.
            own = (v for k, v in (told("alpha_pattern", {}) or {}).items() if re.match(rf"(.*\.)?({k})$", layer))
            return float(next(own, told("lora_alpha", rank))) * (rank**0.5 if told("use_rslora", False) else 1.0)
        except (AttributeError, TypeError, ValueError, re.error) as error:
            raise WeightsError(
                f"{path.name}: the configuration contains no valid alpha ({error}). Download the LoRA again."
            ) from error

    return path, alpha


def _diffusers_names(
    pipe: Any, state: dict[str, torch.Tensor], path: Path
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors under diffusers' names, `unet.….to_q.lora_A.weight`, and each target's alpha."""
    # Of a class that diffusers loads no LoRA into (PixArt), names are the network's own, as peft saves them.
    main = "unet" if getattr(pipe, "unet", None) is not None else "transformer"
    convert = getattr(type(pipe), "lora_state_dict", None)
    options = {"unet_config": pipe.unet.config} if main == "unet" else {}
    try:
        if convert is None or _named_by_peft(getattr(pipe, main), state):
            found: Any = state
        else:
            found = convert(dict(state), **options)
    except (ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(
            f"{path.name}: diffusers cannot read the layout of this LoRA ({first_line(error)}). Convert the "
            "LoRA to a layout that diffusers supports."
        ) from error
    named, alphas = found if isinstance(found, tuple) else (found, None)
    out = {}
    for name, value in named.items():
        name = name.removeprefix(_PEFT)
        if not name.startswith(tuple(f"{k}." for k in COMPONENTS)):
            name = f"{main}.{name}"
        out[name.replace(".processor.", ".").replace(".to_out_lora.", ".to_out.0_lora.")] = value
    return out, dict(alphas or {})


def _named_by_peft(network: Any, state: Mapping[str, torch.Tensor]) -> bool:
    """Whether peft saved it from this network: diffusers takes FLUX's for another layout that begins alike."""
    layers = {f"{_PEFT}{name}" for name, _ in network.named_modules()}
    return all(name.partition(".lora_")[0] in layers for name in state)


def _pairs(state: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    for name, value in state.items():
        for down, up in _PAIRS:
            if name.endswith(down) and (other := name.removesuffix(down) + up) in state:
                yield name.removesuffix(down), value, state[other]


def _target(pipe: Any, name: str, path: Path) -> tuple[str, torch.Tensor]:
    kind, _, inner = name.partition(".")
    module = component(pipe, kind, path, "Check that the LoRA was made for this base.")
    for candidate in (inner, inner.removeprefix("text_model."), f"text_model.{inner}"):
        try:
            weight: torch.Tensor = module.get_submodule(candidate).weight
        except AttributeError:
            continue
        return kind, weight
    raise WeightsError(
        f"{path.name}: the base model's {kind} has no layer {inner!r}. Check that the LoRA was made for this base."
    )
