"""Interim looks: intervals and p values that are valid at every look, whatever the reason for stopping.

A run checks each model after every round of images and stops when the verdict is decided. If every look used a 95%
interval, at least one of them would miss the truth far more often than in one run of twenty (in 19 of 100 runs with ten
looks). So every interval is a *repeated confidence interval* (Jennison and Turnbull): it extends c instead of 1.96
standard errors, with c chosen such that in 95% of runs all planned looks together contain the truth. The reason for
stopping does not matter, and looks may be skipped.

The boundary c is the same at every look (Pocock's). Boundaries that spend little of the error at first (O'Brien and
Fleming's, or Lan and DeMets's version of them) need fewer images for small effects, but nothing can be decided at their
first looks, and the intervals of a part that stopped early would have to keep the boundary of its own look. With one
boundary, parts and models may stop at different looks, and all intervals of a card have the same level. The
alternatives that were tried are described in docs/performance.md (`python -m builders.benchmarks.looks`).

Conventions: looks are numbered from 1, and each is assumed to add the same amount of information.

References:
    Jennison and Turnbull, Group sequential methods with applications to clinical trials, 2000, chapters 2, 9 and 19
    (boundaries by numerical integration; repeated confidence intervals and p values). Pocock, "Group sequential methods
    in the design and analysis of clinical trials", Biometrika 64, 1977. Lan and DeMets, "Discrete sequential boundaries
    for clinical trials", Biometrika 70, 1983.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Final, NamedTuple, Protocol, Self

import numpy as np

from igmu_data.errors import InputError, OutOfRangeError
from igmu_metrics.contract import FloatArray, Setting
from igmu_metrics.statistics.level import LEVEL

MOST_LOOKS: Final = 100
BOUNDARY: Final = "pocock"
_NODES: Final = 121  # of the integration over what a look can show
_RULE: Final = r"[\w.,:=+@/<>-]{1,200}"
_NAMED: Final = re.compile(rf"([1-9][0-9]{{0,2}})/([1-9][0-9]{{0,2}})(?::({_RULE}))?")


class _Entry(Protocol):
    @property
    def signature(self) -> Mapping[str, Any]: ...


class Scored(Protocol):
    """The part of a scorecard that is needed to read what its scores are signed with."""

    @property
    def scores(self) -> Mapping[str, _Entry]:
        """Its scores, all of which are signed alike."""


@dataclass(frozen=True, slots=True)
class Looks:
    """One of several planned looks.

    Args:
        look: number of the look, 1..planned.
        planned: maximum number of looks.
        rule: stopping rule, in a word; "" if none is given.
        source: where this was read, if nobody gave it.
    """

    look: int
    planned: int
    rule: str = ""
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.look <= self.planned <= MOST_LOOKS:
            raise OutOfRangeError(
                f"interim check {self.look} of {self.planned} is not possible; the first number must be from 1 to the "
                f"second, which may be at most {MOST_LOOKS}."
            )

    def __str__(self) -> str:
        return f"{self.look}/{self.planned}" + (f":{self.rule}" if self.rule else "")

    @classmethod
    def read(cls, text: str) -> Self:
        """A look from its text.

        Raises:
            InputError: not of the form LOOK/PLANNED or LOOK/PLANNED:RULE.
            OutOfRangeError: a look outside the plan.

        >>> Looks.read("4/11:decided")
        Looks(look=4, planned=11, rule='decided', source='')
        """
        found = _NAMED.fullmatch(text)
        if found is None:
            raise InputError(
                f"looks is {text!r}; it must have the form LOOK/PLANNED, such as 4/11 for the fourth of 11 checks."
            )
        return cls(int(found[1]), int(found[2]), found[3] or "")

    @classmethod
    def given(cls, text: str | None) -> Self | None:
        """Like `read`; None if nothing is given, which means that there is only one look."""
        return None if text is None else cls.read(text)

    @classmethod
    def signed(cls, signature: Mapping[str, Any]) -> Self | None:
        """The look in the signature of a score; None if it was the only one.

        Raises:
            InputError, OutOfRangeError: a signature that no evaluation can have written.
        """
        text = signature.get("looks.taken")
        if text is None:
            return None
        found = cls.read(str(text))
        if (told := {k: signature.get(k) for k in found.fields}) != found.fields:
            raise InputError(
                f"the signature says that the score was computed at interim check {text!r} with {told}, but this "
                f"version of igmu supports only {found.fields}. Score the images again."
            )
        return found

    @classmethod
    def of(cls, card: Scored) -> Self | None:
        """Which of several looks a card is from; None if there was only one. Raises the same errors as `signed`."""
        return next((cls.signed(entry.signature) for entry in card.scores.values()), None)

    @property
    def fields(self) -> dict[str, Setting]:
        """The fields for a signature: the plan, which determines the level, and the stopping rule."""
        return {"looks.taken": str(self), "looks.boundary": BOUNDARY, "looks.alpha": round(1 - LEVEL, 6)}

    @property
    def level(self) -> float:
        """The confidence level of each single interval, such that all planned ones together are valid at 95%."""
        return level_of(self.planned)

    @property
    def place(self) -> str:
        """`look 4 of at most 11 with the stopping rule 'decided'`."""
        why = f" with the stopping rule {self.rule!r}" if self.rule else ""
        return f"look {self.look} of at most {self.planned}{why}"

    @property
    def validity(self) -> str:
        """What the intervals of such a look are, as a sentence."""
        return (
            f"Intervals are repeated confidence intervals: each has a level of {self.level:.2%}, so that all looks "
            f"together are valid at {LEVEL:.0%}."
        )

    def sentence(self) -> str:
        """A note for readers."""
        read = f" The number of looks was read from {self.source}." if self.source else ""
        return f"This is {self.place}. {self.validity}{read}"

    def repeated(self, p: float) -> float:
        """A p value adjusted for several looks: the chance that at least one of them shows an effect of this size.

        Args:
            p: two-sided p value of this look alone, 0..1.

        Two looks with a threshold of 0.05 each would err in 8.3 of 100 cases.

        >>> round(Looks(1, 2).repeated(0.05), 3)
        0.083
        """
        if p <= 0 or p >= 1 or self.planned == 1:
            return p
        z = NormalDist().inv_cdf(1 - p / 2)
        return min(1.0, max(p, float(crossing([z] * self.planned, times(self.planned)).sum())))


def fewest(look: Looks | None, alpha: float) -> int:
    """The number of prompts from which on a paired test can be significant.

    If all prompts differ in one direction, the p value is 2/2ⁿ.

    Args:
        look: one of several looks; None for a single one.
        alpha: two-sided significance level of all looks together.

    >>> fewest(None, 0.05), fewest(Looks(1, 11), 0.05)
    (6, 8)
    """
    n = 1
    while (2.0 ** (1 - n) if look is None else look.repeated(2.0 ** (1 - n))) > alpha:
        n += 1
    return n


def signable(rule: str) -> bool:
    """Whether a stopping rule can be part of a look's text.

    >>> signable("decided:forgetting>=0.8+asr<=0.1"), signable("until I like it")
    (True, False)
    """
    return re.fullmatch(_RULE, rule) is not None


def times(planned: int) -> list[float]:
    """The share of the information that is available at each look."""
    return [look / planned for look in range(1, planned + 1)]


@lru_cache(maxsize=MOST_LOOKS)
def boundary(planned: int, alpha: float = 1 - LEVEL) -> float:
    """The boundary of each look in standard errors, such that all looks together err in a share `alpha` of cases.

    >>> round(boundary(5), 3)
    2.413
    """
    at = times(planned)
    least = NormalDist().inv_cdf(1 - alpha / 2)
    return _root(lambda c: alpha - float(crossing([c] * planned, at).sum()), least, least + 3)


def level_of(planned: int, alpha: float = 1 - LEVEL) -> float:
    """The confidence level of each look's interval, such that all looks together err in a share `alpha` of cases.

    >>> level_of(1), round(level_of(5), 4)
    (0.95, 0.9842)
    """
    return 2 * NormalDist().cdf(boundary(planned, alpha)) - 1 if planned > 1 else 1 - alpha


class Cost(NamedTuple):
    """The sample size of a plan of looks relative to a single look: at worst, and on average."""

    worst: float
    expected: float


@lru_cache(maxsize=MOST_LOOKS)
def cost(planned: int, *, power: float = 0.8, alpha: float = 1 - LEVEL) -> Cost:
    """The sample size that a plan of looks needs to detect a difference with the same power as a single look.

    Args:
        planned: number of looks.
        power: chance of detecting the difference, alpha..1.
        alpha: two-sided error of all looks together.

    Five looks need at most 1.23 times as much (Jennison and Turnbull, table 2.2), and on average less than one look.

    >>> found = cost(5)
    >>> round(found.worst, 3), round(found.expected, 2)
    (1.228, 0.8)
    """
    bounds, at, normal = [boundary(planned, alpha)] * planned, times(planned), NormalDist()
    alone = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
    drift = _root(lambda d: float(crossing(bounds, at, d).sum()) - power, 0.0, alone + 3)
    worst = (drift / alone) ** 2
    stops = crossing(bounds, at, drift)
    return Cost(worst, worst * (float(stops[:-1] @ at[:-1]) + 1 - float(stops[:-1].sum())))


def _root(rises: Callable[[float], float], low: float, high: float) -> float:
    """Where an increasing function crosses 0."""
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) < 0 else (low, middle)
    return high


def crossing(bounds: Sequence[float], at: Sequence[float], drift: float = 0.0) -> FloatArray:
    """Chance that a standardized sum first leaves ±bounds at each look.

    Args:
        bounds: (looks,) of the absolute value, in standard errors, > 0.
        at: (looks,) share of the information at each look, growing, the last one 1.
        drift: expected value at the last look, in standard errors.

    Returns:
        (looks,) chances; the rest, up to 1, is the chance of never leaving.

    Two looks with a boundary of 1.96 each err in 8.3 of 100 cases.

    >>> [round(float(p), 3) for p in crossing([1.96, 1.96], [0.5, 1.0])]
    [0.05, 0.033]
    """
    from scipy.special import ndtr

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    out = np.empty(len(at))
    inside, density, before = np.zeros(1), np.ones(1), 0.0
    for look, (bound, now) in enumerate(zip(bounds, at, strict=True)):
        spread, edge = np.sqrt(now - before), bound * np.sqrt(now)
        middle = inside + drift * (now - before)
        beyond = ndtr((middle - edge) / spread) + ndtr((-edge - middle) / spread)
        out[look] = density @ beyond
        # The density of sums that stay inside, at the nodes and times their weights.
        found = edge * nodes
        steps = np.exp(-0.5 * ((found[:, None] - middle) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))
        density = (steps @ density) * weights * edge
        inside, before = found, now
    return out
