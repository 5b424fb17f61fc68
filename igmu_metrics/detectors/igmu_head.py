"""The IGMU reference detector: a gate and a small network on 512 CLIP features, with one head per concept.

    logit(x) = W₄ relu(W₃ relu(W₂ layer_norm(x ⊙ sigmoid(W₁ relu(W₀ x)))))      widths 512 → 256 → 512; 256 → 128 → 1

x is the *unnormalised* image embedding of `openai/clip-vit-base-patch32`; biases are omitted above. A head has 428,289
parameters. A loaded head has no dropout, so it cannot be enabled by mistake: the reference's `benchmark.py` never calls
`.eval()`, so it scores images while dropout disables 30% of the hidden units at random.

A head from `igmu train-detector` records its CLIP model (whose number of features may differ from 512), its threshold
and its error rates; these are used unless others are given. If the CLIP model has moved, specify its folder:
`igmu-head:church.safetensors?clip=FOLDER`.

Which of the two classes means "present" differs between heads, because the classes were numbered in the order of their
folders' names. A converted head therefore stores the number of this class. Convert a published `classifier_head.pth`
once:

    import_pth("classifier_head.pth", "church.safetensors", concept="object/church")

and load it as `igmu-head:church.safetensors`.

References: Liu et al., IGMU (github.com/ryliu68/IGMU), heads `Weights/*/classifier_head.pth`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from igmu_data.errors import InputError, OutputError, WeightsError
from igmu_data.files import beside
from igmu_metrics.backbones import clip
from igmu_metrics.contract import FloatArray
from igmu_metrics.detectors._common import (
    Answer,
    checked_threshold,
    file_revision,
    finite,
    masked_columns,
    sigmoid,
)
from igmu_metrics.detectors._head_file import (
    PUBLISHED_WIDTH,
    HeadFacts,
    head_bytes,
    read_facts,
    read_weights,
)
from igmu_metrics.networks.instruments import Backbone, Batch, InstrumentInfo
from igmu_metrics.networks.loading import pick_device, split_argument

if TYPE_CHECKING:
    import torch

CLIP = "openai/clip-vit-base-patch32"
"""The CLIP that the published heads were trained on."""
PRESENT_CLASS: Mapping[str, int] = {"nsfw/nudity": 0, "object/church": 0, "object/parachute": 1, "style/van-gogh": 1}
"""Which class of a published head means that the concept is present."""


def logits(
    weights: Mapping[str, torch.Tensor],
    features: torch.Tensor,
    dropout: Callable[[torch.Tensor], torch.Tensor] = lambda hidden: hidden,
) -> torch.Tensor:
    """(n,) logits of (n, width) features; class 1 where positive.

    Args:
        weights: named as `shapes` has them.
        features: float32, unnormalised.
        dropout: applied to hidden units; used only in training.
    """
    from torch.nn.functional import layer_norm, linear

    def layer(x: torch.Tensor, name: str) -> torch.Tensor:
        return linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    gated = features * layer(layer(features, "attention.0").relu(), "attention.2").sigmoid()
    scale = weights["classifier.0.weight"]
    normal = layer_norm(gated, tuple(scale.shape), scale, weights["classifier.0.bias"])
    hidden = dropout(layer(normal, "classifier.1").relu())
    hidden = dropout(layer(hidden, "classifier.4").relu())
    return layer(hidden, "classifier.7")[:, 0]


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
        self.reads = (backbone,)
        self._backbone = backbone
        self._weights = {name: tensor.to(device) for name, tensor in weights.items()}
        self._concept = concept
        self._sign = 1.0 if present_class == 1 else -1.0
        self._device = device

    def probabilities(self, batch: Batch, concepts: Sequence[str]) -> Answer:
        """(n, len(concepts)) probabilities; fully masked for every concept except the head's own.

        Raises:
            WeightsError: the backbone does not give the features that the head reads.
        """
        if self._concept not in concepts or not len(batch):
            return masked_columns(len(batch), concepts, {})
        features = batch.features(self._backbone)
        width = len(self._weights["classifier.0.weight"])
        if features.shape[1] != width:
            raise WeightsError(
                f"{self.info.name}: {self._backbone.info.name} computes {features.shape[1]} features, but the head "
                f"requires {width}. Use the CLIP model with which the head was trained; for published heads, "
                f"this is clip:{CLIP}."
            )
        found = finite(self._logits(features), "IGMU head logits")
        return masked_columns(len(batch), concepts, {self._concept: sigmoid(self._sign * found)})

    def _logits(self, features: FloatArray) -> FloatArray:
        import torch

        with torch.inference_mode():
            x = torch.as_tensor(features, dtype=torch.float32, device=self._device)
            out: FloatArray = logits(self._weights, x).double().cpu().numpy()
        return out


def load(
    argument: str | None,
    *,
    device: str | None = None,
    threshold: float | None = None,
    revision: str | None = None,
    backbone: Backbone | None = None,
    precision: str = "fp32",
) -> IgmuHead:
    """Load a head that `import_pth` or `igmu train-detector` wrote.

    Args:
        argument: path of its `.safetensors` file, with `?clip=FOLDER_OR_ID` if its CLIP cannot be found otherwise.
        device: where backbone and head run; by default, a GPU if available.
        threshold: `p >= threshold` counts as present; by default, the head's calibrated threshold, else 0.5. The
            measured error rates are valid only for the calibrated threshold, and are left out for any other.
        revision: commit of the backbone on the Hub; by default, the one that the head was trained on.
        backbone: a loaded backbone, instead of `revision`.
        precision: "fp32" or "bf16" arithmetic of the backbone.

    Raises:
        WeightsError: the file does not exist, is not a head, lacks its concept, was trained on a different CLIP, or is
            no better than chance.
    """
    name, given = split_argument(argument, {"clip": ""})
    if not name:
        raise WeightsError(
            "igmu-head: no file is specified. Use igmu-head:PATH.safetensors. To convert a published head, use "
            "igmu_metrics.detectors.igmu_head.import_pth."
        )
    path = Path(name)
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"{path} is not a .safetensors file. Convert it with igmu_metrics.detectors.igmu_head.import_pth."
        )
    weights = read_weights(path)
    facts = read_facts(path)
    threshold = checked_threshold(threshold, 0.5 if facts.threshold is None else facts.threshold)
    rates = facts.error_rates if threshold == facts.threshold else None
    if rates is not None and rates.sensitivity + rates.specificity <= 1:
        raise WeightsError(
            f"{path}: this head is no better than chance on its test images (sensitivity {rates.sensitivity:.3f}, "
            f"specificity {rates.specificity:.3f}). Train it on more images or with a different CLIP model. To use it "
            "anyway, set its threshold, as in 'igmu score --threshold 0.5'."
        )
    if backbone is None:
        backbone = _backbone(facts, given["clip"], path, {"device": device, "precision": precision}, revision)
    _require_its_clip(facts, backbone, path)
    info = InstrumentInfo(
        name=f"igmu-head:{path.name}",
        revision=file_revision(path),
        preparation=backbone.info.preparation,
        threshold=threshold,
        concepts=frozenset({facts.concept}),
        settings={
            **backbone.info.settings,
            "backbone": f"{backbone.info.name}@{backbone.info.revision}",
            "present_class": facts.present_class,
        },
        error_rates={} if rates is None else {facts.concept: rates},
    )
    return IgmuHead(backbone, weights, info, facts.concept, facts.present_class, pick_device(device))


def files(
    argument: str | None, *, revision: str | None = None, backbone: Backbone | None = None, **_: Any
) -> list[Path] | None:
    """The files that `load` reads; None if they are unknown."""
    name, given = split_argument(argument, {"clip": ""})
    path = Path(name)
    if path.suffix != ".safetensors" or not path.is_file() or backbone is not None:
        return None
    facts = read_facts(path)
    if given["clip"] or not facts.clip:
        own = clip.files(given["clip"] or CLIP, revision=revision)
    else:
        own = clip.files(facts.clip, revision=revision or facts.clip_revision)
    return None if own is None else [path, *own]


def _backbone(facts: HeadFacts, given: str, path: Path, how: Mapping[str, Any], revision: str | None) -> Backbone:
    if given or not facts.clip:
        return clip.load(given or CLIP, revision=revision, **how)
    try:
        return clip.load(facts.clip, revision=revision or facts.clip_revision, **how)
    except WeightsError as error:
        raise WeightsError(
            f"{path} was trained on the features of clip:{facts.clip} ({facts.clip_revision}), which cannot be loaded. "
            f"{error} If the CLIP model has moved, use igmu-head:{path}?clip=FOLDER."
        ) from error


def _require_its_clip(facts: HeadFacts, backbone: Backbone, path: Path) -> None:
    """Refuse a CLIP that is known to be another; a commit and the hash of a folder cannot be compared."""
    wanted, found = facts.clip_revision, backbone.info.revision
    if wanted and wanted != found and wanted.startswith("sha256:") == found.startswith("sha256:"):
        raise WeightsError(
            f"{path} was trained on the features of clip:{facts.clip} ({wanted}), not of {backbone.info.name} "
            f"({found}). Use the CLIP model with which it was trained, or train a head for this one with 'igmu "
            "train-detector'."
        )


def import_pth(path: str | Path, out: str | Path, *, concept: str, present_class: int | None = None) -> None:
    """Convert a published `classifier_head.pth` to safetensors, without running any code in it.

    Args:
        path: the file as published.
        out: the `.safetensors` file to write.
        concept: `domain/slug` that the head judges.
        present_class: 0 or 1, the class that means "present"; known for the concepts in `PRESENT_CLASS`.

    Raises:
        WeightsError: the file is a pickle with code, or its tensors are not those of a head.
        InputError: `present_class` is neither 0 nor 1, or is missing for a concept that is not in `PRESENT_CLASS`.
        OutputError: `out` cannot be written.
    """
    present_class = PRESENT_CLASS.get(concept) if present_class is None else present_class
    if present_class not in (0, 1):
        raise InputError(
            f"present_class is {present_class} for {concept!r}. Set it to the class, 0 or 1, that the head was trained "
            "to assign to images of the concept."
        )
    out = Path(out)
    if out.suffix != ".safetensors":
        raise OutputError(f"{out}: the file name must end in .safetensors. Choose another name.")
    weights = read_weights(Path(path), PUBLISHED_WIDTH)
    data = head_bytes(weights, HeadFacts(concept, present_class))
    try:
        with beside(out) as part:
            part.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error}). Check the folder.") from error
