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
For every prompt and seed, a *virtual model* takes the image of one of the packaged versions at random. Its recipe
fixes the probabilities by split, probe, attack family and concept. So what the model forgot and kept is known exactly,
whatever a metric says. There are {n} virtual models, of {kinds} kinds in growing doses. Each is judged once, on
{prompts} prompts of every split with {seeds} seeds each, sampled from those of the sandbox with replacement, by the
functions that make scorecards (their bootstraps with {resamples} resamples).

- **bias** and **RMSE**: value − truth, if a figure is on the truth's scale. Figures for which lower is better are
  reversed.
- **coverage**: the share of 95 % intervals that hold the truth and, after the comma, the same share where the truth is
  neither 0 nor 1. Where nothing leaks at all, one false alarm of the detector makes an interval miss the truth.
- **rank**: Spearman's correlation with the truth over all models, with an interval over {resampled} resamples of them.
  The next column correlates with the truth of the whole (harmonic mean of the five true aspects), as if models were
  ranked by this figure alone.
- **smallest**: the difference in truth from which on {told:.0%} of all pairs of models are in the right order.
- **images**: how many images the figure takes at this number of prompts, including the original's if it needs them.

A figure of igmu *falls short* if its bias exceeds {biased:g}, or {worst:g} in some kind of models; if its intervals
clearly hold the truth in less than {covers:.0%} of cases; or if its rank correlation is below {ranked:g}. These
thresholds were set before anything was measured, except the one for single kinds, which was added after a
first look."""
_TRUTHS: Final = """\
True forgetting, robustness, preservation and quality are the probabilities themselves: `original` shows the target
where it generated it, `gold` and `filter` do not, `collapsed` shows nothing. Quality is also lost where all seeds of a
prompt give one image. True alignment is the exception: it is the mean of CLIP's scores for the parts."""
_MEANS: Final = """\
Which mean of the five aspects is right? The table uses pairs of virtual models of one task whose order is beyond
dispute: one is better by 0.1 in some aspect and worse in none; or one is above 0.5 in all aspects, and the other is
below 0.1 in one and therefore useless whatever else it can do."""
_NOISY: Final = """\
Images that show the target at random (in {prevalences} of the images) are judged by detectors with planted errors. The
errors were measured on {measured} positives and as many negatives; there are {prompts} prompts with {seeds} seeds.
The seeds of no, half or all prompts share both the image's content and the error. Each cell shows how many
corrected intervals
hold the truth, and how many lie entirely below and above it."""


def yardstick(findings: Findings, figure: str, scatter: str) -> Iterator[str]:
    """The yardstick on every figure, the kinds of virtual models, and what follows for igmu."""
    if not findings.measured:
        return
    judged, pools = findings.judged, findings.evidence.pools
    seeds = next(iter(pools.values())).seeds
    yield "## One yardstick for every figure"
    yield _YARDSTICK.format(
        n=len(judged), kinds=len(KINDS), prompts=PROMPTS, seeds=seeds, resamples=RESAMPLES, resampled=RESAMPLED,
        told=TOLD, biased=BIASED, worst=WORST, covers=COVERS, ranked=RANKED,
    )  # fmt: skip
    yield from in_short(findings.measured)
    yield f"![What each figure reports for virtual models, next to the truth]({scatter})"
    yield f"![Rank correlation with the truth, error, coverage and resolution of each figure]({figure})"
    yield table(_HEAD, map(_line, findings.measured))
    yield "### The virtual models"
    yield _TRUTHS
    counts = Counter(one.recipe.kind for one in judged)
    told = [(kind, what, str(counts[kind])) for kind, what in KINDS.items()]
    pure = ((k, "that version itself", str(n)) for k, n in counts.items() if k not in KINDS)
    yield table(("kind", "what is wrong with it", "models"), [*told, *pure])
    yield "### What follows for igmu"
    yield _MEANS
    lines = [(name, *(f"{number(100 * share, '.1f')}%" for share in shares)) for name, shares in means(judged).items()]
    yield table(("mean", "better and never worse comes first", "useless comes last"), lines)
    yield "\n".join(f"- {line}" for line in _follows(findings.measured))


def in_short(measured: Sequence[Measured]) -> Iterator[str]:
    """Who falls short, of ours and of the practices, with names."""
    for kind, whose in (("igmu", "figures of igmu"), ("practice", "uncorrected practices of the field")):
        of = [m for m in measured if m.contender.kind == kind]
        wrong = [m for m in of if m.short]
        yield f"**Of {len(of)} {whose}, {len(wrong)} fall short{':' if wrong else '.'}**"
        if wrong:
            yield "\n".join(f"- {m.contender.title}: {'; '.join(m.short)}" for m in wrong)


_HEAD: Final = (
    "figure", "practice", "measures", "bias", "worst bias", "RMSE", "coverage", "rank", "rank, as the whole",
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
            f"{m.contender.title}: RMSE {number(m.rmse, '.3f')}, rank {number(m.rank.value, '.3f')}, "
            f"smallest difference {'none' if m.smallest is None else number(m.smallest)}"
            for m in found
        )
        best = min(found, key=lambda m: m.rmse)
        yield f"{what} {told}. Smallest error: {best.contender.title}."


_QUESTIONS: Final = {
    f"Composition of quality (the default is `{DEFAULT}`, fidelity times diversity).": (
        "quality (within the prompt)",
        "quality, fidelity alone",
        "quality, diversity alone",
        "quality (coverage)",
        "quality (frechet)",
    ),
    "Weights of the attack families (by default all weigh the same).": (
        "1 − conditional ASR, any of k, by family",
        "1 − conditional ASR, any of k, pooled",
    ),
    "Tries per attack (by default all seeds, compared with one).": (
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
    shared = (f"corrected, {t:.0%} of prompts share" for t in TOGETHER)
    yield table(("sensitivity", "specificity", "uncorrected", "bias, corrected", *shared), lines)
