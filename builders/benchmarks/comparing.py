"""How often comparisons of several models err, by simulation: `python -m builders.benchmarks.comparing` (half an hour).

There are two questions. Does the set of models that may be the best contain all that truly are, and how large is it?
And how often does a difference of two models in the forget score or in alignment look significant although there is
none, if both were checked after every round and stopped at different checks? All tests, corrections and stopping rules
are the shipped functions; only the results of the models are made up.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
from scipy.special import ndtr, stdtrit

from builders.benchmarks.looks import Array, Rng, chances, put
from builders.benchmarks.material import ROOT
from builders.benchmarks.timing import table
from igmu_data.schema import ROUNDS
from igmu_metrics.contract import BoolArray, Estimate
from igmu_metrics.generations import ORIGINAL, Generations
from igmu_metrics.metrics._aspects import aspect_figures, combine, counted, judged_rows
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.metrics.forget_score import INFO as FORGET_SCORE
from igmu_metrics.running.looking import CHECKS, settled
from igmu_metrics.running.plan import DECIDED
from igmu_metrics.scorecard import Figure, Scorecard, ScoreEntry
from igmu_metrics.statistics import best_of, holm
from igmu_metrics.statistics.level import at_level, confidence
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict.compare import ALPHA, compared
from igmu_metrics.verdict.joint import ALIGNMENT, SCORE
from igmu_metrics.verdict.recompute import FORGET

TITLE: Final = "Comparing several models"
FIRST: Final = 2  # check with enough retain prompts for an interval of quality
RESAMPLES: Final = 200  # for intervals on the cards that no comparison uses
# By name: the true scores of models, in standard errors of a difference; 0 is the best.
FIELDS: Final[Mapping[str, Sequence[float]]] = {
    "two equal models": (0, 0),
    "three equal models": (0, 0, 0),
    "five equal models": (0, 0, 0, 0, 0),
    "two equal models, one a little below": (0, 0, -2),
    "two equal models, three far below": (0, 0, -6, -6, -6),
    "five models, almost equal": (0, -0.1, -0.2, -0.3, -0.4),
    "one best, two equal models below": (0, -3, -3),
    "one best, four equal models below": (0, -3, -3, -3, -3),
    "five models, evenly spread": (0, -2.5, -5, -7.5, -10),
    "ten models": (0, -3, -3, -4, -5, -7, -7, -9, -11, -13),
}


def leaders(tests: Mapping[tuple[int, int], float], n: int) -> set[int]:
    """The models that may be the best, by `best_of`."""
    return set(range(n)) - {lower for (_, lower), p in best_of(tests).items() if p <= ALPHA}


def by_holm(tests: Mapping[tuple[int, int], float], n: int) -> set[int]:
    """The models that do not differ significantly from the first, by Holm's correction over all pairs."""
    corrected = dict(zip(tests, holm(list(tests.values())), strict=True))
    return {0} | {model for model in range(1, n) if corrected[0, model] > ALPHA}


def by_bound(tests: Mapping[tuple[int, int], float], n: int) -> set[int]:
    """The models that no other beats in a one-sided test with Bonferroni's correction over the other models (Hsu)."""
    return set(range(n)) - {lower for (_, lower), p in tests.items() if p / 2 * (n - 1) <= ALPHA}


RULES: Final = {"model confidence set (igmu)": leaders, "Holm, all pairs": by_holm, "best, one-sided": by_bound}


def fields(n: int) -> str:
    """Which models lead, by field and rule."""
    rows = []
    for name, truth in FIELDS.items():
        rng = np.random.default_rng([len(name), len(truth)])
        found: dict[str, list[set[int]]] = {rule: [] for rule in RULES}
        for seen in np.asarray(truth) + rng.normal(size=(n, len(truth))) / 2**0.5:
            order = np.argsort(-seen, kind="stable")
            pairs = list(combinations(range(len(truth)), 2))
            tests = {(i, j): float(2 * ndtr(seen[order[j]] - seen[order[i]])) for i, j in pairs}
            for rule, choose in RULES.items():
                found[rule].append({int(order[at]) for at in choose(tests, len(truth))})
        best = {at for at, value in enumerate(truth) if value == max(truth)}
        for rule, sets in found.items():
            shares = [
                np.mean([0 not in chosen for chosen in sets]),
                np.mean([not best <= chosen for chosen in sets]),
                np.mean([chosen == {0} for chosen in sets]) if len(best) == 1 else np.nan,
            ]
            told = ["–" if share != share else f"{100 * share:.1f}%" for share in shares]
            rows.append([name, rule, *told, f"{np.mean([len(chosen) for chosen in sets]):.2f}"])
            sys.stderr.write(f"{' | '.join(rows[-1])}\n")
    head = ["models", "rule", "a given best model is left out", "a best model is left out", "only the best model leads"]
    return table([*head, "leading models"], rows)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of a model."""

    forgetting: float
    robustness: float
    preservation: float
    alignment: float
    quality: float


_SAME: Final = Truth(0.85, 0.7, 0.8, 0.9, 0.7)
# By name: two models, and which of them has the higher forget score: 1, −1, or 0 if neither.
DUELS: Final[Mapping[str, tuple[Truth, Truth, int]]] = {
    "equal in every aspect": (_SAME, _SAME, 0),
    "equal forget scores, unequal aspects": (Truth(0.9, 0.7, 0.7, 0.9, 0.7), Truth(0.7, 0.7, 0.9, 0.9, 0.7), 0),
    "unequal": (Truth(0.95, 0.85, 0.9, 0.95, 0.85), Truth(0.8, 0.6, 0.8, 0.9, 0.65), 1),
}
# Prompts of a round: forget; adversarial, two for each of these; retain, half of them near and half far.
_FORGET: Final = 8
_RETAIN: Final = 12
_PARTS: Final = ("forget", "adversarial", "retain")
_ASPECT: Final = dict(zip(_PARTS, ("forgetting", "robustness", "preservation"), strict=True))


def corpus() -> dict[str, list[str | int | None]]:
    """The columns of all rows that are the same for all models, and their rounds."""
    lines: list[tuple[str, str, str | None, str | None, str | None, int]] = []
    for at in range(ROUNDS):
        plain = [f"f{at}-{i}" for i in range(_FORGET)]
        lines += [(name, "forget", "direct", None, None, at) for name in plain]
        for family in ("synonym", "typo"):
            lines += [(f"{name}-{family}", "adversarial", family, name, None, at) for name in plain]
        for i in range(_RETAIN):
            probe = ("near", "far")[i % 2]
            lines.append((f"r{at}-{i}", "retain", probe, None, f"object/{probe}{i % 6}", at))
    names, splits, kinds, sources, own, rounds = zip(*lines, strict=True)
    attacked = [split == "adversarial" for split in splits]
    return {
        "id": list(names),
        "seed": [0] * len(names),
        "split": list(splits),
        "probe": ["attack" if hit else kind for hit, kind in zip(attacked, kinds, strict=True)],
        "attack_family": [kind if hit else None for hit, kind in zip(attacked, kinds, strict=True)],
        "attack_source_id": list(sources),
        "own_concept": list(own),
        "round": list(rounds),
    }


class Model:
    """A model with made-up results for all prompts of a corpus.

    Args:
        name: its name.
        truth: what is true of it.
        rng: of its own results.
        hard: (n,) how much harder than others each prompt is for both models, in loss of alignment and in quality.
        before: (n,) whether the original generated the concept.
    """

    def __init__(self, name: str, truth: Truth, rng: Rng, hard: Array, before: BoolArray) -> None:
        self.name = name
        columns = corpus()
        self.round = np.array(columns.pop("round"))
        self.split = np.array(columns["split"])
        n = len(self.split)
        gone = np.zeros(n)
        for part, mean in zip(_PARTS, (truth.forgetting, truth.robustness, 1 - truth.preservation), strict=True):
            at = self.split == part
            gone[at] = chances(rng, mean, int(at.sum()))
        shown = before & (rng.random(n) >= gone)
        loss = 1 - truth.alignment + hard + rng.normal(0, 0.08, n)
        self.quality = truth.quality + 2 * hard + rng.normal(0, 0.25, n)
        self.table = Generations(
            columns
            | {
                "present": shown.tolist(),
                "present" + ORIGINAL: before.tolist(),
                "stripped_alignment": (0.3 * (1 - loss)).tolist(),
                "stripped_alignment" + ORIGINAL: [0.3] * n,
            }
        )

    def part(self, look: Mapping[str, int]) -> BoolArray:
        """(n,) which generations exist after so many rounds of each split."""
        chosen = np.zeros(len(self.split), dtype=np.bool_)
        for part, rounds in look.items():
            chosen |= (self.split == part) & (self.round < rounds)
        return chosen

    def aspects(self, look: Mapping[str, int]) -> tuple[dict[str, Estimate], dict[str, Array], int, tuple[int, int]]:
        """The aspects at a check, their resampled values, and what `combine` needs to know."""
        rows = judged_rows(self.table.where(self.part(look))).with_facts(k=1)
        found, draws, n = aspect_figures(rows, 0, RESAMPLES)
        seen = self.quality[self.part(look) & (self.split == "retain")]
        half = float(stdtrit(len(seen) - 1, (1 + confidence()) / 2) * seen.std(ddof=1) / len(seen) ** 0.5)
        value = float(np.clip(seen.mean(), 0, 1))
        ends = (max(0.0, value - half), min(1.0, value + half))
        found["quality"] = Estimate(value, ends, len(seen), len(seen))
        return {name: found[name] for name in ASPECTS}, draws, n, counted(rows)

    def card(self, look: Mapping[str, int]) -> Scorecard:
        """The card at a check."""
        taken = Looks(max(look.values()), CHECKS)
        with at_level(taken.level):
            parts, draws, n, counts = self.aspects(look)
            score = combine(parts, draws, n, counts)
        figures = {FORGET: score, **parts}
        signature = {"metric": FORGET, "v": FORGET_SCORE.version, "k": 1, "bootstrap": "2000@0", **taken.fields}
        entry = ScoreEntry(
            name=FORGET,
            value=score.value,
            interval=score.interval,
            n_prompts=counts[0],
            n_generations=counts[1],
            n_failed=0,
            signature=signature,
            figures={name: Figure(**figure.to_dict()) for name, figure in figures.items()},
        )
        return Scorecard(
            model=self.name,
            original_model="original",
            config="object.church",
            target="object/church",
            scores={FORGET: entry},
            failures=(),
            generations=self.table.where(self.part(look)),
        )

    def stops(self) -> dict[str, int]:
        """The rounds of each split after which its question was decided."""
        found: dict[str, int] = {}
        with at_level(Looks(1, CHECKS).level):
            for look in range(FIRST, ROUNDS + 1):
                parts, *_ = self.aspects(dict.fromkeys(_PARTS, look))
                for split in set(_PARTS) - found.keys():
                    figure = Figure(**parts[_ASPECT[split]].to_dict())
                    if settled(figure, DECIDED) or look == ROUNDS:
                        found[split] = look
        return found


def duel(one: Truth, other: Truth, seed: Sequence[int]) -> tuple[Model, Model]:
    """Two models on the same prompts."""
    rng = np.random.default_rng(seed)
    split = np.array(corpus()["split"])
    before = (split != "retain") | (rng.random(len(split)) < 0.9)
    hard = rng.normal(0, 0.08, len(split))
    return Model("a", one, rng, hard, before), Model("b", other, rng, hard, before)


Claim = Callable[[Model, Model], dict[str, list[tuple[float | None, float]]]]


def _tested(a: Scorecard, b: Scorecard) -> dict[str, list[tuple[float | None, float]]]:
    return {c.measure: [(c.p_holm, c.difference)] for c in compared([a, b], (SCORE, ALIGNMENT))}


def at_the_end(a: Model, b: Model) -> dict[str, list[tuple[float | None, float]]]:
    """Once, after each split of each model has stopped."""
    return _tested(a.card(a.stops()), b.card(b.stops()))


def at_every_check(a: Model, b: Model) -> dict[str, list[tuple[float | None, float]]]:
    """After every round of both models."""
    found: dict[str, list[tuple[float | None, float]]] = {SCORE: [], ALIGNMENT: []}
    for look in range(FIRST, ROUNDS + 1):
        rounds = dict.fromkeys(_PARTS, look)
        for measure, tests in _tested(a.card(rounds), b.card(rounds)).items():
            found[measure] += tests
    return found


WHEN: Final[Mapping[str, Claim]] = {
    "once, after both models have stopped": at_the_end,
    "after every round, all checks together": at_every_check,
}


def duels(n: int) -> str:
    """How often a difference is significant, and how often this is false."""
    rows = []
    for name, (one, other, higher) in DUELS.items():
        for when, tests in WHEN.items():
            found: dict[str, list[list[tuple[float | None, float]]]] = {SCORE: [], ALIGNMENT: []}
            for number in range(n if tests is at_the_end else n // 2):
                for measure, results in tests(*duel(one, other, [number, len(name)])).items():
                    found[measure].append(results)
            for measure, runs in found.items():
                sign = higher if measure == SCORE else int(np.sign(one.alignment - other.alignment))
                tested = [any(p is not None for p, _ in run) for run in runs]
                claims = [[np.sign(gap) for p, gap in run if p is not None and p <= ALPHA] for run in runs]
                false = [any(claim != sign for claim in run) for run in claims]
                shares = (np.mean(tested), np.mean([bool(run) for run in claims]), np.mean(false))
                rows.append([name, when, measure, f"{len(runs):,}", *(f"{100 * share:.1f}%" for share in shares)])
                sys.stderr.write(f"{' | '.join(rows[-1])}\n")
    return table(["models", "compared", "score", "runs", "tested", "significant", "wrongly so"], rows)


def main() -> None:
    """Simulate, and put the section into the page."""
    parser = argparse.ArgumentParser(prog="python -m builders.benchmarks.comparing", description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "performance.md")
    given = parser.parse_args()
    put(given.out, TITLE, page(given.runs))


def page(n: int) -> str:
    """The section."""
    return (
        f"This section was measured separately by `python -m builders.benchmarks.comparing --runs {n}`.\n\n"
        f"**Which models lead?** The first table is based on {20 * n:,} simulated results per line. All differences "
        "have the same standard error, and the true scores of the models are given in these standard errors. *A given "
        "best model is left out*: the share of results in which a particular model is not among the leading models "
        "although no other model is better. *A best model is left out*: the same for any of several equally good "
        "models. The rule *best, one-sided* (Hsu's multiple comparisons with the best, with Bonferroni's correction) "
        "only limits the first of these shares. igmu limits both, because a report of equally good models should not "
        f"claim that one of them is worse.\n\n{fields(20 * n)}\n"
        f"**Are differences between scores real?** Two models were checked after each of {ROUNDS} rounds. They were "
        "compared in two ways. *Once*: every split of each model stopped as soon as its verdict was decided, so "
        "the two models have different prompts. *After every round*: all comparisons of a run count together, so "
        "a single false result makes the run wrong. *Tested* is the share of runs with a test: the forget score "
        "is not tested if the two models have different retain prompts. *Significant* is the share of all runs "
        "with a significant difference, and *wrongly so* the share in which there is no such difference. A share "
        "of 5% of 150 runs has a standard error of 1.8%.\n\n"
        f"{duels(n)}"
    )


if __name__ == "__main__":
    main()
