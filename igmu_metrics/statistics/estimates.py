"""A mean with the interval that fits it: Wilson where there is a formula, the cluster bootstrap where there is none.

Which interval, and why:

- **One generation a prompt, each a hit or a miss: Wilson**, exact about 0 and 1.
- **Several generations a prompt: cluster bootstrap over prompts**, because generations of a prompt are alike.
- **The bootstrap is blind** when all prompts agree (it would answer [1, 1] to "5 of 5 in one prompt") and has too few
  distinct resamples below five prompts. Then: **Wilson on the effective number of prompts**, 1/Σw² with w the weight of
  each prompt in the mean. Each prompt then counts as one trial, as if its generations were copies of one another: no
  dependence within prompts is worse than that, so the interval is honest, if wide, and `reason` says so.
- **Macro means over concepts: the concept is the unit.** Concepts are resampled, and the interval is never narrower
  than that of resampling prompts within the concepts at hand. Below five concepts only the latter is possible: the
  interval then holds for these concepts, not for others, and `reason` says so.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from igmu_metrics.contract import Estimate, FloatArray, Interval
from igmu_metrics.statistics.intervals import wilson
from igmu_metrics.statistics.resampling import (
    cluster_bootstrap,
    cluster_sums,
    macro_ratio,
    percentile_interval,
    resample,
)

MIN_CLUSTERS = 5  # from here on the bootstrap's rarest resample, n^-n, lies beyond the percentile that is asked for
Unit = Literal["clusters", "groups"]


def mean_estimate(
    values: npt.ArrayLike,
    clusters: npt.NDArray[Any],
    *,
    groups: npt.NDArray[Any] | None = None,
    unit: Unit = "clusters",
    prompts: npt.NDArray[Any] | None = None,
    generations: int | None = None,
    seed: int = 0,
    resamples: int = 2000,
    empty: str = "no rows to average",
) -> Estimate:
    """Mean of values in 0..1, or the mean over groups of the means within groups, with an honest 95 % interval.

    Args:
        values: (n,) numbers in 0..1: hits and misses, or a chance for each prompt.
        clusters: (n,) unit whose values depend on each other, normally the prompt.
        groups: (n,) group of each value; None for a plain mean.
        unit: what is resampled in a mean over groups. `groups`: the groups are a sample of what they stand for
            (concepts). `clusters`: the groups are fixed and share their clusters (attack families on the same prompts).
        prompts: (n,) prompt of each value for the count; None if that is `clusters`.
        generations: how many generations are behind the values; None for one each.
        seed: of the bootstrap.
        resamples: of the bootstrap.
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
    cluster = np.unique(clusters, return_inverse=True)[1]
    group = np.zeros(len(v), np.intp) if groups is None else np.unique(groups, return_inverse=True)[1]
    per_group = cluster_sums(group, v, np.ones(len(v)))
    value = float((per_group[:, 0] / per_group[:, 1]).mean())
    # The weight of each value in the mean; a cluster weighs what its values do.
    weight = 1.0 / (len(per_group) * per_group[group, 1])
    effective = 1.0 / float(np.square(cluster_sums(cluster, weight)).sum())
    interval, reason = _interval(v, cluster, group, per_group, unit, value, effective, seed, resamples)
    n_prompts = len(np.unique(clusters if prompts is None else prompts))
    return Estimate(value, interval, n_prompts, len(v) if generations is None else generations, reason)


def effective_wilson(value: float, effective: float, why: str) -> tuple[Interval, str]:
    """Wilson's interval of a share on an effective number of prompts, and the sentence that owns up to it."""
    shown = f"{effective:.4g}"
    sentence = f"{why}: Wilson interval on {shown} prompt{'' if shown == '1' else 's'}"
    return wilson(min(effective, value * effective), effective), sentence


def _interval(
    v: FloatArray,
    cluster: npt.NDArray[np.intp],
    group: npt.NDArray[np.intp],
    per_group: FloatArray,
    unit: Unit,
    value: float,
    effective: float,
    seed: int,
    resamples: int,
) -> tuple[Interval, str]:
    n_groups, n_clusters = len(per_group), int(cluster.max()) + 1
    if n_groups == 1 and n_clusters == len(v) and np.isin(v, (0.0, 1.0)).all():
        return wilson(float(v.sum()), len(v)), ""
    if n_groups == 1 or unit == "clusters":
        columns = [np.where(group == g, x, 0.0) for g in range(n_groups) for x in (v, 1.0)]
        sums = cluster_sums(cluster, *columns)
        return _within(sums, None, n_clusters, value, effective, seed, resamples)
    keys = cluster + n_clusters * group
    parts = np.unique(keys)
    sums = cluster_sums(keys, v, np.ones(len(v)))
    fixed, reason = _within(sums, parts // n_clusters, len(parts) - n_groups + 1, value, effective, seed, resamples)
    if n_groups < MIN_CLUSTERS:
        caution = f"{n_groups} concepts: the interval holds for these, not for others"
        return fixed, "; ".join(filter(None, (caution, reason)))
    means = np.stack([per_group[:, 0] / per_group[:, 1], np.ones(n_groups)], axis=1)
    among = cluster_bootstrap(means, seed=seed, resamples=resamples)
    return (min(fixed[0], among[0]), max(fixed[1], among[1])), reason


def _within(
    sums: FloatArray,
    strata: npt.NDArray[np.intp] | None,
    n: int,
    value: float,
    effective: float,
    seed: int,
    resamples: int,
) -> tuple[Interval, str]:
    """Interval over resampled prompts: strata are the groups, or else sums hold their (hits, trials) side by side."""
    if n < MIN_CLUSTERS:
        return effective_wilson(value, effective, "too few prompts to resample")
    totals = resample(sums, strata=strata, seed=seed, resamples=resamples)
    if strata is None:
        hits, trials = totals[:, 0, 0::2], totals[:, 0, 1::2]
        # A rare group may be missing from a resample: the mean is then over the others.
        ratios = np.divide(hits, trials, out=np.zeros_like(hits), where=trials > 0)
        draws = ratios.sum(axis=1) / (trials > 0).sum(axis=1)
    else:
        draws = macro_ratio(totals)
    low, high = percentile_interval(draws, n)
    if high - low < 1e-12:
        return effective_wilson(value, effective, "all prompts agree")
    return (low, high), ""
