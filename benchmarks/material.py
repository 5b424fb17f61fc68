"""Pictures and networks to measure with, the same for everybody: seeded, and kept in the work folder."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests"))  # the seeded Inception and AlexNet are those of the tests


@dataclass(frozen=True, slots=True)
class Material:
    """Where everything is.

    Args:
        pictures: folders of PNG files with metadata.jsonl for config sandbox.church, by model; `original` is the first.
        clip16, clip32: CLIP ViT-B/16 and ViT-B/32 as transformers folders.
        inception: weights of torch-fidelity's Inception.
        trunk: AlexNet's features.
        texts: the prompt of every picture, in the order of their names.
    """

    pictures: dict[str, Path]
    clip16: Path
    clip32: Path
    inception: Path
    trunk: Path
    texts: list[str]


def prepare(work: Path, n: int, *, models: int = 2, side: int = 512) -> Material:
    """Make what is not there yet: `n` pictures for each of `models` models, and the networks."""
    from tiny import tiny_inception, tiny_trunk

    work.mkdir(parents=True, exist_ok=True)
    inception, trunk = work / "inception.safetensors", work / "alexnet.safetensors"
    if not inception.exists():
        tiny_inception(inception)
    if not trunk.exists():
        tiny_trunk(trunk, "alex")
    clip16, clip32 = (_clip(work / f"clip-vit-b-{patch}", patch) for patch in (16, 32))
    names = ["original", *(f"method{i}" for i in range(1, models))]
    rows = _rows(n)
    folders = {name: work / f"{name}-{n}" for name in names}
    for number, folder in enumerate(folders.values()):
        if not (folder / "metadata.jsonl").exists():
            _draw(folder, rows, side, number)
    texts = [prompt for _, _, prompt in sorted(rows, key=lambda row: f"{row[0]}-{row[1]}")]
    return Material(folders, clip16, clip32, inception, trunk, texts)


def _rows(n: int) -> list[tuple[str, int, str]]:
    from igmu_data.load import bench_rows

    rows = sorted(bench_rows("sandbox.church", bench="sandbox").values(), key=lambda r: r.id)
    return [(r.id, seed, r.prompt) for r in rows for seed in r.seeds][:n]


def _draw(folder: Path, rows: list[tuple[str, int, str]], side: int, number: int) -> None:
    """Blobs with noise, about 450 KB a PNG as diffusion models' pictures are."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    lines = []
    for row_id, seed, _ in rows:
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize((side, side))
        noisy = np.asarray(coarse, dtype=np.float32) + rng.normal(0, 6, (side, side, 3))
        name = f"{row_id}-{seed}.png"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / name, compress_level=1)
        lines.append(json.dumps({"file_name": name, "id": row_id, "seed": seed}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def _clip(folder: Path, patch: int) -> Path:
    """OpenAI's ViT-B in size and preparation, seeded; its tokenizer knows single characters."""
    if (folder / "model.safetensors").exists():
        return folder
    import torch
    from tiny import tiny_clip
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    tiny_clip(folder)
    text = json.loads((folder / "config.json").read_text())["text_config"]
    ids = {k: text[k] for k in ("bos_token_id", "eos_token_id", "pad_token_id")}
    torch.manual_seed(patch)
    config = CLIPConfig(text_config=ids, vision_config={"patch_size": patch}, projection_dim=512)
    model = CLIPModel(config)
    for parameter in model.parameters():  # different pictures give clearly different features
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.04)
    model.save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    return folder
