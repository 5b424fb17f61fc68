"""The sandbox's CLIPModel: images and captions in one space, for alignment, features and zero-shot detection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from builders.sandbox import questions
from builders.sandbox.captions import caption
from builders.sandbox.data import Renders
from builders.sandbox.detector import disturbed, to_input
from builders.sandbox.loop import Curve, Fit, fit
from builders.sandbox.tokenizer import LENGTH
from igmu_data.sandbox.world import SIDE, Scene, world

if TYPE_CHECKING:
    import torch

BATCH: Final = 128
WIDTH: Final = 96
_SCALE: Final = 10.0  # of embeddings before linear heads: their length is 1


def text_config(tokenizer: Any, *, width: int, layers: int) -> dict[str, Any]:
    """Of a CLIP text model over the sandbox's tokenizer."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 3 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "max_position_embeddings": LENGTH,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "hidden_act": "gelu",
    }


def make(tokenizer: Any) -> Any:
    """The untrained model."""
    from transformers import CLIPConfig, CLIPModel

    vision = {
        "image_size": SIDE,
        "patch_size": 8,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "hidden_act": "gelu",
    }
    text = text_config(tokenizer, width=WIDTH, layers=2)
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH))


def tokens(tokenizer: Any, texts: Sequence[str]) -> torch.Tensor:
    """(n, LENGTH) ids, padded as diffusers pads them."""
    found = tokenizer(list(texts), padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
    ids: torch.Tensor = found["input_ids"]
    return ids


def train(model: Any, tokenizer: Any, data: Renders, plan: Fit, work: Path) -> Curve:
    """Contrastive training; captions that fit several images of the batch count as right for each of them.

    Beside it the image's side answers questions about what it shows: captions alone taught it woodcuts too slowly.
    """
    import torch

    right, heads = questions.answers(data.scenes), questions.heads(WIDTH)

    def loss(rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
        chosen = rng.integers(len(data), size=BATCH)
        pixels = disturbed(to_input(data.pixels[chosen]), rng, generator)
        ids = tokens(tokenizer, [caption(data.scenes[i], rng) for i in chosen])
        out = model(input_ids=ids, attention_mask=_attended(ids, tokenizer), pixel_values=pixels)
        wanted = right[chosen]
        target = (wanted[:, None] == wanted[None]).all(2).float()
        target = target / target.sum(1, keepdim=True)
        both = (out.logits_per_text, out.logits_per_image)
        likely = [(target * logits.log_softmax(1)).sum(1).mean() for logits in both]
        told: torch.Tensor = questions.loss(heads, _SCALE * out.image_embeds, wanted)
        return told - torch.stack(likely).mean()

    return fit(torch.nn.ModuleDict({"model": model, "heads": heads}), loss, plan, work)


def _attended(ids: torch.Tensor, tokenizer: Any) -> torch.Tensor:
    """1 up to the first end token, 0 behind it: the end token is the padding too."""
    end = (ids == tokenizer.eos_token_id).int()
    attended: torch.Tensor = (end.cumsum(1) - end == 0).long()
    return attended


def nearest(model: Any, tokenizer: Any, pixels: npt.NDArray[np.uint8]) -> list[tuple[str, str]]:
    """For each image the object and the style whose text is nearest, whether the image has one or not."""
    import torch

    found = []
    with torch.inference_mode():
        blocks = [to_input(pixels[i : i + 250]) for i in range(0, len(pixels), 250)]
        parts = [model.get_image_features(pixel_values=block) for block in blocks]
        images = torch.cat([getattr(p, "pooler_output", p) for p in parts])
        for names, frame in ((world().objects, "{}"), (world().styles, "A picture in the style of {}")):
            ids = tokens(tokenizer, [frame.format(world().known[n].phrase()) for n in names])
            texts = model.get_text_features(input_ids=ids, attention_mask=_attended(ids, tokenizer))
            texts = getattr(texts, "pooler_output", texts)
            near = (images / images.norm(dim=1, keepdim=True)) @ (texts / texts.norm(dim=1, keepdim=True)).T
            found.append([names[i] for i in near.argmax(1).tolist()])
    return list(zip(*found, strict=True))


def zero_shot(
    model: Any, tokenizer: Any, pixels: npt.NDArray[np.uint8], scenes: Sequence[Scene]
) -> tuple[float, float]:
    """Share of images whose object, and whose style, is the nearest text's; empty scenes and plain ones aside."""
    seen = nearest(model, tokenizer, pixels)
    objects = [thing == s.object for (thing, _), s in zip(seen, scenes, strict=True) if s.object]
    styles = [style == s.style for (_, style), s in zip(seen, scenes, strict=True) if s.style]
    return float(np.mean(objects)), float(np.mean(styles))
