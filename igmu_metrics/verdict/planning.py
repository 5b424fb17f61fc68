"""From what was measured to what should be drawn: how many prompts would settle a difference?

Conventions: the difference is taken as large as it was measured, and as variable from prompt to prompt. A measured
difference flatters itself, so read the numbers as the least that will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from igmu_data.errors import InputError
from igmu_metrics.generations import ORIGINAL
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics import Design, design_effect, detectable_difference, prompts_for
from igmu_metrics.statistics.looks import cost
from igmu_metrics.statistics.power import MOST
from igmu_metrics.verdict.compare import ALPHA, FORGETTING, MEASURES, Comparison, compared


@dataclass(frozen=True, slots=True)
class Gpu:
    """What generates images.

    Args:
        name: as people call it; "" for one without a name.
        seconds: that an image takes, > 0.
        euros: an hour of it; None where nobody asks.
    """

    name: str
    seconds: float
    euros: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.seconds < float("inf") or not 0 <= (self.euros or 0.0) < float("inf"):
            raise InputError(f"--gpu {self.name}: {self.seconds:g} s an image, {self.euros} € an hour; give sizes > 0.")

    @classmethod
    def read(cls, text: str) -> Gpu:
        """From `NAME=SECONDS` or `NAME=SECONDS,EUROS`.

        Raises:
            InputError: of another form.

        >>> Gpu.read("A100=2.5,1.89")
        Gpu(name='A100', seconds=2.5, euros=1.89)
        """
        name, _, rest = text.partition("=")
        try:
            seconds, *euros = map(float, rest.split(","))
            if name and len(euros) <= 1:
                return cls(name, seconds, *euros)
        except ValueError:
            pass
        raise InputError(
            f"--gpu {text!r}: give NAME=SECONDS an image, or NAME=SECONDS,EUROS an hour, as A100=2.5,1.89."
        )

    def told(self, images: float) -> str:
        """How long so many images take, and what they cost.

        >>> Gpu("A100", 2.5, 1.89).told(2880)
        '2.0 h, 3.78 €'
        """
        hours = images * self.seconds / 3600
        return f"{hours:.1f} h" + ("" if self.euros is None else f", {hours * self.euros:.2f} €")


def costs(images: int, gpus: Sequence[Gpu], *, looks: int, power: float, alpha: float) -> list[str]:
    """What images cost at once, and with looks on the way (`igmu run --until`), a line each.

    Args:
        images: of all models together, that find a difference in one look.
        gpus: that may generate them.
        looks: how many there may be.
        power: chance of finding the difference.
        alpha: two-sided error, of all looks together.
    """
    found = cost(looks, power=power, alpha=alpha)
    expected, worst = ceil(images * found.expected), ceil(images * found.worst)
    lines = [f"  {images:,} images of both models; with {looks} looks {expected:,} expected, {worst:,} at worst"]
    for gpu in gpus:
        name = f"{gpu.name}: " if gpu.name else ""
        looked = f"{gpu.told(expected)} expected, {gpu.told(worst)} at worst"
        lines.append(f"  {name}{gpu.told(images)}; with {looks} looks {looked}")
    return lines


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

    @property
    def images(self) -> int | None:
        """Images of both models that are missing, with as many seeds each as now; None where no number helps."""
        if self.more is None or not self.comparison.n or (self.needed or 0) >= MOST:
            return None
        return 2 * ceil(self.more * self.comparison.n / self.comparison.n_prompts)

    def sentence(self) -> str:
        """The plan in words."""
        c = self.comparison
        who = f"{c.first} against {c.second}"
        if not c.n:
            more = "; add prompts with which the original shows it" * c.conditional
            return f"{who} in {c.measure}: {c.why}{more}"
        start = f"{who}: {c.difference:+.2f} in {c.measure} on {c.n_prompts} prompt{'s' * (c.n_prompts > 1)}"
        if self.more == 0:
            return f"{start} is settled"
        if c.n_prompts == 1:
            return f"{start}: one prompt does not show how much prompts differ; generate a few more first"
        if self.more is None:
            return f"{start}: no difference" + "; see the detectable differences below" * c.conditional
        if (self.needed or 0) >= MOST:
            return f"{start} needs {MOST:,} prompts or more: call it a tie"
        return f"{start} needs about {self.more} more ({self.needed} in total)"


def plan(comparison: Comparison, *, power: float = 0.8, alpha: float = ALPHA) -> Plan:
    """What one comparison still needs, at a power of its own and an error that its family shares; see `plans`."""
    c, needed = comparison, None
    if c.n and c.difference and c.variance == c.variance:
        single = c.n == c.n_prompts and c.conditional
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
    split, column, wanted = MEASURES[FORGETTING]
    before = column + ORIGINAL
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
