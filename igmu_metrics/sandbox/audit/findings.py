"""What the audit found: every question, asked about the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from igmu_data.progress import bars
from igmu_metrics.contract import Metric
from igmu_metrics.metrics.forget_score import DEFAULT
from igmu_metrics.sandbox.audit import noisy, stability
from igmu_metrics.sandbox.audit.agreement import Agreement, agreements
from igmu_metrics.sandbox.audit.candidates import Candidate, candidates
from igmu_metrics.sandbox.audit.checks import Check, checks
from igmu_metrics.sandbox.audit.gather import Evidence
from igmu_metrics.sandbox.audit.measures import BY_KEY, Measure, Table, Values, table
from igmu_metrics.sandbox.audit.mixtures import PROMPTS
from igmu_metrics.sandbox.audit.seen import everything, random_draws
from igmu_metrics.sandbox.audit.yardstick import GRADES, Judged, Measured, contenders, judge, measure

DRAWS: Final = 200


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the audit found.

    Args:
        evidence: what was seen.
        full: every measure on all prompts; where a shipped metric has the figure, its figure.
        checks: what must hold.
        agreements: every measure against the truth.
        curves: every measure at growing n.
        noisy: every version as a detector that errs sees it.
        candidates: for the quality aspect, the better one first.
        judged: the virtual models, with what is true of them and what the metrics said.
        measured: what the yardstick says of every figure.
        draws: random choices of prompts behind intervals and curves.
    """

    evidence: Evidence
    full: Table
    checks: tuple[Check, ...]
    agreements: tuple[Agreement, ...]
    curves: tuple[stability.Curve, ...]
    noisy: tuple[noisy.Noisy, ...]
    candidates: tuple[Candidate, ...]
    judged: tuple[Judged, ...]
    measured: tuple[Measured, ...]
    draws: int


def analyse(
    evidence: Evidence,
    *,
    draws: int = DRAWS,
    grades: int = GRADES,
    repeats: int = noisy.REPEATS,
    given: Mapping[str, Metric] | None = None,
) -> Findings:
    """Every question, without looking at an image again.

    Args:
        evidence: what was seen.
        draws: random choices of prompts behind intervals and curves.
        grades: virtual models of each kind and task.
        repeats: evaluations by each detector with planted errors, at each prevalence.
        given: metrics asked for with `--metric`, by what they are called.
    """
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)
    seen, pools = evidence.seen, list(evidence.pools.values())
    judged: list[Judged] = []
    with bars() as advance:
        if pools:
            judged = judge(pools, grades=grades, given=given, tick=partial(advance, "virtual models"))
    measured = measure(judged, contenders(pools, given), prompts=PROMPTS, seeds=pools[0].seeds) if judged else []
    console.print(f"measures on all prompts and on {draws} random halves of them")
    drawn = table(seen, everything)
    full = {key: _shipped(BY_KEY[key], evidence, values) for key, values in drawn.items()}
    halves = table(seen, partial(random_draws, n=None, draws=draws))
    agreed = agreements(full, halves)
    console.print(f"measures on {draws} choices of prompts of every size")
    curves = stability.curves(seen, draws=draws)
    console.print("detectors with planted errors, and the candidates for quality")
    erring = noisy.compare(repeats=repeats)
    return Findings(
        evidence=evidence,
        full=full,
        checks=tuple(checks(evidence.figures, drawn, halves, erring, DEFAULT, measured)),
        agreements=tuple(agreed),
        curves=tuple(curves),
        noisy=tuple(erring),
        candidates=tuple(candidates(seen, agreed, curves)),
        judged=tuple(judged),
        measured=tuple(measured),
        draws=draws,
    )


def _shipped(measure: Measure, evidence: Evidence, values: Values) -> Values:
    """What scorecards say where they say it."""
    if not measure.figure:
        return values
    return {cell: np.array([known[measure.figure].value]) for cell, known in evidence.figures.items()}
