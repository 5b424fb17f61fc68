"""The two candidates for the quality aspect, against brute force and where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from igmu_data.errors import InputError
from igmu_metrics.distances.quality import manifold_coverage, quality_coverage, quality_frechet, seed_halves

IDS, SEEDS = np.repeat(np.arange(60).astype(str), 4), np.tile(np.arange(4), 60)
HALVES = seed_halves(IDS, SEEDS)


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


@pytest.mark.parametrize("quality", [quality_coverage, quality_frechet])
def test_the_original_against_itself_is_one(quality):
    assert quality(original(), original(), HALVES) == 1.0


@pytest.mark.parametrize("quality", [quality_coverage, quality_frechet])
def test_one_picture_over_and_over_is_near_zero(quality):
    blank = np.full((240, 4), 8.0)
    assert quality(original(), blank, HALVES) < 0.05


@pytest.mark.parametrize("quality", [quality_coverage, quality_frechet])
def test_another_draw_of_the_same_prompts_is_near_one(quality):
    rng = np.random.default_rng(9)
    looks = np.repeat(np.random.default_rng(0).normal(size=(60, 4)), 4, axis=0)
    assert quality(original(), looks + rng.normal(size=(240, 4)), HALVES) > 0.75


@pytest.mark.parametrize("quality", [quality_coverage, quality_frechet])
def test_more_damage_is_less_quality(quality):
    drift = np.random.default_rng(1).normal(size=(1, 4)) * 3
    found = [quality(original(), original() + share * drift, HALVES) for share in (0, 0.3, 0.6, 1)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.6


def test_too_few_samples_are_refused():
    with pytest.raises(InputError, match="5 real and 9 drawn"):
        manifold_coverage(np.zeros((5, 2)), np.zeros((9, 2)))
