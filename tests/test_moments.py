"""Moments, the Fréchet distance from them, and its interval over prompts."""

from __future__ import annotations

import numpy as np
import pytest

from igmu_data.errors import InputError
from igmu_metrics.distances import gaussian
from igmu_metrics.distances.jackknife import _derivatives, frechet_interval
from igmu_metrics.distances.moments import Moments, frechet_of_moments


def test_more_rows_than_a_block_and_none() -> None:
    rows = np.random.default_rng(0).normal(size=(5000, 4))
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


def half_width(interval: tuple[float, float]) -> float:
    """On the scale of the logarithm."""
    return float(np.log(interval[1] / interval[0]) / 2)


@pytest.mark.parametrize("apart", [0, 1000])  # the same prompts on both sides, or others
def test_with_many_prompts_the_interval_is_that_of_leaving_each_out(apart: int) -> None:
    """Where pairs of prompts have next to nothing to say, every jackknife agrees."""
    rng = np.random.default_rng(2)
    ids = np.repeat(np.arange(400), 2)
    prompt = rng.normal(size=(400, 24))[ids]
    x, y = prompt + rng.normal(size=prompt.shape), prompt + rng.normal(0.6, 1.2, prompt.shape)
    value, interval = gaussian.frechet_estimate(x, y, x_ids=ids, y_ids=ids + apart)
    ways = [(True, True)] if not apart else [(True, False), (False, True)]
    sides = [
        [gaussian.frechet_distance(x[ids != g] if of_x else x, y[ids != g] if of_y else y) for g in range(400)]
        for of_x, of_y in ways
    ]
    variance = 399 * sum(np.var(side) for side in sides)
    assert half_width(interval) == pytest.approx(1.966 * np.sqrt(variance) / value, rel=0.05)


@pytest.mark.parametrize(("n", "width"), [(30, 40), (40, 6), (30, 24)])  # fewer rows than columns, more, one side each
def test_derivatives_by_the_weights_of_rows(n: int, width: int) -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(n, width)), rng.normal(0.3, 1.2, size=(20, width))
    weights = rng.uniform(0.5, 1.5, n), rng.uniform(0.5, 1.5, 20)

    def distance(of_x: np.ndarray, of_y: np.ndarray) -> float:
        moments = []
        for rows, w in ((x, of_x), (y, of_y)):
            w = w / w.sum()
            centred = rows - w @ rows
            moments.append(Moments(len(rows), w @ rows, len(rows) * (centred.T * w) @ centred))
        return frechet_of_moments(*moments)

    given = [w / w.mean() for w in weights]
    step = 1e-4 * rng.normal(size=n), 1e-4 * rng.normal(size=20)
    ahead, behind = (distance(*(w + sign * s for w, s in zip(given, step, strict=True))) for sign in (1, -1))
    found = sum(float(d @ s) for d, s in zip(_derivatives(x, y, *given), step, strict=True))
    assert found == pytest.approx((ahead - behind) / 2, rel=2e-4)  # singular covariances: half the digits


def test_pairs_of_prompts_are_counted_once() -> None:
    """Two equal models in many directions: the distance is all pairs, and leaving prompts out sees them doubly."""
    values, halves = [], []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        ids, x, y = np.repeat(np.arange(40), 2), *rng.normal(size=(2, 80, 60))
        value, interval = gaussian.frechet_estimate(x, y, x_ids=ids, y_ids=ids)
        values.append(value)
        halves.append(half_width(interval) * value / 2.023)
    assert np.mean(halves) == pytest.approx(np.std(values), rel=0.25)  # leaving out groups: 1.9 times as much


def test_sets_without_spread_and_single_prompts() -> None:
    ones = np.ones((30, 3))
    assert gaussian.frechet_estimate(ones, ones) == (0.0, (0.0, 0.0))
    assert gaussian.frechet_estimate(ones, 0 * ones) == (3.0, (3.0, 3.0))
    with pytest.raises(InputError, match="two prompts"):
        frechet_interval(ones, ones, 0.0, x_ids=["a"] * 30)


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
    assert sum(low <= truth <= high for low, high in intervals) >= 54  # 95% of 60 is 57, one in 60 has fewer than 54
