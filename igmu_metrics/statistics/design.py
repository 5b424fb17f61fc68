"""How much information further seeds of a prompt add: images of one prompt resemble each other, so they add less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import EmptyInputError
from igmu_metrics.statistics.estimates import effective_trials
from igmu_metrics.statistics.resampling import cluster_sums


@dataclass(frozen=True, slots=True)
class Design:
    """How strongly generations of the same prompt depend on each other.

    Args:
        n_prompts: number of prompts.
        n_generations: number of their generations.
        effective: equivalent number of independent generations, between n_prompts and n_generations.
        correlation: correlation of two generations of one prompt, 0..1; NaN if no prompt has two, or if all generations
            have the same value.
    """

    n_prompts: int
    n_generations: int
    effective: float
    correlation: float

    @property
    def effect(self) -> float:
        """The design effect: by how much dependence within prompts raises the variance of the mean, ≥ 1."""
        return self.n_generations / self.effective


def design_effect(values: npt.ArrayLike, clusters: npt.NDArray[Any]) -> Design:
    """The design effect of seeds within prompts, and the correlation that causes it.

    Args:
        values: (n,) numbers in 0..1: hits and misses.
        clusters: (n,) prompt of each.

    Raises:
        EmptyInputError: no values.

    Four prompts have two seeds each, which always agree, so the eight images carry the information of four (here 4.2,
    since four prompts are too few to be certain).

    >>> found = design_effect([1, 1, 0, 0, 1, 1, 0, 0], np.array([0, 0, 1, 1, 2, 2, 3, 3]))
    >>> found.correlation, round(found.effect, 3)
    (1.0, 1.9)

    References:
        Kish, Survey sampling, 1965. Donner, "A review of inference procedures for the intraclass correlation
        coefficient", International Statistical Review 54, 1986.
    """
    v = np.asarray(values, dtype=np.float64)
    if not len(v):
        raise EmptyInputError("the list of values is empty; the design effect requires at least one generation.")
    sums = cluster_sums(clusters, v, np.ones(len(v)))
    effective = min(max(effective_trials(v, clusters), len(sums)), len(v))
    return Design(len(sums), len(v), float(effective), intraclass_correlation(v, clusters))


def intraclass_correlation(values: npt.ArrayLike, clusters: npt.NDArray[Any]) -> float:
    """Correlation of two generations of one prompt, from the mean squares between and within prompts.

    Args:
        values: (n,) numbers.
        clusters: (n,) prompt of each.

    Returns:
        0..1; NaN if no prompt has two generations, or if all values are the same.
    """
    v = np.asarray(values, dtype=np.float64)
    hits, n = cluster_sums(clusters, v, np.ones(len(v))).T
    prompts, total = len(n), float(n.sum())
    if prompts < 2 or total <= prompts or float(v.var()) == 0:
        return float("nan")
    between = float((n * (hits / n - v.mean()) ** 2).sum()) / (prompts - 1)
    within = float((v**2).sum() - (hits**2 / n).sum()) / (total - prompts)
    size = (total - float((n**2).sum()) / total) / (prompts - 1)
    return float(np.clip((between - within) / (between + (size - 1) * within), 0.0, 1.0))
