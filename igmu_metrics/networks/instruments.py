"""The interfaces of detectors and backbones, which evaluate images.

Conventions: `p(x)` is always the probability that the concept is **present**. A detector or backbone names everything
that can change its numbers; a value that it declines to give is masked, never NaN.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from igmu_data.errors import InputError
from igmu_metrics.contract import FloatArray
from igmu_metrics.statistics import youden

if TYPE_CHECKING:
    from PIL.Image import Image


MEASURED: Final = ("sensitivity", "specificity", "n_positives", "n_negatives")
"""What may be known of a detector's errors, by the names of `InstrumentInfo`."""
_LISTED: Final = 5  # concepts that an error names


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """How often a detector is right about one concept.

    Args:
        sensitivity: share of the images with the concept in which the detector sees it, 0..1.
        specificity: share of images without the concept in which the detector does not see it, 0..1.
        n_positives: number of images on which `sensitivity` was measured.
        n_negatives: number of images on which `specificity` was measured.
    """

    sensitivity: float
    specificity: float
    n_positives: int
    n_negatives: int


@dataclass(frozen=True, slots=True)
class InstrumentInfo:
    """The description of a detector or backbone, which is precise enough to reproduce its results.

    Args:
        name: registered name with the argument it was loaded with (`clip:openai/clip-vit-base-patch32`).
        revision: commit, file hash or package version of its weights; never empty.
        preparation: how an image becomes its input: resize mode, size, crop.
        threshold: the concept counts as present if `p >= threshold` (detectors); None for backbones.
        sensitivity: share of the images with the concept in which the detector sees it, if known.
        specificity: share of images without the concept in which the detector does not see it, if known.
        n_positives: number of images on which `sensitivity` was measured, if known.
        n_negatives: number of images on which `specificity` was measured, if known.
        calibration: hash of the calibration that the threshold and rates come from; None if they come from elsewhere.
        concepts: concepts that it can judge (`domain/slug`), or None if it can judge any.
        settings: anything else that changes its output (prompt ensemble, class set, precision).
        error_rates: measured error rates of single concepts; an evaluation fills the four fields above with those of
            its target, unless other rates are given.
    """

    name: str
    revision: str
    preparation: str
    threshold: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    n_positives: int | None = None
    n_negatives: int | None = None
    calibration: str | None = None
    concepts: frozenset[str] | None = None
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    error_rates: Mapping[str, ErrorRates] = field(default_factory=dict)

    def signature(self, role: str) -> dict[str, str | int | float | bool]:
        """Fields for a signature, each prefixed with the role (`detector`, `clip`, `features` …)."""
        out: dict[str, str | int | float | bool] = {
            role: self.name,
            f"{role}.revision": self.revision,
            f"{role}.preparation": self.preparation,
        }
        for name in ("threshold", *MEASURED, "calibration"):
            if (value := getattr(self, name)) is not None:
                out[f"{role}.{name}"] = value
        return out | {f"{role}.{k}": v for k, v in self.settings.items()}


def require_judge(info: InstrumentInfo, concept: str) -> None:
    """Refuse a detector that gives no answer about the concept that everything is about.

    Args:
        info: of the detector.
        concept: as `object/church`.

    Raises:
        InputError: names the concepts that it judges.
    """
    if info.concepts is not None and concept not in info.concepts:
        known = sorted(info.concepts)
        more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
        raise InputError(
            f"detector {info.name!r} cannot detect {concept}, only {', '.join(known[:_LISTED])}{more}. Choose another "
            "--detector."
        )


def no_better_than_chance(signed: Mapping[str, Any]) -> str:
    """Why no verdict can be based on a detector; "" if it can, or if its error rates were not measured.

    It cannot if, by its error rates, the detector may agree with people no more often than chance does: if the 95%
    interval for Youden's J is not above 0.

    Args:
        signed: fields of a signature that include the detector's; need not be trusted.
    """
    sens, spec, n_sens, n_spec = (signed.get(f"detector.{name}") for name in MEASURED)
    if not all(isinstance(share, int | float) and 0 <= share <= 1 for share in (sens, spec)):
        return ""
    counted = all(isinstance(n, int | float) and n >= 1 for n in (n_sens, n_spec))
    value, (low, high) = youden(sens, spec, *((n_sens, n_spec) if counted else ()))  # type: ignore[arg-type]
    if low > 0:
        return ""
    on = "as given"
    if counted:
        on = f"from the equivalent of {n_sens:g} independent images with the concept and {n_spec:g} without it"
    return (
        f"no verdict can be based on {signed.get('detector', 'the detector')}, because it may agree with people no "
        f"more often than chance does (Youden's J {value:.2f}, 95% interval {low:.2f} to {high:.2f}; sensitivity "
        f"{sens:.2f}, specificity {spec:.2f}, {on})"
    )


class Backbone(Protocol):
    """A feature extractor; methods that a backbone does not support raise `NotImplementedError`."""

    info: InstrumentInfo

    def image_features(self, images: Sequence[Image]) -> FloatArray:
        """(n, d) features of RGB images of any size."""

    def text_features(self, texts: Sequence[str]) -> FloatArray:
        """(n, d) features of texts in the same space."""

    def image_distance(self, images: Sequence[Image], others: Sequence[Image]) -> FloatArray:
        """(n,) distances between images of two lists of equal length."""


class Extractor(Protocol):
    """An extractor computes one vector from an image in two steps; it is a backbone, or the network inside a detector.

    `preparation` is equal for extractors that need the same input, so that an image is prepared only once for all of
    them; `batch` is the number of images per call. An image's features depend only on the image, to the last bit.
    """

    info: InstrumentInfo
    preparation: str
    batch: int

    def prepare(self, image: Image) -> Any:
        """The network's input for one RGB image; several threads call this method at the same time."""

    def extract(self, inputs: Sequence[Any]) -> FloatArray:
        """(n, d) features of prepared images."""


# What changes texts only, and leaves the features of images as they are.
_OF_TEXTS: Final = frozenset({"truncation"})


def feature_key(source: Backbone | Extractor, *, texts: bool = False) -> str:
    """The key of a backbone's or extractor's features; it changes with weights, preparation or settings.

    Args:
        source: what computes them.
        texts: the key of text features instead of image features.
    """
    info = source.info
    settings = {k: v for k, v in sorted(info.settings.items()) if texts or k not in _OF_TEXTS}
    how = "texts" if texts else getattr(source, "preparation", info.preparation)
    return json.dumps([info.name, info.revision, how, settings], ensure_ascii=False)


def answer_key(detector: Detector, concept: str) -> str:
    """The key of a detector's answers about one concept; it changes with everything that changes the answers."""
    info = detector.info
    settings = sorted(info.settings.items())
    return json.dumps(["answer", info.name, info.revision, info.preparation, settings, concept], ensure_ascii=False)


class Batch:
    """A batch of images, whose features are computed at most once per backbone.

    Args:
        paths: where the images were read from.
        images: upright PIL images in mode RGB and of any size, in the order of `paths`; may be left out if `known` has
            all features that are needed.
        known: (n, d) features that are already known, by `feature_key`.
    """

    def __init__(
        self, paths: Sequence[Path], images: Sequence[Image] = (), known: Mapping[str, FloatArray] | None = None
    ) -> None:
        self.paths = tuple(paths)
        self.images = tuple(images)
        self._features = dict(known or {})

    def __len__(self) -> int:
        return len(self.paths)

    def features(self, source: Backbone | Extractor) -> FloatArray:
        """(n, d) image features, computed on first use."""
        key = feature_key(source)
        if key not in self._features:
            self._features[key] = features_of(source, self.images)
        return self._features[key]


def features_of(source: Backbone | Extractor, images: Sequence[Image]) -> FloatArray:
    """(n, d) features of images from a backbone, or from an extractor with only its two steps."""
    whole = getattr(source, "image_features", None)
    found: FloatArray = whole(images) if whole else source.extract([source.prepare(i) for i in images])  # type: ignore[union-attr]
    return found


class Detector(Protocol):
    """A detector computes the probability that an image shows a concept.

    A detector with the attribute `reads`, a sequence of backbones and extractors, uses only their features in the batch
    (and the paths). The features are cached, so that known images are not processed again.

    A detector with the method `answers(batch, concepts)` judges each image only for its own concept and returns (n,)
    probabilities, because it runs its network for every question. The answers depend only on the image, so they are
    cached.
    """

    info: InstrumentInfo

    def probabilities(self, batch: Batch, concepts: Sequence[str]) -> np.ma.MaskedArray[Any, Any]:
        """(n, len(concepts)) float64 in 0..1; masked where the detector declines to judge (`unclear`)."""
