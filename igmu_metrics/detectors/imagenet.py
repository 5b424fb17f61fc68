"""The ImageNet classifier that is commonly used in the literature: torchvision's ResNet-50.

`imagenet` (weights `IMAGENET1K_V2`), `imagenet:IMAGENET1K_V1`, or `imagenet:PATH` with a `.safetensors` or `.pth` file
of ResNet-50 weights. A concept is a set of ImageNet-1k classes (the `imagenet` list of its file); a concept without
classes is masked. There are three rules for p:

- `probability`: the sum of the softmax over the concept's classes;
- `top1`, `top5`: 1 if one of the concept's classes is among the 1 or 5 most probable, else 0. ESD, UCE and
  UnlearnDiffAtk use `top1`.

References: He et al. 2016 (ResNet); Gandikota et al. 2023, arXiv:2303.07345 (ESD's object evaluation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from igmu_data.errors import InputError, OutOfRangeError, WeightsError
from igmu_metrics.contract import FloatArray
from igmu_metrics.detectors._common import (
    Answer,
    checked_threshold,
    file_revision,
    finite,
    masked_columns,
    read_state,
    softmax,
    unusual,
)
from igmu_metrics.networks.extraction import Extracting, Pixels, preparation_key
from igmu_metrics.networks.instruments import Batch, InstrumentInfo
from igmu_metrics.networks.loading import fetch, fetched, load_into, pick_device, pick_dtype

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

Rule = Literal["probability", "top1", "top5"]
DEFAULT = "IMAGENET1K_V2"
N_CLASSES = 1000
_BATCH = 8
PUBLISHED = {
    "IMAGENET1K_V1": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "IMAGENET1K_V2": "https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
}


class ImageNetLogits(Extracting):
    """The 1,000 raw outputs of a network, with its preparation."""

    def __init__(
        self, network: torch.nn.Module, prepare: Any, info: InstrumentInfo, device: torch.device, dtype: torch.dtype
    ) -> None:
        import torch

        super().__init__(info, preparation_key(repr(prepare)), device, dtype, _BATCH)
        self._network = network.eval().to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._prepare = prepare

    def prepare(self, image: Image) -> Pixels:
        """(3, h, w) float32: resize, crop, normalised."""
        pixels: Pixels = self._prepare(image).numpy()
        return pixels

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, 1000) logits."""
        import torch

        logits: torch.Tensor = self._network(pixels.contiguous(memory_format=torch.channels_last))
        return logits


class ImageNetClassifier:
    """The outputs of a network, and the classes of each concept."""

    def __init__(
        self, logits: ImageNetLogits, info: InstrumentInfo, indices: Mapping[str, Sequence[int]], rule: Rule
    ) -> None:
        self.info = info
        self.reads = (logits,)
        self._indices = {concept: list(classes) for concept, classes in indices.items()}
        self._rule = rule

    def probabilities(self, batch: Batch, concepts: Sequence[str]) -> Answer:
        """(n, len(concepts)) answers by the rule; fully masked for a concept without ImageNet classes."""
        judged = [c for c in concepts if c in self._indices]
        if not judged or not len(batch):
            return masked_columns(len(batch), concepts, {})
        shares = self._classes(batch)
        # At most 1: two classes of a concept may both be in the top 5, and rounded shares add up to 1 + 2e-16.
        known = {c: np.minimum(shares[:, self._indices[c]].sum(axis=1), 1.0) for c in judged}
        return masked_columns(len(batch), concepts, known)

    def _classes(self, batch: Batch) -> FloatArray:
        """(n, 1000) contributions of the classes to p."""
        logits = finite(batch.features(self.reads[0]), "ImageNet logits")
        if self._rule == "probability":
            return softmax(logits)
        k = int(self._rule.removeprefix("top"))
        best = np.argsort(-logits, axis=1, kind="stable")[:, :k]
        out = np.zeros_like(logits)
        np.put_along_axis(out, best, 1.0, axis=1)
        return out


def load(
    argument: str | None = None,
    *,
    device: str | None = None,
    threshold: float | None = None,
    rule: Rule = "probability",
    indices: Mapping[str, Sequence[int]] | None = None,
    precision: str = "fp32",
) -> ImageNetClassifier:
    """Load a ResNet-50 with published or local weights.

    Args:
        argument: `IMAGENET1K_V2` (default), `IMAGENET1K_V1`, or a weights file (with the preparation of
            `IMAGENET1K_V2`).
        device: where it runs; by default, a GPU if available.
        threshold: `p >= threshold` counts as present; 0.5 by default; has no effect on `top1` and `top5`.
        rule: `probability`, `top1` or `top5`.
        indices: ImageNet-1k classes (0..999, torchvision's order) of each concept; those of the taxonomy by default.
        precision: "fp32" or "bf16" arithmetic.

    Raises:
        WeightsError: the weights cannot be downloaded or read, or belong to a different network.
        InputError: the rule is unknown, a concept has no classes, or a class is not in 0..999.
    """
    from torchvision.models import ResNet50_Weights, resnet50

    if rule not in get_args(Rule):
        raise InputError(f"rule {rule!r} does not exist. Choose from {', '.join(get_args(Rule))}.")
    dtype = pick_dtype(precision)
    indices = _checked(taxonomy_indices() if indices is None else indices)
    argument = argument or DEFAULT
    published = ResNet50_Weights[argument if argument in PUBLISHED else DEFAULT]
    path = _download(argument) if argument in PUBLISHED else Path(argument)
    name = argument if argument in PUBLISHED else path.name
    tensors, revision = read_state(path), file_revision(path)
    network = resnet50()
    load_into(network, tensors, f"{name} as a ResNet-50 with 1,000 classes")
    prepare = published.transforms()
    info = InstrumentInfo(
        name=f"imagenet:{name}",
        revision=revision,
        preparation=f"resize {prepare.resize_size[0]} bilinear, centre crop {prepare.crop_size[0]}",
        threshold=checked_threshold(threshold, 0.5),
        concepts=frozenset(indices),
        settings={
            **unusual(precision),
            "rule": rule,
            "classes": ";".join(f"{c}={list(i)}" for c, i in sorted(indices.items())),
        },
    )
    own = InstrumentInfo(f"{info.name}/logits", info.revision, info.preparation, settings={"precision": precision})
    logits = ImageNetLogits(network, prepare, own, pick_device(device), dtype)
    return ImageNetClassifier(logits, info, indices, rule)


def files(argument: str | None = None, **_: Any) -> list[Path]:
    """The files that `load` reads."""
    argument = argument or DEFAULT
    return [fetched(PUBLISHED[argument]) if argument in PUBLISHED else Path(argument)]


def taxonomy_indices() -> dict[str, tuple[int, ...]]:
    """ImageNet-1k classes of every concept of the taxonomy that has some."""
    from igmu_data import taxonomy

    return {i: concept.imagenet for i, concept in taxonomy.all_concepts().items() if concept.imagenet}


def _checked(indices: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    for concept, classes in indices.items():
        if not classes or len(set(classes)) != len(classes):
            raise InputError(
                f"indices: the classes of {concept!r} are {list(classes)}. Specify at least one class, and each class "
                "only once."
            )
        for index in classes:
            if not 0 <= index < N_CLASSES:
                raise OutOfRangeError(
                    f"indices: class {index} of {concept!r} is not in 0..{N_CLASSES - 1}. Correct the class."
                )
    return {concept: tuple(classes) for concept, classes in indices.items()}


def _download(name: str) -> Path:
    try:
        return fetch(PUBLISHED[name])
    except WeightsError as error:
        raise WeightsError(f"{name}: {error} Then use imagenet:PATH.safetensors.") from error
