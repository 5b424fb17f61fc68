"""The card of a trained head: its data, how its threshold was chosen, and how often it is right."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from igmu_data import __version__
from igmu_metrics.contract import BoolArray, FloatArray
from igmu_metrics.statistics import wilson
from igmu_metrics.training.fitting import auroc


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Share(_Strict):
    """A share of `n` images with its 95% Wilson interval."""

    value: float
    interval: tuple[float, float]
    n: int


class Measured(_Strict):
    """How often the head is right at its threshold."""

    accuracy: Share
    sensitivity: Share
    specificity: Share
    auroc: float = Field(description="for the probabilities, independent of the threshold; without an interval")


class Counts(_Strict):
    """Images with and without the concept."""

    n_positives: int
    n_negatives: int


class Data(_Strict):
    """The data on which the head was trained and measured."""

    name: str = Field(description="id on the Hub, or the name of the folder")
    config: str | None
    revision: str | None = Field(description="commit on the Hub; null for a folder")
    fingerprint: dict[str, str] = Field(description="by split: hash of all images' pixels and labels, in order")
    image_column: str
    label_column: str
    test_split: str
    positive_labels: tuple[str, ...]
    labels: dict[str, dict[str, int]] = Field(description="by split: rows with each label; a row may have several")
    unreadable: dict[str, tuple[str, ...]] = Field(description="by split: images that were left out, and why")


class Clip(_Strict):
    """The frozen CLIP model whose features the head uses."""

    name: str
    revision: str
    preparation: str
    width: int
    settings: dict[str, str | int | float | bool]


class Training(_Strict):
    """How the weights were trained."""

    seed: int
    steps: int
    best_step: int = Field(description="step with the lowest loss on the validation part, whose weights were kept")
    validation_loss: float = Field(description="at this step: cross-entropy in nats, both classes weighted equally")
    validation_fraction: float
    batch: int
    learning_rate: float
    weight_decay: float
    dropout: float


class HeadCard(_Strict):
    """All information that is needed to assess a head or to reproduce it."""

    schema_version: Literal[1] = 1
    igmu_version: str = __version__
    head: str = Field(description="the file of the weights, next to the card")
    head_sha256: str
    concept: str
    data: Data
    counts: dict[str, Counts] = Field(description="fit, validation (both split off from train) and test")
    clip: Clip
    training: Training
    threshold: float = Field(description="p >= threshold counts as present")
    threshold_rule: str
    validation: Measured = Field(description="too optimistic, because the threshold was chosen on these images")
    test: Measured
    warnings: tuple[str, ...]
    versions: dict[str, str]


def counts(shown: BoolArray) -> Counts:
    """How many images show the concept, and how many do not."""
    return Counts(n_positives=int(shown.sum()), n_negatives=int((~shown).sum()))


def measure(p: FloatArray, shown: BoolArray, threshold: float) -> Measured:
    """How often `p >= threshold` is right.

    Two of three churches are found, and a tent is not mistaken for one:

    >>> import numpy as np
    >>> found = measure(np.array([0.9, 0.8, 0.1, 0.2]), np.array([True, True, True, False]), 0.5)
    >>> found.accuracy.value, round(found.sensitivity.value, 3), found.specificity.value
    (0.75, 0.667, 1.0)
    """
    right = (p >= threshold) == shown

    def share(of: BoolArray) -> Share:
        hits, n = int(of.sum()), len(of)
        return Share(value=hits / n, interval=wilson(hits, n), n=n)

    return Measured(
        accuracy=share(right),
        sensitivity=share(right[shown]),
        specificity=share(right[~shown]),
        auroc=auroc(p, shown),
    )
