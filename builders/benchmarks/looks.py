"""What looking after every round costs and errs, by simulation: `python -m builders.benchmarks.looks` (some minutes).

Beta-binomial designs with the prompts, rounds and seeds of `object.church`: every prompt has a chance of its own, whose
mean is the truth. Intervals, words and the rules for stopping are the shipped functions; only images are made up. Truth
is from the middle threshold of the verdict (1/2) to 1; below 1/2 shares are the mirror image.

Conventions: a *design* simulates one question of the verdict, the images of one split of one model. The *full run* has
all rounds and seeds, one look and intervals of 95%.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import e, log, log1p, sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from builders.benchmarks.material import ROOT
from builders.benchmarks.timing import table
from igmu_metrics.report.wording import UNDECIDED, grade
from igmu_metrics.running.looking import CHECKS, settled
from igmu_metrics.running.plan import DECIDED, GRADED
from igmu_metrics.scorecard import Figure
from igmu_metrics.statistics import mean_estimate, mean_of_ratios, paired_ratio
from igmu_metrics.statistics.level import LEVEL, at_level
from igmu_metrics.statistics.looks import Looks, crossing, times

TITLE: Final = "Checking after every round"
ROUNDS: Final = 10
SEEDS: Final = 5
TRUTHS: Final = tuple(round(0.5 + 0.05 * i, 2) for i in range(11))
WORDS: Final = ("yes", "mostly", "hardly", "no")
CORRELATION: Final = 0.3  # of two seeds of a prompt, as `igmu power` assumes
DRAWN: Final = 0.9  # of what should stay, by the original
ALPHA: Final = 1 - LEVEL
_ASIDE: Final = {"forget": 96, "adversarial": 0, "retain": 48}  # prompts counted by themselves, which come along
Rng = np.random.Generator
Array = npt.NDArray[np.float64]
# How much was seen (rounds, seeds of what should stay) → figure of what was seen.
Seen = Callable[[int, int], Figure]


def _figure(value: float, interval: tuple[float, float] | None, n: int) -> Figure:
    return Figure(value=value, interval=interval, n_prompts=n, n_generations=n)


def chances(rng: Rng, mean: float, n: int) -> Array:
    """Chances of n prompts with this mean, whose draws correlate."""
    if mean in (0.0, 1.0):
        return np.full(n, mean)
    scale = 1 / CORRELATION - 1
    return rng.beta(mean * scale, (1 - mean) * scale, n)


def forget(rng: Rng, truth: float) -> Seen:
    """The following table is for forgetting: the share of images without the concept, for 80 prompts with five
    seeds."""
    n = 80
    hits = rng.random((n, SEEDS)) < chances(rng, truth, n)[:, None]
    prompts = np.repeat(np.arange(n), SEEDS)

    def seen(rounds: int, seeds: int) -> Figure:
        some = n * rounds // ROUNDS * SEEDS
        found = mean_estimate(hits.ravel()[:some], prompts[:some])
        return _figure(found.value, found.interval, found.n_prompts)

    return seen


def adversarial(rng: Rng, truth: float) -> Seen:
    """The following table is for robustness: the share of 510 adversarial prompts that fail in all five tries, averaged
    over nine families."""
    family = np.repeat(np.arange(9), [90, 54, 54, 54, 54, 54, 54, 54, 42])
    round_ = np.concatenate([np.arange(n) % ROUNDS for n in np.bincount(family)])
    holds = rng.random(len(family)) < truth

    def seen(rounds: int, seeds: int) -> Figure:
        at = np.flatnonzero(round_ < rounds)
        found = mean_estimate(holds[at], at, groups=family[at], generations=SEEDS * len(at))
        return _figure(found.value, found.interval, found.n_prompts)

    return seen


def retain(rng: Rng, truth: float) -> Seen:
    """The following table is for preservation: the share of prompts whose concept is kept, for 104 near prompts of 8
    concepts and 72 far prompts of 12 concepts."""
    probes = []
    for n, concepts in ((104, 8), (72, 12)):
        drawn = rng.random((n, SEEDS)) < chances(rng, DRAWN, n)[:, None]
        kept = drawn & (rng.random((n, SEEDS)) < chances(rng, truth, n)[:, None])
        probes.append((np.arange(n) % ROUNDS, np.arange(n) // ROUNDS % concepts, drawn, kept))

    def seen(rounds: int, seeds: int) -> Figure:
        ratios = []
        for round_, concept, drawn, kept in probes:
            at = np.flatnonzero(round_ < rounds)
            prompt = np.repeat(at, seeds)
            ratios.append(paired_ratio(kept[at, :seeds].ravel(), drawn[at, :seeds].ravel(), prompt, concept[prompt]))
        value = float(np.mean([r.value for r in ratios]))
        return _figure(value, mean_of_ratios(ratios), sum(r.n_prompts for r in ratios))

    return seen


DESIGNS: Final = {"forget": (forget, 80, SEEDS), "adversarial": (adversarial, 510, SEEDS), "retain": (retain, 176, 2)}


@dataclass(frozen=True, slots=True)
class Stop:
    """Where one simulated run stopped.

    Args:
        look: at which look.
        images: that it took, those that are counted by themselves among them.
        settled: whether the rule was met there.
        word: of the verdict.
        full: the full run's word.
        held: whether the interval holds the truth.
    """

    look: int
    images: int
    settled: bool
    word: str
    full: str
    held: bool


def size(name: str, look: int) -> int:
    """Images of a split after so many looks; the last one has all seeds."""
    _, prompts, seeds = DESIGNS[name]
    if look == CHECKS:
        return (prompts + _ASIDE[name]) * SEEDS
    return round(look / ROUNDS * (prompts * seeds + _ASIDE[name]))


def runs(
    name: str, truth: float, n: int, rules: Sequence[str], levels: Sequence[float], seed: int = 0
) -> dict[str, list[Stop]]:
    """Simulated runs that stop by each rule.

    Args:
        name: of the design.
        truth: that all intervals are about.
        n: how many runs.
        rules: `decided`, `graded`.
        levels: of the intervals at each look.
        seed: of the simulation.
    """
    make, _, first = DESIGNS[name]
    last = CHECKS if first < SEEDS else ROUNDS
    out: dict[str, list[Stop]] = {rule: [] for rule in rules}
    for number in range(n):
        seen = make(np.random.default_rng([seed, number, round(100 * truth), len(name)]), truth)
        full = grade(seen(ROUNDS, SEEDS), WORDS)
        waiting = list(rules)
        for look in range(2 if name == "retain" else 1, last + 1):  # quality wants 20 prompts of what should stay
            with at_level(levels[look - 1]):
                figure = seen(min(look, ROUNDS), SEEDS if look > ROUNDS else first)
            for rule in [r for r in waiting if settled(figure, r) or look == last]:
                low, high = figure.interval or (0.0, 1.0)
                held = (low or 0.0) - 1e-9 <= truth <= (high or 0.0) + 1e-9
                stop = Stop(look, size(name, look), settled(figure, rule), grade(figure, WORDS), full, held)
                out[rule].append(stop)
                waiting.remove(rule)
            if not waiting:
                break
    return out


def alike(stop: Stop, rule: str) -> bool:
    """Whether the full run says the same: of `decided` the same answer (`mostly` may become `yes`), else the word."""
    if rule == GRADED:
        return stop.word == stop.full
    return stop.full != UNDECIDED and (stop.word in WORDS[:2]) == (stop.full in WORDS[:2])


def wrong(stop: Stop, truth: float, rule: str) -> bool:
    """Whether what was settled is not true: of `decided` the side of 1/2, of `graded` the grade."""
    if not stop.settled:
        return False
    if rule == DECIDED:
        return not (truth > 0.5 if stop.word in WORDS[:2] else truth < 0.5)
    low, high = {"yes": (0.8, 1.1), "mostly": (0.5, 0.8), "hardly": (0.2, 0.5), "no": (-0.1, 0.2)}[stop.word]
    return not low < truth < high


def boundaries() -> dict[str, list[float]]:
    """Standard errors at each look, by name; each errs in 5% of cases over all looks, but the first."""
    at = times(CHECKS)
    z = NormalDist().inv_cdf
    out = {"1.96 at every check": [z(0.975)] * CHECKS}
    out["Pocock (igmu)"] = [z((1 + Looks(1, CHECKS).level) / 2)] * CHECKS
    out["Lan-DeMets, Pocock-like"] = spent(lambda t: ALPHA * log1p((e - 1) * t))
    out["Lan-DeMets, O'Brien-Fleming-like"] = spent(lambda t: 4 * (1 - NormalDist().cdf(z(1 - ALPHA / 4) / sqrt(t))))
    out["Lan-DeMets, linear"] = spent(lambda t: ALPHA * t)
    # Asymptotic confidence sequence with a normal mixture (Waudby-Smith et al. 2024), tightest at a quarter.
    rate = (-2 * log(ALPHA) + log(-2 * log(ALPHA)) + 1) / 0.25
    out["confidence sequence"] = [sqrt((1 + 1 / (t * rate)) * log((t * rate + 1) / ALPHA**2)) for t in at]
    return out


def spent(spending: Callable[[float], float]) -> list[float]:
    """Boundaries that spend an error as a function says (Lan and DeMets), look by look."""
    at = times(CHECKS)
    found: list[float] = []
    before = 0.0
    for look, t in enumerate(at):
        low, high = 0.5, 12.0
        share = spending(t) - before
        while high - low > 1e-6:
            middle = (low + high) / 2
            spent_here = crossing([*found, middle], at[: look + 1])[-1]
            low, high = (middle, high) if spent_here > share else (low, middle)
        found.append(high)
        before = spending(t)
    return found


def compared(n: int) -> str:
    """The boundaries beside each other, in the design with the fewest prompts."""
    rows = []
    for name, zs in boundaries().items():
        levels = [2 * NormalDist().cdf(z) - 1 for z in zs]
        stops = {t: runs("forget", t, n, [DECIDED, GRADED], levels) for t in TRUTHS}
        cells = [name, f"{zs[0]:.2f}, {zs[4]:.2f}, {zs[-1]:.2f}"]
        for rule in (DECIDED, GRADED):
            found = [(t, s) for t in TRUTHS for s in stops[t][rule]]
            share = np.array([s.images for _, s in found]) / size("forget", CHECKS)
            cells += [f"{np.median(share):.2f}, {share.mean():.2f}"]
            cells += [f"{100 * np.mean([wrong(s, t, rule) for t, s in found if s.settled]):.1f}%"]
        held = [s.held for t in TRUTHS for s in stops[t][DECIDED]]
        rows.append([*cells, f"{100 * np.mean(held):.1f}%"])
        sys.stderr.write(f"{' | '.join(rows[-1])}\n")
    head = ["boundary", "standard errors at checks 1, 5, 11", "images, decided: median, mean", "wrong"]
    return table([*head, "images, graded: median, mean", "wrong", "final intervals with true value"], rows)


def listed(name: str, n: int) -> tuple[str, dict[str, dict[float, list[Stop]]]]:
    """One design, truth by truth, and its runs by rule and truth."""
    level = Looks(1, CHECKS).level
    rows = []
    found: dict[str, dict[float, list[Stop]]] = {DECIDED: {}, GRADED: {}}
    whole = size(name, CHECKS)
    for truth in TRUTHS:
        stops = runs(name, truth, n, [DECIDED, GRADED], [level] * CHECKS, seed=1)
        cells = [f"{truth:.2f}", f"{truth - 0.5:.2f}"]
        for rule in (DECIDED, GRADED):
            found[rule][truth] = stops[rule]
            share = np.array([s.images for s in stops[rule]]) / whole
            ended = [s for s in stops[rule] if s.settled]
            cells += [f"{np.median(share):.2f}", f"{100 * len(ended) / n:.0f}%"]
            cells += [f"{100 * np.mean([wrong(s, truth, rule) for s in stops[rule]]):.1f}%"]
            cells += [f"{100 * np.mean([alike(s, rule) for s in ended]):.1f}%" if ended else "–"]
            cells += [f"{100 * np.mean([s.held for s in stops[rule]]):.1f}%"]
        rows.append(cells)
        sys.stderr.write(f"{name}: {' | '.join(cells)}\n")
    each = ["images", "settled", "wrong", "same as full run", "interval includes true value"]
    head = ["true value", "distance from 1/2", *(f"{rule}: {what}" for rule in (DECIDED, GRADED) for what in each)]
    return table(head, rows), found


def whole(found: dict[str, dict[str, dict[float, list[Stop]]]], n: int) -> str:
    """Runs of one model with all three questions, each truth drawn from those listed, by their own stops."""
    rng = np.random.default_rng(0)
    total = sum(size(name, CHECKS) for name in DESIGNS)
    rows = []
    for rule in (DECIDED, GRADED):
        images, bad, agree, held = [], [], [], []
        for _ in range(n):
            for_run = 0
            for name in DESIGNS:
                truth = float(rng.choice(TRUTHS))
                stops = found[name][rule][truth]
                stop = stops[rng.integers(len(stops))]
                for_run += stop.images
                held.append(stop.held)
                if stop.settled:
                    bad.append(wrong(stop, truth, rule))
                    agree.append(alike(stop, rule))
            images.append(for_run / total)
        low, middle, high = np.quantile(images, [0.1, 0.5, 0.9])
        rows.append(
            [
                f"--until {rule}",
                f"{middle:.2f} ({low:.2f}–{high:.2f})",
                *(
                    f"{100 * share:.1f}%"
                    for share in (len(bad) / (len(DESIGNS) * n), *(float(np.mean(x)) for x in (agree, bad, held)))
                ),
            ]
        )
    head = ["run", "images: median (10–90%)", "settled", "same as full run", "wrong", "intervals with true value"]
    return table(head, [*rows, *(fixed(rounds, max(1, n // 20)) for rounds in (1, 2, 5, ROUNDS))])


def fixed(rounds: int, n: int) -> list[str]:
    """A row of a design with one look, over n runs of each truth: its words are held to what those of `decided` are."""
    stops = []
    for name, (make, _, _) in DESIGNS.items():
        for truth in TRUTHS:
            for number in range(n):
                seen = make(np.random.default_rng([2, number, round(100 * truth), len(name)]), truth)
                figure, full = seen(rounds, SEEDS), grade(seen(ROUNDS, SEEDS), WORDS)
                low, high = figure.interval or (0.0, 1.0)
                held = (low or 0.0) - 1e-9 <= truth <= (high or 0.0) + 1e-9
                stops.append((truth, Stop(1, 0, settled(figure, DECIDED), grade(figure, WORDS), full, held)))
    ended = [(t, s) for t, s in stops if s.settled]
    shares = [
        len(ended) / len(stops),
        float(np.mean([alike(s, DECIDED) for _, s in ended])),
        float(np.mean([wrong(s, t, DECIDED) for t, s in ended])),
        float(np.mean([s.held for _, s in stops])),
    ]
    name = {2: " (lite)", ROUNDS: " (full)"}.get(rounds, "")
    told = f"{rounds} rounds{name}, all seeds, one check".replace("1 rounds", "1 round")
    return [told, f"{rounds / ROUNDS:.2f}", *(f"{100 * share:.1f}%" for share in shares)]


def parts(n: int) -> Iterator[str]:
    """The section, paragraph by paragraph."""
    yield (
        f"This section was measured separately by `python -m builders.benchmarks.looks --runs {n}`. For each true "
        f"value and each design, {n:,} runs were simulated, with the prompts, rounds and seeds of `object.church` and "
        f"a correlation of {CORRELATION} between seeds. The simulation uses igmu's own functions for intervals, "
        "verdict words and stopping rules.\n\n"
        "- *decided*: the run stops when the verdict word is no longer undecided.\n"
        "- *graded*: the run stops when the whole interval has the same verdict word, so that more images would not "
        "change the word.\n"
        f"- *images*: the number of images as a share of those of a full run ({ROUNDS} rounds, {SEEDS} seeds, one "
        "check).\n"
        "- *settled*: the share of runs that reached an answer (decided) or a final word (graded).\n"
        "- *same as full run*: among settled runs, the share with the same answer (decided) or word (graded) as the "
        "full run, which may itself be undecided.\n"
        "- *wrong*: the share of runs whose settled answer or word is not true. In the first and the last table, this "
        "is a share of the settled runs.\n"
    )
    tables, found = {}, {}
    for name in DESIGNS:
        tables[name], found[name] = listed(name, n)
    yield (
        "The first table is for one model with three questions. The true value for each question is chosen at random "
        "from those in the tables below:\n"
    )
    yield whole(found, n)
    for name, text in tables.items():
        yield " ".join((DESIGNS[name][0].__doc__ or "").split()) + "\n"
        yield text
    yield f"The last table compares boundaries for the forgetting design ({n // 4:,} runs per true value):\n"
    yield compared(n // 4)


def main() -> None:
    """Simulate, and put the section into the page."""
    parser = argparse.ArgumentParser(prog="python -m builders.benchmarks.looks", description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "performance.md")
    given = parser.parse_args()
    put(given.out, TITLE, "\n".join(parts(given.runs)))


def put(page: Path, title: str, text: str) -> None:
    """Write a section of a page, in its place if it has one, else at the end."""
    head, *sections = page.read_text().split("\n## ")
    fresh = f"{title}\n\n{text}"
    known = [section.partition("\n")[0] for section in sections]
    if title in known:
        sections[known.index(title)] = fresh
    else:
        sections.append(fresh)
    page.write_text("\n## ".join(part.rstrip("\n") + "\n" for part in (head, *sections)))


if __name__ == "__main__":
    main()
