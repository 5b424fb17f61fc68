"""Fréchet, KID and CMMD against independent implementations, closed forms and their statistical laws."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from igmu_data.errors import EmptyInputError, InputError, LengthMismatchError, NonFiniteError
from igmu_metrics.distances import gaussian
from igmu_metrics.distances.gaussian import cmmd, cmmd_estimate, frechet_distance, kid, kid_estimate
from igmu_metrics.distances.intervals import Prompts
from igmu_metrics.distances.mmd import _Pairs, mmd_biased, mmd_unbiased, polynomial_kernel, rbf_kernel

RELATIVE = 1e-5


def kid_interval(*args, **kwargs):
    return kid_estimate(*args, **kwargs)[1]


def cmmd_interval(*args, **kwargs):
    return cmmd_estimate(*args, **kwargs)[1]


def features(n: int, d: int, *, seed: int, shift: float = 0.0) -> np.ndarray:
    """Skewed, correlated, non-negative features, as pooled activations are."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).standard_normal((d, d)) / np.sqrt(d)
    return np.maximum(rng.standard_normal((n, d)) @ mix + shift, 0.0) + 0.1 * rng.random((n, d))


SHAPES = [(20, 20, 48), (13, 40, 32), (200, 150, 16)]


@pytest.mark.parametrize(("n", "m", "d"), SHAPES)
def test_frechet_agrees_with_torch_fidelity(n: int, m: int, d: int) -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    x, y = features(n, d, seed=1), features(m, d, seed=2, shift=0.3)
    stats = [fid_features_to_statistics(torch.from_numpy(f)) for f in (x, y)]
    theirs = fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(x, y) == pytest.approx(theirs, rel=RELATIVE)


@pytest.mark.parametrize(("n", "m", "d"), SHAPES)
def test_frechet_agrees_with_clean_fid(n: int, m: int, d: int) -> None:
    x, y = features(n, d, seed=1), features(m, d, seed=2, shift=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # clean-fid's imports and its call of scipy.linalg.sqrtm
        from cleanfid.fid import frechet_distance as clean

        theirs = clean(x.mean(axis=0), np.cov(x, rowvar=False), y.mean(axis=0), np.cov(y, rowvar=False))
    # Its square root of a singular product is good to about 1e-4 of the traces when there are fewer rows than columns.
    assert frechet_distance(x, y) == pytest.approx(theirs, rel=RELATIVE if min(n, m) > d else 1e-3)


@pytest.mark.parametrize(("n", "m", "d"), SHAPES)
def test_frechet_agrees_with_torchmetrics(n: int, m: int, d: int) -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Given(torch.nn.Module):
        """Images are already features."""

        num_features = d

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1)

    x, y = features(n, d, seed=1), features(m, d, seed=2, shift=0.3)
    metric = FrechetInceptionDistance(feature=Given(), input_img_size=(1, 1, d)).set_dtype(torch.float64)
    metric.update(torch.from_numpy(x)[:, None, None], real=True)
    metric.update(torch.from_numpy(y)[:, None, None], real=False)
    assert frechet_distance(x, y) == pytest.approx(float(metric.compute()), rel=RELATIVE)


@pytest.mark.parametrize(("n", "d"), [(12, 30), (60, 30), (30, 30), (31, 30)])
def test_frechet_is_exact_against_the_definition(n: int, d: int) -> None:
    from scipy.linalg import eigh

    x, y = features(n, d, seed=3), features(n, d, seed=4, shift=0.2)
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    values, vectors = eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    trace = np.linalg.svd(
        root @ np.linalg.cholesky(second + 0) if n > d + 1 else root @ _root(second), compute_uv=False
    )
    mean = x.mean(axis=0) - y.mean(axis=0)
    expected = mean @ mean + np.trace(first) + np.trace(second) - 2 * trace.sum()
    # Where the covariance is singular, the roots of its null space carry rounding of 1e-8 each.
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-10 if n > d + 1 else 1e-6)


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0))


def test_frechet_of_scaled_axes_is_known() -> None:
    # Independent axes: the distance is the sum over axes of (difference of means)² + (difference of deviations)².
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 4)).reshape(4, -1).T
    deviation = np.sqrt(16 / 15)
    a, b = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 1.0, 8.0])
    expected = 4 * 0.5**2 + deviation**2 * np.sum((a - b) ** 2)
    assert frechet_distance(corners * a, corners * b + 0.5) == pytest.approx(expected, rel=1e-12)


def test_frechet_survives_features_that_repeat_or_never_change() -> None:
    x, y = features(80, 10, seed=5), features(80, 10, seed=6, shift=0.4)
    expected = frechet_distance(x, y)
    constant = np.ones((80, 3))
    assert frechet_distance(np.hstack([x, constant]), np.hstack([y, constant])) == pytest.approx(expected, rel=1e-7)
    # Every column twice doubles each trace and the squared distance of the means.
    assert frechet_distance(np.hstack([x, x]), np.hstack([y, y])) == pytest.approx(2 * expected, rel=1e-6)


@pytest.mark.parametrize("n", [10, 100])
def test_frechet_of_a_set_with_itself_is_zero(n: int) -> None:
    x = features(n, 40, seed=7)
    assert 0.0 <= frechet_distance(x, x) < 1e-9


@pytest.mark.parametrize(("n", "d"), [(20, 48), (200, 16)])
def test_kid_agrees_with_torch_fidelity(n: int, d: int) -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, y = features(n, d, seed=1), features(n, d, seed=2, shift=0.3)
    theirs = kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=1, kid_subset_size=n, rng_seed=0, verbose=False
    )
    assert kid(x, y) == pytest.approx(theirs["kernel_inception_distance_mean"], rel=RELATIVE)


def test_kid_agrees_with_clean_fid() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cleanfid.fid import kernel_distance

    x, y = features(40, 24, seed=1), features(40, 24, seed=2, shift=0.3)
    assert kid(x, y) == pytest.approx(kernel_distance(x, y, num_subsets=1), rel=RELATIVE)


def test_kid_takes_sets_of_different_sizes() -> None:
    x, y = features(7, 5, seed=1), features(11, 5, seed=2)
    kxx, kyy, kxy = ((a @ b.T / 5 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    expected = (kxx.sum() - np.trace(kxx)) / 42 + (kyy.sum() - np.trace(kyy)) / 110 - 2 * kxy.mean()
    assert kid(x, y) == pytest.approx(expected, rel=1e-12)


def test_cmmd_agrees_with_the_formula_of_its_reference() -> None:
    x, y = features(30, 16, seed=1), features(20, 16, seed=2, shift=0.5)
    a, b = (f / np.linalg.norm(f, axis=1, keepdims=True) for f in (x, y))

    def k(p: np.ndarray, q: np.ndarray) -> float:
        return float(np.exp(-((p[:, None] - q[None]) ** 2).sum(axis=2) / 200).mean())

    # exp in float64 next to 1 keeps nine digits of the difference.
    assert cmmd(x, y) == pytest.approx(1000 * (k(a, a) + k(b, b) - 2 * k(a, b)), rel=1e-8)


def test_the_biased_cmmd_exceeds_the_unbiased_one_by_the_diagonal() -> None:
    x, y = features(30, 16, seed=1), features(30, 16, seed=2)
    a, b = gaussian.unit_rows("x", x), gaussian.unit_rows("y", y)
    means = [k.sum() / (30 * 29) for k in (rbf_kernel(a, a), rbf_kernel(b, b))]  # of 1 - k, off the diagonal
    excess = -1000 * sum(means) / 30
    assert cmmd(x, y) - cmmd(x, y, unbiased=True) == pytest.approx(excess, rel=1e-9)


def test_kid_and_unbiased_cmmd_are_unbiased_and_the_published_cmmd_is_not() -> None:
    draws = np.array(
        [
            (kid(x, y), cmmd(x, y, unbiased=True), cmmd(x, y))
            for x, y in ((features(12, 6, seed=s), features(12, 6, seed=10_000 + s)) for s in range(400))
        ]
    )
    z = draws.mean(axis=0) / (draws.std(axis=0) / np.sqrt(len(draws)))
    assert np.all(np.abs(z[:2]) < 3)
    assert z[2] > 20


@pytest.mark.parametrize("distance", [frechet_distance, kid, cmmd, partial(cmmd, unbiased=True)])
@given(seed=st.integers(0, 1000), n=st.integers(2, 9), d=st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_distances_are_symmetric_and_blind_to_the_order_of_rows(distance, seed: int, n: int, d: int) -> None:
    x, y = features(n, d, seed=seed) + 0.1, features(n + 1, d, seed=seed + 1) + 0.1
    value = distance(x, y)
    assert distance(y, x) == pytest.approx(value, rel=1e-9, abs=1e-9)
    assert distance(x[::-1], np.roll(y, 1, axis=0)) == pytest.approx(value, rel=1e-9, abs=1e-9)


def test_blocks_do_not_change_an_mmd(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = features(50, 8, seed=1), features(30, 8, seed=2)
    ids = [i // 3 for i in range(50)]
    whole = (mmd_unbiased(polynomial_kernel, x, y), mmd_biased(rbf_kernel, x, y), kid_interval(x, y, x_ids=ids))
    monkeypatch.setattr("igmu_metrics.distances.mmd.BLOCK", 7)
    parts = (mmd_unbiased(polynomial_kernel, x, y), mmd_biased(rbf_kernel, x, y), kid_interval(x, y, x_ids=ids))
    assert parts[:2] == pytest.approx(whole[:2], rel=1e-10)
    assert parts[2] == pytest.approx(whole[2], rel=1e-10)


def different_prompts(kernel, x, y, x_ids, y_ids) -> float:
    """The definition, pair by pair."""
    means = []
    for a, b, of_a, of_b in ((x, x, x_ids, x_ids), (y, y, y_ids, y_ids), (x, y, x_ids, y_ids)):
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if of_a[i] != of_b[j]]
        means.append(np.mean([kernel(a[[i]], b[[j]])[0, 0] for i, j in pairs]))
    return float(means[0] + means[1] - 2 * means[2])


# All prompts shared, in another order and with other seeds; some; none.
SHARING = [list("ddccbbaaa"), list("aabceeeff"), list("vvwwxxyyz")]


@pytest.mark.parametrize("y_ids", SHARING, ids="".join)
def test_generations_of_one_prompt_are_never_paired(monkeypatch: pytest.MonkeyPatch, y_ids: list[str]) -> None:
    x, y, x_ids = features(10, 5, seed=1), features(9, 5, seed=2), list("abcdabcdab")
    expected = different_prompts(polynomial_kernel, x, y, x_ids, y_ids)
    assert kid(x, y, x_ids=x_ids, y_ids=y_ids) == pytest.approx(expected, rel=1e-9)
    a, b = gaussian.unit_rows("x", x), gaussian.unit_rows("y", y)
    expected = 1000 * different_prompts(rbf_kernel, a, b, x_ids, y_ids)
    assert cmmd(x, y, unbiased=True, x_ids=x_ids, y_ids=y_ids) == pytest.approx(expected, rel=1e-9)
    whole = kid_estimate(x, y, x_ids=x_ids, y_ids=y_ids)
    monkeypatch.setattr("igmu_metrics.distances.mmd.BLOCK", 2)
    value, interval = kid_estimate(x, y, x_ids=x_ids, y_ids=y_ids)
    assert (value, *interval) == pytest.approx((whole[0], *whole[1]), rel=1e-9)


@pytest.mark.parametrize("y_ids", SHARING, ids="".join)
def test_the_jackknife_leaves_out_one_prompt_at_a_time(y_ids: list[str]) -> None:
    x, y, x_ids = features(10, 5, seed=1), features(9, 5, seed=2), np.array(list("abcdabcdab"))
    of_y = np.array(y_ids)
    names = sorted({*x_ids.tolist(), *y_ids})
    left = [kid(x[x_ids != p], y[of_y != p], x_ids=x_ids[x_ids != p], y_ids=of_y[of_y != p]) for p in names]
    pairs = _Pairs.of(polynomial_kernel, x, y, Prompts.of(x, y, x_ids, y_ids))
    assert pairs.jackknife() == pytest.approx((len(names) - 1) * np.var(left), rel=1e-9)


@pytest.mark.parametrize("shared", [True, False])
def test_what_pairs_do_is_what_centring_leaves(shared: bool) -> None:
    n = 9
    x, y, ids = features(n, 4, seed=1), features(n, 4, seed=2, shift=0.3), np.arange(n)

    def u_centred(k: np.ndarray) -> float:  # Székely and Rizzo (2014), definition 2, and their unbiased estimate
        k = k - np.diag(np.diag(k))
        each = k.sum(axis=1) / (n - 2)
        k = k - each[:, None] - each + k.sum() / ((n - 1) * (n - 2))
        return float(np.sum((k - np.diag(np.diag(k))) ** 2)) / (n * (n - 3))

    xx, yy, xy = (polynomial_kernel(a, b) for a, b in ((x, x), (y, y), (x, y)))
    if shared:
        expected = 2 * u_centred(xx + yy - xy - xy.T) / (n * (n - 1))
    else:
        centred = xy - xy.mean(axis=0) - xy.mean(axis=1)[:, None] + xy.mean()
        across = np.sum(centred**2) / (n - 1) ** 2
        expected = 2 * (u_centred(xx) + u_centred(yy)) / (n * (n - 1)) + 4 * across / n**2
    prompts = Prompts.of(x, y, ids, ids if shared else ids + n)
    assert _Pairs.of(polynomial_kernel, x, y, prompts).second_order() == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("estimate", [kid_estimate, cmmd_estimate])
def test_a_copy_is_no_distance_away(estimate) -> None:
    x, ids = features(60, 6, seed=1), np.repeat(np.arange(30), 2)
    for y, y_ids in ((x.copy(), ids), (x[::-1], ids[::-1])):
        value, interval = estimate(x, y, x_ids=ids, y_ids=y_ids)
        assert (value, *interval) == pytest.approx((0, 0, 0), abs=1e-12)


@pytest.mark.parametrize("per_prompt", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_intervals_hold_the_truth_as_often_as_they_say(per_prompt: int) -> None:
    """Two populations a known distance apart, prompts drawn anew each time."""
    rng = np.random.default_rng(5)
    n_prompts, spread = 40, 0.6

    def draw(n: int, shift: float) -> np.ndarray:
        centres = rng.standard_normal((n, 3)) * spread + shift
        return np.repeat(centres, per_prompt, axis=0) + 0.3 * rng.standard_normal((n * per_prompt, 3))

    truth = kid(draw(4000 // per_prompt, 0.0), draw(4000 // per_prompt, 0.4))
    ids = np.repeat(np.arange(n_prompts), per_prompt)
    held = 0
    for _ in range(120):
        x, y = draw(n_prompts, 0.0), draw(n_prompts, 0.4)
        low, high = kid_interval(x, y, x_ids=ids, y_ids=ids + 1000)
        held += low <= truth <= high
    assert held / 120 > 0.87  # four standard errors below 0.95


def test_equal_sets_are_not_told_apart() -> None:
    held = 0
    for seed in range(20):
        x, y = features(40, 64, seed=2 * seed), features(40, 64, seed=2 * seed + 1)
        low, high = kid_interval(x, y)
        held += low <= 0 <= high
        assert low < kid(x, y) < high
    assert held >= 17


@pytest.mark.parametrize("paired", [False, True])
def test_an_estimate_is_the_distance_itself(paired: bool) -> None:
    x, y = features(20, 5, seed=1), features(30, 5, seed=2)
    ids = {"x_ids": np.arange(20) // 4, "y_ids": np.arange(30) // 6 + 100 * (not paired)}
    assert kid_estimate(x, y, **ids)[0] == kid(x, y, **ids)
    assert cmmd_estimate(x, y, **ids)[0] == cmmd(x, y, unbiased=True, **ids)


def test_intervals_do_not_depend_on_the_order_of_rows() -> None:
    x, y = features(24, 5, seed=1), features(24, 5, seed=2)
    ids = np.array([f"p{i // 4}" for i in range(24)])
    order = np.random.default_rng(0).permutation(24)
    for interval in (kid_interval, cmmd_interval):
        expected = interval(x, y, x_ids=ids, y_ids=ids)
        assert interval(x[order], y, x_ids=ids[order], y_ids=ids) == pytest.approx(expected, rel=1e-9)
        assert interval(x[order], y) == pytest.approx(interval(x, y), rel=1e-9)


def test_shared_prompts_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.standard_normal((30, 4)) * 2, 2, axis=0)
    x, y = (centres + 0.05 * rng.standard_normal(centres.shape) for _ in range(2))
    ids = np.repeat(np.arange(30), 2)
    together = kid_interval(x, y, x_ids=ids, y_ids=ids)
    apart = kid_interval(x, y, x_ids=ids, y_ids=ids + 100)
    assert together[1] - together[0] < 0.5 * (apart[1] - apart[0])


BAD = [
    ([], EmptyInputError, "no entries"),
    ([[], []], EmptyInputError, "its vectors are empty"),
    ([1.0, 2.0], InputError, "one vector"),
    ([[1.0, 2.0]], InputError, "at least two"),
    ([[1.0], [2.0]], InputError, "different widths"),
    ([[1.0, float("nan")], [1.0, 2.0]], NonFiniteError, r"x\[0, 1\] is nan"),
    ([[1.0, 2.0], [float("inf"), 2.0]], NonFiniteError, r"x\[1, 0\] is inf"),
    (np.ma.masked_equal([[1.0, 2.0], [3.0, 4.0]], 2.0), InputError, "masked"),
]


@pytest.mark.parametrize("distance", [frechet_distance, kid, cmmd])
@pytest.mark.parametrize(("bad", "error", "message"), BAD)
def test_what_cannot_be_compared_is_refused(distance, bad, error, message: str) -> None:
    with pytest.raises(error, match=message):
        distance(bad, [[1.0, 2.0], [3.0, 5.0]])


def test_an_embedding_without_direction_is_refused() -> None:
    with pytest.raises(InputError, match=r"y\[1\] contains only zeros"):
        cmmd([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 0.0]])


def test_intervals_refuse_ids_that_do_not_fit() -> None:
    x = features(6, 3, seed=1)
    with pytest.raises(LengthMismatchError, match="5 prompt ids for 6 rows"):
        kid_interval(x, x, x_ids=list("abcde"))
    with pytest.raises(InputError, match="at least four prompts"):
        kid_interval(x, x, x_ids=["a"] * 6)
    with pytest.raises(InputError, match="at least four prompts"):  # pairs of three have no spread
        kid_interval(x, x, x_ids=list("aabbcc"), y_ids=list("aabbcc"))
    with pytest.raises(InputError, match="at least two prompts"):
        kid(x, x, x_ids=["a"] * 6)
