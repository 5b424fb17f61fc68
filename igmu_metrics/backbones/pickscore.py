"""PickScore: a CLIP model that was trained to predict which of two images for a prompt people prefer.

Conventions: features have the same form as those of `clip`. `logit_scale` comes from the model; the score of an image
is logit_scale · cosine, and the first of two images for a prompt is preferred with probability sigmoid(difference of
their scores).

Specs: `pickscore`, `pickscore:yuvalkirstain/PickScore_v1@<commit>`, `pickscore:path/to/folder`.

References: Kirstain et al., Pick-a-Pic: an open dataset of user preferences for text-to-image generation, 2023.
"""

from __future__ import annotations

from math import exp
from pathlib import Path
from typing import Any

from igmu_metrics.backbones.clip import Clip, opened
from igmu_metrics.networks import loading
from igmu_metrics.networks.instruments import InstrumentInfo

NAME = "pickscore"
DEFAULT = "yuvalkirstain/PickScore_v1"
PINNED = {DEFAULT: "a4e4367c6dfa7288a00c550414478f865b875800"}


def load(
    argument: str | None = None,
    *,
    device: str | None = None,
    revision: str | None = None,
    precision: str = "fp32",
) -> PickScore:
    """Load a PickScore model.

    Args:
        argument: local folder or Hub id; None for `yuvalkirstain/PickScore_v1`.
        device: "cpu", "cuda", …; None or "auto": a GPU if available.
        revision: commit, or for a folder the `sha256:…` that it must have.
        precision: "fp32" or "bf16" arithmetic.

    Raises:
        WeightsError: there is no such model, it has no safetensors, or it is not a CLIP model.
        InputError: an unknown precision or device.
    """
    loading.pick_dtype(precision)
    source = loading.find_model(argument, DEFAULT, revision, PINNED)
    return opened(PickScore, NAME, source, device=device, precision=precision, truncation="keep-end")


def files(argument: str | None = None, *, revision: str | None = None, **_: Any) -> list[Path] | None:
    """The files that `load` reads; None if only the Hub knows them."""
    return loading.model_files(argument, DEFAULT, revision, PINNED)


class PickScore(Clip):
    """A loaded PickScore model: a CLIP with the scale of its scores."""

    def __init__(self, info: InstrumentInfo, model: Any, processor: Any, tokenizer: Any) -> None:
        super().__init__(info, model, processor, tokenizer)
        self.logit_scale = exp(float(model.logit_scale))
