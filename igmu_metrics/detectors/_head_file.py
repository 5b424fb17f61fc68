"""The file of an IGMU head: its tensors, and metadata about the concept, the features and the error rates.

The metadata of an imported head contains the concept and the class that means "present". A head from
`igmu train-detector` also names the CLIP whose features it was trained on, its calibrated threshold, and how often it
was right on the test images at that threshold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from igmu_data.errors import WeightsError
from igmu_data.spelling import require_spelled
from igmu_data.taxonomy import known_ids
from igmu_metrics.detectors._common import read_state
from igmu_metrics.networks.instruments import ErrorRates

if TYPE_CHECKING:
    import torch

FORMAT: Final = "igmu-head"
PUBLISHED_WIDTH: Final = 512
_FEATURES: Final = "classifier.0.weight"  # one number for each feature


@dataclass(frozen=True, slots=True)
class HeadFacts:
    """The metadata of a head's file.

    Args:
        concept: `domain/slug` that it judges.
        present_class: 0 or 1, the class that means that the concept is present.
        clip: folder or Hub id of the CLIP that it was trained on; "" if unknown.
        clip_revision: commit of that CLIP, or the `sha256:…` of its folder; "" if unknown.
        threshold: `p >= threshold` counts as present; None if none was calibrated.
        error_rates: measured at that threshold, if they were.
    """

    concept: str
    present_class: int
    clip: str = ""
    clip_revision: str = ""
    threshold: float | None = None
    error_rates: ErrorRates | None = None

    def metadata(self) -> dict[str, str]:
        """As strings, the only type that safetensors can store."""
        out = {"format": FORMAT, "concept": self.concept, "present_class": str(self.present_class)}
        if self.clip:
            out |= {"clip": self.clip, "clip_revision": self.clip_revision}
        if self.threshold is not None:
            out["threshold"] = repr(self.threshold)
        if self.error_rates is not None:
            out |= {name: repr(getattr(self.error_rates, name)) for name in ErrorRates.__slots__}
        return out


def shapes(width: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors of a head on `width` features, by their names in published files."""
    return {
        "attention.0.weight": (256, width),
        "attention.0.bias": (256,),
        "attention.2.weight": (width, 256),
        "attention.2.bias": (width,),
        "classifier.0.weight": (width,),
        "classifier.0.bias": (width,),
        "classifier.1.weight": (256, width),
        "classifier.1.bias": (256,),
        "classifier.4.weight": (128, 256),
        "classifier.4.bias": (128,),
        "classifier.7.weight": (1, 128),
        "classifier.7.bias": (1,),
    }


def read_weights(path: Path, width: int | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a head, checked.

    Args:
        path: a `.safetensors` file, or a torch file with only tensors.
        width: required number of features; None for any number.

    Raises:
        WeightsError: the file does not exist, or is not a head.
    """
    weights = read_state(path)
    if width is None:
        width = weights[_FEATURES].numel() if _FEATURES in weights else PUBLISHED_WIDTH
    expected = shapes(width)
    missing, unknown = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing or unknown:
        raise WeightsError(f"{path} is not a valid IGMU head (missing tensors: {missing}, unknown tensors: {unknown}).")
    for name, shape in expected.items():
        if tuple(weights[name].shape) != shape:
            raise WeightsError(
                f"{path} is not a valid IGMU head ({name} has shape {tuple(weights[name].shape)} instead of {shape})."
            )
        if not bool(weights[name].isfinite().all()):
            raise WeightsError(f"{path}: {name} contains NaN or infinite values. Download the file again.")
    return {name: weights[name].float() for name in expected}


def read_facts(path: Path) -> HeadFacts:
    """The metadata of a head's file.

    Raises:
        WeightsError: its concept is missing, or a value is impossible.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a safetensors file ({error}). Download the file again.") from error
    if metadata.get("format") != FORMAT or metadata.get("present_class") not in ("0", "1"):
        raise WeightsError(
            f"{path} does not specify which concept it detects and which class means 'present'. Convert the published "
            "file with igmu_metrics.detectors.igmu_head.import_pth."
        )
    require_spelled(str(path), [metadata.get("concept", "")], known_ids())
    try:
        threshold = float(metadata["threshold"]) if "threshold" in metadata else None
        rates = _rates(metadata) if "sensitivity" in metadata else None
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path}: the metadata cannot be read ({error}). Train the head again.") from error
    shares = (threshold or 0.0, *((rates.sensitivity, rates.specificity) if rates else ()))
    if not all(0 <= share <= 1 for share in shares) or (rates and min(rates.n_positives, rates.n_negatives) < 1):
        raise WeightsError(f"{path}: the metadata contains impossible numbers ({metadata}). Train the head again.")
    return HeadFacts(
        metadata["concept"],
        int(metadata["present_class"]),
        metadata.get("clip", ""),
        metadata.get("clip_revision", ""),
        threshold,
        rates,
    )


def _rates(metadata: Mapping[str, str]) -> ErrorRates:
    return ErrorRates(
        float(metadata["sensitivity"]),
        float(metadata["specificity"]),
        int(metadata["n_positives"]),
        int(metadata["n_negatives"]),
    )


def head_bytes(weights: Mapping[str, torch.Tensor], facts: HeadFacts) -> bytes:
    """The file of a head; always the same bytes for the same head."""
    from safetensors.torch import save

    return sorted_header(save({name: tensor.contiguous() for name, tensor in weights.items()}, facts.metadata()))


def sorted_header(data: bytes) -> bytes:
    """A safetensors file with its metadata in the order of their names."""
    # safetensors writes the metadata in an order that changes from one process to the next.
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]
