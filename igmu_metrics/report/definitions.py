"""What every figure and word of a page means, once a page, for its tooltips and for the list at its end.

Conventions: figures are defined by their metrics (`MetricInfo.figures`), which this takes over as they are; what
belongs to no metric (intervals, tests, the words of a verdict) is defined here. A definition's anchor is `def-` and
its key.
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
    verdict.BROKE: "forget_score.preservation",
    verdict.ANSWERED: "question_accuracy.question_preservation",
    verdict.REAL: "difference",
    verdict.MORE: "more",
}
"""By question of the verdict, the key of what answers it."""
_METRICS: Final = ("forget_score", "concept_accuracy", "attack_success_rate", "question_accuracy", "clip_alignment")
_WORDS: Final = {
    "word": (
        "yes, mostly, hardly, no",
        "The word says what the whole interval says, never the value alone: above 0.8 it is the first of the four, "
        "above 0.5 the second, below 0.5 the third, below 0.2 the last. Of damage they are little, some, much and "
        "nearly all. Where the interval leaves it open, the word is undecided.",
    ),
    "interval": (
        "95 % interval",
        "The range in which the figure would lie for 95 of 100 such evaluations with other prompts of the same kind. "
        "Several images of one prompt count as one prompt's worth of evidence.",
    ),
    "n": ("n", "Number of images behind a figure; how many prompts they are of decides how wide its interval is."),
    "difference": (
        "difference",
        "Difference between two models on the same prompts, in percentage points: in forgetting, or on general "
        "prompts in question accuracy. It is called real "
        "where p is below 0.05 after Holm's correction for all tests on the page; its interval is not corrected.",
    ),
    "more": (
        "more prompts",
        "How many more prompts a test would need to find a difference as large as the one seen, four times in five.",
    ),
    "interference": (
        "interference",
        "Change, against the original and in percentage points, of the share of images that show a concept that should "
        "stay.",
    ),
    "coverage": (
        "coverage",
        "How many of the prompts and seeds that the benchmark asks for were scored. Models are compared only where "
        "their coverage is the same.",
    ),
    "detector": (
        "detector",
        "The model or person that decides whether an image shows the concept. Every figure but alignment and quality "
        "rests on its answers, and carries its errors.",
    ),
    "sensitivity": ("sensitivity", "Share of the images that show the concept in which the detector sees it."),
    "specificity": ("specificity", "Share of the images without the concept in which the detector does not see it."),
    "kappa": (
        "Cohen's kappa",
        "Agreement of two judges beyond what chance would give: 1 is complete agreement, 0 is chance.",
    ),
    "seeds": (
        "seeds",
        "Starting noise of an image: both models generate from the same seeds, so their images pair up.",
    ),
}


class Definition(NamedTuple):
    """A key, what is defined, and what it means."""

    key: str
    title: str
    text: str


def definitions() -> list[Definition]:
    """All of them: first the columns of the ranking in their order, then the other figures, then the words."""
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
