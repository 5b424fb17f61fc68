"""The parts of the audit's page that are about virtual models and planted errors, as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from igmu_data.markdown import table
from igmu_metrics.metrics.forget_score import DEFAULT
from igmu_metrics.sandbox.audit.findings import Findings
from igmu_metrics.sandbox.audit.mixtures import KINDS, PROMPTS
from igmu_metrics.sandbox.audit.noisy import MEASURED_ON, PREVALENCES, RATES, SEEDS, TOGETHER, Noisy
from igmu_metrics.sandbox.audit.truth import REST
from igmu_metrics.sandbox.audit.yardstick import (
    BIASED,
    COVERS,
    RANKED,
    RESAMPLED,
    RESAMPLES,
    TOLD,
    WORST,
    Measured,
    means,
)
from igmu_metrics.statistics.formatting import DASH, formatted, number

_YARDSTICK: Final = """\
For every prompt and seed, a *virtual model* takes the image of one of the packaged versions at random. The recipe of a
virtual model sets the probability of each version by split, probe, attack family and concept. It is therefore known
exactly what a virtual model has forgotten and kept, whatever a metric reports. There are {n} virtual models of {kinds}
kinds, with increasing doses of damage. Each virtual model is scored once, on {prompts} prompts of every split with
{seeds} seeds each. The prompts are sampled with replacement from those of the sandbox. The scores are computed by the
functions that create scorecards, with {resamples} resamples in their bootstraps.

- **bias** and **RMSE** are computed from the differences between the metric's values and the true values, if both are
  on the same scale. Metrics for which lower is better are reversed first.
- **coverage** is the share of 95% intervals that include the true value. The number after the comma is this share for
  models whose true value is neither 0 nor 1. If nothing leaks at all, a single false alarm of the detector makes an
  interval miss the true value. The true value describes what the model does, so errors of the detector lower this
  coverage. In simulations that treat the detector's answers as the truth, such errors do not lower the coverage.
- **rank** is Spearman's rank correlation with the true values over all models, with an interval from {resampled}
  resamples of the models. The next column is the correlation with the true forget score (the harmonic mean of the five
  true aspects), as if models were ranked by this metric alone.
- **smallest** is the smallest difference between true values above which {told:.0%} of all pairs of models are in the
  right order.
- **images** is the number of images that the metric needs for this number of prompts, including the original's images
  if the metric uses them.

A metric *falls short* if its bias exceeds {biased:g} over all models, or {worst:g} for models of any one kind; if its
intervals include the true value in clearly less than {covers:.0%} of cases; or if its rank correlation is below
{ranked:g}. These thresholds were set before the first measurement, except the threshold for single kinds, which was
added after we had seen the first results."""
_TRUTHS: Final = """\
The true forgetting, robustness, preservation and quality of a virtual model follow directly from its probabilities. An
image by `original` shows the target if the original generated the target, images by `gold` and `filter` do not show
the target, and images by `collapsed` show nothing. Quality is also lost if all seeds of a prompt give the same image.
The true alignment is not a probability but the mean of CLIP's scores for the versions that the model mixes."""
_MEANS: Final = """\
Which mean of the five aspects is best? The table uses pairs of virtual models of one task whose order is beyond
dispute. In such a pair, either one model is better by 0.1 in some aspect and not worse in any, or one model is above
0.5 in all aspects and the other is useless, because one of its aspects is below 0.1."""
_NOISY: Final = """\
In this test, the target appears in images at random (in {prevalences} of the images), and detectors with planted errors
judge the images. The detectors' error rates were measured on {measured} positive and {measured} negative images. There
are {prompts} prompts with {seeds} seeds each. For none, half or all of the prompts, the seeds share both the content of
the image and the detector's error. Each cell of the table shows the share of corrected intervals that include the true
value. The numbers in parentheses are the shares of intervals that lie entirely below and entirely above the true
value."""


def yardstick(findings: Findings, figure: str, scatter: str) -> Iterator[str]:
    """The test of every metric on virtual models, the kinds of these, and the consequences for igmu."""
    if not findings.measured:
        return
    judged, pools = findings.judged, findings.evidence.pools
    seeds = next(iter(pools.values())).seeds
    yield "## The same test for every metric"
    yield _YARDSTICK.format(
        n=len(judged), kinds=len(KINDS), prompts=PROMPTS, seeds=seeds, resamples=RESAMPLES, resampled=RESAMPLED,
        told=TOLD, biased=BIASED, worst=WORST, covers=COVERS, ranked=RANKED,
    )  # fmt: skip
    yield from in_short(findings.measured)
    yield f"![The value of each metric for virtual models, compared with the truth]({scatter})"
    yield f"![Rank correlation with the truth, error, coverage and resolution of each metric]({figure})"
    yield table(_HEAD, map(_line, findings.measured))
    yield "### The virtual models"
    yield _TRUTHS
    counts = Counter(one.recipe.kind for one in judged)
    told = [(kind, what, str(counts[kind])) for kind, what in KINDS.items()]
    pure = ((k, "the version itself", str(n)) for k, n in counts.items() if k not in KINDS)
    yield table(("kind", "what is wrong", "models"), [*told, *pure])
    yield "### Consequences for igmu"
    yield _MEANS
    lines = [(name, *(f"{number(100 * share, '.1f')}%" for share in shares)) for name, shares in means(judged).items()]
    yield table(("mean", "better model ranked first", "useless model ranked last"), lines)
    yield "\n".join(f"- {line}" for line in _follows(findings.measured))


def in_short(measured: Sequence[Measured]) -> Iterator[str]:
    """Who falls short, of ours and of the practices, with names."""
    for kind, whose in (("igmu", "metrics of igmu"), ("practice", "uncorrected metrics of published evaluations")):
        of = [m for m in measured if m.contender.kind == kind]
        wrong = [m for m in of if m.short]
        yield f"**Of {len(of)} {whose}, {len(wrong)} fall short{':' if wrong else '.'}**"
        if wrong:
            yield "\n".join(f"- {m.contender.title}: {'; '.join(m.short)}" for m in wrong)


_HEAD: Final = (
    "metric", "kind", "measures", "bias", "worst bias", "RMSE", "coverage", "rank", "rank with the forget score",
    "smallest", "images",
)  # fmt: skip
_WHOSE: Final = {"igmu": "igmu", "candidate": "candidate", "practice": "uncorrected", "given": "given"}


def _line(one: Measured) -> Sequence[str]:
    aspect = "the rest of the prompt" if one.contender.aspect == REST else one.contender.aspect.replace("_", " ")
    scale = [DASH] * 3
    if one.contender.scale:
        worst, kind = one.worst
        scale = [number(one.bias, "+.3f"), f"{number(worst, '+.2f')} ({kind})", number(one.rmse, ".3f")]
    coverage = DASH if one.coverage is None else f"{one.coverage[0]:.1%}, {number(100 * one.inside, '.1f')}%"
    smallest = "none" if one.smallest is None else number(one.smallest)
    title = f"**{one.contender.title}**" if one.short else one.contender.title
    ranks = (formatted(one.rank), formatted(one.whole))
    return title, _WHOSE[one.contender.kind], aspect, *scale, coverage, *ranks, smallest, str(one.images)


def _follows(measured: Sequence[Measured]) -> Iterator[str]:
    """The composition of quality, weights of families and k, by RMSE and rank against each one's own truth."""
    by_title = {m.contender.title: m for m in measured}
    for what, titles in _QUESTIONS.items():
        found = [by_title[title] for title in titles]
        told = "; ".join(
            f"{m.contender.title} has RMSE {number(m.rmse, '.3f')}, rank {number(m.rank.value, '.3f')}, "
            f"smallest difference {'none' if m.smallest is None else number(m.smallest)}"
            for m in found
        )
        best = min(found, key=lambda m: m.rmse)
        yield f"{what} {told}. {best.contender.title} has the smallest error."


_QUESTIONS: Final = {
    f"Composition of quality (the default is `{DEFAULT}`, fidelity times diversity):": (
        "quality (within the prompt)",
        "quality, fidelity alone",
        "quality, diversity alone",
        "quality (coverage)",
        "quality (frechet)",
    ),
    "Weights of the attack families (equal by default):": (
        "1 − conditional ASR, any of k, by family",
        "1 − conditional ASR, any of k, pooled",
    ),
    "Tries per attack (all seeds by default, compared with one):": (
        "1 − conditional ASR, any of k, by family",
        "1 − conditional ASR of images, by family",
    ),
}


def noisy(found: Sequence[Noisy]) -> Iterator[str]:
    """Coverage of the corrected accuracy for every pair of planted rates."""
    yield _NOISY.format(
        prevalences=", ".join(f"{p:.0%}" for p in PREVALENCES), measured=MEASURED_ON, prompts=PROMPTS, seeds=SEEDS
    )
    by = {(n.sensitivity, n.specificity, n.together): n for n in found}
    lines = []
    for sens in RATES:
        for spec in RATES:
            cells = [by[sens, spec, together] for together in TOGETHER]
            raw = sum(c.raw_hits for c in cells) / sum(c.repeats for c in cells)
            bias = float(np.mean([c.bias for c in cells]))
            told = (f"{c.hits / c.repeats:.0%} ({c.below / c.repeats:.0%}, {c.above / c.repeats:.0%})" for c in cells)
            lines.append([f"{sens:g}", f"{spec:g}", f"{raw:.0%}", number(bias, "+.3f"), *told])
    shared = (f"corrected, {t:.0%} of prompts share errors" for t in TOGETHER)
    yield table(("sensitivity", "specificity", "uncorrected", "bias, corrected", *shared), lines)
