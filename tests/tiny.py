"""Small seeded models, written to disk as their real counterparts are published: same classes, same file names.

Random weights give numbers without meaning, but the same numbers in every implementation that is given them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

TOKENS = "abcdefghijklmnopqrstuvwxyz0123456789.,'-"
START, END = "<|startoftext|>", "<|endoftext|>"


def tiny_clip(folder: Path, *, size: int = 32, seed: int = 0) -> Path:
    """A CLIP folder: two layers, 16-dimensional embeddings, a tokenizer that knows single characters, 77 tokens."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = [*TOKENS, *(f"{c}</w>" for c in TOKENS), START, END]
    ids = {token: i for i, token in enumerate(vocabulary)}
    text = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 77,
        "bos_token_id": ids[START],
        "pad_token_id": ids[END],
        "eos_token_id": 2,  # as in OpenAI's files: transformers then pools at the highest id, which is the end token
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": size,
        "patch_size": 8,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
        _spread(model)
    model.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size}).save_pretrained(
        folder
    )
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    return folder


def tiny_dinov2(folder: Path, *, size: int = 28, seed: int = 0) -> Path:
    """A DINOv2 folder: two layers, 32-dimensional features."""
    from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model

    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Dinov2Model(
            Dinov2Config(
                hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=size, patch_size=14, mlp_ratio=2
            )
        )
        _spread(model)
    model.save_pretrained(folder)
    BitImageProcessorPil(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}, do_center_crop=True
    ).save_pretrained(folder)
    return folder


def tiny_inception(path: Path, *, seed: int = 0) -> Path:
    """Seeded weights for torch-fidelity's Inception-v3 (its full size: the architecture is fixed), as a state dict.

    Written as safetensors or with torch.save, by the suffix of `path`.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Unloaded(FeatureExtractorInceptionV3):
        """The same layers, without a file to load."""

        def load_state_dict(self, *args: object, **kwargs: object) -> None:
            pass

    empty = path.with_suffix(".empty")
    torch.save({}, empty)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Unloaded("tiny", ["2048"], feature_extractor_weights_path=str(empty))
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):  # keeps activations alive through ninety layers
                torch.nn.init.kaiming_normal_(module.weight)
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0.0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.data.uniform_(0.8, 1.2)
                module.bias.data.normal_(0.0, 0.1)
    empty.unlink()
    return _save(network.state_dict(), path)


def tiny_trunk(path: Path, network: str = "alex", *, seed: int = 0) -> Path:
    """Seeded weights of torchvision's AlexNet or VGG16 features, the trunk of LPIPS, as a state dict."""
    from torchvision.models import alexnet, vgg16

    with torch.device("meta"):  # the classifier's hundred million random numbers are not needed
        layers = (alexnet if network == "alex" else vgg16)(weights=None).features
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        features = {}
        for name, parameter in layers.named_parameters():
            tensor = torch.empty(parameter.shape)
            features[f"features.{name}"] = (
                torch.nn.init.kaiming_normal_(tensor) if tensor.dim() > 1 else tensor.normal_(std=0.1)
            )
    return _save(features, path)


def sample_images(n: int, size: int | tuple[int, int] = 48, *, seed: int = 0) -> list[Image.Image]:
    """`n` seeded RGB images: colour blobs with some noise, so that resizing has something to keep and to lose."""
    rng = np.random.default_rng(seed)
    width, height = (size, size) if isinstance(size, int) else size
    out = []
    for _ in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)
        noisy = smooth + rng.normal(0.0, 12.0, smooth.shape)
        out.append(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)))
    return out


def _spread(model: torch.nn.Module) -> None:
    """Weights large enough that different inputs give clearly different outputs (transformers starts at 0.02)."""
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)


def _save(state: dict[str, torch.Tensor], path: Path) -> Path:
    from safetensors.torch import save_file

    if path.suffix == ".safetensors":
        save_file({k: v.contiguous() for k, v in state.items()}, path)
    else:
        torch.save(state, path)
    return path
