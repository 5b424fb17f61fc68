"""Images and networks to measure with, the same for everybody: seeded, and kept in the work folder."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT / "tests"))  # the seeded Inception and AlexNet are those of the tests


@dataclass(frozen=True, slots=True)
class Material:
    """Where everything is.

    Args:
        images: folders of PNG files with metadata.jsonl for config sandbox.church, by model; `original` is the first.
        clip16, clip32: CLIP ViT-B/16 and ViT-B/32 as transformers folders.
        inception: weights of torch-fidelity's Inception.
        trunk: AlexNet's features.
        texts: the prompt of every image, in the order of their names.
    """

    images: dict[str, Path]
    clip16: Path
    clip32: Path
    inception: Path
    trunk: Path
    texts: list[str]


def prepare(work: Path, n: int, *, models: int = 2) -> Material:
    """Make what is not there yet: `n` images for each of `models` models, and the networks."""
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
            _draw(folder, rows, number)
    texts = [prompt for _, _, prompt in sorted(rows, key=lambda row: f"{row[0]}-{row[1]}")]
    return Material(folders, clip16, clip32, inception, trunk, texts)


def _rows(n: int) -> list[tuple[str, int, str]]:
    from igmu_data.load import bench_rows

    rows = sorted(bench_rows("sandbox.church", bench="sandbox").values(), key=lambda r: r.id)
    return [(r.id, seed, r.prompt) for r in rows for seed in r.seeds][:n]


def _draw(folder: Path, rows: list[tuple[str, int, str]], number: int) -> None:
    """Blobs with noise, about 450 KB a PNG as diffusion models' images are."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    lines, side = [], 512
    for row_id, seed, _ in rows:
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize((side, side))
        noisy = np.asarray(coarse, dtype=np.float32) + rng.normal(0, 6, (side, side, 3))
        name = f"{row_id}-{seed}.png"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / name, compress_level=1)
        lines.append(json.dumps({"file_name": name, "id": row_id, "seed": seed}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def _clip(folder: Path, patch: int) -> Path:
    """OpenAI's ViT-B in size and preparation, seeded; a text has about as many tokens as with OpenAI's."""
    if (folder / "model.safetensors").exists():
        return folder
    import torch
    from tiny import tiny_clip
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    tiny_clip(folder)
    _learn_words(folder)
    text = json.loads((folder / "config.json").read_text())["text_config"]
    ids = {k: text[k] for k in ("bos_token_id", "eos_token_id", "pad_token_id")}
    torch.manual_seed(patch)
    config = CLIPConfig(text_config=ids, vision_config={"patch_size": patch}, projection_dim=512)
    model = CLIPModel(config)
    for parameter in model.parameters():  # different images give clearly different features
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.04)
    model.save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    return folder


def _learn_words(folder: Path) -> None:
    """Give a tokenizer of single characters the pairs that the texts of an evaluation are made of."""
    from transformers import AutoTokenizer

    from igmu_data.load import bench_rows
    from igmu_metrics.detectors.clip import default_vocabulary

    texts = [text for group in default_vocabulary().texts.values() for text in group]
    texts += [
        text for r in bench_rows("sandbox.church", bench="sandbox").values() for text in (r.prompt, r.stripped_prompt)
    ]
    learned = AutoTokenizer.from_pretrained(folder).train_new_from_iterator(texts, 4000, show_progress=False)
    model = json.loads(learned.backend_tokenizer.to_str())["model"]
    special = set(learned.all_special_tokens)
    ids = json.loads((folder / "vocab.json").read_text())
    words = [token for token in model["vocab"] if token not in special]
    # The end token keeps the highest id, where CLIP looks for a text's embedding.
    tokens = words + sorted(special, key=ids.__getitem__)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= {"bos_token_id": len(words), "pad_token_id": len(words) + 1}
    (folder / "config.json").write_text(json.dumps(config))
