"""How many prompts it takes until a metric orders the versions as the truth does, whichever prompts they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from igmu_metrics.generations import Generations
from igmu_metrics.sandbox.audit.agreement import right
from igmu_metrics.sandbox.audit.measures import BY_KEY, Measure, table
from igmu_metrics.sandbox.audit.seen import Cell, random_draws
from igmu_metrics.sandbox.audit.seen import sizes as prompts_of
from igmu_metrics.sandbox.audit.truth import ASPECTS

WANTED: Final = 0.95
SMALLEST: Final = 5


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric at growing numbers of prompts.

    Args:
        measure: which.
        sizes: prompts (of each split that it looks at), growing; the last is all there are.
        shares: share of the draws in which every known pair of every task came in the right order.
        means: mean value over the draws, by cell.
    """

    measure: Measure
    sizes: Sequence[int]
    shares: Sequence[float]
    means: Mapping[Cell, Sequence[float]]

    @property
    def enough(self) -> int | None:
        """Prompts from which on WANTED of the draws are in the right order, None if not even all there are."""
        return enough(self.sizes, self.shares)


def enough(sizes: Sequence[int], shares: Sequence[float], *, wanted: float = WANTED) -> int | None:
    """The smallest size from which on no share is below the wanted one.

    >>> enough([5, 10, 20], [0.96, 0.90, 1.0])
    20
    """
    below = [i for i, share in enumerate(shares) if share < wanted]
    first = below[-1] + 1 if below else 0
    return sizes[first] if first < len(sizes) else None


def steps(largest: int) -> list[int]:
    """5, 10, 20, … and the largest.

    >>> steps(56)
    [5, 10, 20, 40, 56]
    """
    out = []
    n = SMALLEST
    while n < largest:
        out.append(n)
        n *= 2
    return [*out, largest]


def curves(seen: Mapping[Cell, Generations], *, draws: int, seed: int = 0) -> list[Curve]:
    """Every measure at every size. A split with fewer prompts gives all that it has."""
    largest = {key: _largest(seen, measure.split) for key, measure in BY_KEY.items()}
    sizes = sorted({n for size in largest.values() for n in steps(size)})
    found = {n: table(seen, partial(random_draws, n=n, draws=draws, seed=seed)) for n in sizes}
    out = []
    for key, measure in BY_KEY.items():
        own = steps(largest[key])
        pairs = ASPECTS[measure.aspect]
        shares = [float(right(found[n][key], pairs, higher=measure.higher).mean()) for n in own]
        means = {cell: [_mean(found[n][key][cell]) for n in own] for cell in seen}
        out.append(Curve(measure, own, shares, means))
    return out


def _largest(seen: Mapping[Cell, Generations], split: str) -> int:
    """Prompts of a split, of the largest one where a measure looks at all, in the task that has most of them."""
    return max(prompts_of(one)[split] if split else max(prompts_of(one).values()) for one in seen.values())


def _mean(values: np.typing.NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
