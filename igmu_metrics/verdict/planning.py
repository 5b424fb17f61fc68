"""From what was measured to what should be drawn: how many prompts would settle a difference?

Conventions: the difference is taken as large as it was measured, and as variable from prompt to prompt. A measured
difference flatters itself, so read the numbers as the least that will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from igmu_metrics.generations import ORIGINAL
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics import Design, design_effect, detectable_difference, prompts_for
from igmu_metrics.statistics.power import MOST
from igmu_metrics.verdict.compare import ALPHA, FORGETTING, MEASURES, Comparison, compared


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
        who = f"{c.first} against {c.second}"
        if not c.n:
            return f"{who} in {c.measure}: {c.why}; draw prompts with which the original shows it"
        start = f"{who}: {c.difference:+.2f} in {c.measure} on {c.n_prompts} prompt{'s' * (c.n_prompts > 1)}"
        if self.more == 0:
            return f"{start} is settled"
        if c.n_prompts == 1:
            return f"{start}: one prompt does not show how much prompts differ, draw a few more first"
        if self.more is None:
            return f"{start}: no difference to settle; see the detectable ones"
        if (self.needed or 0) >= MOST:
            return f"{start} would take {MOST:,} prompts or more: call it a tie"
        return f"{start} would take about {self.more} more ({self.needed} in all)"


def plan(comparison: Comparison, *, power: float = 0.8, alpha: float = ALPHA) -> Plan:
    """What one comparison still needs, at a power of its own and an error that its family shares; see `plans`."""
    c, needed = comparison, None
    if c.n and c.difference and c.variance == c.variance:
        single = c.n == c.n_prompts
        needed = prompts_for(c.difference, c.variance, power=power, alpha=alpha / c.family, single=single)
    return Plan(c, needed)


def plans(cards: Sequence[Scorecard], *, power: float = 0.8, alpha: float = ALPHA) -> list[Plan]:
    """What every comparison of cards still needs: models against the original, then against each other.

    Args:
        cards: of models scored alike.
        power: chance with which a difference as large as the measured one shall be found.
        alpha: two-sided error, shared by all comparisons of a measure, since they will all be tested.
    """
    return [plan(c, power=power, alpha=alpha) for c in compared(cards)]


def designs(card: Scorecard) -> tuple[float, Design] | None:
    """A card's share in forgetting, where the original drew the concept, and what its seeds are worth; or None."""
    split, wanted = MEASURES[FORGETTING]
    before = "present" + ORIGINAL
    lines = card.generations.part(split).records("id", "present", before)
    chosen = [(g["id"], g["present"]) for g in lines if g["present"] is not None and g[before]]
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
