"""A package of sandbox models as `python -m builders.sandbox` leaves it, of a few thousand random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny_clip
from tiny_diffusion import tiny_pipeline

from builders.unlearning.blocklist import filtered
from igmu_data.sandbox.packaged import CHANGES, VERSIONS
from igmu_data.sandbox.world import world
from igmu_data.schema import ALL_COLUMNS, SPLITS, Row, features, record, row_id

SIDE = 16


@contextmanager
def installed(root: Path) -> Iterator[Path]:
    """A package in the place of igmu's own, with a cache of its own, on a CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IGMU_SANDBOX", str(root))
        patch.setenv("IGMU_CACHE", str(root / "cache"))
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield root


UNET = "diffusion_pytorch_model.safetensors"
SHARED = ("vae", "scheduler", "tokenizer")
RATES = {"sensitivity": 0.9, "specificity": 0.8, "n_positives": 50, "n_negatives": 60}


def tiny_package(root: Path) -> Path:
    """`root` with `models/`: a UNet of its own, or changes to the original's, for each version; in half precision."""
    from transformers import CLIPTokenizer

    models = root / "models"
    models.mkdir(parents=True)
    listed: dict[str, dict[str, dict[str, str]]] = {}
    for seed, version in enumerate(VERSIONS):
        made = tiny_pipeline(root / "work" / version, seed=seed)
        for file in made.rglob("*.safetensors"):
            save_file({k: v.half() for k, v in load_file(file).items()}, file)
        parts = {**{name: name for name in SHARED}, "text_encoder": "text_encoder-original", "unet": f"unet-{version}"}
        if version == "original":
            shutil.copyfile(made / "model_index.json", models / "model_index.json")
            for name in SHARED:
                shutil.copytree(made / name, models / name)
            shutil.copytree(made / "text_encoder", models / "text_encoder-original")
        if version == "filter":
            blocked = filtered(CLIPTokenizer.from_pretrained(made / "tokenizer"), ["church"])
            blocked.save_pretrained(models / "tokenizer-filter")
            parts |= {"tokenizer": "tokenizer-filter", "unet": "unet-original"}
        elif version in ("original", "gold"):
            shutil.copytree(made / "unet", models / f"unet-{version}")
        else:
            tensors = load_file(made / "unet" / UNET)
            (models / f"unet-{version}").mkdir()
            save_file({k: v for k, v in tensors.items() if "attn2" in k}, models / f"unet-{version}" / CHANGES)
            parts["unet"] = f"unet-original+unet-{version}"
        alike = version in ("original", "collapsed")
        listed[version] = dict.fromkeys([""] if alike else world().tasks, parts)
    (models / "versions.json").write_text(json.dumps(listed))
    tiny_clip(models / "clip")
    tiny_detector(models / "detector")
    shutil.rmtree(root / "work")
    return root


def tiny_detector(folder: Path) -> Path:
    """A ResNet with a sigmoid for each concept, and a card that knows something about some of them."""
    from transformers import ConvNextImageProcessorPil, ResNetConfig, ResNetForImageClassification

    labels = dict(enumerate(c.label for c in world().concepts()))
    config = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        id2label=labels,
        label2id={name: i for i, name in labels.items()},
        problem_type="multi_label_classification",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ResNetForImageClassification(config)
        torch.nn.init.normal_(model.classifier[1].weight, std=2.0)
    model.save_pretrained(folder)
    ConvNextImageProcessorPil(size={"shortest_edge": 32}, do_resize=True, crop_pct=1.0).save_pretrained(folder)
    write_card(folder, {"object/church": {"renders": RATES, "generations": RATES | {"specificity": 0.7}}})
    return folder


def write_card(folder: Path, concepts: dict[str, Any], **more: Any) -> None:
    (folder / "card.json").write_text(json.dumps({"concepts": concepts, **more}))


def tiny_bench(root: Path, rows: Sequence[Row], *, few: bool = True) -> Path:
    """`root` with `bench/`: the world's rows of one task, generated smaller still and in one step."""
    slug = rows[0].concept.partition("/")[2]
    if few:
        attacks = _first(rows, lambda r: r.attack_family, "adversarial", 1)
        sources = {r.attack_source_id for r in attacks}
        plain = [r for r in rows if r.id in sources] + _first(rows, lambda r: r.probe, "forget", 1)
        rows = [*dict.fromkeys(plain), *attacks, *_first(rows, lambda r: r.probe, "retain", 4)]
    ids: dict[str | None, str | None] = {None: None}
    small: list[Row] = []
    for row in sorted(rows, key=lambda r: r.attack_source_id is not None):
        changed = row.model_dump() | {"width": SIDE, "height": SIDE, "steps": 1}
        changed["attack_source_id"] = ids[row.attack_source_id]
        ids[row.id] = row_id(changed)
        small.append(Row(**(changed | {"id": ids[row.id]})))
    _write(root / "bench", slug, small)
    return root / "bench"


def _first(rows: Sequence[Row], kind: Any, split: str, n: int) -> list[Row]:
    """The first n rows of each kind in a split."""
    kinds: dict[Any, list[Row]] = {}
    for row in rows:
        if row.split == split:
            kinds.setdefault(kind(row), []).append(row)
    return [row for group in kinds.values() for row in group[:n]]


def _write(bench: Path, slug: str, rows: Sequence[Row]) -> None:
    import datasets
    import yaml

    for split in SPLITS:
        path = bench / "sandbox" / slug / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        records = [record(r, ALL_COLUMNS) for r in rows if r.split == split]
        table = datasets.Dataset.from_list(records, features=features(ALL_COLUMNS))
        table.to_parquet(str(path))
    found = {"sandbox": "*", **{f"sandbox.{p.name}": p.name for p in sorted((bench / "sandbox").iterdir())}}
    configs = [
        {"config_name": name, "data_files": [{"split": s, "path": f"sandbox/{glob}/{s}-*"} for s in SPLITS]}
        for name, glob in found.items()
    ]
    (bench / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n")
