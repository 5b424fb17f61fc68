"""What must hold by construction, asked one statement at a time: it holds, it does not, or n is too small to tell.

A check never hides what it found: `measured` has the numbers, and a statement that does not hold is a fact about the
metric (or about the models), which the page shows like all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from igmu_metrics.contract import Estimate, FloatArray
from igmu_metrics.metrics.forget_score import ASPECTS as SCORED
from igmu_metrics.sandbox.audit.measures import MEASURES, Measure, Table, Values
from igmu_metrics.sandbox.audit.noisy import Noisy
from igmu_metrics.sandbox.audit.truth import ASPECTS, FIXED, GAPS, HEADLINE, Fixed, Gap, Pair
from igmu_metrics.sandbox.audit.yardstick import Measured
from igmu_metrics.statistics import overlap, wilson
from igmu_metrics.statistics.formatting import formatted, number

Figures = Mapping[str, Estimate]
PLANTED: Final = "planted errors"
VIRTUAL: Final = "virtual models"
FEWEST_MODELS: Final = 50
FEWEST: Final = 6  # prompts: that all of them agree is chance in 2·½⁶ = 3% of cases, of five in 6%
EXACT: Final = 1e-9
PROMISED: Final = 0.95


class Outcome(StrEnum):
    """What became of a statement."""

    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "undecided at this n"

    @property
    def counted(self) -> str:
        """After a number: `hold`."""
        return {"holds": "hold", "does not hold": "do not hold"}.get(self, "are undecided at this n")


@dataclass(frozen=True, slots=True)
class Check:
    """One statement about one task.

    Args:
        task: the task.
        statement: what must hold.
        measured: the numbers, with intervals.
        outcome: whether it does.
        reason: why it must.
    """

    task: str
    statement: str
    measured: str
    outcome: Outcome
    reason: str


def fixed(task: str, truth: Fixed, estimate: Estimate) -> Check:
    """A value that is known."""
    statement = f"{truth.version}: {_named(truth.aspect)} is {truth.words}"
    return Check(task, statement, formatted(estimate), _within(estimate, truth.low, truth.high), truth.reason)


def _within(estimate: Estimate, low: float, high: float) -> Outcome:
    """An exact value is compared by itself, a range with the interval."""
    if estimate.value != estimate.value:
        return Outcome.OPEN
    if low == high:
        return Outcome.HOLDS if abs(estimate.value - low) <= EXACT else Outcome.FAILS
    if estimate.interval is None:
        return Outcome.OPEN
    if low <= estimate.interval[0] and estimate.interval[1] <= high:
        return Outcome.HOLDS
    return Outcome.OPEN if overlap(estimate.interval, (low, high)) else Outcome.FAILS


def gap(task: str, truth: Gap, better: Estimate, worse: Estimate) -> Check:
    """One version far above another: intervals apart, and the values by so much."""
    statement = (
        f"{truth.better} is far above {truth.worse} in {_named(truth.aspect)} (by at least {truth.by:g}, without "
        "overlapping intervals)"
    )
    measured = f"{truth.better} {formatted(better)}, {truth.worse} {formatted(worse)}"
    if better.interval is None or worse.interval is None or overlap(better.interval, worse.interval):
        outcome = Outcome.OPEN
    else:
        outcome = Outcome.HOLDS if better.value - worse.value >= truth.by else Outcome.FAILS
    return Check(task, statement, measured, outcome, truth.reason)


def ordering(
    task: str,
    statement: str,
    pairs: Sequence[Pair],
    values: Mapping[str, float],
    halves: Mapping[str, FloatArray],
    n_prompts: int,
    reason: str = "",
) -> Check:
    """Several pairs in the right order, each by the interval for its difference over random halves of the prompts.

    Args:
        task: the task.
        statement: what must hold.
        pairs: what is true.
        values: of each version on all prompts, higher is better.
        halves: of each version, (draws,) on the same random halves; see `agreement.verdict`.
        n_prompts: prompts behind the values; below FEWEST nothing can be told.
        reason: why it must hold.
    """
    found: dict[Outcome, list[str]] = {outcome: [] for outcome in (Outcome.FAILS, Outcome.OPEN, Outcome.HOLDS)}
    for pair in pairs:
        low, high = np.quantile(halves[pair.better] - halves[pair.worse], [0.025, 0.975])
        outcome = _ordered(float(low), float(high), n_prompts)
        better, worse = (f"{v} {number(values[v])}" for v in (pair.better, pair.worse))
        found[outcome].append(f"{better} over {worse} (by {number(float(low))} to {number(float(high))})")
    told = [f"{outcome}: {'; '.join(lines)}" for outcome, lines in found.items() if lines and outcome != Outcome.HOLDS]
    held = found[Outcome.HOLDS]
    if told:
        told.append(f"{len(held)} of {len(pairs)} pairs are in the right order")
    else:
        told.append(f"all {len(pairs)} pairs: {'; '.join(held)}")
    return Check(task, statement, ". ".join(told), next(o for o, lines in found.items() if lines), reason)


def _ordered(low: float, high: float, n_prompts: int) -> Outcome:
    """A tie in every half is no order, so it does not hold."""
    if np.isnan(low) or np.isnan(high) or n_prompts < FEWEST:
        return Outcome.OPEN
    if low > EXACT:
        return Outcome.HOLDS
    return Outcome.FAILS if high <= EXACT else Outcome.OPEN


def correction(together: float, found: Sequence[Noisy]) -> Check:
    """The corrected interval of a detector that errs holds the truth as often as it promises, and errs on both sides.

    Args:
        together: how often the seeds of a prompt share their errors.
        found: with every pair of rates.
    """
    shared = f", if the seeds of {together:.0%} of the prompts share errors" if together else ""
    statement = (
        f"the corrected interval for a detector with planted errors includes the true value in 95% of cases{shared}"
    )
    n, raw, hits, below, above = (
        sum(getattr(one, name) for one in found) for name in ("repeats", "raw_hits", "hits", "below", "above")
    )
    outcome = Outcome.HOLDS if hits >= PROMISED * n else Outcome.OPEN
    one_sided = max(below, above)
    if wilson(hits, n)[1] < PROMISED or wilson(one_sided, n)[0] > (1 - PROMISED) / 2:
        outcome = Outcome.FAILS
    measured = f"{hits / n:.1%} of {n}, below it {below / n:.1%}, above {above / n:.1%} (uncorrected {raw / n:.0%})"
    return Check(
        PLANTED, statement, measured, outcome, "the error rates are known; `concept_accuracy` computes the interval"
    )


def yardstick(one: Measured) -> Check:
    """A figure of ours tells the truth about virtual models, by the numbers decided before anything was measured."""
    aspect = _named(one.contender.aspect)
    statement = f"{one.contender.title} is accurate for virtual models ({aspect})"
    coverage = "" if one.coverage is None else f", intervals include the true value for {one.coverage[0]:.0%}"
    scale = (
        f"bias {number(one.bias, '+.3f')}, RMSE {number(one.rmse, '.3f')}{coverage}; " if one.contender.scale else ""
    )
    measured = f"{scale}rank correlation {formatted(one.rank)}, {one.n} models"
    if one.n < FEWEST_MODELS:
        return Check(VIRTUAL, statement, measured, Outcome.OPEN, f"fewer than {FEWEST_MODELS} models have a value")
    outcome = Outcome.FAILS if one.short else Outcome.HOLDS
    return Check(VIRTUAL, statement, measured, outcome, "; ".join(one.short) or "all probabilities are known")


def same(measure: Measure, figures: Mapping[tuple[str, str], Figures], drawn: Values) -> Check:
    """The fast form behind curves and halves is the figure that scorecards have."""
    apart = {
        cell: (float(drawn[cell][0]), known[measure.figure].value)
        for cell, known in figures.items()
        if not np.isclose(drawn[cell][0], known[measure.figure].value, rtol=0, atol=EXACT, equal_nan=True)
    }
    told = "; ".join(f"{'/'.join(cell)}: {number(a)} and {number(b)}" for cell, (a, b) in apart.items())
    statement = f"{measure.title}: resampling gives the same value as the published metric"
    return Check("all", statement, told or "equal", Outcome.FAILS if apart else Outcome.HOLDS, measure.figure)


def checks(
    figures: Mapping[tuple[str, str], Figures],
    full: Table,
    halves: Table,
    noisy: Sequence[Noisy],
    quality: str,
    measured: Sequence[Measured],
) -> Iterator[Check]:
    """Every check of every task.

    Args:
        figures: of the shipped metrics, by task and version.
        full: every measure on all prompts, as drawn.
        halves: every measure on random halves of them.
        noisy: what a detector that errs made of every version.
        quality: the candidate that is the aspect.
        measured: every figure on virtual models.
    """
    for known in MEASURES:
        if known.figure:
            yield same(known, figures, full[known.key])
    for together in dict.fromkeys(one.together for one in noisy):
        yield correction(together, [one for one in noisy if one.together == together])
    yield from (yardstick(one) for one in measured if one.contender.kind in ("igmu", "given"))
    whole = ASPECTS[HEADLINE]
    first = [p for p in whole if p.better == "gold"]
    last = [p for p in whole if p.worse in ("original", "collapsed")]
    for task in dict.fromkeys(task for task, _ in figures):
        for one in FIXED:
            yield fixed(task, one, figures[task, one.version][figure_of(one.aspect)])
        for one_gap in GAPS:
            better, worse = (figures[task, v][figure_of(one_gap.aspect)] for v in (one_gap.better, one_gap.worse))
            yield gap(task, one_gap, better, worse)
        for aspects, key, pairs, statement, reason in (
            *(((a,), _key(a, quality), ASPECTS[a], f"{a} puts the versions in the true order", _BELOW) for a in SCORED),
            (SCORED, f"{HEADLINE}_{quality}", first, "gold has the highest forget score", _BELOW),
            (SCORED, f"{HEADLINE}_{quality}", last, "original and collapsed have the lowest forget scores", _LAST),
        ):
            versions = {v for p in pairs for v in (p.better, p.worse)}
            yield ordering(
                task,
                statement,
                pairs,
                {v: float(full[key][task, v][0]) for v in versions},
                {v: halves[key][task, v] for v in versions},
                min(figures[task, v][figure_of(a)].n_prompts for v in versions for a in aspects),
                reason,
            )


def figure_of(aspect: str) -> str:
    """The shipped figure of an aspect of the score."""
    return f"forget_score:{aspect}"


_BELOW: Final = "the end of this page gives the reason for each pair"
_LAST: Final = f"{_BELOW}; the score is a harmonic mean, so a version with any aspect at 0 also scores 0"


def _key(aspect: str, quality: str) -> str:
    """The measure that is an aspect of the score."""
    return f"quality_{quality}" if aspect == "quality" else aspect


def _named(aspect: str) -> str:
    return aspect.replace("_", " ")
