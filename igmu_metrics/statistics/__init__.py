"""Intervals, tests and means, which turn per-generation values into a number with its uncertainty.

Conventions:

- Fractions are in 0..1; intervals are two-sided (low, high) pairs of 95% unless `level` says otherwise.
- Every function that uses random numbers takes a `seed` and gives the same answer for the same seed, whatever the order
  of the rows.
- The unit of resampling is the *cluster*: the prompt to which generations belong, or the concept in a mean over
  concepts.
"""

from igmu_metrics.statistics.agreement import kappa, youden
from igmu_metrics.statistics.corrected import rogan_gladen
from igmu_metrics.statistics.design import Design, design_effect, highest_correlation, intraclass_correlation
from igmu_metrics.statistics.differences import paired_difference, unpaired_difference
from igmu_metrics.statistics.estimates import effective_trials, mean_estimate
from igmu_metrics.statistics.intervals import overlap, wilson
from igmu_metrics.statistics.means import any_at_k, harmonic_mean, unbounded_mean
from igmu_metrics.statistics.power import (
    detectable_difference,
    detectable_gap,
    prompts_for,
    prompts_for_bound,
    prompts_needed,
)
from igmu_metrics.statistics.ratios import mean_of_ratios, paired_ratio, product_of_ratios
from igmu_metrics.statistics.resampling import (
    cluster_sums,
    percentile_interval,
    resample,
    studentized,
)
from igmu_metrics.statistics.significance import best_of, holm, mcnemar_exact, paired_permutation

__all__ = [
    "Design",
    "any_at_k",
    "best_of",
    "cluster_sums",
    "design_effect",
    "detectable_difference",
    "detectable_gap",
    "effective_trials",
    "harmonic_mean",
    "highest_correlation",
    "holm",
    "intraclass_correlation",
    "kappa",
    "mcnemar_exact",
    "mean_estimate",
    "mean_of_ratios",
    "overlap",
    "paired_difference",
    "paired_permutation",
    "paired_ratio",
    "percentile_interval",
    "product_of_ratios",
    "prompts_for",
    "prompts_for_bound",
    "prompts_needed",
    "resample",
    "rogan_gladen",
    "studentized",
    "unbounded_mean",
    "unpaired_difference",
    "wilson",
    "youden",
]
