"""Zero-shot detection with SigLIP: does the image match the concept's name?

`siglip:FOLDER` or `siglip:ID` (`ID@commit` pins a commit). A concept has the same texts as with `clip`, which are
embedded, averaged and scaled to length 1 in the same way. For an image with feature x (length 1) and a concept c

    p(c) = sigmoid(s · x·t(c) + b)

where s and b are the model's logit scale and bias. There are no rivals: an image may show two concepts, or none.

Limits: p is calibrated for the model's training, in which each image was compared with thousands of texts, so it is
often small even if the concept is present. The threshold 0.5 comes from the model and was not measured: choose a
threshold on labelled images.

References: Zhai et al. 2023, arXiv:2303.15343.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from igmu_metrics.backbones import siglip
from igmu_metrics.contract import FloatArray
from igmu_metrics.detectors._common import checked_threshold, sigmoid
from igmu_metrics.detectors.clip import Vocabulary, ZeroShot, default_vocabulary
from igmu_metrics.networks.instruments import Backbone


class Sigmoids(ZeroShot):
    """A SigLIP backbone with a vocabulary, whose rivals are ignored."""

    _network = "SigLIP"

    def __init__(self, backbone: Backbone, vocabulary: Vocabulary, threshold: float) -> None:
        super().__init__(backbone, vocabulary, threshold, name=siglip.NAME)
        self._bias = float(backbone.logit_bias)  # type: ignore[attr-defined]

    def _known(self, images: FloatArray, judged: Sequence[str]) -> dict[str, FloatArray]:
        embedded = self.embed(judged)
        return {c: sigmoid(self._scale * images @ embedded[c] + self._bias) for c in judged}


def load(
    argument: str | None,
    *,
    device: str | None = None,
    threshold: float | None = None,
    revision: str | None = None,
    backbone: Backbone | None = None,
    vocabulary: Vocabulary | None = None,
    own: str | None = None,
    precision: str = "fp32",
) -> Sigmoids:
    """Load a zero-shot detector.

    Args:
        argument: folder or Hub id of a SigLIP model.
        device: where the backbone runs; by default, a GPU if available.
        threshold: `p >= threshold` counts as present; 0.5 by default.
        revision: commit of the model on the Hub.
        backbone: a loaded backbone, instead of `argument`, `device`, `revision` and `precision`.
        vocabulary: texts; by default, those that `clip` has for the taxonomy.
        own: comma-separated ids of the user's own concepts to include; all by default (default vocabulary only).
        precision: "fp32" or "bf16" arithmetic of the backbone.
    """
    threshold = checked_threshold(threshold, 0.5)
    if backbone is None:
        backbone = siglip.load(argument, device=device, revision=revision, precision=precision)
    return Sigmoids(backbone, vocabulary or default_vocabulary(own=own), threshold)


def files(
    argument: str | None, *, revision: str | None = None, backbone: Backbone | None = None, **_: Any
) -> list[Path] | None:
    """The files that `load` reads; None with a loaded backbone, because loading then costs nothing."""
    return siglip.files(argument, revision=revision) if backbone is None else None
