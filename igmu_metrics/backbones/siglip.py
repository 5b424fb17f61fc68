"""SigLIP and SigLIP 2: image and text embeddings in one space, from any transformers `SiglipModel` or `Siglip2Model`.

Conventions: features are the pooled embeddings, not normalised, float64. Texts are padded to the model's length, as in
training, and longer texts are truncated (`cut_texts` lists them). `logit_scale` and `logit_bias` come from the model:
two embeddings of length 1 belong together with probability sigmoid(logit_scale · cosine + logit_bias).

Specs: `siglip:google/siglip-base-patch16-224@<commit>`, `siglip:path/to/folder`.

References: Zhai et al. 2023, arXiv:2303.15343; Tschannen et al. 2025, arXiv:2502.14786.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from igmu_data.errors import EmptyInputError, WeightsError
from igmu_metrics.contract import FloatArray, batches
from igmu_metrics.networks import loading
from igmu_metrics.networks.extraction import Extracting, filled, fitting, processor_key
from igmu_metrics.networks.instruments import InstrumentInfo

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

NAME = "siglip"
_BATCH = 8
_TEXTS = 16


def load(
    argument: str | None,
    *,
    device: str | None = None,
    revision: str | None = None,
    precision: str = "fp32",
) -> Siglip:
    """Load a SigLIP model.

    Args:
        argument: local folder or Hub id.
        device: "cpu", "cuda", …; None or "auto": a GPU if available.
        revision: commit, or for a folder the `sha256:…` that it must have.
        precision: "fp32" or "bf16" arithmetic.

    Raises:
        WeightsError: the model is missing, has no safetensors, or is not a SigLIP model.
        InputError: an unknown precision or device.
    """
    if not argument:
        raise WeightsError(
            "siglip: no model is specified. Use siglip:FOLDER_OR_ID, such as siglip:google/siglip-base-patch16-224."
        )
    from transformers import AutoConfig, AutoTokenizer, Siglip2Model, SiglipModel

    dtype = loading.pick_dtype(precision)
    source = loading.find_model(argument, "", revision, {})
    kind = AutoConfig.from_pretrained(source.folder, local_files_only=True, trust_remote_code=False).model_type
    loader, wanted = (Siglip2Model, kind) if kind == "siglip2" else (SiglipModel, NAME)
    model = loading.load_pretrained(loader, source, wanted, dtype).to(loading.pick_device(device))
    processor, preparation = loading.load_image_processor(source)
    tokenizer = AutoTokenizer.from_pretrained(source.folder, local_files_only=True, trust_remote_code=False)
    info = InstrumentInfo(
        name=f"{NAME}:{source.name}",
        revision=source.revision,
        preparation=preparation or processor_key(processor),
        settings={"precision": precision},
    )
    return Siglip(info, model, processor, tokenizer)


def files(argument: str | None, *, revision: str | None = None, **_: Any) -> list[Path] | None:
    """The files that `load` reads; None if only the Hub knows them."""
    return loading.model_files(argument, "", revision, {}) if argument else None


class Siglip(Extracting):
    """A loaded SigLIP model.

    Args:
        info: its description.
        model: a `SiglipModel` or `Siglip2Model` in eval mode.
        processor: its image processor, with the PIL backend.
        tokenizer: its tokenizer.
    """

    def __init__(self, info: InstrumentInfo, model: Any, processor: Any, tokenizer: Any) -> None:
        super().__init__(info, processor_key(processor), model.device, model.dtype, _BATCH)
        self.max_tokens = int(model.config.text_config.max_position_embeddings)
        self.logit_scale = exp(float(model.logit_scale))
        self.logit_bias = float(model.logit_bias)
        self._model, self._processor, self._tokenizer = model, processor, tokenizer

    def prepare(self, image: Image) -> Any:
        """The model's inputs for an image, by name: pixels, and for SigLIP 2 the positions of its patches."""
        return {name: np.asarray(v[0]) for name, v in self._processor(images=[image], return_tensors="np").items()}

    def extract(self, inputs: Sequence[Any]) -> FloatArray:
        """(n, d) image embeddings of prepared images."""
        import torch

        parts = []
        with torch.inference_mode():
            for some in batches(inputs, self.batch):
                full = filled(some, self.batch)
                given = {name: torch.from_numpy(np.stack([one[name] for one in full])) for name in full[0]}
                placed = {
                    k: v.to(self._device, self._dtype if v.is_floating_point() else None) for k, v in given.items()
                }
                with fitting(self.info.name):
                    found = self._model.get_image_features(**placed).pooler_output
                    parts.append(found[: len(some)].double().cpu().numpy())
        return np.concatenate(parts)

    def text_features(self, texts: Sequence[str]) -> FloatArray:
        """(n, d) text embeddings; the end of texts longer than `max_tokens` is cut off."""
        import torch

        if len(texts) == 0:
            raise EmptyInputError("the list of texts is empty. Pass at least one text.")
        parts = []
        length = {"padding": "max_length", "max_length": self.max_tokens, "truncation": True}
        with torch.inference_mode():
            for some in batches(texts, _TEXTS):
                tokens = self._tokenizer(filled(some, _TEXTS), return_tensors="pt", **length).to(self._device)
                found: torch.Tensor = self._model.get_text_features(**tokens).pooler_output
                parts.append(found[: len(some)].double().cpu().numpy())
        return np.concatenate(parts)

    def cut_texts(self, texts: Sequence[str]) -> list[bool]:
        """(n,) whether a text is longer than `max_tokens`, so that only its beginning is read."""
        found = self._tokenizer(list(texts), verbose=False)["input_ids"]
        return [len(ids) > self.max_tokens for ids in found]
