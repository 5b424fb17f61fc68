"""DINOv2: image features without labels or texts, from any transformers `Dinov2Model`.

Conventions: the feature is the class token after the last layer norm, float64, not normalised.

Specs: `dinov2`, `dinov2:facebook/dinov2-small@<commit>`, `dinov2:path/to/folder`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from igmu_metrics.networks import loading
from igmu_metrics.networks.extraction import Extracting, Pixels, processor_key
from igmu_metrics.networks.instruments import InstrumentInfo
from igmu_metrics.networks.packed import pack

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

NAME = "dinov2"
DEFAULT = "facebook/dinov2-base"
PINNED = {DEFAULT: "f9e44c814b77203eaa57a6bdbbd535f21ede1415"}
_BATCH = 8


def load(
    argument: str | None = None,
    *,
    device: str | None = None,
    revision: str | None = None,
    precision: str = "fp32",
) -> Dinov2:
    """Load a DINOv2 model.

    Args:
        argument: local folder or Hub id; None for `facebook/dinov2-base`.
        device: "cpu", "cuda", …; None or "auto": a GPU if available.
        revision: commit, or for a folder the `sha256:…` that it must have.
        precision: "fp32" or "bf16" arithmetic.

    Raises:
        WeightsError: there is no such model, it has no safetensors, or it is not a DINOv2 model.
        InputError: an unknown precision or device.
    """
    from transformers import Dinov2Model

    dtype = loading.pick_dtype(precision)
    source = loading.find_model(argument, DEFAULT, revision, PINNED)
    model = loading.load_pretrained(Dinov2Model, source, "dinov2", dtype).to(loading.pick_device(device))
    processor, preparation = loading.load_image_processor(source)
    info = InstrumentInfo(
        name=f"{NAME}:{source.name}",
        revision=source.revision,
        preparation=preparation,
        settings={"precision": precision},
    )
    return Dinov2(info, model, processor)


def files(argument: str | None = None, *, revision: str | None = None, **_: Any) -> list[Path] | None:
    """The files that `load` reads; None if only the Hub knows them."""
    return loading.model_files(argument, DEFAULT, revision, PINNED)


class Dinov2(Extracting):
    """A loaded DINOv2 model: `info`, the model in eval mode, and its image processor with the PIL backend."""

    def __init__(self, info: InstrumentInfo, model: Any, processor: Any) -> None:
        super().__init__(info, processor_key(processor), model.device, model.dtype, _BATCH)
        self._model, self._processor = model, processor
        pack(model, _BATCH * (1 + (model.config.image_size // model.config.patch_size) ** 2))

    def prepare(self, image: Image) -> Pixels:
        """(3, h, w) float32: the model's own resize, crop and scale."""
        return np.asarray(self._processor(images=[image], return_tensors="np")["pixel_values"][0], dtype=np.float32)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, d) class tokens."""
        tokens: torch.Tensor = self._model(pixel_values=pixels).last_hidden_state
        return tokens[:, 0]
