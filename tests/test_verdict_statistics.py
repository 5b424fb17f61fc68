"""Tests and plans against statsmodels, other implementations and numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from igmu_data.errors import EmptyInputError, InputError, LengthMismatchError, OutOfRangeError
from igmu_metrics import score
from igmu_metrics.statistics import (
    design_effect,
    detectable_difference,
    detectable_gap,
    effective_trials,
    highest_correlation,
    holm,
    mcnemar_exact,
    mean_estimate,
    paired_difference,
    paired_ratio,
    product_of_ratios,
    prompts_for,
    prompts_for_bound,
    prompts_needed,
    resample,
    rogan_gladen,
    studentized,
    unbounded_mean,
    unpaired_difference,
    wilson,
)


@given(st.integers(0, 60), st.integers(0, 60))
@pytest.mark.slow
def test_mcnemar_is_statsmodels(b: int, c: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    if b + c:
        assert mcnemar_exact(b, c) == pytest.approx(mcnemar([[5, b], [c, 7]], exact=True).pvalue, rel=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@pytest.mark.slow
def test_holm_is_statsmodels(pvalues: list[float]) -> None:
    from statsmodels.stats.multitest import multipletests

    assert holm(pvalues) == pytest.approx(multipletests(pvalues, method="holm")[1], rel=1e-12)


@given(st.integers(0, 80), st.integers(1, 80), st.integers(0, 80), st.integers(1, 80))
@pytest.mark.slow
def test_unpaired_difference_is_statsmodels(a: int, n: int, b: int, m: int) -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep

    a, b = min(a, n), min(b, m)
    expected = confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff")
    value, found = unpaired_difference(a, n, b, m)
    assert value == pytest.approx(a / n - b / m)
    assert found == pytest.approx(expected, abs=1e-9)


# --- differences ----------------------------------------------------------------------------------------------------


def test_newcombes_published_example() -> None:
    """Newcombe 1998, method 10: 36 agree on yes, 12 and 2 differ, none on no; published 0.0569 to 0.3404."""
    first, second = [1] * 48 + [0] * 2, [1] * 36 + [0] * 12 + [1] * 2
    value, ends = paired_difference(first, second, np.arange(50))
    assert (value, *ends) == pytest.approx((0.2, 0.0569, 0.3404), abs=5e-5)


def test_a_model_that_always_differs_has_no_interval_of_a_point() -> None:
    # Wilson of 16 in 16 starts at 0.8064; both distances: 1 − √2·0.1936.
    value, (low, high) = paired_difference(np.ones(32), np.zeros(32), np.repeat(np.arange(16), 2))
    assert (value, high) == (1.0, 1.0)
    assert low == pytest.approx(1 - np.sqrt(2) * (1 - wilson(16, 16)[0]))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=30))
def test_a_difference_turned_round_is_its_negative(pairs: list[tuple[bool, bool]]) -> None:
    first, second = zip(*pairs, strict=True)
    prompts = np.arange(len(pairs)) // 2
    (value, (low, high)), back = paired_difference(first, second, prompts), paired_difference(second, first, prompts)
    assert (back[0], *back[1]) == pytest.approx((-value, -high, -low))
    assert -1 <= low <= value <= high <= 1


def test_pairs_narrow_what_shared_prompts_explain() -> None:
    hard = np.repeat([0.0, 1.0], 40)
    first, second = hard.copy(), hard.copy()
    second[:4] = 1
    paired = paired_difference(first, second, np.arange(80))[1]
    apart = unpaired_difference(first.sum(), 80, second.sum(), 80)[1]
    assert paired[1] - paired[0] < 0.6 * (apart[1] - apart[0])


def test_lists_of_a_difference_belong_together() -> None:
    with pytest.raises(LengthMismatchError):
        paired_difference([1, 0], [1], np.arange(2))


# --- Rogan and Gladen -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("q", "n", "sens", "spec", "n_sens", "n_spec"),
    [
        (0.9, 100, 0.55, 0.5, 10, 500),
        (0.1, 50, 0.52, 0.5, 300, 8),
        (1.0, 20, 0.51, 0.5, 5, 5),
        (0.0, 9, 0.6, 0.45, 4, 90),
    ],
)
def test_a_detector_that_is_nearly_useless_says_nearly_nothing(q, n, sens, spec, n_sens, n_spec) -> None:
    assert rogan_gladen(q, n, sens, spec, n_sens=n_sens, n_spec=n_spec)[1] == (0.0, 1.0)


@given(
    st.floats(0, 1),
    st.integers(1, 500),
    st.floats(0.5, 1),
    st.floats(0.501, 1),
    st.one_of(st.none(), st.tuples(st.integers(1, 300), st.integers(1, 300))),
)
def test_a_corrected_interval_is_never_a_point(q, n, sens, spec, counts) -> None:
    n_sens, n_spec = counts or (None, None)
    value, (low, high) = rogan_gladen(q, n, sens, spec, n_sens=n_sens, n_spec=n_spec)
    assert 0 <= low <= value <= high <= 1
    assert high - low > 1 / (n + 10)


def test_known_rates_are_wilsons_score_turned_round() -> None:
    """By hand: 30 of 100 positive, spec 0.9 and sens 0.8: Wilson's ends of 0.3, less 0.1, by 0.7."""
    low, high = rogan_gladen(0.3, 100, 0.8, 0.9)[1]
    assert (low, high) == pytest.approx([(end - 0.1) / 0.7 for end in wilson(30, 100)])


# --- shares over prompts --------------------------------------------------------------------------------------------


def test_effective_trials_lie_between_prompts_and_generations() -> None:
    prompts = np.repeat(np.arange(40), 5)
    alike = np.repeat(np.arange(40) % 2, 5)
    mixed = np.tile([1, 0, 1, 0, 1], 40)
    assert effective_trials(alike, prompts) == pytest.approx(40, rel=0.05)
    assert effective_trials(mixed, prompts) == pytest.approx(200, rel=0.07)  # more evenly than chance counts as chance
    assert effective_trials(np.ones(200), prompts) == pytest.approx(40)


@pytest.mark.parametrize("shown", [0, 1])
def test_any_number_of_generations_of_one_prompt_is_a_trial(shown: int) -> None:
    """Weights of 1/20 sum to more than 1, and a number of trials below 1 was refused where a detector is corrected."""
    for n in range(1, 200):
        values, prompt = [0] * (n - shown) + [1] * shown, np.zeros(n)
        assert 1 <= effective_trials(values, prompt) <= n
        found = score(
            "concept_accuracy",
            predictions=["object/none" if v else "object/church" for v in values],
            references=["object/church"] * n,
            target="object/church",
            ids=["a"] * n,
            seeds=list(range(n)),
            sensitivity=0.9,
            specificity=0.8,
        )
        assert found.figures["corrected_unlearning_accuracy"].interval is not None


def test_a_share_over_prompts_by_hand() -> None:
    """Prompts with 2, 2, 1, 1, 0, 2 of 2: p = 2/3, between-prompt variance of the mean 1/45, bounds 1/54 and 1/27."""
    hits = [1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 1, 1]
    p, wrong = 2 / 3, 6 / 3
    between = np.var([1, 1, 0.5, 0.5, 0, 1], ddof=1) / 6
    variance = (wrong * between + 0.5 * (1 / 54 + 1 / 27) / 2) / (wrong + 0.5)
    trials = p * (1 - p) / variance
    found = mean_estimate(hits, np.repeat(np.arange(6), 2))
    assert found.interval == pytest.approx(wilson(p * trials, trials))


@given(st.lists(st.integers(0, 3), min_size=2, max_size=20), st.randoms())
def test_a_share_does_not_know_the_order_of_rows(counts: list[int], random) -> None:
    rows = [(i, seed < c) for i, c in enumerate(counts) for seed in range(3)]
    shuffled = list(rows)
    random.shuffle(shuffled)
    found = [mean_estimate([h for _, h in r], np.array([i for i, _ in r])).interval for r in (rows, shuffled)]
    assert found[0] == pytest.approx(found[1], abs=1e-12)


def test_a_ratio_of_more_than_the_original_is_one() -> None:
    found = paired_ratio([1] * 6, [1, 1, 1, 1, 1, 0], np.arange(6), np.zeros(6))
    assert found.value == 1.0
    assert found.interval is not None
    assert found.interval[0] < 1.0 == found.interval[1]


def test_a_copy_of_the_original_has_no_error_of_its_ratio() -> None:
    """Whatever the prompts are, the columns above and below vary together: nothing is left to resample."""
    varied = np.random.default_rng(0).uniform(0.2, 1.0, 30)
    assert product_of_ratios([(varied, varied)]).reason.startswith("all prompts agree")
    other = np.random.default_rng(1).uniform(0.2, 1.0, 30)
    assert product_of_ratios([(other, varied)]).reason == ""


# --- bootstraps -----------------------------------------------------------------------------------------------------


def test_studentized_is_students_where_values_are_normal() -> None:
    values = stats.norm.ppf((np.arange(30) + 0.5) / 30)
    low, high = studentized(np.stack([values, np.ones(30)], axis=1), resamples=40_000)
    half = stats.t.ppf(0.975, 29) * values.std(ddof=1) / np.sqrt(30)
    assert (low, high) == pytest.approx((-half, half), rel=0.06)


def test_studentized_measures_each_resample_in_its_own_errors() -> None:
    """Against a loop over resamples of single clusters."""
    values = np.random.default_rng(0).lognormal(size=12)
    rng = np.random.default_rng(5)
    t = []
    for _ in range(20_000):
        drawn = values[rng.integers(12, size=12)]
        if drawn.std() > 1e-9:
            t.append((drawn.mean() - values.mean()) / (drawn.std(ddof=1) / np.sqrt(12)))
    error = values.std(ddof=1) / np.sqrt(12)
    low, high = values.mean() - np.quantile(t, [0.975, 0.025]) * error
    found = studentized(np.stack([values, np.ones(12)], axis=1), resamples=40_000)
    assert found == pytest.approx((low, high), rel=0.05)


def test_studentized_of_equal_clusters_is_a_point() -> None:
    assert studentized(np.array([[2.0, 4.0]] * 10)) == (0.5, 0.5)


@pytest.mark.parametrize("n", [10, 12, 15, 30])
@pytest.mark.parametrize("odd", [1, 2, 3])
@pytest.mark.parametrize(("most", "other"), [(0.8, 0.1), (0.7, 0.3), (0.33, 0.9), (2.3, 17.1)])
def test_resamples_that_agree_up_to_rounding_have_no_error(n: int, odd: int, most: float, other: float) -> None:
    """Their standard errors were some 1e-8 instead of 0, and the interval went from minus seven million to 0.71."""
    values = np.full(n, most)
    values[:odd] = other
    low, high = studentized(np.stack([values, np.ones(n)], axis=1))
    assert max(values.mean() - low, high - values.mean()) < 5 * values.std()


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_few_prompts_have_no_interval_of_a_mean_of_any_values(n: int) -> None:
    """By the function that everything passes through, which plugins call, too; with the reason."""
    values = np.array([1.0, 1.0, 1.0, 0.0, 1.0] * 2)[:n]
    with pytest.raises(InputError, match=rf"fewer than 10 prompts \({n}\)\. Use unbounded_mean"):
        studentized(np.stack([values, np.ones(n)], axis=1))
    found = unbounded_mean(values, np.arange(n), reason="mine")
    assert (found.value, found.interval, found.n_prompts) == (values.mean(), None, n)
    assert found.reason == f"mine; no interval, because there are fewer than 10 prompts ({n})"


def test_resamples_do_not_know_the_order_of_clusters() -> None:
    sums = np.stack([np.random.default_rng(1).normal(size=30), np.ones(30)], axis=1)
    assert studentized(sums, seed=3) == studentized(sums[::-1], seed=3)
    assert resample(sums, resamples=5).shape == (5, 1, 2)


# --- design and power -----------------------------------------------------------------------------------------------


def test_intraclass_correlation_by_hand() -> None:
    """Three prompts of two: (1,1), (0,0), (1,0): mean squares 1/2 between and 1/6 within; (1/2 − 1/6)/(1/2 + 1/6)."""
    found = design_effect([1, 1, 0, 0, 1, 0], np.repeat(np.arange(3), 2))
    assert found.correlation == pytest.approx(0.5)
    assert 1 <= found.effect <= 2
    assert np.isnan(design_effect([1, 0, 1], np.arange(3)).correlation)
    with pytest.raises(EmptyInputError):
        design_effect([], np.array([]))


def test_a_correlation_is_found_again() -> None:
    rng = np.random.default_rng(0)
    chance = rng.beta(0.7 * 1.5, 0.3 * 1.5, 3000)  # correlation 1/(1 + 1.5)
    hits = rng.random((3000, 4)) < chance[:, None]
    found = design_effect(hits.ravel(), np.repeat(np.arange(3000), 4))
    assert found.correlation == pytest.approx(0.4, abs=0.03)
    assert found.effect == pytest.approx(1 + 3 * 0.4, abs=0.1)


@pytest.mark.parametrize(("n", "p", "shared"), [(50, 0.05, 0.5), (50, 0.2, 0.3), (30, 0.5, 0.5), (100, 0.1, 0.8)])
def test_the_highest_correlation_is_seldom_below_the_true_one(n: int, p: float, shared: float) -> None:
    """Also where so few images differ that the estimate is often 0."""
    rng, prompts = np.random.default_rng(0), np.repeat(np.arange(n), 2)
    found = []
    for _ in range(200):
        copied = rng.random((n, 2)) < shared**0.5
        hits = np.where(copied, rng.random((n, 1)) < p, rng.random((n, 2)) < p).astype(float)
        found.append(highest_correlation(hits.ravel(), prompts))
    known = [most for most in found if most == most]
    assert np.mean(np.array(known) >= shared) >= 0.965
    assert len(known) > 150


def test_the_highest_correlation_approaches_the_estimate() -> None:
    rng, n = np.random.default_rng(0), 20_000
    hits, prompts = rng.random(2 * n) < 0.5, np.repeat(np.arange(n), 2)
    assert highest_correlation(hits, prompts) == pytest.approx(0, abs=0.05)
    assert highest_correlation(np.repeat(hits[:n], 2), prompts) == 1
    assert np.isnan(highest_correlation([1, 0, 1], np.arange(3)))
    assert np.isnan(highest_correlation([1, 1, 1, 1], np.repeat(np.arange(2), 2)))


@pytest.mark.slow
def test_prompts_needed_agree_with_statsmodels_on_independent_images() -> None:
    from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

    for p, q in ((0.5, 0.7), (0.76, 0.8), (0.1, 0.25)):
        expected = samplesize_proportions_2indep_onetail(p - q, q, 0.8, ratio=1, alpha=0.05, alternative="two-sided")
        assert prompts_needed(p, q) - 1 / abs(p - q) == pytest.approx(expected, rel=0.05)


def test_prompts_needed_are_those_of_the_two_sided_test() -> None:
    """By hand: (1.96·√(2·0.6·0.4) + 0.842·√(0.25 + 0.21))² / 0.2² = 93; one-sided, it would be 73."""
    assert prompts_needed(0.5, 0.7) - 1 / 0.2 == pytest.approx(93, rel=0.05)


def test_seeds_and_pairs_save_prompts_and_corrections_cost_them() -> None:
    single = prompts_needed(0.5, 0.6)
    assert prompts_needed(0.5, 0.6, seeds=5) < single
    # Copies tell nothing new; what a single image pays for the exact test of whole counts, 1/0.1, is all that goes.
    assert prompts_needed(0.5, 0.6, seeds=5, seed_correlation=1.0) == single - 10
    assert prompts_needed(0.5, 0.6, seeds=5, model_correlation=0.5) < prompts_needed(0.5, 0.6, seeds=5)
    assert prompts_needed(0.5, 0.6, comparisons=10) > single
    assert prompts_needed(0.5, 0.6, power=0.9) > single


@given(st.floats(0.05, 0.95), st.integers(20, 2000))
def test_what_is_detectable_is_what_needs_so_many(rate: float, prompts: int) -> None:
    for sign, gap in zip((-1, 1), detectable_difference(rate, prompts), strict=True):
        if gap == gap:
            assert prompts_needed(rate, min(1, max(0, rate + sign * gap))) <= prompts
            assert prompts_needed(rate, rate + sign * gap * 0.97) >= prompts


@given(st.sampled_from([0.0, 0.02, 0.5, 0.97, 1.0]), st.sampled_from([0.1, 0.6, 0.9]))
def test_an_interval_excludes_a_bound_from_so_many_prompts_on(rate: float, bound: float) -> None:
    """At a chance of one half, the interval for the expected share just excludes the bound."""
    n = prompts_for_bound(rate, bound, power=0.5)
    for prompts, outside in ((n, True), (n - 1, False)):
        low, high = wilson(rate * prompts, prompts) if prompts else (0.0, 1.0)
        assert (not low <= bound <= high) is outside


def test_the_smallest_gap_and_bounds_have_limits() -> None:
    assert prompts_for(detectable_gap(40, 0.3), 0.3) <= 40
    assert np.isnan(detectable_gap(3, 0.3))
    assert prompts_for_bound(0.05, 0.1, seeds=5) < prompts_for_bound(0.05, 0.1)
    with pytest.raises(InputError, match="no number of prompts can show a difference"):
        prompts_for_bound(0.1, 0.1)
    for bound in (0.0, 1.0, 1.5):
        with pytest.raises(OutOfRangeError, match="bound is"):
            prompts_for_bound(0.5, bound)


def test_a_plan_has_limits() -> None:
    assert prompts_for(1.0, 0.0, alpha=0.05 / 15) == 10  # 2/2^n ≤ 0.0033
    assert np.isnan(detectable_difference(1.0, 3)).all()
    with pytest.raises(InputError, match="no difference to detect"):
        prompts_needed(0.5, 0.5)
    for options in ({"power": 1.0}, {"seeds": 0}, {"seed_correlation": -0.1}, {"comparisons": 0}):
        with pytest.raises(OutOfRangeError):
            prompts_needed(0.5, 0.6, **options)
    with pytest.raises(OutOfRangeError, match="first"):
        prompts_needed(1.5, 0.6)
