"""Intervals, tests and means: what turns per-generation values into a number with its uncertainty.

Conventions:

- Fractions are in 0..1, intervals are two-sided (low, high) pairs of 95 % unless `level` says otherwise.
- Whatever draws random numbers takes a `seed` and gives the same answer for the same seed, in whatever order the rows
  come.
- The unit of resampling is the *cluster*: the prompt whose generations belong together, or the concept in a mean over
  concepts.
"""

from igmu_metrics.statistics.estimates import mean_estimate
from igmu_metrics.statistics.intervals import overlap, rogan_gladen, wilson
from igmu_metrics.statistics.means import any_at_k, harmonic_mean
from igmu_metrics.statistics.resampling import (
    cluster_bootstrap,
    cluster_sums,
    macro_ratio,
    percentile_interval,
    resample,
)
from igmu_metrics.statistics.significance import holm, mcnemar_exact, paired_permutation

__all__ = [
    "any_at_k",
    "cluster_bootstrap",
    "cluster_sums",
    "harmonic_mean",
    "holm",
    "macro_ratio",
    "mcnemar_exact",
    "mean_estimate",
    "overlap",
    "paired_permutation",
    "percentile_interval",
    "resample",
    "rogan_gladen",
    "wilson",
]
