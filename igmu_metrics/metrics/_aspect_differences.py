"""The difference of two models in the forget score or in an aspect, from prompts resampled for both models together.

Conventions:

- Every resample has the same prompts for both models (`Sums.resampled`: the source prompt is the unit of attacks), so a
  difference is not blurred by which prompts are difficult.
- The resampled values of each model are stretched to the intervals of its aspects, as for the interval of its own
  forget score; all of these intervals must have the current level.
- An aspect that cannot be resampled (quality, or an aspect in which all prompts agree) contributes the low end of one
  model's interval together with the high end of the other's: whatever the correlation of the two errors, which are
  taken to be normal, the error of the difference is not larger. The interval is therefore valid but may be wide. To
  move the ends to another level, they are taken to be those of Student's interval.
- The p value is the smallest error at which the interval excludes 0, so interval and test agree. It is never smaller
  than the resamples can show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from igmu_metrics.contract import Estimate, FloatArray, Interval
from igmu_metrics.generations import Generations
from igmu_metrics.metrics._aspect_sums import aspects, probes_of, prompt_sums
from igmu_metrics.metrics._aspects import stretched_draws
from igmu_metrics.statistics import harmonic_mean, percentile_interval
from igmu_metrics.statistics.level import confidence

RESAMPLES = 10_000  # as many as the permutation tests have
_STEPS = 16  # of the search for a p value: to a relative precision of 2e-4
_Both = tuple[Mapping[str, Estimate], Mapping[str, Estimate]]


@dataclass(frozen=True, slots=True)
class Pair:
    """The aspects of two models on the same generations.

    Args:
        parts: for each model, the aspects by name.
        draws: for each model, (resamples,) values of the aspects that can be resampled.
        behind: for each model, the number of prompts behind these.
    """

    parts: _Both
    draws: tuple[Mapping[str, FloatArray], Mapping[str, FloatArray]]
    behind: tuple[Mapping[str, int], Mapping[str, int]]

    @classmethod
    def of(
        cls, rows: tuple[Generations, Generations], parts: _Both, *, seed: int = 0, resamples: int = RESAMPLES
    ) -> Pair:
        """Resample both models.

        Args:
            rows: for each model, its rows from `judged_rows`, with the fact `k`.
            parts: for each model, its aspects with values and intervals.
            seed: of the bootstrap.
            resamples: of the bootstrap.
        """
        sums = [prompt_sums(own) for own in rows]
        draws: list[Mapping[str, FloatArray]] = [{}, {}]
        behind: list[Mapping[str, int]] = [{}, {}]
        both = sums[0].beside(sums[1])
        if len(both.sums):
            width = both.sums.shape[1] // 2
            # The order of the models must not change the random numbers, so that the difference only changes its sign.
            order = sorted((0, 1), key=lambda at: both.sums[:, at * width : (at + 1) * width].tobytes())
            totals = sums[order[0]].beside(sums[order[1]]).resampled(seed, resamples)
            for at, columns in zip(order, (slice(width), slice(width, None)), strict=True):
                found = aspects(totals[..., columns], both.layout, probes_of(rows[at]))
                draws[at], behind[at] = stretched_draws(found, parts[at], sums[at])
        return cls(parts, (draws[0], draws[1]), (behind[0], behind[1]))

    def difference(self, names: Sequence[str]) -> tuple[float, Interval, float]:
        """The difference in the harmonic mean of some aspects: the first model minus the second.

        Returns:
            The difference, its interval, and its p value.
        """
        one, other = (float(harmonic_mean([own[name].value for name in names])) for own in self.parts)
        n = max(2, min((own[name] for own in self.behind for name in names if name in own), default=2))
        means = [_Mean.of(parts, draws, names) for parts, draws in zip(self.parts, self.draws, strict=True)]

        def interval(level: float) -> Interval:
            low, high = (
                percentile_interval(means[0].at(end, level) - means[1].at(1 - end, level), n, level=level)[end]
                for end in (0, 1)
            )
            return low, high

        size = max(len(mean.inverse) for mean in means)
        return one - other, interval(confidence()), _smallest_error(interval, _least(size, n))


@dataclass(frozen=True, slots=True)
class _Mean:
    """The harmonic mean of a model's aspects in every resample.

    Args:
        inverse: (resamples,) sum of the inverse of the aspects that are resampled; (1,) zero if none are.
        rest: the other aspects.
        m: number of all aspects.
    """

    inverse: FloatArray
    rest: Sequence[Estimate]
    m: int

    @classmethod
    def of(cls, parts: Mapping[str, Estimate], draws: Mapping[str, FloatArray], names: Sequence[str]) -> _Mean:
        with np.errstate(divide="ignore"):
            inverse = sum((1 / draws[name] for name in names if name in draws), start=np.zeros(1))
        return cls(inverse, [parts[name] for name in names if name not in draws], len(names))

    def at(self, end: int, level: float) -> FloatArray:
        """The means, with an end of the interval for each aspect that is not resampled."""
        ends = [(moved(part, confidence(), level) or (0.0, 1.0))[end] for part in self.rest]
        if not all(ends):
            return np.zeros_like(self.inverse)
        return np.asarray(self.m / (self.inverse + sum(1 / end for end in ends)))


def _smallest_error(interval: Callable[[float], Interval], least: float) -> float:
    """The smallest error at which an interval excludes 0, at least `least`."""

    def excluded(error: float) -> bool:
        low, high = interval(1 - error)
        return low > 0 or high < 0

    low, high = least, 1 - 1e-9
    if not excluded(high):
        return 1.0
    if excluded(low):
        return low
    for _ in range(_STEPS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if excluded(middle) else (middle, high)
    return high


def _least(size: int, n: int) -> float:
    """The smallest error of an interval whose ends are still among `size` resampled values of n prompts."""
    from scipy.special import ndtri, stdtr

    if size == 1:  # nothing was resampled
        return 2 / (RESAMPLES + 1)
    return float(2 * stdtr(n - 1, float(ndtri(1 / (size + 1))) * ((n - 1) / n) ** 0.5))


def moved(part: Estimate, now: float, wanted: float) -> Interval | None:
    """An aspect's interval, moved from one level to another as Student's interval would move; None if it has none.

    >>> low, high = moved(Estimate(0.5, (0.4, 0.55), 21, 42), 0.95, 0.99)
    >>> round(low, 3), round(high, 3)
    (0.364, 0.568)
    """
    from scipy.special import stdtrit

    if part.interval is None or now == wanted:
        return part.interval
    degrees = max(1, part.n_prompts - 1)
    factor = float(stdtrit(degrees, (1 + wanted) / 2) / stdtrit(degrees, (1 + now) / 2))
    low, high = (min(1.0, max(0.0, part.value + factor * (end - part.value))) for end in part.interval)
    return low, high
