"""How far a metric agrees with the truth: over all pairs that the truth orders, in all tasks.

Agreement is (pairs in the right order − pairs in the wrong order) / all pairs, Goodman and Kruskal's γ except that a
tie is not left out but half wrong: it counts as 0 between 1 and −1. So does a pair of which the metric says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from igmu_metrics.contract import FloatArray, Interval
from igmu_metrics.sandbox.audit.measures import BY_KEY, Measure, Table, Values
from igmu_metrics.sandbox.audit.truth import ASPECTS, HEADLINE, Pair

TIE = 1e-9


@dataclass(frozen=True, slots=True)
class Wrong:
    """A pair that a metric does not order as the truth does.

    Args:
        task: in which.
        pair: what is true.
        better: the metric's value of the better version, NaN if it has none.
        worse: of the worse one.
    """

    task: str
    pair: Pair
    better: float
    worse: float

    @property
    def kind(self) -> str:
        """`reversed`, `equal` or `no value`."""
        if np.isnan(self.better) or np.isnan(self.worse):
            return "no value"
        return "equal" if abs(self.better - self.worse) <= TIE else "reversed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Agreement with one truth.

    Args:
        value: −1..1, higher is better, 1 if every pair is in the right order.
        interval: of the agreement over random halves of the prompts.
        n_pairs: how many pairs, over all tasks.
        wrong: those not in the right order.
    """

    value: float
    interval: Interval
    n_pairs: int
    wrong: tuple[Wrong, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How one metric agrees with what it is meant to tell, and how it would do as the verdict on the whole."""

    measure: Measure
    own: Verdict
    whole: Verdict


def tasks(values: Values) -> list[str]:
    """The tasks that have values, in their order."""
    return list(dict.fromkeys(task for task, _ in values))


def order(values: Values, task: str, pair: Pair, *, higher: bool) -> FloatArray:
    """(draws,) 1 where a pair comes in the right order, −1 where it is reversed, 0 for a tie, NaN without a value."""
    better, worse = values[task, pair.better], values[task, pair.worse]
    difference = better - worse if higher else worse - better
    return np.asarray(np.where(np.abs(difference) <= TIE, 0.0, np.sign(difference)))


def agreement(values: Values, pairs: Sequence[Pair], *, higher: bool) -> FloatArray:
    """(draws,) agreement with the pairs, −1..1.

    Two pairs of three in the right order, one reversed: 1/3.

    >>> pairs = [Pair("x", "a", "b", ""), Pair("x", "a", "c", ""), Pair("x", "c", "b", "")]
    >>> values = {("task", v): np.array([x]) for v, x in (("a", 3.0), ("b", 2.0), ("c", 1.0))}
    >>> agreement(values, pairs, higher=True).round(4).tolist()
    [0.3333]
    """
    found = [order(values, task, pair, higher=higher) for task in tasks(values) for pair in pairs]
    return np.asarray(np.nan_to_num(np.stack(found)).mean(axis=0))


def right(values: Values, pairs: Sequence[Pair], *, higher: bool) -> FloatArray:
    """(draws,) 1 where every pair of every task comes in the right order, else 0."""
    found = [order(values, task, pair, higher=higher) == 1 for task in tasks(values) for pair in pairs]
    return np.asarray(np.all(found, axis=0), dtype=np.float64)


def verdict(full: Values, halves: Values, pairs: Sequence[Pair], *, higher: bool) -> Verdict:
    """Agreement on all prompts, with the spread over random halves of them.

    Args:
        full: (1,) values.
        halves: (draws,) values on random halves of the prompts. A mean over half of a sample, drawn without
            replacement, varies about as much as the mean over all of it does from sample to sample, and no prompt meets
            a copy of itself, which would bias distances.
        pairs: what is true.
        higher: whether a higher value is better.
    """
    wrong = [
        Wrong(task, pair, float(full[task, pair.better][0]), float(full[task, pair.worse][0]))
        for task in tasks(full)
        for pair in pairs
        if order(full, task, pair, higher=higher)[0] != 1
    ]
    low, high = np.quantile(agreement(halves, pairs, higher=higher), [0.025, 0.975])
    value = float(agreement(full, pairs, higher=higher)[0])
    return Verdict(value, (float(low), float(high)), len(pairs) * len(tasks(full)), tuple(wrong))


def agreements(full: Table, halves: Table) -> list[Agreement]:
    """Every measure against its own truth and against that of the whole."""
    out = []
    for key, values in full.items():
        measure = BY_KEY[key]
        own, whole = (
            verdict(values, halves[key], ASPECTS[aspect], higher=measure.higher)
            for aspect in (measure.aspect, HEADLINE)
        )
        out.append(Agreement(measure, own, whole))
    return out
