"""The usual workflow, written out: one pass over the images for every metric, CLIP loaded anew for every batch, LPIPS
one pair at a time, FID by scipy's matrix square root. Plain PyTorch, fp32. This is what published evaluations do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from builders.benchmarks.material import Material
from igmu_metrics.detectors.clip import Vocabulary, default_vocabulary

BATCH = 32
Array = npt.NDArray[np.float64]


def evaluate(material: Material, model: str) -> dict[str, Any]:
    """Probabilities of the concept, CSDR, FID and LPIPS of one model against the original."""
    folders = [material.images[name] for name in ("original", model)]
    files = [sorted(folder.glob("*.png")) for folder in folders]
    csdr = [alignment(material.clip32, f, material.texts) for f in files]
    scored = csdr[0] > 0  # random weights give some negative cosines, which count as 0
    return {
        "probabilities": [accuracy(material.clip16, f) for f in files],
        "csdr": float(np.mean(np.abs(csdr[0] - csdr[1])[scored] / csdr[0][scored])),
        "fid": sqrtm_distance(*(inception_features(material.inception, f) for f in files)),
        "lpips": lpips_distances(material.trunk, *files),
    }


def _clip(folder: Path) -> tuple[Any, Any, Any]:
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    return CLIPModel.from_pretrained(folder).eval(), processor, AutoTokenizer.from_pretrained(folder)


def _image_features(model: Any, processor: Any, files: list[Path]) -> Array:
    images = [Image.open(f).convert("RGB") for f in files]
    with torch.no_grad():
        out = model.get_image_features(**processor(images=images, return_tensors="pt")).pooler_output
    return np.asarray(out.double())


def _text_features(model: Any, tokenizer: Any, texts: list[str]) -> Array:
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=77, return_tensors="pt")
    with torch.no_grad():
        return np.asarray(model.get_text_features(**tokens).pooler_output.double())


def accuracy(folder: Path, files: list[Path]) -> Array:
    """Zero-shot probability of a church, with the classes and texts that igmu takes."""
    model, processor, tokenizer = _clip(folder)
    words: Vocabulary = default_vocabulary()
    names = ["object/church", *words.rivals["object/church"]]
    classes = []
    for name in names:
        mean = _unit(_text_features(model, tokenizer, list(words.texts[name]))).mean(axis=0)
        classes.append(_unit(mean))
    out = []
    for start in range(0, len(files), BATCH):
        images = _unit(_image_features(model, processor, files[start : start + BATCH]))
        logits = 100.0 * images @ np.stack(classes).T
        power = np.exp(logits - logits.max(axis=1, keepdims=True))
        out.append(power[:, 0] / power.sum(axis=1))
    return np.concatenate(out)


def alignment(folder: Path, files: list[Path], texts: list[str]) -> Array:
    """CLIP score of every image; the model is loaded anew for every batch, as torchmetrics' function does."""
    out = []
    for start in range(0, len(files), BATCH):
        model, processor, tokenizer = _clip(folder)
        images = _unit(_image_features(model, processor, files[start : start + BATCH]))
        prompts = _unit(_text_features(model, tokenizer, texts[start : start + BATCH]))
        out.append(100.0 * np.maximum((images * prompts).sum(axis=1), 0.0))
    return np.concatenate(out)


def plain_inception(path: Path) -> torch.nn.Module:
    """torch-fidelity's network as it comes: batch norms of their own, channels first."""
    import tempfile

    from safetensors.torch import load_file
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    with tempfile.NamedTemporaryFile(suffix=".pth") as copy:
        torch.save(load_file(path), copy.name)
        network = FeatureExtractorInceptionV3("plain", ["2048"], feature_extractor_weights_path=copy.name)
    layers = [layer for name, layer in network.named_children() if name != "fc"]
    return torch.nn.Sequential(*layers, torch.nn.Flatten()).eval()


def inception_features(path: Path, files: list[Path]) -> Array:
    """Features after clean-fid's resize."""
    from igmu_metrics.backbones.inception import clean_resize

    network, out = plain_inception(path), []
    for start in range(0, len(files), BATCH):
        images = [clean_resize(Image.open(f).convert("RGB"), 299) for f in files[start : start + BATCH]]
        with torch.no_grad():
            out.append(network((torch.from_numpy(np.stack(images)) - 128) / 128).double().numpy())
    return np.concatenate(out)


def sqrtm_distance(x: Array, y: Array) -> float:
    """The Fréchet distance of clean-fid and most others."""
    from scipy.linalg import sqrtm

    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root: Any = sqrtm(first @ second)
    difference = x.mean(axis=0) - y.mean(axis=0)
    return float(difference @ difference + np.trace(first) + np.trace(second) - 2 * np.trace(root.real))


def plain_lpips(trunk: Path) -> torch.nn.Module:
    """The package's network with the seeded trunk."""
    import warnings

    import lpips
    from safetensors.torch import load_file

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    weights = load_file(trunk)
    for name, parameter in model.net.named_parameters():
        parameter.data.copy_(weights["features." + name.split(".", 1)[1]])
    return model.eval()  # type: ignore[no-any-return]


def lpips_distances(trunk: Path, files: list[Path], others: list[Path]) -> Array:
    """One pair at a time, at the images' own size."""
    model, out = plain_lpips(trunk), []
    for pair in zip(files, others, strict=True):
        one, other = (torch.from_numpy(np.array(Image.open(f).convert("RGB"))).permute(2, 0, 1)[None] for f in pair)
        with torch.no_grad():
            out.append(float(model(one / 127.5 - 1, other / 127.5 - 1)))
    return np.array(out)


def _unit(rows: Array) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))
