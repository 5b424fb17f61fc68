"""One yardstick for every figure, ours and theirs: what it says of virtual models, beside what is true of them.

- *bias* and *RMSE*: value − truth over all models, for figures on the truth's scale; the *worst* bias is that of the
  kind of models in which it is largest.
- *coverage*: in how many of the models the 95% interval holds the truth; *inside*: of those of which it is neither 0
  nor 1, where a detector's single false alarm does not yet make the interval miss it.
- *rank*: Spearman's correlation of value and truth over the models, its interval over resampled models.
- *smallest*: the smallest difference in truth from which on 80 of 100 pairs of models of one task come in the right
  order; a tie, or a missing value, is no order.
- *images*: how many it takes.

Every model is judged once, on prompts of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from igmu_metrics import registry
from igmu_metrics.contract import Estimate, FloatArray, Interval, Metric, scored
from igmu_metrics.generations import ORIGINAL, Generations
from igmu_metrics.metrics._contract import parts
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.sandbox.audit.contenders import CONTENDERS, DETECTED, MEANS, Contender, Figures, by_detector
from igmu_metrics.sandbox.audit.mixtures import PROMPTS, Pool, Recipe, recipes, serve, truth
from igmu_metrics.sandbox.audit.truth import HEADLINE
from igmu_metrics.statistics import wilson
from igmu_metrics.statistics.formatting import number

GRADES: Final = 20
"""Models of each kind and task: with two tasks and the pure parts, 566 in all."""
TOLD: Final = 0.8
STEP: Final = 0.01
WINDOW: Final = 0.05  # of differences that count as one
RESAMPLES: Final = 500  # of the metrics' own bootstraps
RESAMPLED: Final = 300  # of the models, for the interval for a rank correlation
BIASED: Final = 0.05
WORST: Final = 0.1
FEWEST: Final = 3  # models of a kind, to speak of its bias
COVERS: Final = 0.95
RANKED: Final = 0.9
"""What a figure may fall short of before the audit names it; decided before anything was measured,
but for WORST, which was added after a first look."""
_EDGE: Final = 1e-9
METRICS: Final = ("concept_accuracy", "attack_success_rate", "clip_alignment", "forget_score", "frechet")


@dataclass(frozen=True, slots=True)
class Judged:
    """One virtual model: what is true of it, and what the metrics said.

    Args:
        recipe: what it is.
        truth: by aspect.
        figures: by detector, "" for the packaged one, and by `metric/part:figure`.
    """

    recipe: Recipe
    truth: Mapping[str, float]
    figures: Mapping[str, Figures]


@dataclass(frozen=True, slots=True)
class Measured:
    """What the yardstick says of one contender.

    Args:
        contender: which.
        n: models of which it said something.
        missing: models of which it said nothing.
        bias: mean of value − truth, NaN where it has another scale; so are RMSE and coverage.
        worst: the bias in the kind of models where it is largest, and that kind.
        rmse: root of the mean squared difference.
        coverage: share of the intervals that hold the truth, with its own interval; None where it gives none.
        inside: that share where the truth is neither 0 nor 1, NaN where there is none.
        rank: Spearman's correlation with its truth, with its interval.
        whole: with the truth of the whole.
        smallest: difference in truth that it tells apart, None if it tells none.
        images: that it takes at this number of prompts.
    """

    contender: Contender
    n: int
    missing: int
    bias: float
    worst: tuple[float, str]
    rmse: float
    coverage: tuple[float, Interval] | None
    inside: float
    rank: Estimate
    whole: Estimate
    smallest: float | None
    images: int

    @property
    def short(self) -> list[str]:
        """In what it falls short, in words; nothing where it tells the truth as closely as was asked."""
        found = []
        if abs(self.bias) > BIASED:
            found.append(f"its bias is {self.bias:+.2f}")
        if abs(self.worst[0]) > WORST:
            found.append(f"its bias is {self.worst[0]:+.2f} for models of the kind '{self.worst[1]}'")
        if self.coverage is not None and self.coverage[1][1] < COVERS:
            inside = f" ({self.inside:.0%} if it is neither 0 nor 1)" if self.inside == self.inside else ""
            found.append(f"its intervals include the true value for {self.coverage[0]:.0%} of the models{inside}")
        if not self.rank.value >= RANKED:
            found.append(f"its rank correlation with the true values is {number(self.rank.value)}")
        return found


def judge(
    pools: Sequence[Pool],
    *,
    grades: int = GRADES,
    prompts: int = PROMPTS,
    resamples: int = RESAMPLES,
    told: Sequence[str] = METRICS,
    given: Mapping[str, Metric] | None = None,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> list[Judged]:
    """Make the virtual models and hand each to the shipped metrics.

    Args:
        pools: of every task.
        grades: models of each kind and task.
        prompts: of each split, for each model.
        resamples: of the metrics' bootstraps.
        told: metrics of igmu that are asked.
        given: metrics asked for with `--metric`, by what they are called.
        tick: called after each model with 1, and how many there are.
    """
    jobs = [(pool, recipe) for pool in pools for recipe in recipes(pool, grades)]
    metrics = {name: registry.metric(name) for name in told} | dict(given or {})
    wanted = {one.figure.rpartition(":")[0] for one in contenders(pools, given)}
    out = []
    for stream, (pool, recipe) in enumerate(jobs):
        table = serve(pool, recipe, prompts=prompts, seed=stream)
        by_detector = {"": figures(table, metrics, wanted, resamples)}
        decided = {name: metric for name, metric in metrics.items() if name == DETECTED[0].figure.partition(":")[0]}
        for name in pool.detectors:
            other = serve(pool, recipe, prompts=prompts, seed=stream, detector=name)
            narrow = other.without(
                *(f"{n}{s}" for n in ("clip_features", "stripped_alignment") for s in ("", ORIGINAL))
            )
            by_detector[name] = figures(narrow, decided, wanted, resamples)
        out.append(Judged(recipe, truth(pool, recipe), by_detector))
        tick(1, len(jobs))
    return out


def figures(
    table: Generations, metrics: Mapping[str, Metric], wanted: Collection[str], resamples: int
) -> dict[str, Estimate]:
    """Every figure of every metric on the parts that are wanted, as an evaluation hands the table to them."""
    out: dict[str, Estimate] = {}
    for name, metric in metrics.items():
        for part, seen in parts(metric, table):
            place = f"{name}/{part}" if part else name
            if place in wanted and (result := scored(metric, seen, {}, resamples=resamples)) is not None:
                out |= {f"{place}:{figure}": estimate for figure, estimate in result.figures.items()}
    return out


def measure(judged: Sequence[Judged], contenders: Sequence[Contender], *, prompts: int, seeds: int) -> list[Measured]:
    """The yardstick on every contender.

    Args:
        judged: all virtual models.
        contenders: what to test.
        prompts: of each split, for each model.
        seeds: images of a prompt.
    """
    tasks = np.array([one.recipe.task for one in judged])
    return [_measure(judged, tasks, contender, prompts * seeds) for contender in contenders]


def contenders(pools: Sequence[Pool], given: Mapping[str, Metric] | None = None) -> list[Contender]:
    """All that is tested: CONTENDERS, those of other detectors, and what was asked for, against every aspect."""
    out = [*CONTENDERS, *by_detector(pools[0].detectors)]
    for name, metric in (given or {}).items():
        higher = metric.INFO.direction == "higher"
        scale = ("same" if higher else "rest") if metric.INFO.range == (0.0, 1.0) else ""
        aspect = getattr(metric, "ASPECT", "")
        for part, looks in metric.INFO.parts.items():
            place = f"{name}/{part}" if part else name
            for one in (aspect,) if aspect else (*ASPECTS, HEADLINE):
                title = f"{place}, for {one.replace('_', ' ')}"
                figure = f"{place}:{metric.INFO.headline}"
                out.append(Contender(title, figure, one, looks, higher, scale, "given"))
    return out


def _measure(judged: Sequence[Judged], tasks: np.typing.NDArray[np.str_], one: Contender, images: int) -> Measured:
    found = [one.read(model.figures.get(one.detector, {})) for model in judged]
    true, whole = (np.array([m.truth.get(key, np.nan) for m in judged]) for key in (one.aspect, HEADLINE))
    values = np.array([np.nan if e is None else e.value for e in found])
    ok = ~np.isnan(values) & ~np.isnan(true)
    error = (values - true)[ok] if one.scale else np.full(1, np.nan)
    kinds = np.array([m.recipe.kind for m in judged])[ok]
    names, counts = np.unique(kinds, return_counts=True)
    several: list[str] = names[counts >= FEWEST].tolist() if one.scale else []
    by_kind = [(float(error[kinds == kind].mean()), kind) for kind in several]
    ends = np.array([e.interval for e in found if e is not None and e.interval is not None])
    told = np.array([e is not None and e.interval is not None for e in found]) & ok
    coverage, inside = None, float("nan")
    if one.scale and told.any() and len(ends) == told.sum():
        holds = (ends[:, 0] - _EDGE <= true[told]) & (true[told] <= ends[:, 1] + _EDGE)
        coverage = float(holds.mean()), wilson(int(holds.sum()), len(holds))
        within = (true[told] > _EDGE) & (true[told] < 1 - _EDGE)
        inside = float(holds[within].mean()) if within.any() else inside
    ranked = values if one.up else -values
    return Measured(
        one,
        int(ok.sum()),
        int((~ok).sum()),
        float(error.mean()) if len(error) else float("nan"),
        max(by_kind, key=lambda found: abs(found[0]), default=(float("nan"), "")),
        float(np.sqrt(np.square(error).mean())) if len(error) else float("nan"),
        coverage,
        inside,
        _rank(ranked, true),
        _rank(ranked, whole),
        smallest(ranked, true, tasks),
        images * len(one.looks) * (2 if one.both else 1),
    )


def _rank(values: FloatArray, true: FloatArray) -> Estimate:
    """Spearman's correlation, its interval over resampled models."""
    ok = ~np.isnan(values) & ~np.isnan(true)
    x, y, n = values[ok], true[ok], int(ok.sum())
    if n < 3:
        return Estimate(float("nan"), reason="fewer than three models")
    rng = np.random.default_rng(0)
    draws = [_spearman(x[at], y[at]) for at in rng.integers(0, n, (RESAMPLED, n))]
    low, high = np.nanquantile(draws, [0.025, 0.975]) if not np.isnan(draws).all() else (np.nan, np.nan)
    return Estimate(_spearman(x, y), (float(low), float(high)), n)


def _spearman(x: FloatArray, y: FloatArray) -> float:
    """Of two lists of numbers; 0 where one of them is constant, as it says nothing then.

    >>> round(_spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])), 6)
    0.5
    """
    a, b = _ranks(x), _ranks(y)
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: FloatArray) -> FloatArray:
    """Middle ranks; what differs by rounding is level."""
    code, counts = np.unique(np.round(values, 9), return_inverse=True, return_counts=True)[1:]
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[code])


def smallest(values: FloatArray, true: FloatArray, tasks: np.typing.NDArray[np.str_]) -> float | None:
    """The smallest difference in truth from which on TOLD of all pairs of one task come in the right order.

    Args:
        values: (models,) higher is better, NaN where there is none.
        true: (models,) what is true.
        tasks: (models,) whose models; those of two tasks make no pair.
    """
    i, j = np.triu_indices(len(values), 1)
    pair = (tasks[i] == tasks[j]) & ~np.isnan(true[i] - true[j])
    i, j = i[pair], j[pair]
    gap = true[i] - true[j]
    difference = values[i] - values[j]
    right = np.where(np.abs(difference) <= _EDGE, False, np.sign(difference) == np.sign(gap))
    found = None
    for low in np.arange(1.0, 0.0, -STEP):
        here = (np.abs(gap) >= low - _EDGE) & (np.abs(gap) < low + WINDOW)
        if here.sum() < 20:  # too few to tell
            continue
        if right[here].mean() < TOLD:
            break
        found = round(float(low), 2)
    return found


def means(judged: Sequence[Judged]) -> dict[str, tuple[float, float]]:
    """Of every way to make one number of the aspects, the share of the pairs that it orders rightly.

    Returns:
        By name, of the pairs of one task in which one model is better by 0.1 in an aspect and worse in none; and of
        those in which one has every aspect above 0.5, and the other one below 0.1: useless, whatever else it can do.
    """
    true = np.array([[one.truth[a] for a in ASPECTS] for one in judged])
    found = [[one.figures[""].get(f"forget_score:{a}", Estimate(np.nan)).value for a in ASPECTS] for one in judged]
    tasks = np.array([one.recipe.task for one in judged])
    i, j = np.nonzero(tasks[:, None] == tasks[None, :])
    gap = true[i] - true[j]
    better = (gap >= -_EDGE).all(axis=1) & (gap.max(axis=1) >= 0.1)
    useless = (true[i].min(axis=1) > 0.5) & (true[j].min(axis=1) < 0.1)
    out = {}
    for name, mean in MEANS.items():
        values = np.array([mean(line) for line in found])
        right = values[i] > values[j] + _EDGE
        shares = [float(right[of].mean()) if of.any() else float("nan") for of in (better, useless)]
        out[name] = shares[0], shares[1]
    return out
