"""How many prompts would settle a difference between two models, judged by what was seen so far.

Conventions: a paired design; the unit is the prompt, and a prompt's value is the mean difference over its seeds. The
number holds for as many seeds a prompt as there were, and if the difference is as large as it looks: it plans the next
evaluation and proves nothing about this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2
from statistics import NormalDist, fmean
from typing import Final

from igmu_metrics.scorecard import Scorecard

POWER: Final = 0.8


def prompts_needed(differences: Sequence[Sequence[float]], *, alpha: float = 0.05, power: float = POWER) -> int | None:
    """Prompts with which a two-sided paired test finds a difference as large as the one observed.

    Normal approximation n = ((z_{1−α/2} + z_power)·s/δ)², and never fewer than a sign test needs in which all prompts
    agree: 2·2^−n ≤ α. With a single prompt nothing is known of the spread between prompts; its generations stand in.

    Args:
        differences: for each prompt, the differences (−1, 0 or 1) of its generations.
        alpha: significance level of the test, after any correction.
        power: wanted chance of finding the difference.

    Returns:
        The number, or None where the models do not differ at all so far.

    Ten prompts, of which four favour the first model and one the second: δ = 0.3, s² = (0.5 − 0.09)·10/9, and
    (1.95996 + 0.84162)²·0.45556/0.09 = 39.7.

    >>> prompts_needed([[1], [1], [1], [1], [-1], [0], [0], [0], [0], [0]])
    40
    """
    each = [fmean(d) for d in differences] if len(differences) > 1 else [x for d in differences for x in d]
    mean = fmean(each) if each else 0.0
    if abs(mean) < 1e-12:
        return None
    spread = sum((x - mean) ** 2 for x in each) / max(1, len(each) - 1)
    z = NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(power)
    return max(ceil(1 - log2(alpha)), ceil(z * z * spread / (mean * mean) - 1e-9))


def forgetting_differences(first: Scorecard, second: Scorecard | None = None) -> list[list[float]]:
    """By prompt, over the forget generations that both could be judged on: first forgot minus second forgot.

    Args:
        first: a model.
        second: another; None for the original.
    """
    others = {(g.id, g.seed): g for g in second.generations} if second else {}
    by_prompt: dict[str, list[float]] = {}
    for g in first.generations:
        if g.split != "forget" or g.present is None:
            continue
        other = others.get((g.id, g.seed))
        seen = g.original_present if second is None else other.present if other else None
        if seen is not None:
            by_prompt.setdefault(g.id, []).append(float(seen) - float(g.present))
    return list(by_prompt.values())
