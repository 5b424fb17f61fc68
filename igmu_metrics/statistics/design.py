"""How much information further seeds of a prompt add: images of one prompt resemble each other, so they add less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from igmu_data.errors import EmptyInputError
from igmu_metrics.contract import FloatArray
from igmu_metrics.statistics.estimates import effective_trials
from igmu_metrics.statistics.level import LEVEL
from igmu_metrics.statistics.resampling import cluster_sums

_TELLING: Final = 6
"""The fewest prompts with an uncommon value that say something about a correlation."""


@dataclass(frozen=True, slots=True)
class Design:
    """How strongly generations of the same prompt depend on each other.

    Args:
        n_prompts: number of prompts.
        n_generations: number of their generations.
        effective: equivalent number of independent generations, between n_prompts and n_generations.
        correlation: correlation of two generations of one prompt, 0..1; NaN if no prompt has two, or if all generations
            have the same value.
        correlation_high: upper end of its 95% interval; NaN if there is no estimate.
    """

    n_prompts: int
    n_generations: int
    effective: float
    correlation: float
    correlation_high: float

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
    shared, most = intraclass_correlation(v, clusters), highest_correlation(v, clusters)
    return Design(len(sums), len(v), float(effective), shared, most)


def intraclass_correlation(values: npt.ArrayLike, clusters: npt.NDArray[Any]) -> float:
    """Correlation of two generations of one prompt, from the mean squares between and within prompts.

    Args:
        values: (n,) numbers.
        clusters: (n,) prompt of each.

    Returns:
        0..1; NaN if no prompt has two generations, or if all values are the same.
    """
    between, within, size = _squares(np.asarray(values, dtype=np.float64), clusters)
    return float(np.clip((between - within) / (between + (size - 1) * within), 0.0, 1.0))


def highest_correlation(values: npt.ArrayLike, clusters: npt.NDArray[Any]) -> float:
    """Upper end of the 95% interval for `intraclass_correlation`, which follows from F, the ratio of the mean squares.

    A prompt all of whose generations have the most common value says little about the correlation: the mean squares of
    rare values vary as much as those of normal values of as many prompts as have a rare value. Only these prompts count
    as degrees of freedom; if there are fewer than six, every correlation is possible.

    Args:
        values: (n,) numbers.
        clusters: (n,) prompt of each.

    Returns:
        0..1; NaN if no prompt has two generations, or if all values are the same.

    One image in 20 differs, so that the estimate is 0, but another image of its prompt might always differ, too:

    >>> one, two = np.zeros(20), np.arange(20) // 2
    >>> one[0] = 1
    >>> round(intraclass_correlation(one, two), 9), highest_correlation(one, two)
    (0.0, 1.0)

    References:
        Searle, Linear models, 1971 (the interval). Donner and Wells, "A comparison of confidence interval methods for
        the intraclass correlation coefficient", Biometrics 42, 1986. Box, "Non-normality and tests on variances",
        Biometrika 40, 1953 (degrees of freedom of values that are not normal).
    """
    from scipy.special import fdtri

    v = np.asarray(values, dtype=np.float64)
    between, within, size = _squares(v, clusters)
    if between != between:
        return float("nan")
    kinds, counts = np.unique(v, return_counts=True)
    telling = len(np.unique(np.asarray(clusters)[v != kinds[counts.argmax()]]))
    if telling < _TELLING:
        return 1.0
    most = between * fdtri(telling * (size - 1), telling - 1, (1 + LEVEL) / 2)
    return float(np.clip((most - within) / (most + (size - 1) * within), 0.0, 1.0))


def _squares(v: FloatArray, clusters: npt.NDArray[Any]) -> tuple[float, float, float]:
    """The mean squares between and within prompts, and the mean number of generations per prompt; NaN if no prompt has
    two generations, or if all values are the same.
    """
    hits, n = cluster_sums(clusters, v, np.ones(len(v))).T
    prompts, total = len(n), float(n.sum())
    if prompts < 2 or total <= prompts or float(v.var()) == 0:
        return (float("nan"),) * 3
    between = float((n * (hits / n - v.mean()) ** 2).sum()) / (prompts - 1)
    within = float((v**2).sum() - (hits**2 / n).sum()) / (total - prompts)
    return between, within, (total - float((n**2).sum()) / total) / (prompts - 1)
