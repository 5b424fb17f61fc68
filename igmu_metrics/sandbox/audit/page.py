"""The page of the audit, as Markdown: every number on it is computed, none is typed in."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from igmu_data import __version__
from igmu_data.markdown import table
from igmu_data.sandbox import packaged
from igmu_data.sandbox.packaged import VERSIONS
from igmu_data.schema import SPLITS
from igmu_metrics.metrics.forget_score import ASPECTS, DEFAULT
from igmu_metrics.sandbox.audit import pages
from igmu_metrics.sandbox.audit.agreement import Agreement, Verdict
from igmu_metrics.sandbox.audit.candidates import DOSES, SEEN
from igmu_metrics.sandbox.audit.checks import Outcome, figure_of
from igmu_metrics.sandbox.audit.findings import Findings
from igmu_metrics.sandbox.audit.seen import sizes
from igmu_metrics.sandbox.audit.stability import WANTED, Curve
from igmu_metrics.sandbox.audit.truth import HEADLINE, PAIRS, REST
from igmu_metrics.statistics.formatting import DASH, formatted, number

_LIBRARIES: Final = ("torch", "diffusers", "transformers", "numpy", "scipy")
_INTRODUCTION: Final = """\
The sandbox contains models that were made in such a way that it is known what they have forgotten and what they have
kept. It is therefore also known whether a metric is right. This page tests igmu's own metrics, and also metrics as they
are used in published evaluations, without igmu's corrections. `{command}` writes the whole page, including every
statement that does not hold."""
_TRUTH: Final = """\
A pair of versions is listed only if its order follows from how the two versions were made. `esd` and `uce` are
therefore not compared with each other, and this page does not claim to know how much they preserve or how robust they
are."""
_AGREEMENT: Final = """\
Agreement is (pairs in the right order − pairs in reverse order) / all pairs with a known order, over {tasks}. Ties
and missing values count as 0. An agreement of 1 means that all pairs are in the right order; an agreement of −1 means
that all pairs are reversed. Intervals are computed from random halves of the prompts. The column "agreement" compares
each metric with the aspect that it is meant to measure. The column "as a ranking" shows the agreement if models are
ranked by this metric alone, as is often done with unlearning accuracy."""
_STABILITY: Final = """\
For each number n of prompts (from every split that the metric uses, each with all its seeds), {draws} samples were
taken without replacement. The table shows the share of samples in which every known pair of {tasks} is in the right
order. The column "enough" gives the number of prompts from which this share stays at or above {wanted:.0%}."""
_FRECHET: Final = """\
The table shows the distance between half of the original's retain images and a version's images for the seeds of the
other half, as a mean over the samples of prompts. The true distance between two samples of the original's images is
0 for every n, and no version can be closer to the original."""
_QUALITY: Final = """\
This section compares candidates for the aspect *quality*. Each candidate is tested on the versions first, and then on
known doses of damage. In steps of {step:.0%}, an increasing share of the original's images is replaced by noise (images
of `collapsed`), by a single image, or by copies with half the contrast. In another test, an increasing share of the
prompts has the same image for every seed. A candidate is blind to a kind of damage if its value stays above {seen:g}
although the damage is severe (half of the images are noise, or all images are damaged in another way). The choice of a
candidate depends, in this order, on how well it orders the versions (as above), on the number of kinds of damage to
which it is blind, on how well it orders the doses, and on the number of prompts that it needs to order the versions.
The value for `gold` does not affect the choice. `gold` kept everything but was trained from scratch, so its value shows
how much quality a candidate deducts for a new training."""


def render(findings: Findings, *, figure: str, scatter: str, seeds_per_row: int) -> str:
    """The page as text.

    Args:
        findings: what was found.
        figure: file name of the yardstick's figure beside the page.
        scatter: file name of that of values beside the truth.
        seeds_per_row: what the command was called with.
    """
    root = packaged.elsewhere()
    command = f"{packaged.ROOT_ENVIRONMENT}={root} " if root else ""
    command += f"igmu audit --seeds-per-row {seeds_per_row}"
    counts = ", ".join(f"{sum(c.outcome is o for c in findings.checks)} {o.counted}" for o in Outcome)
    draws = findings.draws
    n_tasks = len({task for task, _ in findings.evidence.seen})
    tasks = "both tasks" if n_tasks == 2 else f"all {n_tasks} tasks"
    parts: Iterable[Iterable[str]] = (
        ["# The metric audit: do the metrics tell the truth?", _INTRODUCTION.format(command=command)],
        [
            f"**Because of how the models were made, {len(findings.checks)} statements must hold: {counts}.** "
            + _in_short(findings)
        ],
        pages.yardstick(findings, figure, scatter),
        ["## The versions", *_versions(findings)],
        [
            "## Statements that must hold",
            table(("task", "statement", "measured", "verdict", "reason"), _checks(findings)),
        ],
        [
            "## Agreement with the truth",
            _AGREEMENT.format(tasks=tasks),
            table(_AGREES, map(_agrees, findings.agreements)),
        ],
        ["## Versions in the wrong order, by metric", *_misorders(findings)],
        [
            "## How many prompts are needed",
            _STABILITY.format(draws=draws, tasks=tasks, wanted=WANTED),
            _stability(findings.curves, seeds_per_row),
        ],
        ["## Fréchet distances and the number of images", _FRECHET, *_frechet(findings)],
        ["## Detectors that err", *pages.noisy(findings.noisy)],
        ["## Candidates for quality", _QUALITY.format(step=DOSES[1], seen=SEEN), *_quality(findings)],
        ["## What is known to be true, and why", _TRUTH, table(("aspect", "better", "worse", "reason"), _truths())],
        ["## How this page was made", *_facts(findings, command)],
    )
    return "\n\n".join(paragraph for part in parts for paragraph in part) + "\n"


def _value(value: float) -> str:
    """Three digits, for figures of any scale."""
    return number(value, ".3g")


def _in_short(findings: Findings) -> str:
    """Which practices would mislead, in one sentence each."""
    wrong = [a for a in findings.agreements if a.measure.baseline and a.own.wrong]
    ranked = [a for a in findings.agreements if a.measure.baseline and a.whole.wrong]
    own = [a for a in findings.agreements if not a.measure.baseline and a.own.wrong]
    n = sum(a.measure.baseline for a in findings.agreements)
    told = [
        f"Of the {n} uncorrected metrics, {len(wrong)} put versions in the wrong order in the aspect that they are "
        f"meant to measure, and {len(ranked)} put versions in the wrong order if models are ranked by that metric "
        "alone."
    ]
    names = "; ".join(a.measure.title for a in own)
    ours = (
        f"The following metrics of igmu put versions in the wrong order: {names}."
        if own
        else "None of igmu's own metrics puts versions in the wrong order."
    )
    return " ".join([*told, ours])


def _versions(findings: Findings) -> Iterator[str]:
    figures = findings.evidence.figures
    for task in dict.fromkeys(task for task, _ in figures):
        lines = [
            [f"`{v}`", *(formatted(figures[task, v][figure_of(name)]) for name in (HEADLINE, *ASPECTS))]
            for v in VERSIONS
        ]
        yield f"### {task}\n\n" + table(("version", "forget score", *ASPECTS), lines)
        every = [
            [a.measure.title, *(_value(float(findings.full[a.measure.key][task, v][0])) for v in VERSIONS)]
            for a in findings.agreements
        ]
        yield f"The following table lists all audited metrics ({task}):\n\n" + table(
            ("metric", *(f"`{v}`" for v in VERSIONS)), every
        )


def _checks(findings: Findings) -> Iterator[Sequence[str]]:
    bold = {Outcome.HOLDS: "{}", Outcome.FAILS: "**{}**", Outcome.OPEN: "*{}*"}
    for check in findings.checks:
        yield check.task, check.statement, check.measured, bold[check.outcome].format(check.outcome), check.reason


_AGREES: Final = ("metric", "kind", "meant to measure", "agreement", "pairs not in order", "as a ranking")


def _agrees(one: Agreement) -> Sequence[str]:
    practice = "uncorrected" if one.measure.baseline else "igmu"
    aspect = "the rest of the prompt" if one.measure.aspect == REST else one.measure.aspect.replace("_", " ")
    missed = f"{len(one.own.wrong)} of {one.own.n_pairs}"
    return one.measure.title, practice, aspect, formatted(one.own), missed, formatted(one.whole)


def _misorders(findings: Findings) -> Iterator[str]:
    """For every metric what it is for, and for what the field ranks models by also the whole."""
    raw = [f"{_value(float(v[0]))} ({task})" for (task, who), v in findings.full["raw_ua"].items() if who == "original"]
    yield f"The original, which forgot nothing, has a raw unlearning accuracy of {', '.join(raw)}."
    lines = []
    for one in findings.agreements:
        told = [f"In its own aspect, {_wrongs(one.own)}"] if one.own.wrong else []
        if one.measure.baseline and one.whole.wrong:
            told.append(f"As a ranking, {_wrongs(one.whole)}")
        if told:
            lines.append(f"- **{one.measure.title}**: {'. '.join(told)}.")
    yield "\n".join(lines) or "No metric puts versions in the wrong order."


def _wrongs(verdict: Verdict) -> str:
    """`church: collapsed (1) before esd (0.83), level with gold (1)`: by task, and by the version that gains."""
    told: dict[str, dict[str, dict[str, list[str]]]] = {}
    for wrong in verdict.wrong:
        gains = told.setdefault(wrong.task, {}).setdefault(f"`{wrong.pair.worse}` ({_value(wrong.worse)})", {})
        gains.setdefault(_KINDS[wrong.kind], []).append(f"`{wrong.pair.better}` ({_value(wrong.better)})")
    return "; ".join(
        f"{task}: " + "; ".join(f"{who} " + ", ".join(f"{how} {', '.join(whom)}" for how, whom in kinds.items())
        for who, kinds in gains.items())
        for task, gains in told.items()
    )  # fmt: skip


_KINDS: Final = {"reversed": "before", "equal": "level with", "no value": "not comparable with"}


def _stability(curves: Sequence[Curve], seeds_per_row: int) -> str:
    steps = sorted({n for c in curves for n in c.sizes[:-1]})
    lines = []
    for curve in curves:
        shares = dict(zip(curve.sizes[:-1], curve.shares[:-1], strict=True))
        cells = [f"{shares[n]:.0%}" if n in shares else "" for n in steps]
        enough = f"not with {curve.sizes[-1]}"
        if curve.enough:
            images = curve.enough * seeds_per_row * (1 if curve.measure.split else len(SPLITS))
            enough = f"{curve.enough} ({images} images)"
        lines.append([curve.measure.title, *cells, f"{curve.shares[-1]:.0%} (n = {curve.sizes[-1]})", enough])
    return table(("metric", *(f"n = {n}" for n in steps), "all", "enough"), lines)


def _frechet(findings: Findings) -> Iterator[str]:
    curves = {c.measure.key: c for c in findings.curves}
    frechet = curves["frechet"]
    tasks = list(dict.fromkeys(task for task, _ in frechet.means))
    lines = [
        [task, curves[key].measure.title.partition(" on ")[0], f"`{v}`", *map(_value, curves[key].means[task, v])]
        for task in tasks
        for key in ("frechet", "kid", "cmmd")
        for v in ("original", "gold", "collapsed")
    ]
    yield table(("task", "distance", "version", *(f"n = {n}" for n in frechet.sizes)), lines)
    for task in tasks:
        own = frechet.means[task, "original"]
        told = (
            f"For {task}, the original's distance from itself is {_value(own[0])} at n = {frechet.sizes[0]}, and "
            f"{_value(own[-1])} at n = {frechet.sizes[-1]}."
        )
        others = [v for v in VERSIONS if v not in ("original", "filter")]  # filter's images are the original's
        nearer = [f"`{v}` ({_value(x)})" for v in others if (x := frechet.means[task, v][-1]) < own[0]]
        if nearer:
            told += (
                f" Measured at n = {frechet.sizes[0]}, the original would therefore rank below {', '.join(nearer)}, "
            )
            told += f"measured at n = {frechet.sizes[-1]}."
        yield told


def _quality(findings: Findings) -> Iterator[str]:
    lines = []
    for c in findings.candidates:
        doses = [f"{_value(v)} (half: {_value(c.halfway[d])}, all: {_value(c.wholly[d])})" for d, v in c.doses.items()]
        gold = [float(v[0]) for (_, who), v in findings.full[f"quality_{c.name}"].items() if who == "gold"]
        values = ", ".join(map(_value, gold))
        lines.append([c.name, f"{c.agreement:.2f}", ", ".join(c.blind) or DASH, *doses, str(c.enough or DASH), values])
    damages = [f"doses of {d}" for d in findings.candidates[0].doses]
    yield table(("candidate", "versions", "blind to", *damages, "prompts needed", "value of `gold`"), lines)
    best, second, *_ = findings.candidates
    if best.merit == second.merit:
        yield f"`{best.name}` and `{second.name}` do equally well here; the default is `{DEFAULT}`."
    else:
        now = "it already is" if best.name == DEFAULT else f"the current default is `{DEFAULT}`"
        yield f"`{best.name}` does best, so it should be the default ({now})."


def _truths() -> Iterator[Sequence[str]]:
    for pair in PAIRS:
        yield pair.aspect.replace("_", " "), f"`{pair.better}`", f"`{pair.worse}`", pair.reason


def _facts(findings: Findings, command: str) -> Iterator[str]:
    evidence = findings.evidence
    lines = [f"- command: `{command}`, igmu {__version__}"]
    for task in dict.fromkeys(task for task, _ in evidence.seen):
        seen = evidence.seen[task, "original"]
        counts = ", ".join(f"{n} {split}" for split, n in sizes(seen).items())
        long, glued = evidence.glued[task]
        lines.append(
            f"- {task}: {len(seen)} images of each version for {counts} prompts; {evidence.left_out[task]} images "
            f"left out because not every version has them; {long} of {glued} glued prompts are too long for the text "
            "encoder"
        )
    lines += [f"- {name}: {value}" for name, value in evidence.facts.items()]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines.append(f"- machine: {machine}; " + ", ".join(f"{name} {_installed(name)}" for name in _LIBRARIES))
    yield "\n".join(lines)


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
