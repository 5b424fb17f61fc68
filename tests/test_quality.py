"""The candidates for the quality aspect, against brute force and where the truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from igmu_data.errors import InputError
from igmu_metrics.distances.quality import (
    manifold_coverage,
    prompt_diversity,
    prompt_fidelity,
    quality_coverage,
    quality_frechet,
    quality_within,
    seed_halves,
)
from igmu_metrics.generations import read

RECORDED = Path(__file__).parent / "recorded"
IDS, SEEDS = np.repeat(np.arange(60).astype(str), 4), np.tile(np.arange(4), 60)
HALVES = seed_halves(IDS, SEEDS)


def within(before, after, halves):
    """Like the others, which take halves."""
    return quality_within(before, after, IDS, SEEDS)


def original(seed=0, width=4):
    """Sixty prompts, each with its own look, four seeds that vary around it."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.normal(size=(60, width)), 4, axis=0) + rng.normal(size=(240, width))


@given(st.integers(0, 1000), st.integers(1, 4))
def test_coverage_is_the_definition(seed, k):
    rng = np.random.default_rng(seed)
    real, drawn = rng.normal(size=(12, 3)), rng.normal(size=(7, 3)) * 2
    covered = 0
    for i, x in enumerate(real):
        others = sorted(np.linalg.norm(x - y) for j, y in enumerate(real) if j != i)
        covered += min(np.linalg.norm(x - y) for y in drawn) <= others[k - 1]
    assert manifold_coverage(real, drawn, neighbours=k) == pytest.approx(covered / 12)


def test_a_common_offset_does_not_cost_digits():
    rng = np.random.default_rng(0)
    real, drawn = rng.normal(size=(50, 3)), rng.normal(size=(50, 3)) + 1
    assert manifold_coverage(real + 1e6, drawn + 1e6) == manifold_coverage(real, drawn)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=1, max_size=30, unique=True))
def test_halves_are_disjoint_equal_and_balanced_within_prompts(pairs):
    ids, seeds = (np.array(c) for c in zip(*pairs, strict=True))
    a, b = seed_halves(ids, seeds)
    assert not (a & b).any()
    for prompt in set(ids.tolist()):
        here = ids == prompt
        assert a[here].sum() == b[here].sum() == here.sum() // 2


@pytest.mark.parametrize("quality", [within, quality_coverage, quality_frechet])
def test_the_original_against_itself_is_one(quality):
    assert quality(original(), original(), HALVES) == 1.0


@pytest.mark.parametrize("quality", [quality_coverage, quality_frechet])
def test_both_halves_take_their_turn(quality):
    drawn = original() + np.random.default_rng(2).normal(size=(240, 4)) * np.linspace(0, 2, 240)[:, None]
    assert quality(original(), drawn, HALVES) == pytest.approx(quality(original(), drawn, HALVES[::-1]), rel=1e-9)


@pytest.mark.parametrize("quality", [within, quality_coverage, quality_frechet])
def test_one_image_over_and_over_is_near_zero(quality):
    blank = np.full((240, 4), 8.0)
    assert quality(original(), blank, HALVES) < 0.05


@pytest.mark.parametrize("quality", [within, quality_coverage, quality_frechet])
def test_another_draw_of_the_same_prompts_is_near_one(quality):
    rng = np.random.default_rng(9)
    looks = np.repeat(np.random.default_rng(0).normal(size=(60, 4)), 4, axis=0)
    assert quality(original(), looks + rng.normal(size=(240, 4)), HALVES) > 0.75


@pytest.mark.parametrize("quality", [within, quality_coverage, quality_frechet])
def test_more_damage_is_less_quality(quality):
    drift = np.random.default_rng(1).normal(size=(1, 4)) * 3
    found = [quality(original(), original() + share * drift, HALVES) for share in (0, 0.3, 0.6, 1)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.6


def test_too_few_samples_are_refused():
    with pytest.raises(InputError, match="but there are 5 and 9"):
        manifold_coverage(np.zeros((5, 2)), np.zeros((9, 2)))


# Within the prompt.

TABLES = {case: read(RECORDED / f"{case}.parquet")[0] for case in ("church-esd", "church-filter", "van-gogh-uce")}


def recorded(case):
    """Features of the original and of a version, prompts and seeds of the retain rows of a recorded table."""
    table = TABLES[case]
    name = "features" if "features" in table else "clip_features"
    table = table.where((table["split"] == "retain") & (table["probe"] != "in-prompt"))
    return table[f"{name}_original"], table[name], table["id"], table["seed"]


def terms(before, after, ids, seeds):
    return tuple(f(before, after, ids, seeds) for f in (quality_within, prompt_fidelity, prompt_diversity))


def naive(before, after, ids, seeds):
    """Fidelity and diversity with loops, from their definitions; as many seeds for every prompt."""
    own, across, varied = [], [], []
    for i in range(len(ids)):
        for j in range(len(ids)):
            if ids[i] == ids[j] and seeds[i] != seeds[j]:
                own.append(float(np.linalg.norm(before[i] - before[j])))
                across.append(float(np.linalg.norm(before[i] - after[j])))
                varied.append(float(np.linalg.norm(after[i] - after[j])))
    radius = 1.001 * sorted(own)[int(np.ceil(0.9 * len(own) - 1e-9)) - 1]
    median = sorted(own)[int(np.ceil(0.5 * len(own))) - 1]
    fidelity = np.mean([d <= radius for d in across]) / np.mean([d <= radius for d in own])
    diversity = np.mean([min(d, median) for d in varied]) / np.mean([min(d, median) for d in own])
    return min(1, fidelity), min(1, diversity)


@given(st.integers(0, 1000), st.integers(2, 4), st.floats(0, 2))
def test_within_is_the_definition(seed, seeds, drift):
    rng = np.random.default_rng(seed)
    before = rng.normal(size=(7 * seeds, 3))
    after = rng.normal(size=(7 * seeds, 3)) * 0.9 + drift
    keys = np.repeat(np.arange(7), seeds), np.tile(np.arange(seeds), 7)
    fidelity, diversity = naive(before, after, *keys)
    assert terms(before, after, *keys) == pytest.approx((fidelity * diversity, fidelity, diversity))


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_within_knows_no_order_no_place_and_no_scale(seed, scale):
    rng = np.random.default_rng(seed)
    before, after = rng.normal(size=(2, 24, 3))
    ids, seeds = np.repeat(np.arange(8), 3), np.tile(np.arange(3), 8)
    found = terms(before, after, ids, seeds)
    assert all(0 <= v <= 1 for v in found)
    order = rng.permutation(24)
    assert terms(before[order], after[order], ids[order], seeds[order]) == found
    assert terms(scale * before + 3, scale * after + 3, ids, seeds) == pytest.approx(found, rel=1e-6)


def test_prompts_count_the_same_whatever_the_number_of_their_seeds():
    """Nine seeds of a prompt that is right are one prompt of two, as are two seeds of one that is wrong."""
    ids, seeds = np.repeat(["a", "b"], [9, 2]), np.r_[np.arange(9), 0, 1]
    before = np.r_[np.arange(9.0) * 0.1, 0.0, 1.0][:, None]
    after = before.copy()
    after[ids == "b"] += 50
    assert prompt_fidelity(before, after, ids, seeds) == pytest.approx(0.5)


def test_a_prompt_with_one_seed_says_nothing():
    before, after = np.random.default_rng(0).normal(size=(2, 5, 3))
    ids, seeds = np.array(["a", "a", "b", "b", "c"]), np.array([0, 1, 0, 1, 0])
    assert terms(before, after, ids, seeds) == terms(before[:4], after[:4], ids[:4], seeds[:4])
    for alone in (np.array([0, 2, 4]), np.array([], np.intp)):
        with pytest.raises(InputError, match="a prompt with at least two seeds"):
            quality_within(before[alone], after[alone], ids[alone], seeds[alone])


def test_an_original_without_variety_says_nothing_about_diversity():
    before = np.repeat([[0.0], [3.0]], 2, axis=0)
    keys = np.array(["a", "a", "b", "b"]), np.array([0, 1, 0, 1])
    within, fidelity, diversity = terms(before, before, *keys)
    assert (np.isnan(within), fidelity, np.isnan(diversity)) == (True, 1.0, True)


def test_rounding_is_no_damage():
    """An image in another batch may have other last digits; those must not decide what is within the radius."""
    before = original()
    after = before * (1 + 1e-5 * np.random.default_rng(0).normal(size=before.shape))
    assert quality_within(before, after, IDS, SEEDS) == pytest.approx(1.0, abs=1e-4)
    assert prompt_fidelity(before, after, IDS, SEEDS) == 1.0


@pytest.mark.parametrize("case", TABLES)
def test_the_original_of_a_recorded_table_is_one_to_itself(case):
    before, _, *keys = recorded(case)
    assert terms(before, before, *keys) == (1.0, 1.0, 1.0)
    if case == "church-filter":  # draws retain prompts as the original does
        assert terms(*recorded(case)) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("case", ["church-esd", "van-gogh-uce"])
def test_damage_that_is_beyond_doubt_is_seen(case):
    before, _, ids, seeds = recorded(case)
    rng = np.random.default_rng(0)
    noise = recorded_noise(before)
    half = rng.permutation(len(ids)) < len(ids) / 2
    assert quality_within(before, np.where(half[:, None], noise, before), ids, seeds) <= 0.6
    first = before[np.unique(ids, return_index=True)[1]][np.unique(ids, return_inverse=True)[1]]
    for same in (first, np.broadcast_to(before[0], before.shape)):
        assert quality_within(before, same, ids, seeds) <= 0.05
    # The others do not see what happened within a prompt.
    assert quality_coverage(before, first, seed_halves(ids, seeds)) > 0.9


@pytest.mark.parametrize("task", ["church", "van-gogh"])
def test_a_new_training_is_no_damage_and_halved_contrast_is(task):
    """Features, by the packaged CLIP, of `gold`'s images of all retain prompts and of the original's made pale."""
    with np.load(RECORDED / "quality.npz") as file:
        before, gold, pale = (file[f"{task}/{name}"].astype(np.float64) for name in ("original", "gold", "halved"))
        keys = file[f"{task}/id"], file[f"{task}/seed"]
    assert quality_within(before, gold, *keys) >= 0.9
    assert quality_within(before, pale, *keys) <= 0.6
    assert quality_coverage(before, pale, seed_halves(*keys)) > 0.8  # of which the former default saw next to nothing


def recorded_noise(like):
    """What `collapsed` drew: noise, as CLIP sees it, as many as asked for."""
    table = read(RECORDED / "van-gogh-collapsed.parquet")[0]
    drawn = table["features" if "features" in table else "clip_features"]
    return np.resize(drawn, like.shape)
