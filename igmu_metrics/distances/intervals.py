"""Shared code of the intervals of all distances between two sets: prompts, and errors that grow with the value.

Conventions: a set is an (n, d) float64 array, one feature vector per generation, with one prompt id per row.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import LengthMismatchError
from igmu_metrics.contract import FloatArray, Interval

Ids = Sequence[Hashable] | npt.NDArray[Any] | None
"""Prompt of each row; with None, every row is a separate prompt."""
Groups = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of two sets, numbered over both."""

    of_x: Groups  # (n,)
    of_y: Groups  # (m,)
    sizes: FloatArray  # (prompts, 2) how many rows of x, and of y

    @classmethod
    def of(cls, x: FloatArray, y: FloatArray, x_ids: Ids, y_ids: Ids) -> Prompts:
        """Equal ids are one prompt; a side without ids shares none. LengthMismatchError: not one id per row."""
        for rows, ids in ((x, x_ids), (y, y_ids)):
            if ids is not None and len(ids) != len(rows):
                raise LengthMismatchError(f"there are {len(ids)} prompt ids for {len(rows)} rows. Pass one id per row.")
        if x_ids is None or y_ids is None:
            of_x, of_y = _numbered(x, x_ids), _numbered(y, y_ids)
            of_y = of_y + of_x.max() + 1
        else:
            both = np.concatenate([np.asarray(x_ids), np.asarray(y_ids)])
            of_x, of_y = np.split(np.unique(both, return_inverse=True)[1], [len(x)])
        n = int(max(of_x.max(), of_y.max())) + 1
        return cls(of_x, of_y, np.stack([np.bincount(of, minlength=n) for of in (of_x, of_y)], axis=1).astype(float))

    @property
    def counts(self) -> tuple[int, int]:
        """Prompts of x, and of y."""
        of_x, of_y = (self.sizes > 0).sum(axis=0).tolist()
        return of_x, of_y


def within_errors(value: float, slope: float, base: float, least: float, t: float) -> Interval:
    """All m with |value − m| ≤ t·√(variance at m), which is slope·m + base, and at least `least`: Wilson's way.

    >>> within_errors(1.0, 0.0, 0.25, 0.0, 2.0)
    (0.0, 2.0)
    """
    middle = value + t**2 * slope / 2
    half = t * float(np.sqrt(max(0.0, slope * value + (t * slope) ** 2 / 4 + base)))
    flat = t * float(np.sqrt(least))
    bend = (least - base) / slope if slope > 0 else -np.inf  # where the variance begins to grow
    low = middle - half if value > bend + flat else value - flat
    high = middle + half if value > bend - flat else value + flat
    return low, high


def _numbered(rows: FloatArray, ids: Ids) -> Groups:
    """Prompt of each row as 0..c−1, numbered so that the order of the rows does not matter."""
    if ids is not None:
        return np.unique(np.asarray(ids), return_inverse=True)[1]
    groups = np.empty(len(rows), np.intp)
    groups[np.argsort(rows.sum(axis=1), kind="stable")] = np.arange(len(rows))
    return groups
