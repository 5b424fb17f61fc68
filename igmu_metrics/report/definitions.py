"""Definitions of all metrics and words on a page, for its tooltips and for the list at its end.

Conventions: the definitions of metrics come from the metrics themselves (`MetricInfo.figures`); everything else
(intervals, tests, the words of a verdict) is defined here. The anchor of a definition is `def-` followed by its key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from igmu_metrics import registry
from igmu_metrics.report import verdict
from igmu_metrics.report.ranking import COLUMNS

ANSWERED_BY: Final[Mapping[str, str]] = {
    verdict.FORGETS: "concept_accuracy.conditional_unlearning_accuracy",
    verdict.ROBUST: "forget_score.robustness",
    verdict.PRESERVES: "forget_score.preservation",
    verdict.ANSWERED: "question_accuracy.question_preservation",
    verdict.REAL: "difference",
    verdict.MORE: "more",
}
"""For each question of the verdict, the key of the definition that explains its answer."""
_METRICS: Final = ("forget_score", "concept_accuracy", "attack_success_rate", "question_accuracy", "clip_alignment")
_WORDS: Final = {
    "word": (
        "yes, mostly, hardly, no",
        "The word depends on the whole interval, not only on the value. The word is yes if the interval is entirely "
        "above 0.8, mostly if it is above 0.5, hardly if it is below 0.5, and no if it is below 0.2. Otherwise, the "
        "word is undecided.",
    ),
    "interval": (
        "95% interval",
        "Range that contains the true value in 95 of 100 such evaluations, if each evaluation uses different prompts "
        "of the same kind. Several images of one prompt count as a single prompt.",
    ),
    "n": (
        "n",
        "Number of images on which a metric is based. The width of the metric's interval depends on the number of "
        "prompts for which these images were generated.",
    ),
    "difference": (
        "difference",
        "Difference between two models on the same prompts, in percentage points: in forgetting or, for general "
        "prompts, in question accuracy. A difference is called real if p is below 0.05 after Holm's correction for all "
        "tests on the page. The interval of a difference is not corrected.",
    ),
    "more": (
        "more prompts",
        "How many more prompts a test would need to detect a difference as large as the observed one with a "
        "probability of 80%.",
    ),
    "interference": (
        "interference",
        "Change in the share of images that show a retained concept, relative to the original, in percentage points.",
    ),
    "coverage": (
        "coverage",
        "How many of the benchmark's prompts and seeds were scored. Models are compared only if their coverage is the "
        "same.",
    ),
    "detector": (
        "detector",
        "The model or person that decides whether an image shows the concept. All metrics except alignment and quality "
        "depend on its decisions and inherit its errors.",
    ),
    "sensitivity": (
        "sensitivity",
        "Share of the images with the concept in which the detector sees the concept.",
    ),
    "specificity": (
        "specificity",
        "Share of the images without the concept in which the detector does not see the concept.",
    ),
    "kappa": (
        "Cohen's kappa",
        "Agreement of two detectors or raters beyond chance: 1 means that they always agree, and 0 means that they "
        "agree no more often than by chance.",
    ),
    "seeds": (
        "seeds",
        "Numbers that determine the starting noise of an image. All models use the same seeds, so that their images "
        "can be compared in pairs.",
    ),
}


class Definition(NamedTuple):
    """A key, the defined term, and its meaning."""

    key: str
    title: str
    text: str


def definitions() -> list[Definition]:
    """All definitions: first the columns of the ranking, in their order, then other metrics, then other terms."""
    return list(_all())


def _all() -> Iterator[Definition]:
    figures = {name: registry.metric(name).INFO.figures for name in _METRICS}
    known = {f"{name}.{figure}": text for name, found in figures.items() for figure, text in found.items()}
    for column in COLUMNS:
        yield Definition(column.key, column.title, known.pop(column.key))
    for key, text in known.items():
        yield Definition(key, key.partition(".")[2].replace("_", " "), text)
    for key, (title, text) in _WORDS.items():
        yield Definition(key, title, text)
