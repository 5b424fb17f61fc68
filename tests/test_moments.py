"""Moments that merge, the Fréchet distance from them, and the interval that leaves prompts out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from igmu_data.errors import InputError
from igmu_metrics import gaussian
from igmu_metrics.jackknife import GROUPS, frechet_interval
from igmu_metrics.moments import Moments, frechet_of_moments


@given(st.integers(2, 40), st.integers(1, 39), st.integers(0, 99))
def test_pieces_merge_to_the_whole_and_come_apart_again(n: int, cut: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(1e3, 2.0, (n, 3))
    cut = min(cut, n - 1)
    merged = Moments.of(rows[:cut]).merged(Moments.of(rows[cut:]))
    assert merged.n == n
    np.testing.assert_allclose(merged.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(merged.covariance, np.cov(rows.T), rtol=1e-9, atol=1e-9)
    rest = merged.without(Moments.of(rows[:cut]))
    np.testing.assert_allclose(rest.mean, rows[cut:].mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(rest.scatter, Moments.of(rows[cut:]).scatter, atol=1e-7 * n)


def test_more_rows_than_a_block_and_none() -> None:
    rows = np.random.default_rng(0).normal(size=(2500, 4))
    np.testing.assert_allclose(Moments.of(rows).covariance, np.cov(rows.T), rtol=1e-12, atol=1e-15)
    with pytest.raises(InputError, match="no rows"):
        Moments.of(rows[:0])


def test_both_forms_give_the_same_distance() -> None:
    # 30 rows of 40 columns, of which 5 carry anything: low rank by number of rows, full rank in the 5 columns alone.
    rng = np.random.default_rng(1)
    x, y = (np.pad(rng.normal(m, 1, (30, 5)), ((0, 0), (0, 35))) for m in (0, 1))
    exact = frechet_of_moments(Moments.of(x[:, :5]), Moments.of(y[:, :5]))
    assert gaussian.frechet_distance(x, y) == pytest.approx(exact, rel=1e-10)
    assert frechet_of_moments(Moments.of(x), Moments.of(y)) == pytest.approx(exact, rel=1e-7)  # singular: by roots


@pytest.mark.parametrize("width", [30, 6])  # both forms
def test_the_interval_is_that_of_distances_without_each_group(width: int) -> None:
    rng = np.random.default_rng(2)
    ids = np.repeat(np.arange(GROUPS), 2)  # as many prompts as groups: every group is one prompt
    x = rng.normal(size=(2 * GROUPS, width)) + rng.normal(size=(GROUPS, width))[ids]
    y = rng.normal(0.3, 1.2, size=(2 * GROUPS, width))
    value = gaussian.frechet_distance(x, y)
    without = [gaussian.frechet_distance(x[ids != g], y[ids != g]) for g in range(GROUPS)]
    half = 2.093024054 * np.sqrt((GROUPS - 1) / GROUPS * np.sum((without - np.mean(without)) ** 2))
    expected = (value * np.exp(-half / value), value * np.exp(half / value))
    assert frechet_interval(x, y, value, x_ids=ids, y_ids=ids) == pytest.approx(expected, rel=1e-6)
    # Other prompts on the other side: one side at a time, and the variances add up.
    sides = [[gaussian.frechet_distance(x[ids != g], y) for g in range(GROUPS)],
             [gaussian.frechet_distance(x, y[ids != g]) for g in range(GROUPS)]]  # fmt: skip
    variance = sum((GROUPS - 1) / GROUPS * np.sum((s - np.mean(s)) ** 2) for s in map(np.array, sides))
    low, high = frechet_interval(x, y, value, x_ids=ids, y_ids=ids + 100)
    assert np.log(high / low) / 2 == pytest.approx(2.093024054 * np.sqrt(variance) / value, rel=1e-6)


def test_the_interval_does_not_depend_on_the_order_of_rows() -> None:
    rng = np.random.default_rng(3)
    x, y, ids = rng.normal(size=(90, 20)), rng.normal(0.5, 1, (90, 20)), np.repeat(np.arange(30), 3)
    order = rng.permutation(90)
    for prompts in (ids, None):
        whole = gaussian.frechet_estimate(x, y, x_ids=prompts, y_ids=prompts)
        turned = None if prompts is None else prompts[order]
        assert gaussian.frechet_estimate(x[order], y, x_ids=turned, y_ids=prompts)[1] == pytest.approx(
            whole[1], rel=1e-9
        )


def test_the_interval_holds_the_distance_of_other_prompts_of_the_same_models() -> None:
    """Of the distance at this n, bias included: the mean over many draws of as many prompts."""
    values, intervals = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        ids = np.repeat(np.arange(40), 2)
        prompt = 0.7 * rng.normal(size=(40, 60))[ids]
        x, y = prompt + rng.normal(size=(80, 60)), 1.3 * prompt + rng.normal(0.2, 1, (80, 60))
        value, interval = gaussian.frechet_estimate(x, y, x_ids=ids, y_ids=ids)
        values.append(value)
        intervals.append(interval)
    truth = float(np.mean(values))
    assert sum(low <= truth <= high for low, high in intervals) >= 54  # 95 % of 60 is 57, one in 60 has fewer than 54
