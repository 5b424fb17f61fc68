"""From what was measured to what should be drawn: how many prompts would settle a difference?

Conventions: the difference is taken as large as it was measured, and as variable from prompt to prompt. A measured
difference flatters itself, so read the numbers as the least that will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics import Design, design_effect, detectable_difference, prompts_for
from igmu_metrics.verdict.compare import ALPHA, FORGETTING, MEASURES, Comparison, against_original, pairwise


@dataclass(frozen=True, slots=True)
class Plan:
    """What one comparison still needs.

    Args:
        comparison: as measured.
        needed: prompts in all, with as many seeds each as now; None where nothing was seen that could be found.
    """

    comparison: Comparison
    needed: int | None

    @property
    def more(self) -> int | None:
        """Prompts that are missing; 0 where the difference is settled."""
        if self.comparison.significant:
            return 0
        return None if self.needed is None else max(1, self.needed - self.comparison.n_prompts)

    def sentence(self) -> str:
        """The plan in words."""
        c = self.comparison
        start = f"{c.first} against {c.second}: {c.difference:+.2f} in {c.measure} on {c.n_prompts} prompts"
        if self.more == 0:
            return f"{start} is settled"
        if self.more is None:
            return f"{start}: no difference to settle; see the detectable ones"
        return f"{start} would take about {self.more} more ({self.needed} in all)"


def plan(comparison: Comparison, *, power: float = 0.8, alpha: float = ALPHA) -> Plan:
    """What one comparison still needs, at a power and a two-sided error that are its own; see `plans`."""
    c, needed = comparison, None
    if c.difference and c.variance == c.variance:
        single = c.n == c.n_prompts
        needed = prompts_for(c.difference, c.variance, power=power, alpha=alpha, single=single)
    return Plan(c, needed)


def plans(
    cards: Sequence[Scorecard],
    measures: Sequence[str] = (FORGETTING,),
    *,
    power: float = 0.8,
    alpha: float = ALPHA,
) -> list[Plan]:
    """What every comparison of cards still needs: models against the original, then against each other.

    Args:
        cards: of models scored alike.
        measures: some of MEASURES.
        power: chance with which a difference as large as the measured one shall be found.
        alpha: two-sided error of the test, shared by the comparisons of each kind.
    """
    out: list[Plan] = []
    for found in (against_original(cards, measures), pairwise(cards, measures)):
        out += [plan(c, power=power, alpha=alpha / len(found)) for c in found]
    return out


def designs(card: Scorecard) -> tuple[float, Design] | None:
    """Share of good generations of a card in forgetting, and how much its seeds are worth; None without rows."""
    split, wanted = MEASURES[FORGETTING]
    table = card.generations.part(split)
    chosen = [(g["id"], g["present"]) for g in table.records("id", "present") if g["present"] is not None]
    if not chosen:
        return None
    good = [present is wanted for _, present in chosen]
    return float(np.mean(good)), design_effect(good, np.asarray([row for row, _ in chosen]))


def detectable(
    card: Scorecard, prompts: int | None = None, *, power: float = 0.8, alpha: float = ALPHA
) -> tuple[float, float] | None:
    """Smallest differences below and above a card's share that so many prompts (default: its own) can show."""
    found = designs(card)
    if found is None:
        return None
    rate, design = found
    seeds = max(1, round(design.n_generations / design.n_prompts))
    # Where it cannot be estimated the seeds of a prompt count as copies: the careful end.
    correlation = design.correlation if design.correlation == design.correlation else 1.0
    return detectable_difference(
        rate, prompts or design.n_prompts, seeds=seeds, seed_correlation=correlation, power=power, alpha=alpha
    )
