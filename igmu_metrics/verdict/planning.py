"""Plans from measurements: how many prompts would be needed to settle a difference?

Conventions: the difference and its variance between prompts are assumed to be as measured. Measured differences tend to
be too large, so the results are lower bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import numpy as np

from igmu_data.errors import InputError
from igmu_data.numerals import counted
from igmu_data.rows.rounds import named
from igmu_data.schema import ASIDE, SPLITS, Row
from igmu_metrics.coverage import Coverage
from igmu_metrics.generations import ORIGINAL
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics import Design, design_effect, detectable_difference, detectable_gap, prompts_for
from igmu_metrics.statistics.formatting import number
from igmu_metrics.statistics.looks import Looks, cost, level_of
from igmu_metrics.statistics.power import MOST
from igmu_metrics.verdict.compare import ALPHA, FORGETTING, MEASURES, RESISTANCE, Comparison, compared
from igmu_metrics.verdict.joint import SCORE

_SCORED_ON: Final = {SCORE: ("forget", "adversarial", "retain")}  # other scores: retain prompts
_WHOLE: Final = "the corpus"
_CAUTIOUS: Final = " (with a seed correlation of {:.2f}, the upper end of its 95% interval)"
_COPIES: Final = "these images do not show how much further seeds would add, so none are counted"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that generates images.

    Args:
        name: its name; "" if it has none.
        seconds: seconds per image, > 0.
        euros: price per hour in euros; None if unknown.
    """

    name: str
    seconds: float
    euros: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.seconds < float("inf") or not 0 <= (self.euros or 0.0) < float("inf"):
            raise InputError(
                f"--gpu {self.name} specifies {self.seconds:g} seconds per image and {self.euros} euros per hour. Both "
                "must be finite; the seconds must be greater than 0, and the euros must not be negative."
            )

    @classmethod
    def read(cls, text: str) -> Gpu:
        """From `NAME=SECONDS` or `NAME=SECONDS,EUROS`.

        Raises:
            InputError: the text has a different form.

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
            f"--gpu is {text!r}; it must have the form NAME=SECONDS or NAME=SECONDS,EUROS, with seconds per image and "
            "euros per hour, such as A100=2.5,1.89."
        )

    def told(self, images: float) -> str:
        """How long this number of images takes, and what it costs.

        >>> Gpu("A100", 2.5, 1.89).told(2880)
        '2.0 h, 3.78 €'
        """
        hours = images * self.seconds / 3600
        return f"{hours:.1f} h" + ("" if self.euros is None else f", {hours * self.euros:.2f} €")


def costs(
    images: int, gpus: Sequence[Gpu], *, looks: int, power: float, alpha: float, limit: int | None = None
) -> list[str]:
    """What images cost without and with interim looks (`igmu run --until`), one line per GPU.

    Args:
        images: number of images, of all models together, that detect a difference in a single look.
        gpus: GPUs that may generate them.
        looks: maximum number of looks.
        power: chance of detecting the difference.
        alpha: two-sided error of all looks together.
        limit: number of images of both models that the corpus allows; None if it is not known.
    """
    found = cost(looks, power=power, alpha=alpha)
    expected, worst = ceil(images * found.expected), ceil(images * found.worst)
    if limit is not None:  # then a run ends, decided or not
        expected, worst = min(expected, limit), min(worst, limit)
    if looks == 1:
        return [f"  {images:,} images of both models"] + [
            f"  {f'{gpu.name}: ' if gpu.name else ''}{gpu.told(images)}" for gpu in gpus
        ]
    lines = [
        f"  {images:,} images of both models; with {looks} interim checks, {expected:,} expected, {worst:,} at most"
    ]
    for gpu in gpus:
        name = f"{gpu.name}: " if gpu.name else ""
        looked = f"{gpu.told(expected)} expected, {gpu.told(worst)} at most"
        lines.append(f"  {name}{gpu.told(images)}; with {looks} interim checks, {looked}")
    return lines


@dataclass(frozen=True, slots=True)
class Plan:
    """How many more prompts one comparison needs.

    Args:
        comparison: the comparison, as measured.
        needed: total number of prompts, with the current number of seeds each; None if there is no difference.
        offered: approximate number of the corpus's prompts that count; None if the corpus is unknown.
        seeds: number of seeds per prompt in the corpus; None if the corpus is unknown.
        with_seeds: total number of prompts with all of these seeds; None if there is no difference or seed left.
        reach: smallest difference that all these prompts and seeds can detect; None if unknown or above 1.
        where: what has these prompts: the corpus, or a part of its protocol.
        correlation: correlation of a prompt's seeds that `with_seeds` and `reach` assume, the upper end of its
            interval; 1 if nothing is known about it, so that further seeds add nothing; None if there are none.
        checks: number of planned checks for which `needed` and `reach` are corrected.
    """

    comparison: Comparison
    needed: int | None
    offered: int | None = None
    seeds: int | None = None
    with_seeds: int | None = None
    reach: float | None = None
    where: str = _WHOLE
    correlation: float | None = None
    checks: int = 1

    @property
    def more(self) -> int | None:
        """Number of prompts that are missing; 0 if the difference is already significant."""
        if self.comparison.significant:
            return 0
        return None if self.needed is None else max(1, self.needed - self.comparison.n_prompts)

    @property
    def images(self) -> int | None:
        """Number of missing images of both models, with the current number of seeds; None if no number helps, or if
        the corpus has fewer prompts.
        """
        if self.more is None or not self.comparison.n or (self.needed or 0) >= MOST:
            return None
        return None if self.beyond else 2 * ceil(self.more * self.comparison.n / self.comparison.n_prompts)

    @property
    def left(self) -> int | None:
        """About how many images of both models are left in the corpus, with the current number of seeds, if known."""
        c = self.comparison
        if self.offered is None or not c.n_prompts:
            return None
        return 2 * ceil(max(0, self.offered - c.n_prompts) * c.n / c.n_prompts)

    @property
    def beyond(self) -> bool:
        """Whether more prompts are needed than the corpus has."""
        return self.offered is not None and (self.needed or 0) > self.offered

    def sentence(self) -> str:
        """The plan in words."""
        c = self.comparison
        who = f"{c.first} against {c.second}"
        if not c.n:
            more = "; add prompts for which the original shows the concept" * c.conditional
            return f"{who} in {c.measure}: {c.why}{more}"
        start = f"{who}: {number(c.difference, '+.2f')} in {c.measure} on {counted(c.n_prompts, c.prompt)}"
        if self.more == 0:
            return f"{start}; the difference is significant, so no more {c.prompt}s are needed"
        if c.n_prompts == 1:
            return f"{start}; one {c.prompt} is not enough for an estimate, so generate a few more first"
        if c.variance != c.variance:
            return f"{start}; no estimate is possible, because {c.why}"
        if self.more is None:
            return f"{start}; there is no difference, so no number of prompts can be estimated"
        if (self.needed or 0) >= MOST:
            return f"{start}; at least {MOST:,} {c.prompt}s would be needed, so treat it as a tie"
        more = f"{counted(self.more, f'more {c.prompt}')} {'is' if self.more == 1 else 'are'} needed"
        told = f"{start}; about {more} ({self.needed:,} in total"
        told += f", corrected for {self.checks} planned checks)" if self.checks > 1 else ")"
        if not self.beyond:
            return told
        told += f", but {self.where} has only about {self.offered:,} that count"
        cautious = "" if self.correlation is None else _CAUTIOUS.format(self.correlation)
        if self.with_seeds is not None and self.with_seeds <= (self.offered or 0):
            return f"{told}; with all {self.seeds} seeds of each, about {self.with_seeds:,} are enough{cautious}"
        least = "none up to 1" if self.reach is None else f"{self.reach:.2f}"
        if self.with_seeds is not None:
            known = f"all of these prompts and {self.seeds} seeds detect{cautious}"
            return f"{told}; smallest difference that {known}: {least}"
        copies = f"; {_COPIES}" * (self.correlation is not None)
        return f"{told}{copies}; smallest difference that all of these prompts detect: {least}"


def plan(
    comparison: Comparison,
    *,
    power: float = 0.8,
    alpha: float = ALPHA,
    offered: int | None = None,
    seeds: int | None = None,
    where: str = _WHOLE,
    checks: int = 1,
) -> Plan:
    """How many prompts one comparison needs, at its own power and an error that its family shares; see `plans`.

    With several planned checks, a difference has to be significant at one of them, whose test has a smaller error.
    """
    c = comparison
    if not c.n or not c.difference or c.variance != c.variance:
        return Plan(c, None, offered, seeds, where=where, checks=checks)
    error = 1 - level_of(checks, alpha / c.family)
    how: dict[str, Any] = {"power": power, "alpha": error, "single": c.n == c.n_prompts and c.conditional}
    needed, with_seeds = prompts_for(c.difference, c.variance, **how), None
    variance, now = c.variance, c.n / c.n_prompts
    shared = None
    if seeds is not None and seeds > now and c.measure != RESISTANCE:
        # The cautious end: the more alike the seeds of a prompt, the less further ones add; as copies, nothing.
        shared = 1.0 if c.correlation_high is None else c.correlation_high
    if shared is not None and seeds is not None and shared < 1:
        variance *= (shared + (1 - shared) / seeds) / (shared + (1 - shared) / now)
        how["single"] = False
        with_seeds = prompts_for(c.difference, variance, **how)
    reach = detectable_gap(offered, variance, **how) if offered else float("nan")
    return Plan(c, needed, offered, seeds, with_seeds, reach if reach == reach else None, where, shared, checks)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the protocol.

    Args:
        name: what it is called.
        prompts: number of prompts by split; of source prompts in the adversarial split.
    """

    name: str
    prompts: Mapping[str, int]

    def counting(self, card: Scorecard) -> int | None:
        """About how many of its plain prompts count for a card's conditional forgetting; None if this is unknown."""
        found, known = designs(card), (card.coverage or {}).get(MEASURES[FORGETTING][0])
        if found is None or known is None or not known.n_prompts:
            return None
        return max(1, int(found[1].n_prompts / known.n_prompts * self.prompts[MEASURES[FORGETTING][0]]))


def units(rows: Iterable[Row], split: str) -> int:
    """Number of units of the measures of a split: its prompts or, of adversarial prompts, their source prompts."""
    return len({row.attack_source_id or row.id for row in rows if row.split == split and row.probe not in ASIDE})


def part_of(rows: Sequence[Row], rounds: int | None) -> Part:
    """The part of the protocol that consists of these rows, those of the first rounds; None for the whole corpus."""
    return Part(_WHOLE if rounds is None else named(rounds), {split: units(rows, split) for split in SPLITS})


def plans(
    cards: Sequence[Scorecard], *, power: float = 0.8, alpha: float = ALPHA, part: Part | None = None
) -> list[Plan]:
    """How many prompts each comparison needs: models against the original, then against each other.

    Args:
        cards: cards of models scored in the same way.
        power: chance of detecting a difference as large as the measured one.
        alpha: two-sided error, shared by all comparisons of a measure, since all of them will be tested.
        part: part of the protocol that limits the plans; None for the whole corpus as the cards know it, without the
            number of its source prompts.
    """
    own = {card.model: card.coverage or {} for card in cards}
    planned = {card.model: look.planned if (look := Looks.of(card)) else 1 for card in cards}
    return [
        plan(
            c,
            power=power,
            alpha=alpha,
            checks=max(planned.get(model, 1) for model in (c.first, c.second)),
            **_corpus(c, own[c.first], part),
        )
        for c in compared(cards)
    ]


def _corpus(c: Comparison, coverage: Mapping[str, Coverage], limit: Part | None) -> dict[str, Any]:
    """About how many prompts of the corpus count for a comparison, and their seeds; empty if the corpus is unknown."""
    if c.measure not in MEASURES:
        parts = [coverage[p] for p in _SCORED_ON.get(c.measure, ("retain",)) if p in coverage]
        n, asked = sum(p.n_prompts for p in parts), sum(p.n_prompts_asked for p in parts)
        return {"offered": int(min(1.0, c.n_prompts / n) * asked)} if n else {}
    part = MEASURES[c.measure][0]
    known = coverage.get(part)
    if known is None or not known.n_prompts or not known.n_prompts_asked:
        return {}
    share = 1.0 if c.measure == RESISTANCE else min(1.0, c.n_prompts / known.n_prompts)
    found: dict[str, Any] = {"seeds": round(known.n_generations_asked / known.n_prompts_asked)}
    if limit is None:  # then the number of prompts is known, but not how many sources the adversarial ones have
        return found if c.measure == RESISTANCE else {**found, "offered": int(share * known.n_prompts_asked)}
    return {**found, "offered": int(share * limit.prompts[part]), "where": limit.name}


def designs(card: Scorecard) -> tuple[float, Design] | None:
    """A card's conditional forgetting rate, and the design effect of its seeds; None if nothing counts."""
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
    """Smallest differences below and above a card's rate that this number of prompts (default: its own) can detect."""
    found = designs(card)
    if found is None:
        return None
    rate, design = found
    seeds = max(1, round(design.n_generations / design.n_prompts))
    return detectable_difference(
        rate, prompts or design.n_prompts, seeds=seeds, seed_correlation=_alike(design), power=power, alpha=alpha
    )


def assumed(design: Design) -> str:
    """What `detectable` assumes about the seeds of a prompt, in words; "" if prompts have one image each."""
    if design.n_generations == design.n_prompts:
        return ""
    if (alike := _alike(design)) < 1:
        return _CAUTIOUS.format(alike)
    return " (the images of a prompt count as one, because these do not show how alike they are)"


def _alike(design: Design) -> float:
    """Correlation of a prompt's seeds to plan with: the cautious end; if there is no estimate, seeds are copies."""
    return design.correlation_high if design.correlation_high == design.correlation_high else 1.0
