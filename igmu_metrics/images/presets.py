"""The steps, guidance scale and size for each family of models, which apply if neither an option nor the row sets them.

Conventions: a family is recognized by the pipeline's class and the configuration of its networks, never by a name, and
only from `model_index.json` and the `config.json` of parts, so that igmu can find out how the images in a folder were
generated without loading the model. The size is the network's own (`sample_size` times the factor of its autoencoder);
the table's size is used only if the configuration has none, as Stable Diffusion 2 exists with 512 and 768 pixels. A
model outside the families in the table uses the defaults of its pipeline.

Distilled models (Turbo, Lightning, LCM, Hyper) have the same configuration as the models that they were made from. They
cannot be recognized by their configuration, so specify their settings as options.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import InputError

Config = Mapping[str, Any]
FIELDS: Final = {"steps": "steps", "guidance_scale": "guidance", "width": "width", "height": "height"}
_NETWORKS: Final = ("transformer", "unet")
_AUTOENCODERS: Final = ("vae", "vqvae", "movq", "vqgan")
_FLAGS: Final = {"steps": "--steps", "guidance": "--guidance-scale", "width": "--size", "height": "--size"}


@dataclass(frozen=True, slots=True)
class Family:
    """Models with the same generation settings.

    Args:
        name: its name in progress lines and the documentation.
        pipeline: class in diffusers.
        steps: denoising steps.
        guidance_scale: as the pipeline takes it.
        source: of these settings.
        sizes: published sizes in pixels per side; the first is used if the configuration has no size.
        told_by: what else identifies it in the configuration, for readers; "" if the class is enough.
        holds: the same as a function of the configurations of its parts, by part.
    """

    name: str
    pipeline: str
    steps: int
    guidance_scale: float
    source: str
    sizes: tuple[int, ...] = (1024,)
    told_by: str = ""
    holds: Callable[[Mapping[str, Config]], bool] = lambda parts: True


@dataclass(frozen=True, slots=True)
class Preset:
    """The default settings of a model.

    Args:
        name: of the family, or of the source of the defaults.
        steps: denoising steps; None where the pipeline has no default.
        guidance_scale: None if the pipeline has no guidance by default.
        width: pixels; None if unknown.
        height: pixels; None if unknown.
    """

    name: str
    steps: int | None
    guidance_scale: float | None
    width: int | None
    height: int | None


@dataclass(frozen=True, slots=True)
class Settings:
    """How one image is generated.

    Args:
        steps: denoising steps, ≥ 1.
        guidance_scale: as the pipeline takes it; None for no guidance.
        width: pixels, ≥ 1.
        height: pixels, ≥ 1.
        by: the source of the settings; ignored when settings are compared.
    """

    steps: int
    guidance_scale: float | None
    width: int
    height: int
    by: str = field(default="", compare=False)

    def __str__(self) -> str:
        guidance = "none" if self.guidance_scale is None else f"{self.guidance_scale:g}"
        return f"steps {self.steps}, guidance {guidance}, {self.width}×{self.height}"


def _unet(width: int) -> Callable[[Mapping[str, Config]], bool]:
    return lambda parts: parts["unet"].get("cross_attention_dim") == width


def _normed(parts: Mapping[str, Config]) -> bool:
    return parts["transformer"].get("qk_norm") is not None


# The first that holds. Sizes are those of the published networks' sample_size.
FAMILIES: Final = (
    Family(
        name="Stable Diffusion 1.x",
        pipeline="StableDiffusionPipeline",
        told_by="`unet.cross_attention_dim` 768",
        holds=_unet(768),
        steps=50,
        guidance_scale=7.5,
        sizes=(512,),
        source="diffusers' documentation, StableDiffusionPipeline (defaults); model card of Stable Diffusion v1-4 "
        "(trained at 512, evaluated with 50 steps)",
    ),
    Family(
        name="Stable Diffusion 2.x",
        pipeline="StableDiffusionPipeline",
        told_by="`unet.cross_attention_dim` 1024",
        holds=_unet(1024),
        steps=50,
        guidance_scale=7.5,
        sizes=(768, 512),
        source="diffusers' documentation, StableDiffusionPipeline (defaults); configuration of the published networks "
        "(sample_size 96, of the base models 64)",
    ),
    Family(
        name="Stable Diffusion XL",
        pipeline="StableDiffusionXLPipeline",
        steps=50,
        guidance_scale=5.0,
        source="diffusers' documentation, Stable Diffusion XL (defaults; best at 1024)",
    ),
    Family(
        name="Stable Diffusion 3.5 Medium",
        pipeline="StableDiffusion3Pipeline",
        told_by="`transformer.qk_norm` and `dual_attention_layers`",
        holds=lambda parts: _normed(parts) and bool(parts["transformer"].get("dual_attention_layers")),
        steps=40,
        guidance_scale=4.5,
        source="model card of Stable Diffusion 3.5 Medium (example)",
    ),
    Family(
        name="Stable Diffusion 3.5 Large",
        pipeline="StableDiffusion3Pipeline",
        told_by="`transformer.qk_norm`, no `dual_attention_layers`",
        holds=_normed,
        steps=28,
        guidance_scale=3.5,
        source="model card of Stable Diffusion 3.5 Large (example)",
    ),
    Family(
        name="Stable Diffusion 3",
        pipeline="StableDiffusion3Pipeline",
        told_by="no `transformer.qk_norm`",
        steps=28,
        guidance_scale=7.0,
        source="diffusers' documentation, Stable Diffusion 3 (usage example)",
    ),
    Family(
        name="FLUX.1 dev",
        pipeline="FluxPipeline",
        told_by="`transformer.guidance_embeds` true",
        holds=lambda parts: parts["transformer"].get("guidance_embeds") is True,
        steps=50,
        guidance_scale=3.5,
        source="diffusers' documentation, Flux, guidance-distilled (about 50 steps, guidance 3.5); the pipeline's "
        "default size",
    ),
    Family(
        name="FLUX.1 schnell",
        pipeline="FluxPipeline",
        told_by="`transformer.guidance_embeds` false",
        holds=lambda parts: bool(parts["transformer"]) and not parts["transformer"].get("guidance_embeds"),
        steps=4,
        guidance_scale=0.0,
        source="diffusers' documentation, Flux, timestep-distilled (4 steps, guidance must be 0); the pipeline's "
        "default size",
    ),
    *(
        Family(
            name=f"PixArt-{letter}",
            pipeline=f"PixArt{name}Pipeline",
            steps=20,
            guidance_scale=4.5,
            sizes=(1024, *smaller),
            source=f"diffusers' documentation, PixArt-{letter} (defaults); configuration of the published networks",
        )
        for letter, name, smaller in (("α", "Alpha", (512,)), ("Σ", "Sigma", (512, 2048)))
    ),
    Family(
        name="Sana",
        pipeline="SanaPipeline",
        steps=20,
        guidance_scale=4.5,
        sizes=(1024, 512, 2048, 4096),
        source="diffusers' documentation, SanaPipeline (defaults); configuration of the published networks",
    ),
)


def preset(folder: Path, kind: Any, replaced: Mapping[str, Path]) -> Preset:
    """The default settings of the pipeline in a folder, by its configuration; nothing is loaded.

    Args:
        folder: as `save_pretrained` writes it.
        kind: its class in diffusers.
        replaced: folders of parts that replace its own, by part.
    """
    parts = {name: _config(replaced.get(name, folder / name)) for name in (*_NETWORKS, *_AUTOENCODERS)}
    width, height = _own_size(kind.__name__, parts)
    for one in FAMILIES:
        if one.pipeline == kind.__name__ and one.holds(parts):
            side = one.sizes[0]
            return Preset(one.name, one.steps, one.guidance_scale, width or side, height or side)
    told = {name: p.default for name, p in inspect.signature(kind.__call__).parameters.items()}
    guidance = told["guidance_scale"]
    return Preset(
        f"{kind.__name__}'s own defaults",
        _number(told["num_inference_steps"]),
        float(guidance) if isinstance(guidance, int | float) else None,
        _number(told["width"]) or width,
        _number(told["height"]) or height,
    )


def distilled(folder: Path, replaced: Mapping[str, Path]) -> bool:
    """Whether a UNet takes guidance as an input (LCM), so that its pipeline reads no negative prompt at any guidance.

    Args:
        folder: as `save_pretrained` writes it.
        replaced: as of `preset`.
    """
    return _config(replaced.get("unet", folder / "unet")).get("time_cond_proj_dim") is not None


def _config(folder: Path) -> Config:
    """A part's configuration; empty where there is none that can be read, which loading will say."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _own_size(kind: str, parts: Mapping[str, Config]) -> tuple[int | None, int | None]:
    """Width and height that the configuration says, each None where it does not."""
    network = parts["transformer"] or parts["unet"]
    side, shrunk = network.get("sample_size"), _shrunk(parts)
    if shrunk is None:
        return None, None
    height, width = map(_number, side if isinstance(side, list) and len(side) == 2 else (side, side))
    if kind == "StableDiffusionPipeline" and (width or 64) < 64 and _before_0_9(network):
        width = height = 64  # as the pipeline itself corrects what diffusers before 0.9 wrote of every Stable Diffusion
    return width and width * shrunk, height and height * shrunk


def _shrunk(parts: Mapping[str, Config]) -> int | None:
    """How many pixels a side become one; 1 without an autoencoder, None of one of unknown build."""
    own = [parts[name] for name in _AUTOENCODERS if parts[name]]
    if not own:
        return 1
    blocks = own[0].get("block_out_channels", own[0].get("encoder_block_out_channels"))
    return 2 ** (len(blocks) - 1) if isinstance(blocks, list) and 0 < len(blocks) < 10 else None


def _before_0_9(network: Config) -> bool:
    version = [int(n) for n in re.findall(r"\d+", str(network.get("_diffusers_version", "")))[:2]]
    return bool(version) and version < [0, 9]


def settle(given: Config, said: Config, default: Preset | None, model: str) -> Settings:
    """The settings of one image: from options, else from the row, else from the preset.

    Args:
        given: options by field; None for those that are not given.
        said: values of the row by field; None for those that it does not set.
        default: of the model; None if it has none.
        model: its name, for messages.

    Raises:
        InputError: a setting is given nowhere.
    """
    sources = [("from the options", given), ("from the rows", said)]
    if default is not None:
        sources.append((default.name, {name: getattr(default, name) for name in FIELDS}))
    found: dict[str, Any] = {}
    by: dict[str, list[str]] = {who: [] for who, _ in sources}
    missing = []
    for name, title in FIELDS.items():
        for who, values in sources:
            # A pipeline may have no guidance by default; of the rest, None is what nobody says.
            unguided = name == "guidance_scale" and default is not None and who == default.name
            if values[name] is not None or unguided:
                found[name] = values[name]
                by[who].append(title)
                break
        else:
            missing.append(title)
    if missing:
        flags = ", ".join(dict.fromkeys(_FLAGS[title] for title in missing))
        raise InputError(
            f"{model}: some settings ({', '.join(missing)}) are set neither in the rows nor in the model's "
            f"configuration. Use {flags}."
        )
    *others, last = [who for who, titles in by.items() if titles]
    titles = {who: " and ".join(by[who]).replace("width and height", "size") for who in others}
    rest = f"the rest {last if last.startswith('from ') else f'from {last}'}"
    told = [f"{what} {who}" for who, what in titles.items()] + [rest if others else last]
    return Settings(**found, by=", ".join(told))
