"""A detector that errs, with errors that are known because they were put in: is the corrected accuracy right?

Images show the target by lot, at a known rate. A detector answers with a planted sensitivity and specificity, which
were measured on images of their own, as those of real detectors are; its errors, like what the images show, may be
shared by the seeds of a prompt. `concept_accuracy` makes of the answers what it makes of everybody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from igmu_metrics import registry
from igmu_metrics.contract import BoolArray, Estimate
from igmu_metrics.generations import Generations
from igmu_metrics.sandbox.audit.mixtures import PROMPTS

RATES: Final = (0.6, 0.7, 0.8, 0.9, 1.0)
TOGETHER: Final = (0.0, 0.5, 1.0)
PREVALENCES: Final = (0.1, 0.5, 0.9)
MEASURED_ON: Final = 200
SEEDS: Final = 2
REPEATS: Final = 40
_TARGET: Final = "object/church"
_FIGURES: Final = ("unlearning_accuracy", "corrected_unlearning_accuracy")


@dataclass(frozen=True, slots=True)
class Noisy:
    """Unlearning accuracy by a detector with planted errors, over prevalences and repeats.

    Args:
        sensitivity: planted.
        specificity: planted.
        together: probability that all seeds of a prompt share one lot.
        repeats: how many evaluations.
        raw_hits: in how many the uncorrected interval holds the truth.
        hits: in how many the corrected one does.
        below: in how many it lies wholly below the truth.
        above: in how many wholly above.
        bias: mean of the corrected value minus the truth.
    """

    sensitivity: float
    specificity: float
    together: float
    repeats: int
    raw_hits: int
    hits: int
    below: int
    above: int
    bias: float


def compare(*, repeats: int = REPEATS) -> list[Noisy]:
    """Every pair of rates, with errors alone and shared.

    Args:
        repeats: evaluations at each prevalence.
    """
    cells = product(RATES, RATES, TOGETHER)
    return [_compare(sens, spec, together, repeats, at) for at, (sens, spec, together) in enumerate(cells)]


def _compare(sens: float, spec: float, together: float, repeats: int, stream: int) -> Noisy:
    counts, errors = np.zeros(4, np.intp), []
    for prevalence, seed in product(PREVALENCES, range(repeats)):
        rng = np.random.default_rng([seed, stream, round(100 * prevalence)])
        shown = _lots(together, rng) < prevalence
        answers = _lots(together, rng) < np.where(shown, sens, 1 - spec)
        rates = {name: rng.binomial(MEASURED_ON, p) / MEASURED_ON for name, p in (("sens", sens), ("spec", spec))}
        raw, corrected = judged(answers, rates["sens"], rates["spec"])
        truth = 1 - prevalence
        low, high = corrected.interval or (np.nan, np.nan)
        counts += [_holds(raw, truth), _holds(corrected, truth), high < truth - 1e-12, low > truth + 1e-12]
        errors.append(corrected.value - truth)
    raw_hits, hits, below, above = counts.tolist()
    n = len(errors)
    return Noisy(sens, spec, together, n, raw_hits, hits, below, above, float(np.mean(errors)))


def judged(answers: BoolArray, sensitivity: float, specificity: float) -> tuple[Estimate, Estimate]:
    """What `concept_accuracy` makes of a detector's answers, uncorrected and corrected.

    Args:
        answers: (prompts, seeds) whether the detector sees the target.
        sensitivity: as measured on MEASURED_ON images.
        specificity: likewise.
    """
    n, seeds = answers.shape
    table = Generations(
        {
            "id": np.repeat([f"p{i:03d}" for i in range(n)], seeds),
            "own_concept": np.full(n * seeds, _TARGET),
            "present": answers.reshape(-1),
        },
        {
            "target": _TARGET,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "n_positives": MEASURED_ON,
            "n_negatives": MEASURED_ON,
        },
    )
    result = registry.metric("concept_accuracy").score(table)
    assert result is not None
    raw, corrected = (result.figures[name] for name in _FIGURES)
    return raw, corrected


def _lots(together: float, rng: np.random.Generator) -> np.typing.NDArray[np.float64]:
    """(prompts, seeds) numbers in 0..1, one for all seeds of some of the prompts."""
    shared, alone = rng.random((PROMPTS, 1)), rng.random((PROMPTS, SEEDS))
    return np.asarray(np.where(rng.random((PROMPTS, 1)) < together, shared, alone))


def _holds(estimate: Estimate, truth: float) -> bool:
    return estimate.interval is not None and estimate.interval[0] - 1e-12 <= truth <= estimate.interval[1] + 1e-12
