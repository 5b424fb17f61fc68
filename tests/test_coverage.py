"""Do the intervals hold the truth as often as they say? Every interval that the package prints, by simulation.

95% are promised and 93..97% are asked for. A proportion of few prompts takes few values, so for a single truth its
coverage jumps about 95% with every method there is; it is therefore asked for on the average over truths, and 91..99%
for each. Where the truth lies at the edge of what is possible an interval errs on one side only: there it may hold it
more often, not less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy import stats

from igmu_metrics.distances import gaussian
from igmu_metrics.distances.quality import SeedPairs, fidelity_diversity
from igmu_metrics.metrics import forget_score
from igmu_metrics.metrics._aspects import combine
from igmu_metrics.statistics import (
    cluster_sums,
    mcnemar_exact,
    mean_estimate,
    paired_difference,
    paired_permutation,
    paired_ratio,
    product_of_ratios,
    prompts_needed,
    rogan_gladen,
    studentized,
    unbounded_mean,
    unpaired_difference,
    wilson,
)

pytestmark = pytest.mark.slow
Rng = np.random.Generator
REPEATS = 2000
EXTREMES = [(0.5, 0.3), (0.5, 0.05), (0.67, 0.25), (0.85, 0.4), (0.95, 0.4), (0.95, 0.1), (0.05, 0.6), (0.2, 0.8)]


def chances(rng: Rng, mean: float, correlation: float, size: int | tuple[int, ...]) -> np.ndarray:
    """Chances of a hit whose draws have this mean and correlation."""
    scale = 1 / correlation - 1
    return rng.beta(mean * scale, (1 - mean) * scale, size)


def share(cases: Iterator[tuple[tuple[float, float] | None, float]]) -> float:
    held = [interval is not None and interval[0] - 1e-12 <= truth <= interval[1] + 1e-12 for interval, truth in cases]
    return float(np.mean(held))


@pytest.mark.parametrize("n", [5, 20, 50, 142])
def test_wilson_over_all_truths(n: int) -> None:
    truths = (np.arange(2000) + 0.5) / 2000
    ends = [wilson(s, n) for s in range(n + 1)]
    held = sum(
        stats.binom.pmf(s, n, truths) * ((low <= truths) & (truths <= high)) for s, (low, high) in enumerate(ends)
    )
    assert 0.93 <= held.mean() <= 0.97


def prompts_of_seeds(
    rng: Rng, mean: float, correlation: float, prompts: int, seeds: int
) -> tuple[np.ndarray, np.ndarray]:
    hits = rng.random((prompts, seeds)) < chances(rng, mean, correlation, prompts)[:, None]
    return hits.ravel(), np.repeat(np.arange(prompts), seeds)


@pytest.mark.parametrize("seeds", [2, 5])
@pytest.mark.parametrize("prompts", [5, 8, 16, 50, 142])
def test_share_over_prompts(prompts: int, seeds: int) -> None:
    rng = np.random.default_rng([prompts, seeds])

    def cases() -> Iterator[tuple[tuple[float, float] | None, float]]:
        for _ in range(REPEATS):
            truth, correlation = rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.7)
            yield mean_estimate(*prompts_of_seeds(rng, truth, correlation, prompts, seeds)).interval, truth

    assert 0.93 <= share(cases()) <= 0.97


@pytest.mark.parametrize(("truth", "correlation"), EXTREMES)
def test_share_over_prompts_for_each_truth(truth: float, correlation: float) -> None:
    rng = np.random.default_rng(int(100 * truth))
    for prompts in (16, 50, 142):
        estimates = (mean_estimate(*prompts_of_seeds(rng, truth, correlation, prompts, 5)) for _ in range(1000))
        assert 0.91 <= share((e.interval, truth) for e in estimates) <= 0.99, prompts


@pytest.mark.parametrize("spread", [0.02, 0.1, 0.5, 0.8])  # from alike to each all or nothing
@pytest.mark.parametrize("concepts", [10, 12, 20])
def test_macro_mean_over_concepts(concepts: int, spread: float) -> None:
    rng = np.random.default_rng([concepts, int(100 * spread)])
    group = np.repeat(np.arange(concepts), 40)
    prompt = np.repeat(np.arange(concepts * 8), 5)

    def cases() -> Iterator[tuple[tuple[float, float] | None, float]]:
        for _ in range(REPEATS):
            truth = rng.uniform(0.3, 0.9)
            own = np.clip(chances(rng, truth, spread, concepts), 1e-3, 1 - 1e-3)
            each = rng.beta(own[:, None] * 2.3 * np.ones(8), (1 - own[:, None]) * 2.3)
            hits = rng.random((concepts, 8, 5)) < each[..., None]
            yield mean_estimate(hits.ravel(), prompt, groups=group, unit="groups").interval, truth

    assert 0.93 <= share(cases()) <= 0.97


@pytest.mark.parametrize("concepts", [2, 4, 9])
def test_macro_mean_over_few_concepts_holds_for_these(concepts: int) -> None:
    rng = np.random.default_rng(concepts)
    group, prompt = np.repeat(np.arange(concepts), 60), np.repeat(np.arange(concepts * 12), 5)

    def cases() -> Iterator[tuple[tuple[float, float] | None, float]]:
        for _ in range(REPEATS):
            own = rng.uniform(0.3, 0.95, concepts)
            each = rng.beta(own[:, None] * 2.3 * np.ones(12), (1 - own[:, None]) * 2.3)
            hits = rng.random((concepts, 12, 5)) < each[..., None]
            yield mean_estimate(hits.ravel(), prompt, groups=group, unit="groups").interval, float(own.mean())

    assert 0.93 <= share(cases()) <= 0.97


def test_mean_over_attack_families_that_share_prompts() -> None:
    rng = np.random.default_rng(4)
    source, family = np.tile(np.arange(30), 4), np.repeat(np.arange(4), 30)

    def cases() -> Iterator[tuple[tuple[float, float] | None, float]]:
        for _ in range(REPEATS):
            own = rng.uniform(0.1, 0.7, 4)
            shared = rng.normal(size=30)
            level = stats.norm.ppf(own)[:, None] * np.sqrt(2)  # a threshold model: half of the variance is the prompt's
            hits = shared + rng.normal(size=(4, 30)) < level
            yield mean_estimate(hits.ravel(), source, groups=family, unit="clusters").interval, float(own.mean())

    assert 0.93 <= share(cases()) <= 0.97


# Per prompt, what LPIPS, cosines and CSDR look like: symmetric, skewed, and mostly nothing with some large losses.
SHAPES: dict[str, tuple[Callable[[Rng, int], np.ndarray], float]] = {
    "normal": (lambda rng, n: rng.normal(0.3, 0.1, n), 0.3),
    "lognormal": (lambda rng, n: rng.lognormal(0.0, 0.5, n), float(np.exp(0.125))),
    "losses": (
        lambda rng, n: np.where(rng.random(n) < 0.3, rng.beta(2, 2, n), rng.normal(0.02, 0.05, n)),
        0.3 * 0.5 + 0.7 * 0.02,
    ),
}


@pytest.mark.parametrize("prompts", [10, 16, 50, 142])
@pytest.mark.parametrize("shape", SHAPES)
def test_mean_of_values_without_bounds(shape: str, prompts: int) -> None:
    rng = np.random.default_rng(prompts)
    draw, truth = SHAPES[shape]
    clusters = np.repeat(np.arange(prompts), 2).astype(np.str_)
    values = (np.repeat(draw(rng, prompts), 2) + rng.normal(0, 0.02, 2 * prompts) for _ in range(1000))
    found = (unbounded_mean(v, clusters, seed=i, resamples=1000).interval for i, v in enumerate(values))
    assert 0.93 <= share((interval, truth) for interval in found) <= 0.975


@pytest.mark.parametrize("prompts", [10, 12])
def test_studentized_of_few_prompts(prompts: int) -> None:
    """Ten is the least number that has an interval."""
    rng = np.random.default_rng(prompts)
    sums = (np.stack([rng.normal(0.3, 0.1, prompts), np.ones(prompts)], axis=1) for _ in range(1000))
    assert 0.93 <= share((studentized(s, seed=i, resamples=1000), 0.3) for i, s in enumerate(sums)) <= 0.97


SIZES = [[13, 11], [24], [5, 5, 4, 4, 3, 3, 2, 2, 2], [8, 7, 3, 3, 2, 2, 2, 2, 1], [3] * 4, [10] * 5]


@pytest.mark.parametrize("seeds", [2, 5])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("before", [0.8, 1.0])
def test_preservation_over_concepts_of_few_prompts(before: float, sizes: list[int], seeds: int) -> None:
    """A threshold model: what is hard to draw for the original is hard to draw for the other."""
    rng = np.random.default_rng([len(sizes), seeds])
    concept = np.repeat(np.repeat(np.arange(len(sizes)), sizes), seeds)
    prompt = np.repeat(np.arange(sum(sizes)), seeds)

    def drawn(rate: float, shared: np.ndarray) -> np.ndarray:
        own = rng.normal(size=(2, sum(sizes), seeds)) * np.array([0.2, 0.8])[:, None, None]
        level = stats.norm.ppf(rate) * np.sqrt(0.55**2 + 0.2**2 + 0.8**2)
        return np.asarray((0.55 * shared[:, None] + own[0, :, :1] + own[1] < level).ravel())

    def cases() -> Iterator[tuple[tuple[float, float] | None, float]]:
        for _ in range(REPEATS):
            kept, shared = rng.uniform(0.3, 0.95), rng.normal(size=sum(sizes))
            after, original = drawn(kept * before, shared), drawn(before, shared)
            yield paired_ratio(after, original, prompt, concept).interval, kept

    assert 0.925 <= share(cases()) <= 0.97  # 2000 repeats: ± 0.5%


@pytest.mark.parametrize(
    ("truth", "sens", "spec", "n", "n_sens", "n_spec", "most"),
    [
        (0.3, 0.9, 0.85, 250, 100, 100, 0.97),
        (0.5, 0.98, 0.98, 50, 122, 834, 0.97),
        (0.1, 0.95, 0.95, 142, 100, 100, 0.97),
        (0.9, 0.9, 0.9, 100, 50, 50, 0.97),
        (0.7, 0.7, 0.8, 142, 30, 40, 0.97),
        (0.05, 0.98, 0.995, 100, 122, 834, 0.97),
        (0.02, 0.9, 0.97, 1000, 50, 30, 1.0),  # at the edge
        (0.0, 0.9, 0.9, 200, 100, 100, 0.98),
        (0.5, 0.55, 0.55, 100, 30, 300, 1.0),  # next to useless: the interval is nearly everything
    ],
)
def test_rogan_gladen(truth: float, sens: float, spec: float, n: int, n_sens: int, n_spec: int, most: float) -> None:
    rng = np.random.default_rng(3)
    seen = rng.binomial(n, truth * sens + (1 - truth) * (1 - spec), 3000) / n
    found, passed = rng.binomial(n_sens, sens, 3000) / n_sens, rng.binomial(n_spec, spec, 3000) / n_spec
    cases = [(q, se, sp) for q, se, sp in zip(seen, found, passed, strict=True) if se + sp > 1]
    ends = [rogan_gladen(q, n, se, sp, n_sens=n_sens, n_spec=n_spec)[1] for q, se, sp in cases]
    assert 0.93 <= share((e, truth) for e in ends) <= most
    assert min(high - low for low, high in ends) > 0.01


def test_a_corrected_accuracy_of_prompts_with_seeds() -> None:
    from igmu_metrics.metrics import concept_accuracy

    rng = np.random.default_rng(6)
    names = np.array(["object/church", "object/none"])

    def cases() -> Iterator[tuple[tuple[float, float] | None, float]]:
        for _ in range(1000):
            truth = rng.uniform(0.2, 0.8)
            hits, prompt = prompts_of_seeds(rng, truth, 0.3, 40, 5)
            seen = rng.random(200) < np.where(hits, 0.9, 0.1)
            rates = rng.binomial(200, 0.9, 2) / 200
            rows = concept_accuracy.rows(
                predictions=names[(~seen).astype(int)].tolist(),
                references=["object/church"] * 200,
                target="object/church",
                ids=prompt.astype(str).tolist(),
                sensitivity=rates[0],
                specificity=rates[1],
                n_positives=200,
                n_negatives=200,
            )
            yield concept_accuracy.score(rows).figures["corrected_unlearning_accuracy"].interval, 1 - truth

    assert 0.93 <= share(cases()) <= 0.97


@pytest.mark.parametrize(("prompts", "seeds"), [(142, 1), (30, 1), (40, 5), (16, 5)])
def test_difference_of_two_models_on_the_same_prompts(prompts: int, seeds: int) -> None:
    rng = np.random.default_rng([prompts, seeds])
    prompt = np.repeat(np.arange(prompts), seeds)

    def cases() -> Iterator[tuple[tuple[float, float], float]]:
        for _ in range(REPEATS):
            rates = rng.uniform(0.1, 0.9, 2)
            shared = np.repeat(rng.normal(size=prompts), seeds) + rng.normal(size=prompts * seeds)
            level = stats.norm.ppf(rates) * np.sqrt(3)
            one, other = (shared + rng.normal(size=prompts * seeds) < limit for limit in level)
            yield paired_difference(one, other, prompt)[1], float(rates[0] - rates[1])

    assert 0.93 <= share(cases()) <= 0.97


def test_difference_of_two_published_numbers() -> None:
    rng = np.random.default_rng(7)
    rates = rng.uniform(0.02, 0.98, (REPEATS, 2))
    counts = rng.binomial(142, rates)
    found = ((unpaired_difference(a, 142, b, 142)[1], p - q) for (a, b), (p, q) in zip(counts, rates, strict=True))
    assert 0.93 <= share(found) <= 0.97


# Prompts, how many dimensions, how much narrower one is than the one before (power), how far the models are apart:
# from far apart to equal, on the same prompts, and on others.
SAME = [
    (20, 6, 0.0, 0.8), (20, 64, 0.0, 0.5), (50, 64, 0.0, 0.5), (50, 64, 0.5, 0.5), (20, 64, 1.0, 0.5),
    (50, 64, 1.0, 0.5), (20, 6, 0.0, 0.2), (50, 64, 0.0, 0.1), (50, 64, 0.5, 0.15), (142, 64, 0.7, 0.3),
    (20, 64, 1.0, 0.3), (50, 64, 1.5, 0.3), (20, 64, 0.5, 0.0), (50, 64, 0.5, 0.0), (50, 64, 1.0, 0.0),
    (142, 64, 1.0, 0.0),
]  # fmt: skip
OTHERS = [(50, 64, 0.5, 0.5), (20, 64, 1.0, 0.3), (50, 64, 1.0, 0.3), (50, 64, 1.0, 1.0), (20, 64, 1.5, 0.5)]
CASES = [(shape, True) for shape in SAME] + [(shape, False) for shape in OTHERS]


def two_models(
    rng: Rng, prompts: int, width: int, decay: float, shift: float, *, same: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Features of two models, on the same prompts or on others, two seeds each."""
    scale = (1.0 + np.arange(width)) ** -decay
    first, second = (np.repeat(rng.normal(size=(prompts, width)), 2, axis=0) for _ in range(2))
    one, other = (each + rng.normal(size=first.shape) for each in (first, first if same else second))
    return one * scale, (other + shift) * scale


def two_of_prompts(rng: Rng, n: int, seeds: int, spread: float, case: tuple[float, float, float, float]) -> SeedPairs:
    """Images that vary about the look of their prompt, in some prompts more than in others, by the original and by a
    model that moves looks, lets its seeds vary less, draws noise now and then, and for some prompts one image only.
    """
    moved, varies, noise, alike = case
    looks, widths = rng.normal(size=(n, 1, 6)) * 3, rng.lognormal(0, spread, (n, 1, 1))
    before = looks + widths * rng.normal(size=(n, seeds, 6))
    after = looks + moved * rng.normal(size=(n, 1, 6)) + varies * widths * rng.normal(size=(n, seeds, 6))
    after = np.where(rng.random((n, 1, 1)) < alike, after[:, :1], after)
    wrong = chances(rng, noise, 0.4, n)[:, None] if noise else np.zeros((n, 1))
    after = np.where((rng.random((n, seeds)) < wrong)[..., None], 12 + rng.normal(size=after.shape), after)
    ids, numbers = np.repeat(np.arange(n), seeds), np.tile(np.arange(seeds), n)
    return SeedPairs.of(before.reshape(-1, 6), after.reshape(-1, 6), ids, numbers)


DAMAGED = [
    (0.3, 0.8, 0, 0),
    (0, 1, 0.1, 0),
    (0, 0.9, 0.4, 0.2),
    (0.3, 0.6, 0, 0.5),
    (0.8, 0.5, 0.2, 0.1),
    (1.2, 1, 0, 0),
]


@pytest.mark.parametrize("spread", [0.5, 1.0])
@pytest.mark.parametrize(("prompts", "seeds"), [(20, 2), (54, 2), (142, 2), (54, 5)])
def test_quality_within_the_prompt(prompts: int, seeds: int, spread: float) -> None:
    """The radius is estimated, too: were it held fixed, 73% would be held where looks move (the last case)."""
    rng = np.random.default_rng([prompts, seeds])
    held = []
    for case in DAMAGED:
        fidelity, diversity = fidelity_diversity(two_of_prompts(rng, 20_000, seeds, spread, case).by_prompt())

        def intervals(case: tuple[float, float, float, float] = case) -> Iterator[tuple[float, float] | None]:
            for i in range(300):
                pairs = two_of_prompts(rng, prompts, seeds, spread, case)
                near, near_own, apart, apart_own = pairs.by_prompt().T
                ratios, slopes = [(near, near_own), (apart, apart_own)], [pairs.slope(), np.nan]
                yield product_of_ratios(ratios, slopes=slopes, seed=i, resamples=500).interval

        held.append(share((interval, fidelity * diversity) for interval in intervals()))
    assert 0.93 <= np.mean(held) <= 0.98, held  # a mean of 1800 repeats: ± 0.5%
    assert min(held) >= 0.9, held


@pytest.mark.timeout(1200)  # 12,600 distances with intervals: minutes, more where the machine does other things, too
def test_frechet_distance() -> None:
    """Of what the value estimates on so many prompts, bias included: its mean over all repeats.

    From models far apart to equal ones, features of many directions and of hardly more than one, the same prompts and
    others: on the average over all, and a little less strictly in each (600 repeats: ± 1%).
    """
    held = {}
    for shape, same in CASES:
        rng = np.random.default_rng(8)
        ids = np.repeat(np.arange(shape[0]), 2)
        pairs = (two_models(rng, *shape, same=same) for _ in range(600))
        found = [gaussian.frechet_estimate(*pair, x_ids=ids, y_ids=ids if same else ids + shape[0]) for pair in pairs]
        truth = float(np.mean([value for value, _ in found]))
        held[shape, same] = share((ends, truth) for _, ends in found)
    assert 0.93 <= np.mean(list(held.values())) <= 0.97, held
    assert all(0.915 <= each <= 0.985 for each in held.values()), held


# Prompts, seeds, dimensions, how much narrower one is than the one before (power), share of the variance that is the
# prompt's; on the same prompts and seeds, and on others.
KERNEL_SAME = [
    (20, 1, 64, 0.0, 0.5), (20, 2, 64, 1.5, 0.5), (20, 5, 64, 0.5, 0.9), (50, 2, 64, 0.5, 0.5), (50, 5, 256, 0.5, 0.9),
    (50, 1, 64, 1.0, 0.2), (142, 1, 64, 1.0, 0.2), (142, 2, 256, 0.5, 0.5), (300, 1, 64, 0.5, 0.5),
    (300, 2, 64, 1.0, 0.2),
]  # fmt: skip
KERNEL_OTHERS = [(20, 2, 64, 1.0, 0.8), (50, 2, 64, 0.5, 0.5), (142, 1, 64, 1.0, 0.2)]
KERNEL_CASES = [(case, True) for case in KERNEL_SAME] + [(case, False) for case in KERNEL_OTHERS]
TRUTHS = (0, 1, 4, 16)
"""Zero, small, moderate and large, in standard deviations of the estimate between equal models."""


def two_drawn(
    rng: Rng, prompts: int, seeds: int, width: int, decay: float, own: float, shift: float, same: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Features of two models. On the same prompts and seeds these have most of what they are in common."""
    scale = (1.0 + np.arange(width)) ** -decay
    found = [np.zeros(()), np.zeros(())]
    for part, size, common in ((own, prompts, 0.9), (1 - own, prompts * seeds, 0.5)):
        first, second = rng.normal(size=(2, size, width))
        second = common * first + np.sqrt(1 - common**2) * second if same else second
        for at, values in enumerate((first, second)):
            found[at] = found[at] + np.sqrt(part) * np.repeat(values, prompts * seeds // size, axis=0)
    return found[0] * scale + 1, (found[1] + shift) * scale + 1


def true_kid(width: int, decay: float, shift: float) -> float:
    """KID between two such models over all prompts: moments of (xᵀy/d + 1)³ for independent normal x and y."""
    variance = (1.0 + np.arange(width)) ** (-2 * decay)
    means = np.ones(width), 1 + shift * np.sqrt(variance)

    def mean(p: np.ndarray, q: np.ndarray) -> float:
        m, total, both = p @ q, np.sum(variance**2), p**2 @ variance + q**2 @ variance
        cube = m**3 + 3 * m * (total + both) + 6 * (p * variance**2) @ q
        return float(1 + 3 * m / width + 3 * (m**2 + total + both) / width**2 + cube / width**3)

    return mean(means[0], means[0]) + mean(means[1], means[1]) - 2 * mean(*means)


def shift_of(kind: str, truth: float, width: int, decay: float) -> float:
    """How far models are apart whose distance is about that."""
    if not truth:
        return 0.0
    one = two_drawn(np.random.default_rng(1), 2000, 1, width, decay, 0.5, 0.0, same=False)[0]
    scale = (1.0 + np.arange(width)) ** -decay
    low, high = 0.0, 3.0
    for _ in range(14):
        middle = (low + high) / 2
        at = true_kid(width, decay, middle) if kind == "kid" else gaussian.cmmd(one, one + middle * scale)
        low, high = (middle, high) if at < truth else (low, middle)
    return high


def _cover(
    kind: str, case: tuple[int, int, int, float, float], same: bool, repeats: int
) -> Iterator[tuple[float, ...]]:
    """Coverage, mean width and how far the mean is from the truth in standard errors, for each of the truths."""
    prompts, seeds, width, decay, _ = case
    estimate = {"kid": gaussian.kid_estimate, "cmmd": gaussian.cmmd_estimate}[kind]
    ids = np.repeat(np.arange(prompts), seeds)

    def found(shift: float, repeats: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(7)
        pairs = (two_drawn(rng, *case, shift, same) for _ in range(repeats))
        estimates = [estimate(*p, x_ids=ids, y_ids=ids if same else ids + prompts) for p in pairs]
        return np.array([value for value, _ in estimates]), np.array([ends for _, ends in estimates])

    spread = float(found(0.0, 60)[0].std())
    for times in TRUTHS:
        shift = shift_of(kind, times * spread, width, decay)
        values, ends = found(shift, repeats)
        # CMMD's value is its own measure where it is not 0: that it is unbiased shows at 0, and in test_gaussian.
        truth = true_kid(width, decay, shift) if kind == "kid" else float(values.mean()) * (times > 0)
        off = (values.mean() - truth) / (values.std() / np.sqrt(repeats))
        yield share(zip(ends, [truth] * repeats, strict=True)), float(np.diff(ends).mean()), float(off)


@pytest.mark.parametrize(("case", "same"), KERNEL_CASES)
@pytest.mark.parametrize("kind", ["kid", "cmmd"])
def test_kernel_distances(kind: str, case: tuple[int, int, int, float, float], same: bool) -> None:
    """Of the distance over all prompts: 93% and more at 0, 93 to 98% elsewhere (± 0.8%); printed with widths.

    One design stays at 92%: twenty prompts of one seed, in 64 directions that all vary alike.
    """
    found = list(_cover(kind, case, same, 1000))
    print(kind, "same" if same else "others", *case, *(f"{held:.3f} ({wide:.1e})" for held, wide, _ in found))
    least = 0.91 if case == KERNEL_SAME[0] else 0.922
    assert all(least <= held <= (0.988 if times else 1) for times, (held, _, _) in zip(TRUTHS, found, strict=True)), (
        found
    )
    assert all(abs(off) < 4 for _, _, off in found), found


def forget_rows(rng: Rng, prompts: int) -> tuple[dict[str, object], dict[str, float]]:
    """Decisions of a model on `prompts` forget, attacked, near and far prompts of two seeds, and the true aspects."""
    truth = {"forgetting": 0.7, "robustness": 0.6, "near": 0.75, "far": 0.9}
    ids, splits, probes, own, families, seen, before = [], [], [], [], [], [], []
    kinds = [("forget", "direct", None, None), ("adversarial", "attack", None, "typo")]
    kinds += [("retain", "near", f"object/n{i}", None) for i in range(4)]
    kinds += [("retain", "far", f"object/f{i}", None) for i in range(4)]
    for split, probe, concept, family in kinds:
        n = prompts if split != "retain" else prompts // 4
        name = {"forget": "forgetting", "adversarial": "robustness"}.get(split, probe)
        good = truth[name]
        if split == "adversarial":  # both seeds must hold: the chance of one is the root of that of both, if alike
            hits = np.repeat(rng.random(n) < good, 2)
        else:
            hits = (rng.random((n, 2)) < chances(rng, good, 0.3, n)[:, None]).ravel()
        ids += [f"{probe}{concept}{i}" for i in range(n) for _ in range(2)]
        splits += [split] * 2 * n
        probes += [probe] * 2 * n
        own += [concept] * 2 * n
        families += [family] * 2 * n
        seen += (hits if split == "retain" else ~hits).tolist()
        before += [True] * 2 * n
    given: dict[str, object] = {
        "ids": ids,
        "seeds": [0, 1] * (len(ids) // 2),
        "splits": splits,
        "probes": probes,
        "own_concepts": own,
        "attack_families": families,
        "present": seen,
        "original_present": before,
    }
    truth["preservation"] = (truth["near"] + truth["far"]) / 2
    return given, truth


@pytest.mark.parametrize("prompts", [16, 48])
def test_forget_score_and_its_aspects(prompts: int) -> None:
    from igmu_metrics.contract import Estimate
    from igmu_metrics.metrics._aspects import aspect_figures, judged_rows

    rng = np.random.default_rng(prompts)
    held: dict[str, list[bool]] = {}
    for i in range(REPEATS):
        given, truth = forget_rows(rng, prompts)
        table = forget_score.rows(**given)
        figures, draws, n = aspect_figures(judged_rows(table).with_facts(k=table.facts["k"]), i, 1000)
        parts = {name: figures[name] for name in ("forgetting", "robustness", "preservation")}
        parts |= {"alignment": Estimate(0.9, (0.9, 0.9)), "quality": Estimate(0.8, (0.8, 0.8))}  # held fixed
        whole = combine(parts, draws, n, (0, 0))
        score = 5 / (sum(1 / truth[k] for k in ("forgetting", "robustness", "preservation")) + 1 / 0.9 + 1 / 0.8)
        for name, estimate, value in [
            *((k, figures[k], truth[k]) for k in ("forgetting", "robustness", "preservation")),
            ("forget_score", whole, score),
        ]:
            low, high = estimate.interval or (np.nan, np.nan)
            held.setdefault(name, []).append(bool(low <= value <= high))
    shares = {name: float(np.mean(h)) for name, h in held.items()}
    assert all(0.93 <= s <= 0.975 for s in shares.values()), shares  # 2000 repeats: ± 0.5%


@pytest.mark.parametrize("prompts", [16, 48])
def test_models_with_the_same_forget_score_rarely_differ_significantly(prompts: int) -> None:
    """At most in 5% of cases; less often, because the intervals of quality count with their opposite ends."""
    from igmu_metrics.contract import Estimate
    from igmu_metrics.metrics._aspect_differences import Pair
    from igmu_metrics.metrics._aspects import aspect_figures, judged_rows

    rng = np.random.default_rng(prompts)
    found: dict[str, list[bool]] = {"certain": [], "quality": []}
    for i in range(400):
        rows, parts = [], []
        for quality in rng.normal(0.8, 0.04, 2):
            table = forget_score.rows(**forget_rows(rng, prompts)[0])
            rows.append(judged_rows(table).with_facts(k=table.facts["k"]))
            parts.append(aspect_figures(rows[-1], i, 200)[0] | {"alignment": Estimate(0.9, (0.9, 0.9))})
            parts[-1]["quality"] = Estimate(quality, (quality - 0.0784, quality + 0.0784))
        pair = Pair.of((rows[0], rows[1]), (parts[0], parts[1]), seed=i, resamples=1000)
        for name, names in (("certain", forget_score.ASPECTS[:4]), ("quality", forget_score.ASPECTS)):
            found[name].append(pair.difference(names)[2] <= 0.05)
    shares = {name: float(np.mean(each)) for name, each in found.items()}
    assert shares["quality"] <= shares["certain"] <= 0.07, shares  # 400 repeats: ± 1.1%


@pytest.mark.parametrize(("first", "second"), [(0.5, 0.7), (0.9, 0.75)])
@pytest.mark.parametrize(("seeds", "within", "between"), [(1, 0.3, 0.0), (5, 0.3, 0.0), (5, 0.4, 0.5)])
def test_the_planned_number_of_prompts_has_the_planned_power(
    first: float, second: float, seeds: int, within: float, between: float
) -> None:
    rng = np.random.default_rng(int(100 * first) + seeds)

    def drawn(n: int) -> list[np.ndarray]:
        """Hits of two models whose chances for a prompt are tied by a normal copula."""
        normals = rng.multivariate_normal([0, 0], [[1, between], [between, 1]], n)
        scale = 1 / within - 1
        each = [
            stats.beta.ppf(stats.norm.cdf(normals[:, m]), p * scale, (1 - p) * scale)
            for m, p in enumerate((first, second))
        ]
        return [rng.random((n, seeds)) < chance[:, None] for chance in each]

    shared = float(np.corrcoef(*(hits.mean(axis=1) for hits in drawn(200_000)))[0, 1])
    n = prompts_needed(first, second, seeds=seeds, seed_correlation=within, model_correlation=shared)
    found = 0
    for i in range(400):
        hits = drawn(n)
        if seeds == 1:
            b, c = (int((x & ~y).sum()) for x, y in (hits, hits[::-1]))
            p_value = mcnemar_exact(b, c)
        else:
            gaps = (hits[0].astype(float) - hits[1]).ravel()
            p_value = paired_permutation(gaps, np.repeat(np.arange(n), seeds), seed=i, resamples=1000)
        found += p_value <= 0.05
    assert 0.74 <= found / 400 <= 0.88  # 400 repeats: ± 2%


def test_sums_are_what_the_bootstrap_sees() -> None:
    """The simulations above would prove little if clusters were mixed up."""
    assert cluster_sums(np.array([0, 1, 0]), [1, 2, 3]).tolist() == [[4.0], [2.0]]
