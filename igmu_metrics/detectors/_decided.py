"""Decisions from detectors' probabilities by their thresholds, and notes about detectors for readers of scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from igmu_data.errors import InputError
from igmu_metrics.detectors._calibrated import Calibration
from igmu_metrics.generations import ORIGINAL, Generations
from igmu_metrics.networks.instruments import Detector, no_better_than_chance
from igmu_metrics.networks.observe import of_judge


class Judge(Protocol):
    """A detector with its calibration, if it has one."""

    @property
    def detector(self) -> Detector:
        """Decides whether the concept is present."""

    @property
    def calibration(self) -> Calibration | None:
        """The calibration of the detector."""


def decided(table: Generations, judges: Sequence[Judge], what: str) -> Generations:
    """The table with the decision of every detector.

    Args:
        table: with the probabilities.
        judges: in the order of their columns.
        what: whose images they are, for messages.

    Raises:
        InputError: a detector has no threshold, or was calibrated on most of these images.
    """
    columns = {}
    for k, one in enumerate(judges):
        threshold, probability = one.detector.info.threshold, table[of_judge("probability", k)]
        if threshold is None:
            raise InputError(
                f"detector {one.detector.info.name!r} has no threshold, so it cannot decide whether the concept is "
                "present. Choose another detector."
            )
        present = np.ma.MaskedArray(np.ma.filled(probability, 0.0) >= threshold, np.ma.getmaskarray(probability))
        columns[of_judge("present", k)] = present
        if one.calibration is not None:
            one.calibration.overlap(table["sha256"].tolist(), what)
    return table.with_columns(**columns)


def of_detector(table: Generations, judge: Judge) -> Iterator[str]:
    """What readers of the scores need to know about the detector.

    Args:
        table: of both models.
        judge: that made the decisions in it.
    """
    if judge.calibration is not None:
        for who, suffix in (("unlearned", ""), ("original", ORIGINAL)):
            if n := judge.calibration.overlap(table[f"sha256{suffix}"].tolist(), f"the {who} model"):
                used = "was" if n == 1 else "were"
                yield f"{n} of the {who} model's {len(table)} images {used} used to calibrate the detector"
    if why := no_better_than_chance(judge.detector.info.signature("detector")):
        yield why
