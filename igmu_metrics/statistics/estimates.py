"""A mean of values in 0..1 with the interval that fits it.

Which interval, and why:

- **One generation a prompt, each a hit or a miss: Wilson**, exact about 0 and 1.
- **Several generations a prompt: Wilson on the effective number of trials**, p(1 − p)/V, with V the variance of the
  mean that the spread *between prompts* shows. V cannot be smaller than if all generations were independent, nor
  larger than if those of a prompt were copies of one another, so it is kept between the two; and where few prompts
  went wrong it is hardly known, so it is drawn half way between the two by the weight of half a wrong prompt. A
  percentile bootstrap does the same job worse: in simulations (tests/test_coverage.py) it covers 89..95 % about 0.95,
  this 93..97 %.
- **All prompts agree, or there are fewer than five**: their spread says nothing. Then each prompt counts as one trial,
  1/Σw² of them with w the weight of each prompt in the mean: no dependence within prompts is worse than that, so the
  interval is honest, if wide, and `reason` says so.
- **Macro means over concepts: the concept is the unit.** V is the larger of what the spread between concepts shows,
  with Student's quantile for their number, and of what the prompts within them show. Fewer than ten concepts can look
  alike by chance where concepts differ much (88..93 % with five to eight of them), so only the latter counts: the
  interval then holds for these concepts, not for others, and `reason` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from igmu_metrics.contract import Estimate, FloatArray, Interval
from igmu_metrics.statistics.intervals import score_interval, wilson, z_value
from igmu_metrics.statistics.level import confidence
from igmu_metrics.statistics.resampling import cluster_sums

MIN_CLUSTERS = 5  # fewer prompts say next to nothing about how much they differ
MIN_CONCEPTS = 10  # fewer concepts say too little about concepts that are not among them
_PRIOR = 0.5  # wrong prompts' worth of belief that the truth lies half way between independence and copies
Unit = Literal["clusters", "groups"]
_Codes = npt.NDArray[np.intp]


def mean_estimate(
    values: npt.ArrayLike,
    clusters: npt.NDArray[Any],
    *,
    groups: npt.NDArray[Any] | None = None,
    unit: Unit = "clusters",
    prompts: npt.NDArray[Any] | None = None,
    generations: int | None = None,
    empty: str = "no rows to average",
) -> Estimate:
    """Mean of values in 0..1, or the mean over groups of the means within groups, with an honest 95 % interval.

    Args:
        values: (n,) numbers in 0..1: hits and misses, or a chance for each prompt.
        clusters: (n,) unit whose values depend on each other, normally the prompt.
        groups: (n,) group of each value; None for a plain mean.
        unit: what is drawn at random in a mean over groups. `groups`: the groups are a sample of what they stand for
            (concepts). `clusters`: the groups are fixed and may share their clusters (attack families on the same
            prompts).
        prompts: (n,) prompt of each value for the count; None if that is `clusters`.
        generations: how many generations are behind the values; None for one each.
        empty: the reason to give if there are no values.

    Returns:
        The estimate; NaN with `empty` as its reason if n is 0.

    Five of five in a single prompt are worth one trial: Wilson's interval of 1 in 1 starts at 1/(1 + 1.96²).

    >>> estimate = mean_estimate([1, 1, 1, 1, 1], np.zeros(5))
    >>> estimate.value, [round(end, 4) for end in estimate.interval]
    (1.0, [0.2065, 1.0])
    """
    v = np.asarray(values, dtype=np.float64)
    if not len(v):
        return Estimate(float("nan"), reason=empty)
    n = len(v) if generations is None else generations
    cluster = np.unique(clusters, return_inverse=True)[1]
    group = np.zeros(len(v), np.intp) if groups is None else np.unique(groups, return_inverse=True)[1]
    value, interval, reason = _interval(v, cluster, group, unit, n)
    return Estimate(value, interval, len(np.unique(clusters if prompts is None else prompts)), n, reason)


def mean_over_concepts(values: Sequence[float], *, asked: int) -> Estimate:
    """Mean of one figure over concepts, each of which counts once, with Student's interval for other concepts.

    Args:
        values: the figure for each concept for which it is defined, 0..1.
        asked: how many concepts there are.

    Returns:
        The estimate: NaN where the figure lacks for a concept, without interval below MIN_CONCEPTS.

    >>> found = mean_over_concepts([0.5, 0.75], asked=2)
    >>> found.value, found.interval, found.reason
    (0.625, None, 'interval: 2 concepts, at least 10 needed')
    """
    from scipy import stats

    n = len(values)
    if n < asked or n == 0:
        return Estimate(float("nan"), reason=f"mean: the figure is defined for {n} of {asked} concepts")
    mean = float(np.mean(values))
    if n < MIN_CONCEPTS:
        return Estimate(mean, reason=f"interval: {n} concepts, at least {MIN_CONCEPTS} needed")
    half = float(stats.t.ppf(0.5 + confidence() / 2, n - 1) * np.std(values, ddof=1) / n**0.5)
    return Estimate(mean, (max(0.0, mean - half), min(1.0, mean + half)))


def effective_trials(values: npt.ArrayLike, clusters: npt.NDArray[Any]) -> float:
    """How many independent trials a mean of clustered values in 0..1 is worth: between the prompts and the values.

    Two prompts that agree, with two generations each, are two trials.

    >>> round(effective_trials([1, 1, 1, 1], np.array([0, 0, 1, 1])), 9)
    2.0
    """
    v = np.asarray(values, dtype=np.float64)
    cluster = np.unique(clusters, return_inverse=True)[1]
    return _Mean(v, cluster, np.zeros(len(v), np.intp), len(v)).trials()


def effective_wilson(value: float, effective: float, why: str) -> tuple[Interval, str]:
    """Wilson's interval of a share on an effective number of prompts, and the sentence that owns up to it."""
    shown = f"{effective:.4g}"
    sentence = f"{why}: Wilson interval on {shown} prompt{'' if shown == '1' else 's'}"
    return wilson(min(effective, value * effective), effective), sentence


class _Mean:
    """A mean over groups of means within groups, and what its clusters tell about its variance.

    Args:
        v: (n,) values in 0..1.
        cluster: (n,) cluster of each, 0..K − 1.
        group: (n,) group of each, 0..G − 1.
        generations: behind the values.
    """

    def __init__(self, v: FloatArray, cluster: _Codes, group: _Codes, generations: int) -> None:
        self.n_groups, self.n_clusters = int(group.max()) + 1, int(cluster.max()) + 1
        sums = cluster_sums(group, v, np.ones(len(v)))
        self.means = sums[:, 0] / sums[:, 1]
        self.value = float(self.means.mean())
        weight = 1.0 / (self.n_groups * sums[group, 1])  # of each value in the mean
        self.prompts = 1.0 / float(np.square(cluster_sums(cluster, weight)).sum())
        parts = np.unique(cluster + self.n_clusters * group)
        in_group = np.bincount(parts // self.n_clusters, minlength=self.n_groups)
        # Variance of one trial in each group; a group of few prompts is believed to be like the others, by two prompts.
        rates = (self.means * in_group + 2 * self.value) / (in_group + 2)
        spread = rates * (1 - rates)
        per_value = generations / len(v) if not np.isin(v, (0.0, 1.0)).all() else 1.0
        self.least = float((weight**2 * spread[group]).sum()) / per_value
        self.most = float(np.square(cluster_sums(cluster, weight * np.sqrt(spread[group]))).sum())
        # Clusters that lie each in one group lose a degree of freedom to the mean of every group.
        nested = len(parts) == self.n_clusters
        self.freedom = self.n_clusters - (self.n_groups if nested else 1)
        influence, total = cluster_sums(cluster, weight * (v - self.means[group]), weight).T
        if not self.freedom:
            shown = self.most
        elif nested and self.n_groups > 1:
            group_of = np.zeros(self.n_clusters, np.intp)
            group_of[cluster] = group
            shown = _within_groups(influence / total, total, group_of)
        else:
            shown = float(np.square(influence).sum()) * self.n_clusters / self.freedom
        self.variance = self._believed(shown)

    def _believed(self, shown: float) -> float:
        """The variance between its bounds, drawn half way between them where few prompts went wrong."""
        wrong = self.prompts * min(self.value, 1 - self.value)
        middle = (self.least + self.most) / 2
        return (wrong * min(max(shown, self.least), self.most) + _PRIOR * middle) / (wrong + _PRIOR)

    @property
    def agrees(self) -> bool:
        """Whether all values are 0, or all are 1."""
        return self.value * (1 - self.value) < 1e-12

    def trials(self) -> float:
        """The effective number of independent trials, at least 1: weights of one prompt may sum to a little over 1."""
        return max(1.0, self.prompts if self.agrees else self.value * (1 - self.value) / self.variance)


def _within_groups(apart: FloatArray, weight: FloatArray, group: _Codes) -> float:
    """Variance of a weighted mean whose clusters lie each in one group, from how far they are from their group's mean.

    A group of few clusters is believed to vary like the others, by two clusters; one of a single cluster shows nothing.
    """
    n, squares = np.bincount(group), np.bincount(group, np.square(apart))
    pooled = float(squares.sum()) / (len(apart) - len(n))
    each = (squares + 2 * pooled) / (n - 1 + 2)
    return float((weight**2 * each[group]).sum())


def _interval(
    v: FloatArray, cluster: _Codes, group: _Codes, unit: Unit, generations: int
) -> tuple[float, Interval, str]:
    mean = _Mean(v, cluster, group, generations)
    if mean.n_groups == 1 and mean.n_clusters == len(v) and np.isin(v, (0.0, 1.0)).all():
        return mean.value, wilson(float(v.sum()), len(v)), ""
    of_these = unit == "groups" and 1 < mean.n_groups < MIN_CONCEPTS
    caution = f"{mean.n_groups} concepts: the interval holds for these, not for others" if of_these else ""
    few = mean.n_clusters < MIN_CLUSTERS or mean.freedom + 1 < MIN_CLUSTERS
    if few or mean.agrees:
        why = "too few prompts to resample" if few else "all prompts agree"
        interval, reason = effective_wilson(mean.value, mean.prompts, why)
        return mean.value, interval, "; ".join(filter(None, (caution, reason)))
    variance, z = mean.variance, z_value()
    if unit == "groups" and mean.n_groups >= MIN_CONCEPTS:
        among = min(float(mean.means.var(ddof=1)), mean.value * (1 - mean.value)) / mean.n_groups
        if among > variance:
            from scipy.special import stdtrit

            variance, z = among, float(stdtrit(mean.n_groups - 1, (1 + confidence()) / 2))
    trials = mean.value * (1 - mean.value) / variance
    return mean.value, score_interval(mean.value * trials, trials, z), caution
