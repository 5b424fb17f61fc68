"""CLIP: image and text embeddings in one space, from any transformers `CLIPModel`.

Conventions: features are the projected embeddings, not normalised (metrics divide by the length), float64. Texts that
    are too long for the model are truncated, and `cut_texts` lists them; the end token is kept, because the embedding
    is computed at this token.

Specs: `clip`, `clip:openai/clip-vit-large-patch14@<commit>`, `clip:path/to/folder`, and `clip:sandbox` for the packaged
CLIP of the sandbox (`clip:./sandbox` for a folder of that name).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from igmu_data.errors import EmptyInputError, WeightsError, nearest
from igmu_data.sandbox import packaged
from igmu_data.taxonomy import SANDBOX
from igmu_metrics.contract import FloatArray, batches
from igmu_metrics.networks import loading
from igmu_metrics.networks.extraction import Extracting, Pixels, filled, processor_key
from igmu_metrics.networks.instruments import InstrumentInfo
from igmu_metrics.networks.packed import pack

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

NAME = "clip"
DEFAULT = "openai/clip-vit-base-patch32"
# `main` of this repository holds pickles only. This commit is the Hub's own safetensors conversion of it.
PINNED = {DEFAULT: "c237dc49a33fc61debc9276459120b7eac67e7ef"}
TRUNCATIONS = ("keep-end", "cut")
_BATCH, _TOKENS = 32, 3200  # images a call, at most as many as have so many tokens: more leave the caches
_TEXTS = 16
_Kind = TypeVar("_Kind", bound="Clip")
_LENGTHS = (8, 16, 24, 32, 48)  # tokens that texts are filled up to; longer ones to the model's maximum


def load(
    argument: str | None = None,
    *,
    device: str | None = None,
    revision: str | None = None,
    precision: str = "fp32",
    truncation: str = "keep-end",
) -> Clip:
    """Load a CLIP model.

    Args:
        argument: local folder, Hub id or `sandbox`; None for `openai/clip-vit-base-patch32`.
        device: "cpu", "cuda", …; None or "auto": a GPU if available.
        revision: commit, or for a folder the `sha256:…` that it must have.
        precision: "fp32" or "bf16" arithmetic.
        truncation: "keep-end", or "cut": texts that are too long lose their end token, as in torchmetrics, which then
            reads the embedding of the start token, the same for all of them. Only for comparison with published
            numbers.

    Raises:
        WeightsError: there is no such model, it has no safetensors, or it is not a CLIP model.
        InputError: an unknown precision, truncation or device.
    """
    loading.choice("truncation", truncation, TRUNCATIONS)
    loading.pick_dtype(precision)
    try:
        source = loading.find_model(_place(argument), DEFAULT, revision, PINNED)
    except WeightsError as error:
        if argument:
            raise
        more = "This is the default model. Choose others with --detector and --clip of 'igmu score' or 'igmu run'."
        raise WeightsError(f"{error} {more}") from error
    source = replace(source, name=SANDBOX) if argument == SANDBOX else source
    return opened(Clip, NAME, source, device=device, precision=precision, truncation=truncation)


def opened(
    kind: type[_Kind], name: str, source: loading.Source, *, device: str | None, precision: str, truncation: str
) -> _Kind:
    """A CLIP model from its files.

    Args:
        kind: of backbone.
        name: under which it is registered.
        source: the files.
        device: as for `load`.
        precision: as for `load`.
        truncation: as for `load`.
    """
    from transformers import AutoTokenizer, CLIPModel

    dtype = loading.pick_dtype(precision)
    model = loading.load_pretrained(CLIPModel, source, "clip", dtype).to(loading.pick_device(device))
    processor, preparation = loading.load_image_processor(source)
    tokenizer = AutoTokenizer.from_pretrained(source.folder, local_files_only=True, trust_remote_code=False)
    info = InstrumentInfo(
        name=f"{name}:{source.name}",
        revision=source.revision,
        preparation=preparation,
        settings={"precision": precision, "truncation": truncation},
    )
    return kind(info, model, processor, tokenizer)


def files(argument: str | None = None, *, revision: str | None = None, **_: Any) -> list[Path] | None:
    """The files that `load` reads; None if only the Hub knows them."""
    return loading.model_files(_place(argument), DEFAULT, revision, PINNED)


def _place(argument: str | None) -> str | None:
    typed = argument not in (None, SANDBOX) and nearest(str(argument), [SANDBOX])
    if typed and "/" not in str(argument) and not Path(str(argument)).exists():
        raise WeightsError(f"there is no CLIP model {argument!r}; did you mean {SANDBOX!r}?")
    return str(packaged.part("clip")) if argument == SANDBOX else argument


class Clip(Extracting):
    """A loaded CLIP model.

    Args:
        info: its description.
        model: a `CLIPModel` in eval mode.
        processor: its image processor, with the PIL backend.
        tokenizer: its tokenizer.
    """

    def __init__(self, info: InstrumentInfo, model: Any, processor: Any, tokenizer: Any) -> None:
        vision = model.config.vision_config
        tokens = 1 + (vision.image_size // vision.patch_size) ** 2
        batch = max(1, min(_BATCH, _TOKENS // tokens))
        super().__init__(info, processor_key(processor), model.device, model.dtype, batch)
        self.max_tokens = int(model.config.text_config.max_position_embeddings)
        self._model, self._processor, self._tokenizer = model, processor, tokenizer
        pack(model.vision_model, batch * tokens)
        pack(model.text_model, _TEXTS * _LENGTHS[1])

    def prepare(self, image: Image) -> Pixels:
        """(3, h, w) float32: the model's own resize, crop and scale."""
        return np.asarray(self._processor(images=[image], return_tensors="np")["pixel_values"][0], dtype=np.float32)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, d) image embeddings."""
        return _embeddings(self._model.get_image_features(pixels))

    def text_features(self, texts: Sequence[str]) -> FloatArray:
        """(n, d) text embeddings; the end of texts longer than `max_tokens` is cut off (see `cut_texts`).

        Texts share a call with texts of similar length, in batches of constant size and padding, so that an embedding
        depends only on its text, to the last bit.
        """
        import torch

        if len(texts) == 0:
            raise EmptyInputError("the list of texts is empty. Pass at least one text.")
        out: dict[int, FloatArray] = {}
        with torch.inference_mode():
            for width, at in self._by_width(texts).items():
                for some in batches(at, _TEXTS):
                    tokens = self._tokens([texts[i] for i in filled(some, _TEXTS)], width).to(self._model.device)
                    found = _embeddings(self._model.get_text_features(**tokens)).double().cpu().numpy()
                    out.update(zip(some, found, strict=False))  # the copies at the end stay out
        return np.stack([out[i] for i in range(len(texts))])

    def cut_texts(self, texts: Sequence[str]) -> list[bool]:
        """(n,) whether a text is longer than `max_tokens`, so that only its beginning is read."""
        found = self._tokenizer(list(texts), verbose=False)["input_ids"]
        return [len(ids) > self.max_tokens for ids in found]

    def _by_width(self, texts: Sequence[str]) -> dict[int, list[int]]:
        """Positions of the texts by the number of tokens that they are filled up to."""
        groups: dict[int, list[int]] = {}
        for i, ids in enumerate(self._tokenizer(list(texts), verbose=False)["input_ids"]):
            width = next((w for w in _LENGTHS if len(ids) <= w < self.max_tokens), self.max_tokens)
            groups.setdefault(width, []).append(i)
        return groups

    def _tokens(self, texts: Sequence[str], width: int) -> Any:
        padded = {"padding": "max_length", "max_length": width, "return_tensors": "pt"}
        if self.info.settings["truncation"] == "keep-end":
            return self._tokenizer(list(texts), truncation=True, **padded)
        tokens = self._tokenizer(
            list(texts), verbose=False, padding=True, return_tensors="pt", pad_to_multiple_of=width
        )
        for name in tokens:
            tokens[name] = tokens[name][:, :width]
        return tokens


def _embeddings(output: Any) -> torch.Tensor:
    """Embeddings out of what transformers returns: an object with the projected `pooler_output`."""
    embeddings: torch.Tensor = output.pooler_output
    return embeddings
