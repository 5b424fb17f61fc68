"""What the audit found: every question, asked about the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from igmu_metrics.metrics.forget_score import DEFAULT
from igmu_metrics.sandbox.audit import noisy, stability
from igmu_metrics.sandbox.audit.agreement import Agreement, agreements
from igmu_metrics.sandbox.audit.candidates import Candidate, candidates
from igmu_metrics.sandbox.audit.checks import Check, checks
from igmu_metrics.sandbox.audit.gather import Evidence
from igmu_metrics.sandbox.audit.measures import Table, table
from igmu_metrics.sandbox.audit.seen import everything, random_draws

DRAWS: Final = 200


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the audit found.

    Args:
        evidence: what was seen.
        full: every measure on all prompts.
        checks: what must hold.
        agreements: every measure against the truth.
        curves: every measure at growing n.
        noisy: every version as a detector that errs sees it.
        candidates: for the quality aspect, the better one first.
        draws: random choices of prompts behind intervals and curves.
    """

    evidence: Evidence
    full: Table
    checks: tuple[Check, ...]
    agreements: tuple[Agreement, ...]
    curves: tuple[stability.Curve, ...]
    noisy: tuple[noisy.Noisy, ...]
    candidates: tuple[Candidate, ...]
    draws: int


def analyse(evidence: Evidence, *, draws: int = DRAWS) -> Findings:
    """Every question, without looking at a picture again."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)
    seen = evidence.seen
    console.print(f"measures on all prompts and on {draws} random halves of them")
    full = table(seen, everything)
    halves = table(seen, partial(random_draws, n=None, draws=draws))
    agreed = agreements(full, halves)
    console.print(f"measures on {draws} choices of prompts of every size")
    curves = stability.curves(seen, draws=draws)
    console.print("a detector that errs, and the candidates for quality")
    erring = noisy.compare(seen)
    return Findings(
        evidence=evidence,
        full=full,
        checks=tuple(checks(evidence.figures, full, halves, erring, DEFAULT)),
        agreements=tuple(agreed),
        curves=tuple(curves),
        noisy=tuple(erring),
        candidates=tuple(candidates(seen, agreed, curves)),
        draws=draws,
    )
