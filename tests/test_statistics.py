"""Statistics against scipy, brute force and numbers worked by hand or published."""

from __future__ import annotations

from itertools import combinations, product
from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from igmu_data.errors import EmptyInputError, InputError, LengthMismatchError, NonFiniteError, OutOfRangeError
from igmu_metrics.statistics import (
    any_at_k,
    cluster_sums,
    harmonic_mean,
    holm,
    mcnemar_exact,
    mean_estimate,
    overlap,
    paired_permutation,
    percentile_interval,
    resample,
    rogan_gladen,
    wilson,
)

SHARE = st.floats(0, 1)
NAN = float("nan")


# --- intervals ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_is_scipys(case, level):
    s, n = case
    expected = stats.binomtest(s, n).proportion_ci(confidence_level=level, method="wilson")
    assert wilson(s, n, level=level) == pytest.approx(tuple(expected), abs=1e-12)


@pytest.mark.parametrize(("successes", "low", "high"), [(30, 0.152, 0.286), (108, 0.684, 0.823), (113, 0.722, 0.854)])
def test_wilson_of_the_published_nudity_table(successes, low, high):
    assert wilson(successes, 142) == pytest.approx((low, high), abs=5e-4)


def test_wilson_reaches_the_ends_exactly():
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    assert wilson(1, 1)[0] == pytest.approx(1 / (1 + stats.norm.ppf(0.975) ** 2))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((1, 0), EmptyInputError), ((3, 2), OutOfRangeError), ((-1, 2), OutOfRangeError), ((NAN, 2), OutOfRangeError)],
)
def test_wilson_refuses_what_is_no_proportion(arguments, error):
    with pytest.raises(error):
        wilson(*arguments)


def test_overlap_counts_a_shared_end_and_refuses_nan():
    assert overlap((0.1, 0.2), (0.2, 0.3))
    assert overlap((0.2, 0.3), (0.1, 0.25))
    assert not overlap((0.1, 0.2), (0.21, 0.3))
    with pytest.raises(InputError, match="interval b"):
        overlap((0.1, 0.2), (NAN, 0.3))


@given(SHARE, st.floats(0.55, 1), st.floats(0.55, 1))
def test_rogan_gladen_inverts_what_the_detector_does_to_the_prevalence(truth, sens, spec):
    seen = min(1.0, truth * sens + (1 - truth) * (1 - spec))
    value, (low, high) = rogan_gladen(seen, 200, sens, spec)
    assert value == pytest.approx(truth, abs=1e-9)
    assert 0 <= low <= value + 1e-12
    assert value - 1e-12 <= high <= 1


@given(SHARE, st.integers(1, 500), st.floats(0.5, 1), st.floats(0.51, 1), st.integers(1, 300), st.integers(1, 300))
def test_doubt_about_the_detector_keeps_the_value_inside(q, n, sens, spec, n_sens, n_spec):
    value, (low, high) = rogan_gladen(q, n, sens, spec, n_sens=n_sens, n_spec=n_spec)
    assert 0 <= low <= value <= high <= 1


def test_a_perfect_detector_changes_nothing():
    value, interval = rogan_gladen(0.3, 50, 1.0, 1.0)
    assert value == pytest.approx(0.3)
    assert interval == pytest.approx(wilson(15, 50))


@pytest.mark.parametrize(
    ("truth", "sens", "spec", "n", "n_sens", "n_spec", "most"),
    [
        (0.3, 0.9, 0.85, 250, 100, 100, 0.97),
        (0.5, 0.6, 0.98, 500, 20, 100, 0.97),
        (0.02, 0.9, 0.97, 1000, 50, 30, 1.0),  # at the edge an interval errs on one side only
    ],
)
def test_rogan_gladen_covers_the_truth_as_often_as_it_says(truth, sens, spec, n, n_sens, n_spec, most):
    rng = np.random.default_rng(3)
    seen = rng.binomial(n, truth * sens + (1 - truth) * (1 - spec), 3000) / n
    found, passed = rng.binomial(n_sens, sens, 3000) / n_sens, rng.binomial(n_spec, spec, 3000) / n_spec
    known, doubted = 0, 0
    for q, se, sp in zip(seen, found, passed, strict=True):
        low, high = rogan_gladen(q, n, se, sp)[1]
        known += low <= truth <= high
        low, high = rogan_gladen(q, n, se, sp, n_sens=n_sens, n_spec=n_spec)[1]
        doubted += low <= truth <= high
    assert 0.93 <= doubted / 3000 <= most
    assert known / 3000 < 0.92  # what leaving the doubt out would cost


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ((1.2, 10, 0.9, 0.9), {}, OutOfRangeError),
        ((NAN, 10, 0.9, 0.9), {}, OutOfRangeError),
        ((0.5, 0, 0.9, 0.9), {}, OutOfRangeError),
        ((0.5, 10, 0.5, 0.5), {}, OutOfRangeError),
        ((0.5, 10, 0.9, 0.9), {"n_sens": 10}, InputError),
        ((0.5, 10, 0.9, 0.9), {"n_sens": 10, "n_spec": 0}, OutOfRangeError),
    ],
)
def test_rogan_gladen_refuses(arguments, options, error):
    with pytest.raises(error):
        rogan_gladen(*arguments, **options)


# --- means ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 9))
def test_any_at_k_is_the_share_of_all_choices_with_a_success(n):
    for s, k in product(range(n + 1), range(1, n + 1)):
        choices = list(combinations(range(n), k))
        expected = sum(any(i < s for i in choice) for choice in choices) / len(choices)
        assert float(any_at_k(s, n, k)) == pytest.approx(expected, abs=1e-12)
        assert expected == pytest.approx(1 - comb(n - s, k) / comb(n, k))


def test_any_at_k_takes_arrays_with_a_k_each():
    assert any_at_k([0, 1, 2], [2, 2, 5], [1, 2, 1]) == pytest.approx([0.0, 1.0, 0.4])


@pytest.mark.parametrize("arguments", [(3, 2, 1), (1, 2, 3), (1, 2, 0), (0.5, 2, 1), (NAN, 2, 1)])
def test_any_at_k_refuses_what_cannot_be_picked(arguments):
    with pytest.raises(OutOfRangeError):
        any_at_k(*arguments)


@pytest.mark.parametrize(("residue", "retain", "expected"), [(1.17, 95.17, 96.97), (0.83, 75.33, 85.62)])
def test_published_harmonic_means(residue, retain, expected):
    assert 100 * float(harmonic_mean([1 - residue / 100, retain / 100])) == pytest.approx(expected, abs=5e-3)


@given(st.floats(0, 0.99), st.floats(0.01, 1), st.floats(0, 0.99))
def test_mace_h3(acc_e, acc_s, acc_g):
    expected = 3 / (1 / (1 - acc_e) + 1 / acc_s + 1 / (1 - acc_g))
    assert float(harmonic_mean([1 - acc_e, acc_s, 1 - acc_g])) == pytest.approx(expected)


@given(st.lists(st.floats(1e-300, 1e6), min_size=1, max_size=8))
def test_harmonic_mean_is_scipys_and_lies_between_the_extremes(values):
    mean = float(harmonic_mean(values))
    assert mean == pytest.approx(stats.hmean(values), rel=1e-9)
    assert min(values) * (1 - 1e-12) <= mean <= max(values) * (1 + 1e-12)


def test_zero_and_missing_are_not_averaged_away():
    assert harmonic_mean([[0.5, 0.0], [0.5, 0.5], [5e-324, 1.0]]).tolist() == [0.0, 0.5, 1e-323]
    assert np.isnan(harmonic_mean([0.0, NAN]))
    with pytest.raises(OutOfRangeError, match=r"values\[1\]"):
        harmonic_mean([0.5, -0.1])
    with pytest.raises(EmptyInputError):
        harmonic_mean([])


# --- the cluster bootstrap ------------------------------------------------------------------------------------------


def test_cluster_sums_add_up_by_sorted_id():
    assert cluster_sums(np.array(["b", "a", "b"]), [1, 2, 4], [1, 1, 1]).tolist() == [[2, 1], [5, 2]]


def test_resampled_totals_follow_the_brute_force_distribution():
    """Three clusters: all 27 ordered draws are equally likely, so every total has a known chance."""
    sums = np.array([[0.0], [1.0], [1.0]])
    drawn = resample(sums, resamples=54_000, seed=5)[:, 0, 0]
    expected = np.bincount([int(sum(sums[i, 0] for i in draw)) for draw in product(range(3), repeat=3)]) / 27
    assert np.bincount(drawn.astype(int)) / 54_000 == pytest.approx(expected, abs=0.01)


def test_strata_keep_their_sizes():
    sums = np.array([[1.0, 1.0], [0.0, 1.0], [5.0, 1.0], [7.0, 1.0], [9.0, 1.0]])
    totals = resample(sums, strata=np.array(["x", "x", "y", "y", "y"]), resamples=500)
    assert totals.shape == (500, 2, 2)
    assert (totals[:, 0, 1] == 2).all()
    assert (totals[:, 1, 1] == 3).all()
    assert set(totals[:, 0, 0]) == {0.0, 1.0, 2.0}
    assert totals[:, 1, 0].min() >= 15


def test_many_clusters_give_scipys_percentile_interval():
    rng = np.random.default_rng(0)
    values = rng.normal(size=400)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    draws = resample(np.stack([values, np.ones(400)], axis=1), resamples=20_000)[:, 0]
    assert percentile_interval(draws[:, 0] / draws[:, 1], 400) == pytest.approx(tuple(expected), abs=4e-3)


def test_few_clusters_get_an_interval_as_wide_as_students():
    """The expanded percentiles of normal draws with the plug-in standard error are Student's interval."""
    n, spread = 8, 0.1
    draws = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000) * spread * sqrt((n - 1) / n)
    low, high = percentile_interval(draws, n)
    assert high == pytest.approx(stats.t.ppf(0.975, n - 1) * spread, rel=1e-3)
    assert low == pytest.approx(-high)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(5, 6)), min_size=2, max_size=30), st.randoms())
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_clusters_changes_no_bit(pairs, random):
    shuffled = list(pairs)
    random.shuffle(shuffled)
    one, other = (resample(np.array(p, float), resamples=200) for p in (pairs, shuffled))
    assert (one == other).all()


def test_seeds_repeat_and_differ():
    sums = np.stack([np.random.default_rng(0).random(50), np.ones(50)], axis=1)
    assert (resample(sums, seed=1) == resample(sums, seed=1)).all()
    assert (resample(sums, seed=1) != resample(sums, seed=2)).any()


def test_blocks_of_resamples_are_all_filled(monkeypatch):
    monkeypatch.setattr("igmu_metrics.statistics.resampling._CELLS", 30)
    totals = resample(np.stack([np.arange(10.0), np.ones(10)], axis=1), resamples=101)
    assert (totals[:, 0, 1] == 10).all()


@pytest.mark.parametrize(
    ("sums", "options", "error"),
    [
        (np.empty((0, 2)), {}, EmptyInputError),
        ([[NAN, 1.0], [1.0, 1.0]], {}, NonFiniteError),
        ([[0.0, 1.0], [1.0, 1.0]], {"strata": np.array([1])}, LengthMismatchError),
        ([[0.0, 1.0], [1.0, 1.0]], {"resamples": 0}, OutOfRangeError),
    ],
)
def test_resample_refuses(sums, options, error):
    with pytest.raises(error):
        resample(np.asarray(sums), **options)


def test_percentile_interval_refuses_one_cluster_and_a_wrong_level():
    with pytest.raises(InputError, match="at least two clusters"):
        percentile_interval(np.array([0.0, 1.0]), 1)
    with pytest.raises(OutOfRangeError):
        percentile_interval(np.array([0.0, 1.0]), 2, level=1.0)


# --- tests between models -------------------------------------------------------------------------------------------


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_adds_up_the_tails(b, c):
    n = b + c
    tail = sum(comb(n, i) for i in range(min(b, c) + 1)) / 2**n
    assert mcnemar_exact(b, c) == pytest.approx(min(1.0, 2 * tail))


def test_mcnemar_refuses_negative_counts():
    with pytest.raises(OutOfRangeError, match="c is -1"):
        mcnemar_exact(1, -1)


@given(
    st.lists(st.sampled_from([0, 0.001, 0.01, 0.012, 0.02, 0.03, 0.04, 0.1, 1]), max_size=8),
    st.sampled_from([0.01, 0.05, 0.2]),
)
def test_holm_rejects_what_the_step_down_procedure_rejects(pvalues, alpha):
    order = sorted(range(len(pvalues)), key=lambda i: pvalues[i])
    rejected = set()
    for rank, i in enumerate(order):
        if (len(pvalues) - rank) * pvalues[i] > alpha:
            break
        rejected.add(i)
    adjusted = holm(pvalues)
    assert {i for i, p in enumerate(adjusted) if p <= alpha} == rejected
    assert all(p <= q <= 1 for p, q in zip(pvalues, adjusted, strict=True))


def test_holm_refuses_nan():
    with pytest.raises(OutOfRangeError, match=r"pvalues\[1\]"):
        holm([0.1, NAN])


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=2, max_size=8))
@settings(max_examples=25, deadline=None)
def test_exact_permutation_is_scipys(differences):
    expected = stats.permutation_test(
        (np.array(differences),), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    ).pvalue
    # scipy doubles the smaller tail; ours counts patterns at least as extreme. By symmetry they agree, capped at 1.
    assert paired_permutation(differences) == pytest.approx(min(1.0, expected))


def test_random_signs_agree_with_all_signs():
    differences = np.random.default_rng(2).normal(0.35, 1, 16)
    everything = np.array(list(product((-1, 1), repeat=16))) @ differences
    exact = np.mean(np.abs(everything) >= abs(differences.sum()) - 1e-9)
    assert 0.01 < exact < 0.9
    assert paired_permutation(differences, resamples=40_000) == pytest.approx(exact, abs=0.01)


def test_what_was_observed_is_one_of_the_random_patterns():
    """So that no p value is 0, however few patterns are tried."""
    assert paired_permutation(np.ones(40), resamples=100) == 1 / 101


def test_permutation_flips_whole_prompts():
    """Ten equal differences in one prompt are one coin toss, not ten."""
    assert paired_permutation(np.ones(10)) == pytest.approx(2 / 2**10)
    assert paired_permutation(np.ones(10), np.zeros(10)) == 1.0


def test_permutation_does_not_know_the_order_of_rows():
    rng = np.random.default_rng(0)
    differences, prompts = rng.choice([-1.0, 0.0, 1.0], 200), rng.integers(0, 40, 200)
    order = rng.permutation(200)
    assert paired_permutation(differences, prompts) == paired_permutation(differences[order], prompts[order])


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (([],), {}, EmptyInputError),
        (([1.0, NAN],), {}, NonFiniteError),
        (([1.0, 2.0], [1]), {}, LengthMismatchError),
        (([1.0],), {"resamples": 0}, OutOfRangeError),
    ],
)
def test_permutation_refuses(arguments, options, error):
    with pytest.raises(error):
        paired_permutation(*arguments, **options)


# --- which interval a mean gets -------------------------------------------------------------------------------------


def test_one_generation_a_prompt_is_wilsons():
    estimate = mean_estimate([1] * 30 + [0] * 112, np.arange(142))
    assert estimate.value == pytest.approx(30 / 142)
    assert estimate.interval == wilson(30, 142)
    assert (estimate.n_prompts, estimate.n_generations, estimate.reason) == (142, 142, "")


def test_agreeing_prompts_are_one_trial_each():
    """20 prompts of 5 seeds, all successes: the bootstrap would say [1, 1]."""
    estimate = mean_estimate(np.ones(100), np.repeat(np.arange(20), 5))
    assert estimate.interval == pytest.approx(wilson(20, 20))
    assert "all prompts agree" in estimate.reason
    assert "20 prompts" in estimate.reason


@given(clusters=st.integers(5, 40), seeds=st.integers(2, 9), deviating=st.integers(1, 3), groups=st.integers(1, 4))
def test_a_deviating_image_never_rules_out_what_none_would_allow(clusters, seeds, deviating, groups):
    """Otherwise a bound that a perfect model does not meet would be met by a slightly worse one."""
    prompts = np.repeat(np.arange(clusters), seeds)
    values = np.zeros(len(prompts))
    group = np.tile(np.arange(seeds) % groups, clusters)
    perfect = mean_estimate(values, prompts, groups=group)
    values[:deviating] = 1
    slightly_worse = mean_estimate(values, prompts, groups=group)
    assert slightly_worse.interval[1] >= perfect.interval[1]
    mirrored = mean_estimate(1 - values, prompts, groups=group)
    assert mirrored.interval == pytest.approx([1 - end for end in reversed(slightly_worse.interval)])


def test_from_five_prompts_on_their_spread_is_told():
    """At the boundary itself: four prompts count as one trial each, and say so."""
    four, five = (mean_estimate(np.tile([1, 0], n), np.repeat(np.arange(n), 2)) for n in (4, 5))
    assert four.reason == "there are too few prompts to resample, so the interval is Wilson's for 4 prompts"
    assert five.reason == ""


def test_seeds_are_worth_no_less_than_copies_and_no_more_than_images_of_their_own():
    """The spread between prompts may come out larger or smaller than either allows."""
    prompts, seeds = np.repeat(np.arange(20), 2), np.tile([0, 1], 20)
    spread_too_little = mean_estimate(seeds, prompts)  # one hit in every prompt
    narrowest = wilson(20, 40)
    assert spread_too_little.interval[0] <= narrowest[0]
    assert spread_too_little.interval[1] >= narrowest[1]
    spread_too_much = mean_estimate(np.repeat([0, 1], 20), prompts)  # the seeds of a prompt agree
    widest = wilson(10, 20)
    assert widest[0] <= spread_too_much.interval[0] < narrowest[0]
    assert narrowest[1] < spread_too_much.interval[1] <= widest[1]


def test_unequal_prompts_have_fewer_effective_ones():
    """Weights 3/4 and 1/4: 1/(9/16 + 1/16) = 1.6 effective prompts."""
    estimate = mean_estimate([1, 1, 1, 0], np.array(["a", "a", "a", "b"]))
    assert estimate.interval == pytest.approx(wilson(1.2, 1.6))


def test_macro_mean_gives_every_group_the_same_weight():
    values = [1, 1, 1, 1, 0, 1]
    groups = np.array(["a", "a", "a", "a", "b", "b"])
    estimate = mean_estimate(values, np.arange(6), groups=groups, unit="groups")
    assert estimate.value == pytest.approx(0.75)
    assert "2 concepts" in estimate.reason


def test_macro_interval_is_not_narrower_than_the_concepts_spread():
    """Ten concepts, five always right and five never: which concepts were chosen is all that matters."""
    values = np.repeat([1.0, 0.0], 500)
    groups = np.repeat(np.arange(10), 100)
    low, high = mean_estimate(values, np.arange(1000), groups=groups, unit="groups").interval
    # Ten trials of 1/2 at Student's quantile, by Wilson's formula.
    t = stats.t.ppf(0.975, 9)
    assert high - low == pytest.approx(2 * t * sqrt(10 / 4 + t * t / 4) / (10 + t * t))
    fixed = mean_estimate(values, np.arange(1000), groups=groups).interval
    assert fixed[1] - fixed[0] < high - low


def test_ten_concepts_vary_by_the_spread_of_a_sample():
    """Shares of 0.2 and 0.8: the mean's variance is 0.09·10/9/10, so 0.25/0.01 = 25 trials, at Student's quantile."""
    values = np.concatenate([np.repeat([1.0, 0.0], [n, 100 - n]) for n in [20, 80] * 5])
    low, high = mean_estimate(values, np.arange(1000), groups=np.repeat(np.arange(10), 100), unit="groups").interval
    t = stats.t.ppf(0.975, 9)
    assert high - low == pytest.approx(2 * t * sqrt(25 / 4 + t * t / 4) / (25 + t * t))


def test_macro_interval_is_not_narrower_than_the_prompts_spread():
    """Ten concepts with the same accuracy by luck: their prompts still vary."""
    values = np.tile(np.repeat([1.0, 0.0], [15, 5]), 10)
    groups, prompts = np.repeat(np.arange(10), 20), np.arange(200)
    low, high = mean_estimate(values, prompts, groups=groups, unit="groups").interval
    assert high - low == pytest.approx(2 * 1.96 * sqrt(0.75 * 0.25 / 200), rel=0.1)


def test_all_right_in_every_group_is_wilson_on_all_prompts():
    estimate = mean_estimate(np.ones(60), np.arange(60), groups=np.repeat(np.arange(6), 10), unit="groups")
    assert estimate.interval == pytest.approx(wilson(60, 60))


def test_a_mean_of_nothing_has_a_reason():
    estimate = mean_estimate([], np.array([]), empty="no churches")
    assert np.isnan(estimate.value)
    assert (estimate.interval, estimate.reason, estimate.n_generations) == (None, "no churches", 0)


@pytest.mark.parametrize(("prompts", "lowest"), [(3, 0.94), (6, 0.9), (20, 0.9)])
def test_intervals_cover_the_truth(prompts, lowest):
    """Prompts with chances from a Beta(2, 1) distribution, five seeds each; the truth is 2/3."""
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(300):
        hits = rng.random((prompts, 5)) < rng.beta(2, 1, prompts)[:, None]
        low, high = mean_estimate(hits.ravel(), np.repeat(np.arange(prompts), 5)).interval
        covered += low <= 2 / 3 <= high
    assert covered / 300 >= lowest
