"""A mean of values in 0..1 with a suitable interval.

Which interval is used, and why:

- **One generation per prompt, each a hit or a miss: Wilson**, which is accurate near 0 and 1.
- **Several generations per prompt: Wilson on the effective number of trials**, p(1 − p)/V, where V is the variance of
  the mean estimated from the spread *between prompts*. V cannot be smaller than if all generations were independent,
  nor larger than if those of a prompt were copies of each other, so it is kept between these bounds. If few prompts
  deviate, V is poorly known, so it is shrunk towards the middle of the bounds with the weight of half a deviating
  prompt. A percentile bootstrap performs worse: in simulations (tests/test_coverage.py) with a nominal coverage of 95%,
  its actual coverage is 89..95%, while this method's is 93..97%.
- **All prompts agree, or there are fewer than five**: their spread carries no information. Each prompt then counts as
  one trial; there are 1/Σw² of them, where w is the weight of each prompt in the mean. This is the worst case of
  dependence within prompts, so the interval is valid but wide, and `reason` says so. If a few prompts deviate from the
  rest, the interval reaches at least as far as if none did.
- **Macro means over concepts: the concept is the unit.** V is the larger of two estimates: from the spread between
  concepts, with Student's quantile for their number, and from the prompts within them. Fewer than ten concepts can
  agree by chance even if concepts differ a lot (coverage of 88..93% with five to eight concepts), so only the second
  estimate is used for them. The interval then applies to these concepts and not to others, and `reason` says so.
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

MIN_CLUSTERS = 5  # the spread of fewer prompts is almost unknown
MIN_CONCEPTS = 10  # fewer concepts are too few to generalize to others
_PRIOR = 0.5  # weight, in deviating prompts, of the prior that V is half way between independence and copies
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
    """Mean of values in 0..1, or the mean over groups of the means within groups, with a 95% interval.

    Args:
        values: (n,) numbers in 0..1: hits and misses, or a chance for each prompt.
        clusters: (n,) unit within which values depend on each other, normally the prompt.
        groups: (n,) group of each value; None for a plain mean.
        unit: the sampling unit of a mean over groups. `groups`: the groups are a sample of a population (concepts).
            `clusters`: the groups are fixed and may share clusters (attack families on the same prompts).
        prompts: (n,) prompt of each value, for counting; None if it is the same as `clusters`.
        generations: how many generations the values come from; None for one each.
        empty: the reason to give if there are no values.

    Returns:
        The estimate; NaN with `empty` as its reason if n is 0.

    Five of five hits in a single prompt count as one trial: Wilson's interval for 1 of 1 starts at 1/(1 + 1.96²).

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
    """Mean of one metric over concepts, each with the same weight, with Student's interval over concepts.

    Args:
        values: the metric for each concept for which it is defined, 0..1.
        asked: how many concepts there are.

    Returns:
        The estimate: NaN if the metric is missing for a concept; no interval for fewer than MIN_CONCEPTS concepts.

    >>> found = mean_over_concepts([0.5, 0.75], asked=2)
    >>> found.value, found.interval, found.reason
    (0.625, None, 'no interval, because there are fewer than 10 concepts (2)')
    """
    from scipy import stats

    n = len(values)
    if n < asked or n == 0:
        return Estimate(float("nan"), reason=f"no mean, because the metric is defined for only {n} of {asked} concepts")
    mean = float(np.mean(values))
    if n < MIN_CONCEPTS:
        return Estimate(mean, reason=f"no interval, because there are fewer than {MIN_CONCEPTS} concepts ({n})")
    half = float(stats.t.ppf(0.5 + confidence() / 2, n - 1) * np.std(values, ddof=1) / n**0.5)
    return Estimate(mean, (max(0.0, mean - half), min(1.0, mean + half)))


def effective_trials(values: npt.ArrayLike, clusters: npt.NDArray[Any]) -> float:
    """Effective number of independent trials behind a mean of clustered values in 0..1.

    It lies between the number of prompts and the number of values.

    Two prompts that agree, with two generations each, are two trials.

    >>> round(effective_trials([1, 1, 1, 1], np.array([0, 0, 1, 1])), 9)
    2.0
    """
    v = np.asarray(values, dtype=np.float64)
    cluster = np.unique(clusters, return_inverse=True)[1]
    return _Mean(v, cluster, np.zeros(len(v), np.intp), len(v)).trials()


def effective_wilson(value: float, effective: float, why: str) -> tuple[Interval, str]:
    """Wilson's interval for a share on an effective number of prompts, and the sentence that states this."""
    shown = f"{effective:.4g}"
    sentence = f"{why}, so the interval is Wilson's for {shown} prompt{'' if shown == '1' else 's'}"
    return wilson(min(effective, value * effective), effective), sentence


class _Mean:
    """A mean over groups of means within groups, and its variance as estimated from its clusters.

    Args:
        v: (n,) values in 0..1.
        cluster: (n,) cluster of each, 0..K − 1.
        group: (n,) group of each, 0..G − 1.
        generations: number of generations that the values come from.
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
        # Variance of one trial in each group; small groups are shrunk towards the others, with the weight of two
        # prompts.
        rates = (self.means * in_group + 2 * self.value) / (in_group + 2)
        spread = rates * (1 - rates)
        per_value = generations / len(v) if not np.isin(v, (0.0, 1.0)).all() else 1.0
        self.least = float((weight**2 * spread[group]).sum()) / per_value
        self.most = float(np.square(cluster_sums(cluster, weight * np.sqrt(spread[group]))).sum())
        # If every cluster is in one group, the mean of each group costs a degree of freedom.
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
        """The variance within its bounds, shrunk towards their middle if few prompts deviate."""
        wrong = self.prompts * min(self.value, 1 - self.value)
        middle = (self.least + self.most) / 2
        return (wrong * min(max(shown, self.least), self.most) + _PRIOR * middle) / (wrong + _PRIOR)

    @property
    def agrees(self) -> bool:
        """Whether all values are 0, or all are 1."""
        return self.value * (1 - self.value) < 1e-12

    def trials(self) -> float:
        """The effective number of independent trials, at least 1, since weights may sum to slightly more than 1."""
        return max(1.0, self.prompts if self.agrees else self.value * (1 - self.value) / self.variance)


def _within_groups(apart: FloatArray, weight: FloatArray, group: _Codes) -> float:
    """Variance of a weighted mean from the deviations of clusters from their group's mean; each is in one group.

    The variance of small groups is shrunk towards that of the others, with the weight of two clusters; a group with a
    single cluster contributes no information.
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
    caution = f"the interval applies only to these {mean.n_groups} concepts" if of_these else ""
    few = mean.n_clusters < MIN_CLUSTERS or mean.freedom + 1 < MIN_CLUSTERS
    if few or mean.agrees:
        why = "there are too few prompts to resample" if few else "all prompts agree"
        interval, reason = effective_wilson(mean.value, mean.prompts, why)
        return mean.value, interval, "; ".join(filter(None, (caution, reason)))
    variance, z = mean.variance, z_value()
    if unit == "groups" and mean.n_groups >= MIN_CONCEPTS:
        among = min(float(mean.means.var(ddof=1)), mean.value * (1 - mean.value)) / mean.n_groups
        if among > variance:
            from scipy.special import stdtrit

            variance, z = among, float(stdtrit(mean.n_groups - 1, (1 + confidence()) / 2))
    trials = mean.value * (1 - mean.value) / variance
    low, high = score_interval(mean.value * trials, trials, z)
    # A value that no prompt's disagreement would rule out is not ruled out by that of one prompt.
    least, most = wilson(mean.prompts, mean.prompts)[0], wilson(0, mean.prompts)[1]
    return mean.value, (min(low, least), high) if mean.value > 0.5 else (low, max(high, most)), caution
