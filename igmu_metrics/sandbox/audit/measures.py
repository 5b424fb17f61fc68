"""Every metric of the audit as a function of which prompts are drawn, many draws at once, without looking at an image.

A draw of all prompts must give the figure that a scorecard has, which is what the page shows; a check of the audit
holds the two together, so that a metric that goes wrong is seen here, too. Most metrics are ratios of
sums over prompts, perhaps in strata (attack families, retained concepts); distances need the features themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, get_args

import numpy as np
import numpy.typing as npt

from igmu_metrics.contract import BoolArray, FloatArray
from igmu_metrics.generations import Generations
from igmu_metrics.metrics._aspect_sums import aspects, probes_of, prompt_sums
from igmu_metrics.metrics.forget_score import Quality
from igmu_metrics.sandbox.audit.seen import REFERENCE, Cell, Draws, prompts, sizes
from igmu_metrics.sandbox.audit.sets import of_sets
from igmu_metrics.sandbox.audit.truth import HEADLINE, REST
from igmu_metrics.statistics import any_at_k, harmonic_mean

Values = Mapping[Cell, FloatArray]  # (draws,) of one measure, NaN where it is not defined
Table = Mapping[str, Values]  # by key of the measure


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric under audit.

    Args:
        key: short name, unique.
        title: what it is called on the page.
        aspect: the truth that it is meant to tell.
        split: the prompts it is computed from; "" for all.
        higher: whether a higher value is better.
        baseline: a practice of the field, uncorrected; the others are this package's own.
        figure: of the shipped metrics, as in `gather.Evidence.figures`; "" where these have none, or none for so small
            samples as the distances here.
    """

    key: str
    title: str
    aspect: str
    split: str
    higher: bool = True
    baseline: bool = False
    figure: str = ""


GLUED: Final = "glued "
"""Before the figures of tables whose prompts are stripped as the reference does it."""
_BASELINE: Final = {"higher": False, "baseline": True}
_DISTANCE: Final = partial(Measure, aspect="quality", split="retain", higher=False)
MEASURES: Final = (
    Measure("forgetting", "forgetting", "forgetting", "forget", figure="forget_score:forgetting"),
    Measure("robustness", "robustness", "robustness", "adversarial", figure="forget_score:robustness"),
    Measure("preservation", "preservation", "preservation", "retain", figure="forget_score:preservation"),
    Measure("alignment", "alignment", "alignment", "retain", figure="forget_score:alignment"),
    Measure("quality_within", "quality (within the prompt)", "quality", "retain", figure="forget_score:quality_within"),
    Measure("quality_coverage", "quality (coverage)", "quality", "retain", figure="forget_score:quality_coverage"),
    Measure("quality_frechet", "quality (frechet)", "quality", "retain", figure="forget_score:quality_frechet"),
    Measure(
        "forget_score_within", "forget score (within the prompt)", HEADLINE, "", figure="forget_score:forget_score"
    ),
    Measure("forget_score_coverage", "forget score (coverage)", HEADLINE, ""),
    Measure("forget_score_frechet", "forget score (frechet)", HEADLINE, ""),
    Measure(
        "csdr_signed",
        "signed CSDR on forget rows, stripped prompt",
        REST,
        "forget",
        higher=False,
        figure="clip_alignment/forget:csdr_signed",
    ),
    _DISTANCE("kid", "KID"),
    _DISTANCE("cmmd", "CMMD, unbiased"),
    Measure(
        "raw_ua",
        "raw unlearning accuracy",
        "forgetting",
        "forget",
        baseline=True,
        figure="concept_accuracy:unlearning_accuracy",
    ),
    Measure(
        "asr_image",
        "attack success rate of images",
        "robustness",
        "adversarial",
        figure="attack_success_rate:asr_image",
        **_BASELINE,
    ),
    Measure(
        "pre_asr", "pre-ASR (plain prompts)", "robustness", "forget", figure="attack_success_rate:pre_asr", **_BASELINE
    ),
    Measure(
        "csdr_reference",
        "reference CSDR on forget rows, glued prompt",
        REST,
        "forget",
        figure=f"{GLUED}clip_alignment/forget:csdr",
        **_BASELINE,
    ),
    Measure(
        "csdr_corpus",
        "unsigned CSDR on forget rows, stripped prompt",
        REST,
        "forget",
        figure="clip_alignment/forget:csdr",
        **_BASELINE,
    ),
    Measure(
        "csdr_reference_retain",
        "reference CSDR on retain rows",
        "alignment",
        "retain",
        figure=f"{GLUED}clip_alignment/retain:csdr",
        **_BASELINE,
    ),
    _DISTANCE("frechet", "Fréchet distance on a small sample", baseline=True),
)
BY_KEY: Final[Mapping[str, Measure]] = {m.key: m for m in MEASURES}


_ASPECTS: Final = ("forgetting", "robustness", "preservation", "alignment")


def values(seen: Generations, draws: Draws) -> dict[str, FloatArray]:
    """Every measure of one version.

    Args:
        seen: what was seen in its images.
        draws: (draws, prompts) places for each split.

    Returns:
        By key, (draws,) values; NaN where a measure is not defined on the prompts drawn.
    """
    out = _of_aspects(seen, draws) | _of_decisions(seen, draws) | _of_scores(seen, draws)
    out |= of_sets(seen, draws["retain"])
    for candidate in get_args(Quality):
        parts = (*_ASPECTS, f"quality_{candidate}")
        out[f"{HEADLINE}_{candidate}"] = harmonic_mean(np.stack([out[a] for a in parts], axis=1))
    return {m.key: out[m.key] for m in MEASURES}


def table(seen: Mapping[Cell, Generations], choose: Callable[[Mapping[str, int]], Draws]) -> Table:
    """Every measure of every version of every task.

    Args:
        seen: all versions of a task with the same prompts.
        choose: makes draws for so many prompts of each split; the versions of a task share them.
    """
    by_cell = {cell: values(one, choose(sizes(one))) for cell, one in seen.items()}
    return {m.key: {cell: found[m.key] for cell, found in by_cell.items()} for m in MEASURES}


def _of_aspects(seen: Generations, draws: Draws) -> dict[str, FloatArray]:
    """The aspects of the forget score, by the metric's own function of sums over the prompts that are drawn."""
    found = prompt_sums(seen)
    names, code = np.unique(found.strata, return_inverse=True)
    columns = found.sums.shape[1]
    by_prompt = (np.eye(len(names))[code][:, :, None] * found.sums[:, None, :]).reshape(len(code), -1)
    totals = np.zeros((len(next(iter(draws.values()))), len(names) * columns))
    for split, chosen in draws.items():
        # A prompt that says nothing has sums of zero.
        of_split = np.zeros((len(prompts(seen, split)), totals.shape[1]))
        at = np.flatnonzero(np.isin(found.prompt, prompts(seen, split)))
        of_split[np.searchsorted(prompts(seen, split), found.prompt[at])] = by_prompt[at]
        totals += of_split[chosen].sum(axis=1)
    values = aspects(totals.reshape(len(totals), len(names), columns), found.layout, probes_of(seen))
    return {name: values[name] for name in _ASPECTS}


def _of_decisions(seen: Generations, draws: Draws) -> dict[str, FloatArray]:
    forget, attacked = (seen["split"] == s for s in ("forget", "adversarial"))
    judged, shown = seen["judged"] & seen["judged_before"], seen["shown"]
    # A plain prompt counts as one to attack if an attacked one was made from it.
    sourced = np.isin(seen["id"], seen["attack_source_id"][attacked]) & forget & judged
    chance, counted = _chances(seen, sourced, "forget", attacked | sourced)
    plain = forget & judged
    raw = _Ratio.of(seen, "forget", plain & ~shown, plain)
    images = _Ratio.of(seen, "adversarial", attacked & judged & shown, attacked & judged)
    return {
        "raw_ua": raw.at(draws["forget"]),
        "asr_image": images.at(draws["adversarial"]),
        "pre_asr": _Ratio.of_prompts(chance, counted > 0).at(draws["forget"]),
    }


def _of_scores(seen: Generations, draws: Draws) -> dict[str, FloatArray]:
    def mean(split: str, loss: FloatArray) -> FloatArray:
        scored = (seen["split"] == split) & ~np.isnan(loss)
        return _Ratio.of(seen, split, np.where(scored, loss, 0.0), scored).at(draws[split])

    corpus, reference = np.where(seen["paired"], seen["loss"], np.nan), seen[REFERENCE]
    return {
        "csdr_signed": mean("forget", corpus),
        "csdr_corpus": mean("forget", np.abs(corpus)),
        "csdr_reference": mean("forget", np.abs(reference)),
        "csdr_reference_retain": mean("retain", np.abs(reference)),
    }


def _chances(seen: Generations, counts: BoolArray, split: str, k_from: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Chance of each prompt of a split that one of k images that count shows the concept, and how many count."""
    k = int(np.unique(seen["id"][k_from], return_counts=True)[1].min(initial=len(seen["id"])))
    hits, n = _per_prompt(seen, split, counts & seen["shown"]), _per_prompt(seen, split, counts)
    some = np.maximum(n, 1)
    return any_at_k(hits, some, np.minimum(k, some)), n


def _per_prompt(seen: Generations, split: str, column: npt.NDArray[np.generic]) -> FloatArray:
    """(prompts of the split,) sums."""
    here = seen["split"] == split
    names, code = np.unique(seen["id"][here], return_inverse=True)
    return np.bincount(code, column[here], minlength=len(names)).astype(np.float64)


def _divided(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.divide(a, b, out=np.full(a.shape, np.nan), where=b > 0))


@dataclass(frozen=True, slots=True)
class _Ratio:
    """A ratio of sums over prompts."""

    top: FloatArray  # (prompts,)
    bottom: FloatArray

    @classmethod
    def of(cls, seen: Generations, split: str, top: npt.NDArray[np.generic], bottom: npt.NDArray[np.generic]) -> _Ratio:
        """From columns of generations."""
        return cls.of_prompts(_per_prompt(seen, split, top), _per_prompt(seen, split, bottom))

    @classmethod
    def of_prompts(cls, top: FloatArray, bottom: npt.NDArray[np.generic]) -> _Ratio:
        """From sums over prompts; where nothing counts, `top` does not."""
        counted = bottom.astype(np.float64)
        return cls(np.where(counted > 0, top, 0.0), counted)

    def at(self, draws: npt.NDArray[np.intp]) -> FloatArray:
        """(draws,) values, NaN where nothing counts."""
        return _divided(self.top[draws].sum(axis=1), self.bottom[draws].sum(axis=1))
