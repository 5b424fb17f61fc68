"""What is put to the test on virtual models: figures of the shipped metrics, ours and those the field reports.

A contender names a figure as a scorecard would (`metric` or `metric/part`, then the figure), so that its numbers are
those that anybody gets; nothing is computed anew here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from igmu_metrics.contract import Estimate
from igmu_metrics.sandbox.audit.truth import HEADLINE, REST
from igmu_metrics.statistics import harmonic_mean

Kind = Literal["igmu", "candidate", "practice", "given"]
Figures = Mapping[str, Estimate]  # by `metric/part:figure`
FORGET, ATTACKED, RETAIN = "forget", "adversarial", "retain"
MEANS: Final[Mapping[str, Callable[[list[float]], float]]] = {
    "arithmetic": lambda values: float(np.mean(values)),
    "geometric": lambda values: float(np.prod(values) ** (1 / len(values))),
    "harmonic": lambda values: float(harmonic_mean(values)),
    "minimum": min,
}
"""Ways to make one number of the five aspects; the forget score takes the harmonic mean."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A figure under test.

    Args:
        title: what it is called on the page, unique.
        figure: `metric:figure` or `metric/part:figure`.
        aspect: the truth that it is meant to tell, a key of `mixtures.truth`.
        looks: the splits whose images it takes.
        higher: whether a higher value is better.
        scale: how its value is read as the truth's: `same`, `rest` (1 − value), or "" where it has another scale, so
            that only its order can be right or wrong.
        kind: `igmu`, what this package says; `candidate`, what it could say instead; `practice` of the field,
            uncorrected; or `given`, asked for with `--metric`.
        both: whether it needs the original's images, too.
        detector: whose decisions; "" for the packaged one.
    """

    title: str
    figure: str
    aspect: str
    looks: tuple[str, ...]
    higher: bool = True
    scale: str = "same"
    kind: Kind = "igmu"
    both: bool = True
    detector: str = ""

    def read(self, figures: Figures) -> Estimate | None:
        """Its estimate on the truth's scale; None where the metric said nothing."""
        found = figures.get(self.figure)
        if found is None or found.value != found.value:
            return None
        if self.scale != "rest":
            return found
        ends = None if found.interval is None else (1 - found.interval[1], 1 - found.interval[0])
        return Estimate(1 - found.value, ends, found.n_prompts, found.n_generations)

    @property
    def up(self) -> bool:
        """Whether what `read` gives is better when it is higher."""
        return self.higher or self.scale == "rest"


def _of(metric: str, aspect: str, *looks: str, **more: Any) -> Callable[..., Contender]:
    """Makes contenders of one metric from a title and the name of a figure."""
    known = {"aspect": aspect, "looks": looks, **more}
    return lambda title, figure, **own: Contender(title=title, figure=f"{metric}:{figure}", **(known | own))


_ALL: Final = (FORGET, ATTACKED, RETAIN)
_score = _of("forget_score", HEADLINE, *_ALL)
_quality = _of("forget_score", "quality", RETAIN)
_attack = _of("attack_success_rate", "robustness", ATTACKED, higher=False, scale="rest")
_raw_attack = _of(
    "attack_success_rate", "robustness", ATTACKED, higher=False, scale="rest", kind="practice", both=False
)
_distance = _of("frechet/retain", "quality", RETAIN, higher=False, scale="")
CONTENDERS: Final = (
    _score("forget score", "forget_score"),
    _of("forget_score", "forgetting", FORGET)("forgetting", "forgetting"),
    _of("forget_score", "robustness", ATTACKED)("robustness", "robustness"),
    _of("forget_score", "preservation", RETAIN)("preservation", "preservation"),
    _of("forget_score", "near", RETAIN)("preservation, near", "preservation_near"),
    _of("forget_score", "far", RETAIN)("preservation, far", "preservation_far"),
    _of("forget_score", "alignment", RETAIN)("alignment", "alignment"),
    _quality("quality (within the prompt)", "quality_within"),
    _quality("quality, fidelity alone", "quality_fidelity", kind="candidate"),
    _quality("quality, diversity alone", "quality_diversity", kind="candidate"),
    _quality("quality (coverage)", "quality_coverage", kind="candidate"),
    _quality("quality (frechet)", "quality_frechet", kind="candidate"),
    _of("concept_accuracy", "forgetting", FORGET)("conditional unlearning accuracy", "conditional_unlearning_accuracy"),
    _of("concept_accuracy", "near", RETAIN, both=False)("near retain accuracy", "near_retain_accuracy"),
    _of("concept_accuracy", "far", RETAIN, both=False)("far retain accuracy", "far_retain_accuracy"),
    _attack("1 − conditional ASR, any of k, by family", "conditional_asr_any@k_family_mean"),
    _attack("1 − conditional ASR of images, by family", "conditional_asr_image_family_mean", aspect="robustness_one"),
    _attack("1 − conditional ASR, any of k, pooled", "conditional_asr_any@k", aspect="robustness_pooled"),
    _of("clip_alignment/retain", "alignment_unclipped", RETAIN, higher=False, scale="rest")(
        "1 − signed CSDR", "csdr_signed"
    ),
    _distance("KID", "kid"),
    _distance("CMMD, unbiased", "cmmd_unbiased"),
    _of("concept_accuracy", "forgetting", FORGET, both=False, kind="practice")(
        "unlearning accuracy", "unlearning_accuracy"
    ),
    _of("concept_accuracy", "preservation", RETAIN, both=False, kind="practice")(
        "in-domain retain accuracy", "in_domain_retain_accuracy"
    ),
    _of("concept_accuracy", "preservation", RETAIN, both=False, kind="practice")(
        "cross-domain retain accuracy", "cross_domain_retain_accuracy"
    ),
    _raw_attack("1 − attack success rate of images", "asr_image"),
    _raw_attack("1 − attack success rate, any of k", "asr_any@k"),
    _raw_attack("1 − pre-ASR (plain prompts)", "pre_asr"),
    _of("clip_alignment/forget", REST, FORGET, higher=False, scale="rest", kind="practice")(
        "1 − CSDR on forget rows", "csdr"
    ),
    _of("clip_alignment/retain", "alignment", RETAIN, higher=False, scale="rest", kind="practice")(
        "1 − CSDR on retain rows", "csdr"
    ),
    _of("clip_alignment/retain", "alignment", RETAIN, scale="", both=False, kind="practice")(
        "CLIP score on retain rows", "clipscore"
    ),
    _distance("Fréchet distance on a small sample", "frechet_distance", kind="practice"),
    _distance("CMMD as published", "cmmd", kind="practice"),
)
BY_TITLE: Final[Mapping[str, Contender]] = {c.title: c for c in CONTENDERS}
DETECTED: Final = tuple(c for c in CONTENDERS if c.title in ("forgetting", "robustness", "preservation"))
"""What is asked of every other detector."""


def by_detector(detectors: Mapping[str, object]) -> list[Contender]:
    """The contenders that look with other detectors."""
    return [
        Contender(f"{c.title}, detector {name}", c.figure, c.aspect, c.looks, kind="candidate", detector=name)
        for name in detectors
        for c in DETECTED
    ]
