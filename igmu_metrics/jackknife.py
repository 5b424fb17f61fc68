"""An interval of the Fréchet distance, by leaving out one group of prompts after the other.

Why not a bootstrap: drawing with replacement makes a set look narrower than it is, which moves this distance up (from
53.2 to 63.7 at n = 250). A jackknife leaves out and never doubles. Deviations are taken from the mean of the left-out
distances, so that the bias in n, which all of them share, cancels. The interval is Student's on the scale of the
logarithm: a distance of few prompts is skewed to the right, and its error grows with it. Where few directions carry the
features, as in networks, it holds the distance in 92 to 98 % of cases (tests/test_coverage.py); where hundreds vary
alike, leaving out prompts moves the distance more than other prompts would, and it holds it in up to all.

Conventions: the interval is of the distance *at this n*. It says how much it would move with other prompts, not how far
it is from its value at n = ∞: a distance between equal models keeps an interval away from zero.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from igmu_metrics.contract import FloatArray, Interval
from igmu_metrics.mmd import prompt_groups
from igmu_metrics.moments import Moments, assembled, frechet_of_moments

GROUPS: Final = 20
_T: Final = 2.0930240544082634  # 97.5 % point of Student's t with GROUPS − 1 degrees of freedom
Ids = Sequence[Hashable] | npt.NDArray[Any] | None
Groups = npt.NDArray[np.intp]


def frechet_interval(
    x: FloatArray, y: FloatArray, value: float, *, x_ids: Ids = None, y_ids: Ids = None, seed: int = 0
) -> Interval:
    """95 % interval of `gaussian.frechet_distance` by a delete-a-group jackknife over prompts.

    Args:
        x: (n, d) features.
        y: (m, d) features.
        value: their distance, the middle of the interval.
        x_ids: n prompt ids; None: every row is its own prompt.
        y_ids: m prompt ids. Where both sides name the same prompts these are left out together; else the two sides are
            left out one after the other, and their variances add up.
        seed: of dealing the prompts out to groups; the order of the rows does not matter.

    Returns:
        (low, high), above 0 unless the distance is 0. With fewer prompts than GROUPS there are as many groups as
        prompts.

    References:
        Kott, "The Delete-a-Group Jackknife", Journal of Official Statistics 17, 2001.
    """
    (groups_x, prompts_x), (groups_y, prompts_y) = prompt_groups(x, x_ids), prompt_groups(y, y_ids)
    dealt_x = _dealt(groups_x, len(prompts_x), seed)
    if x_ids is not None and y_ids is not None and prompts_x == prompts_y:
        variance = _variance(_left_out(x, y, dealt_x, _dealt(groups_y, len(prompts_y), seed)))
    else:
        dealt_y = _dealt(groups_y, len(prompts_y), seed)
        variance = _variance(_left_out(x, y, dealt_x, _nobody(y))) + _variance(_left_out(y, x, dealt_y, _nobody(x)))
    half = _T * float(np.sqrt(variance))
    if value <= half * 1e-3:  # next to no distance, for which a ratio says nothing
        return 0.0, value + half
    factor = float(np.exp(half / value))
    return value / factor, value * factor


def _nobody(rows: FloatArray) -> Groups:
    """Groups of rows none of which is ever left out."""
    return np.full(len(rows), -1, np.intp)


def _dealt(groups: Groups, n_prompts: int, seed: int) -> Groups:
    """(n,) group of every row: prompts dealt out evenly, in an order of their own."""
    order = np.random.default_rng(seed).permutation(n_prompts)
    return np.asarray((order % min(GROUPS, n_prompts))[groups], dtype=np.intp)


def _variance(distances: Iterator[float]) -> float:
    found = np.array(list(distances))
    return float((len(found) - 1) / len(found) * np.sum((found - found.mean()) ** 2))


def _left_out(x: FloatArray, y: FloatArray, out_x: Groups, out_y: Groups) -> Iterator[float]:
    """The distance without each group in turn."""
    n_groups = int(max(out_x.max(), out_y.max())) + 1
    if min(len(x), len(y)) > x.shape[1]:
        whole = Moments.of(x), Moments.of(y)
        for group in range(n_groups):
            pair = [
                total.without(Moments.of(rows[out == group])) if (out == group).any() else total
                for total, rows, out in zip(whole, (x, y), (out_x, out_y), strict=True)
            ]
            yield frechet_of_moments(*pair)
        return
    # One product of all rows serves every group: taking rows out and centring again are sums over it.
    centre = x.mean(axis=0)
    x, y = x - centre, y - centre
    gram = x @ y.T
    squares = [np.sum(rows * rows, axis=1) for rows in (x, y)]
    for group in range(n_groups):
        keep_x, keep_y = out_x != group, out_y != group
        n, m = int(keep_x.sum()), int(keep_y.sum())
        mean_x, mean_y = x[keep_x].mean(axis=0), y[keep_y].mean(axis=0)
        part = gram[np.ix_(keep_x, keep_y)]
        part = part - part.mean(axis=0) - part.mean(axis=1)[:, None] + part.mean()
        traces = sum(
            (float(square[keep].sum()) - count * float(mean @ mean)) / (count - 1)
            for square, keep, count, mean in zip(squares, (keep_x, keep_y), (n, m), (mean_x, mean_y), strict=True)
        )
        # The square roots of the eigenvalues of part·partᵀ: half the digits, which a variance can spare, in a third of
        # the time of singular values.
        small = part @ part.T if n <= m else part.T @ part
        roots = np.sqrt(np.maximum(np.linalg.eigvalsh(small), 0.0)).sum() / np.sqrt((n - 1.0) * (m - 1.0))
        yield assembled(mean_x, mean_y, traces, float(roots))
