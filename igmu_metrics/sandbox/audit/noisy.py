"""A detector that errs, with errors that are known because they were put in: is the corrected accuracy right?

The answers of the packaged detector count as the truth here; a seeded share of them is turned around.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from igmu_metrics.contract import BoolArray, Estimate
from igmu_metrics.generations import Generations
from igmu_metrics.sandbox.audit.seen import Cell
from igmu_metrics.statistics import mean_estimate, rogan_gladen

SENSITIVITY: Final = 0.85
SPECIFICITY: Final = 0.9
REPEATS: Final = 100


@dataclass(frozen=True, slots=True)
class Noisy:
    """Unlearning accuracy of one version by a detector that errs.

    Args:
        cell: task and version.
        truth: by the detector whose answers were turned around.
        raw: uncorrected, for the first seed.
        corrected: after Rogan and Gladen, for the first seed.
        raw_hits: share of the seeds in which the uncorrected interval holds the truth.
        corrected_hits: likewise for the corrected one.
        repeats: how many seeds.
    """

    cell: Cell
    truth: float
    raw: Estimate
    corrected: Estimate
    raw_hits: float
    corrected_hits: float
    repeats: int


def turned(present: BoolArray, rng: np.random.Generator) -> BoolArray:
    """Answers in which a concept is found with the probability SENSITIVITY and imagined with 1 − SPECIFICITY."""
    return np.asarray(rng.random(present.shape) < np.where(present, SENSITIVITY, 1 - SPECIFICITY))


def correction(accuracy: Estimate) -> Estimate:
    """The unlearning accuracy without the detector's errors, whose rates count as known."""
    value, (low, high) = rogan_gladen(1 - accuracy.value, accuracy.n_prompts, SENSITIVITY, SPECIFICITY)
    return Estimate(1 - value, (1 - high, 1 - low), accuracy.n_prompts, accuracy.n_generations)


def compare(seen: Mapping[Cell, Generations], *, repeats: int = REPEATS) -> list[Noisy]:
    """Every version of every task, uncorrected and corrected, over several seeds."""
    return [_compare(cell, one, repeats, at) for at, (cell, one) in enumerate(seen.items())]


def _compare(cell: Cell, seen: Generations, repeats: int, stream: int) -> Noisy:
    at = (seen["split"] == "forget") & seen["judged"] & seen["judged_before"]
    prompt, present = seen["id"][at], seen["shown"][at]
    truth = float(1 - present.mean()) if at.any() else float("nan")
    pairs = []
    for seed in range(repeats if at.any() else 0):
        raw = mean_estimate(~turned(present, np.random.default_rng([seed, stream])), prompt)
        pairs.append((raw, correction(raw)))
    hits = [[_holds(estimate, truth) for estimate in pair] for pair in pairs]
    first = pairs[0] if pairs else (Estimate(float("nan"), reason="no judged forget generation"),) * 2
    shares = np.mean(hits, axis=0) if hits else (float("nan"),) * 2
    return Noisy(cell, truth, *first, float(shares[0]), float(shares[1]), len(pairs))


def _holds(estimate: Estimate, truth: float) -> bool:
    return estimate.interval is not None and estimate.interval[0] - 1e-12 <= truth <= estimate.interval[1] + 1e-12
