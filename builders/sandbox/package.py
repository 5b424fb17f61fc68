"""Writes what was trained as the package carries it: each part once, in half precision, and which version has which."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from builders.hubfolder import replaced
from builders.sandbox.generator import make_scheduler
from builders.sandbox.train import RECORD, Models, record, slug
from builders.sandbox.versions import Versions
from igmu_data.files import beside
from igmu_data.sandbox.packaged import CHANGES, VERSIONS
from igmu_data.sandbox.world import SIDE

_VERSIONS: Final = "versions.json"
_SHARED: Final = {"vae": "vae", "scheduler": "scheduler", "tokenizer": "tokenizer"}


def write(models: Models, versions: Versions, card: Mapping[str, Any], target: Path) -> None:
    """Write the folder of all parts; it appears complete or not at all.

    Args:
        models: trained.
        versions: unlearned.
        card: `card.json` of the detector.
        target: `igmu_data/sandbox/models`.
    """
    with replaced(target) as folder:
        _half(models.autoencoder, folder / "vae")
        make_scheduler().save_pretrained(folder / "scheduler")
        models.tokenizer.save_pretrained(folder / "tokenizer")
        _instrument(models.clip, folder / "clip", models.tokenizer)
        _instrument(models.detector, folder / "detector")
        with beside(folder / "detector" / "card.json") as fresh:
            fresh.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        _half(models.original.unet, folder / "unet-original")
        _half(models.original.text_encoder, folder / "text_encoder-original")
        _changes(models.original.unet, versions.collapsed, folder / "unet-collapsed")
        _add(models, versions, folder)
        parts = {version: _parts(version, models.gold) for version in VERSIONS}
        _write_json(folder / _VERSIONS, parts)
        (folder / RECORD).write_text(record(models.curves), encoding="utf-8")
        _write_json(folder / "model_index.json", _index())


def add(models: Models, versions: Versions, base: Path, target: Path) -> None:
    """Write a folder of all parts of another one, and of further tasks; it appears complete or not at all.

    Args:
        models: with `gold` of the further tasks alone.
        versions: unlearned from the original of the other folder.
        base: the other folder, which may be the target.
        target: where.
    """
    with replaced(target) as folder:
        shutil.copytree(base, folder, dirs_exist_ok=True)
        _add(models, versions, folder)
        parts = json.loads((folder / _VERSIONS).read_text(encoding="utf-8"))
        _write_json(folder / _VERSIONS, {v: parts[v] | _parts(v, models.gold) for v in VERSIONS})
        curves = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        _write_json(folder / RECORD, curves | json.loads(record(models.curves)))


def _add(models: Models, versions: Versions, folder: Path) -> None:
    """Write the parts that belong to one task alone."""
    for task, gold in models.gold.items():
        name = slug(task)
        _half(gold.unet, folder / f"unet-gold-{name}")
        _half(gold.text_encoder, folder / f"text_encoder-gold-{name}")
        _changes(models.original.unet, versions.esd[task], folder / f"unet-esd-{name}")
        _changes(models.original.unet, versions.uce[task], folder / f"unet-uce-{name}")
        versions.filter[task].save_pretrained(folder / f"tokenizer-filter-{name}")
    for path in folder.rglob("tokenizer.json"):  # half of it would be blanks
        content = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _parts(version: str, tasks: Iterable[str]) -> dict[str, dict[str, str]]:
    """The parts of a version, by task."""
    own = {"unet": "unet-original", "text_encoder": "text_encoder-original", **_SHARED}
    if version == "original":
        return {"": own}
    if version == "collapsed":
        return {"": {**own, "unet": "unet-original+unet-collapsed"}}
    out = {}
    for task in tasks:
        name = slug(task)
        if version == "gold":
            changed = {"unet": f"unet-gold-{name}", "text_encoder": f"text_encoder-gold-{name}"}
        elif version == "filter":
            changed = {"tokenizer": f"tokenizer-filter-{name}"}
        else:
            changed = {"unet": f"unet-original+unet-{version}-{name}"}
        out[task] = {**own, **changed}
    return out


def _index() -> dict[str, Any]:
    import diffusers

    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }


def _half(model: Any, folder: Path) -> None:
    """Save a copy in half precision; the model itself stays in single."""
    import copy

    copy.deepcopy(model).half().save_pretrained(folder, safe_serialization=True)


def _instrument(model: Any, folder: Path, tokenizer: Any = None) -> None:
    """A transformers model with the preparation of its images."""
    from transformers import CLIPImageProcessorPil, ViTImageProcessorPil

    _half(model, folder)
    size = {"height": SIDE, "width": SIDE}
    plain = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_resize": True}
    if tokenizer is None:
        ViTImageProcessorPil(size=size, resample=3, **plain).save_pretrained(folder)
    else:
        CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=size, **plain).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _changes(base: Any, changed: Any, folder: Path) -> None:
    """Only the tensors that a method changed: what it did to the model, and nothing else."""
    from safetensors.numpy import save_file

    before = {name: value.detach().numpy().astype(np.float16) for name, value in base.state_dict().items()}
    after = {name: value.detach().numpy().astype(np.float16) for name, value in changed.state_dict().items()}
    folder.mkdir(parents=True)
    save_file({name: v for name, v in after.items() if not np.array_equal(v, before[name])}, folder / CHANGES)


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
