"""The IGMU reference detector: a gate and a small network on 512 CLIP features, one head per concept.

    logit(x) = W₄ relu(W₃ relu(W₂ layer_norm(x ⊙ sigmoid(W₁ relu(W₀ x)))))      widths 512 → 256 → 512; 256 → 128 → 1

x is the *unnormalised* image embedding of `openai/clip-vit-base-patch32`; biases are left out above. 428,289 numbers in
all. The network here has no dropout, so nothing can switch it on: the reference's `benchmark.py` never calls `.eval()`
and so scores with 30 % of the hidden units missing at random.

Which of its two classes means "present" differs by head: they were numbered by the names of folders. A converted head
therefore carries it. Convert a published `classifier_head.pth` once:

    import_pth("classifier_head.pth", "church.safetensors", concept="object/church")

and load it as `igmu-head:church.safetensors`.

References: Liu et al., IGMU (github.com/ryliu68/IGMU), heads `Weights/*/classifier_head.pth`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from igmu_data.errors import InputError, OutputError, WeightsError
from igmu_data.files import beside
from igmu_metrics.contract import FloatArray
from igmu_metrics.detectors._common import (
    Answer,
    checked_threshold,
    file_revision,
    finite,
    masked_columns,
    read_state,
    sigmoid,
)
from igmu_metrics.instruments import Backbone, Batch, InstrumentInfo
from igmu_metrics.loading import pick_device

if TYPE_CHECKING:
    import torch

BACKBONE = "clip:openai/clip-vit-base-patch32"
WIDTH = 512
SHAPES: Mapping[str, tuple[int, ...]] = {
    "attention.0.weight": (256, 512),
    "attention.0.bias": (256,),
    "attention.2.weight": (512, 256),
    "attention.2.bias": (512,),
    "classifier.0.weight": (512,),
    "classifier.0.bias": (512,),
    "classifier.1.weight": (256, 512),
    "classifier.1.bias": (256,),
    "classifier.4.weight": (128, 256),
    "classifier.4.bias": (128,),
    "classifier.7.weight": (1, 128),
    "classifier.7.bias": (1,),
}
"""The tensors of a head, under the names that published files give them."""

PRESENT_CLASS: Mapping[str, int] = {"nsfw/nudity": 0, "object/church": 0, "object/parachute": 1, "style/van-gogh": 1}
"""Which class of a published head means that the concept is present."""


class IgmuHead:
    """One head: judges one concept from CLIP features."""

    def __init__(
        self,
        backbone: Backbone,
        weights: Mapping[str, torch.Tensor],
        info: InstrumentInfo,
        concept: str,
        present_class: int,
        device: torch.device,
    ) -> None:
        self.info = info
        self._backbone = backbone
        self._weights = {name: tensor.to(device) for name, tensor in weights.items()}
        self._concept = concept
        self._sign = 1.0 if present_class == 1 else -1.0
        self._device = device

    def probabilities(self, batch: Batch, concepts: Sequence[str]) -> Answer:
        """(n, len(concepts)) probabilities; masked throughout for every concept but the head's own.

        Raises:
            WeightsError: the backbone does not give 512 features.
        """
        if self._concept not in concepts or not len(batch):
            return masked_columns(len(batch), concepts, {})
        features = batch.features(self._backbone)
        if features.shape[1] != WIDTH:
            raise WeightsError(
                f"{self.info.name}: {self._backbone.info.name} gives {features.shape[1]} features, the head reads "
                f"{WIDTH}. Use {BACKBONE}."
            )
        logits = finite(self._logits(features), "IGMU head logits")
        return masked_columns(len(batch), concepts, {self._concept: sigmoid(self._sign * logits)})

    def _logits(self, features: FloatArray) -> FloatArray:
        import torch
        from torch.nn.functional import layer_norm, linear

        w = self._weights

        def layer(x: torch.Tensor, name: str) -> torch.Tensor:
            return linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

        with torch.inference_mode():
            x = torch.as_tensor(features, dtype=torch.float32, device=self._device)
            gated = x * layer(layer(x, "attention.0").relu(), "attention.2").sigmoid()
            normal = layer_norm(gated, (WIDTH,), w["classifier.0.weight"], w["classifier.0.bias"])
            hidden = layer(layer(normal, "classifier.1").relu(), "classifier.4").relu()
            out: FloatArray = layer(hidden, "classifier.7")[:, 0].double().cpu().numpy()
        return out


def load(
    argument: str | None,
    *,
    device: str | None = None,
    threshold: float | None = None,
    revision: str | None = None,
    backbone: Backbone | None = None,
) -> IgmuHead:
    """Load a head that `import_pth` wrote.

    Args:
        argument: path of its `.safetensors` file.
        device: where backbone and head run; a GPU where there is one by default.
        threshold: `p >= threshold` counts as present; 0.5 by default.
        revision: commit of the backbone on the Hub.
        backbone: one that is loaded already, instead of `revision`.

    Raises:
        WeightsError: no such file, not a head, or a head that does not say what it judges.
    """
    if not argument:
        raise WeightsError("igmu-head: no file given. Write igmu-head:PATH.safetensors; see import_pth.")
    path = Path(argument)
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"{path}: not a .safetensors file. Convert it once: igmu_metrics.detectors.igmu_head.import_pth."
        )
    weights = _checked(read_state(path), path)
    concept, present_class = _meaning(path)
    threshold = checked_threshold(threshold, 0.5)
    if backbone is None:
        from igmu_metrics import registry

        backbone = registry.backbone(BACKBONE, device=device, revision=revision)
    info = InstrumentInfo(
        name=f"igmu-head:{path.name}",
        revision=file_revision(path),
        preparation=backbone.info.preparation,
        threshold=threshold,
        concepts=frozenset({concept}),
        settings={
            **backbone.info.settings,
            "backbone": f"{backbone.info.name}@{backbone.info.revision}",
            "present_class": present_class,
        },
    )
    return IgmuHead(backbone, weights, info, concept, present_class, pick_device(device))


def import_pth(path: str | Path, out: str | Path, *, concept: str, present_class: int | None = None) -> None:
    """Convert a published `classifier_head.pth` to safetensors, without running anything that it may hold.

    Args:
        path: the file as published.
        out: the `.safetensors` file to write.
        concept: `domain/slug` that the head judges.
        present_class: 0 or 1, the class that means "present"; known for the concepts in `PRESENT_CLASS`.

    Raises:
        WeightsError: a pickle with code, or tensors that are not those of a head.
        InputError: no `present_class` for a concept that is not known, or neither 0 nor 1.
        OutputError: `out` cannot be written.
    """
    present_class = PRESENT_CLASS.get(concept) if present_class is None else present_class
    if present_class not in (0, 1):
        raise InputError(
            f"present_class: {present_class} for {concept!r}; give 0 or 1: the class that the head was trained to give "
            "to pictures of the concept."
        )
    out = Path(out)
    if out.suffix != ".safetensors":
        raise OutputError(f"{out}: give a file name that ends in .safetensors.")
    weights = _checked(read_state(Path(path)), Path(path))
    from safetensors.torch import save_file

    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    metadata = {"format": "igmu-head", "concept": concept, "present_class": str(present_class)}
    try:
        with beside(out) as part:
            save_file(tensors, part, metadata=metadata)
    except Exception as error:  # safetensors has an error of its own for what is an OSError
        raise OutputError(f"{out}: cannot be written ({error}). Check the folder.") from error


def _checked(weights: Mapping[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    missing, unknown = sorted(SHAPES.keys() - weights.keys()), sorted(weights.keys() - SHAPES.keys())
    if missing or unknown:
        raise WeightsError(f"{path}: not an IGMU head: missing {missing}, unknown {unknown}.")
    for name, shape in SHAPES.items():
        if tuple(weights[name].shape) != shape:
            raise WeightsError(f"{path}: not an IGMU head: {name} is {tuple(weights[name].shape)}, expected {shape}.")
        if not bool(weights[name].isfinite().all()):
            raise WeightsError(f"{path}: {name} holds a NaN or an infinity. Download the file again.")
    return {name: weights[name].float() for name in SHAPES}


def _meaning(path: Path) -> tuple[str, int]:
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        metadata: dict[str, str] = file.metadata() or {}
    if metadata.get("format") != "igmu-head" or metadata.get("present_class") not in ("0", "1"):
        raise WeightsError(
            f"{path}: does not say which concept it judges and which class means 'present'. Convert the published file "
            "with igmu_metrics.detectors.igmu_head.import_pth."
        )
    return metadata["concept"], int(metadata["present_class"])
