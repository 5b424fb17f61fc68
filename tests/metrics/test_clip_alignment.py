import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igmu_data.errors import DuplicateIdError, EmptyInputError, InputError, LengthMismatchError, NonFiniteError
from igmu_metrics.metrics import clip_alignment
from igmu_metrics.metrics.clip_alignment import rows, score


def angles(*degrees: float) -> np.ndarray:
    """Vectors in the plane with these angles and assorted lengths: cosines by hand, whatever the lengths."""
    radians = np.radians(degrees)
    lengths = 0.5 + np.arange(len(degrees))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1) * lengths[:, None]


TEXT = angles(0, 0, 0, 0)


def test_the_three_scales_by_hand() -> None:
    figures = score(rows(features=angles(60, 0, 120, 180), text_features=TEXT)).figures
    assert figures["cosine"].value == pytest.approx((0.5 + 1 - 0.5 - 1) / 4, abs=1e-12)
    assert figures["clipscore"].value == pytest.approx(100 * 1.5 / 4)  # each image's below zero counts as 0
    assert figures["hessel"].value == pytest.approx(2.5 * 1.5 / 4)
    assert set(figures) == {"cosine", "clipscore", "hessel"}


@pytest.mark.parametrize("variant", ["cosine", "clipscore", "hessel"])
def test_the_variant_is_the_headline_and_is_in_the_signature(variant: str) -> None:
    found = rows(features=angles(60, 0, 30, 20), text_features=TEXT, variant=variant)
    assert score(found).settings["variant"] == variant
    assert score(found).headline == score(found).figures[variant]


def test_csdr_by_hand() -> None:
    found = score(
        rows(
            features=angles(60, 0, 90, 120),
            text_features=angles(90, 90, 90, 90),  # the full prompt plays no part in CSDR
            original_features=angles(0, 60, 60, 60),
            stripped_text_features=TEXT,
        )
    ).figures
    # s: original 100, 50, 50, 50; unlearned 50, 100, 0, 0 (below zero counts as 0).
    assert found["csdr"].value == pytest.approx((0.5 + 1 + 1 + 1) / 4)
    assert found["csdr_signed"].value == pytest.approx((0.5 - 1 + 1 + 1) / 4)
    assert found["n_unscored_pairs"].value == 0


def test_pairs_that_the_original_scores_zero_are_counted_not_scored() -> None:
    arguments = {"text_features": TEXT, "stripped_text_features": TEXT}
    found = score(rows(features=angles(60, 0, 0, 0), original_features=angles(0, 120, 180, 0), **arguments)).figures
    assert found["csdr"].value == pytest.approx((0.5 + 0) / 2)
    assert found["csdr"].n_generations == 2
    assert "2 of 4 pairs left out" in found["csdr"].reason
    assert found["n_unscored_pairs"].value == 2
    assert found["cosine"].n_generations == 4
    none = score(rows(features=angles(0, 0, 0, 0), original_features=angles(120, 180, 170, 100), **arguments)).figures
    assert np.isnan(none["csdr"].value)
    assert "in all pairs" in none["csdr"].reason


@pytest.mark.parametrize("given_one", ["original_features", "stripped_text_features"])
def test_half_of_what_csdr_needs_gives_a_reason_instead(given_one: str) -> None:
    found = score(rows(features=TEXT, text_features=TEXT, **{given_one: TEXT})).figures
    assert np.isnan(found["csdr"].value)
    assert np.isnan(found["csdr_signed"].value)
    assert "not given" in found["csdr"].reason


def test_the_original_against_itself_has_lost_nothing_and_a_blank_one_everything() -> None:
    rng = np.random.default_rng(0)
    original, text = rng.random((30, 8)), rng.random((30, 8))
    blank = np.tile(-text.mean(axis=0), (30, 1))
    arguments = {"text_features": text, "stripped_text_features": text, "original_features": original}
    same, lost = (score(rows(features=x, **arguments)).figures for x in (original, blank))
    assert (same["csdr"].value, same["csdr_signed"].value) == (0, 0)
    assert (lost["csdr"].value, lost["csdr_signed"].value) == (1, 1)
    assert same["cosine"].value > lost["cosine"].value


def test_prompts_are_resampled_not_generations() -> None:
    rng = np.random.default_rng(1)
    image = np.repeat(rng.standard_normal((12, 6)), 5, axis=0)  # five seeds that are copies of one another
    text = np.repeat(rng.standard_normal((12, 6)), 5, axis=0)
    ids = [f"p{i // 5}" for i in range(60)]
    clustered = score(rows(features=image, text_features=text, ids=ids, seeds=list(range(5)) * 12)).headline
    single = score(rows(features=image[::5], text_features=text[::5])).headline
    assert (clustered.n_prompts, clustered.n_generations) == (12, 60)
    assert clustered.interval == pytest.approx(single.interval)  # copies add nothing
    naive = score(rows(features=image, text_features=text)).headline
    assert naive.interval[1] - naive.interval[0] < 0.6 * (clustered.interval[1] - clustered.interval[0])


def test_below_ten_prompts_there_is_no_interval() -> None:
    found = score(rows(features=TEXT, text_features=TEXT, ids=["a", "a", "b", "c"])).headline
    assert found.interval is None
    assert "fewer than 10 prompts (3)" in found.reason


@given(seed=st.integers(0, 10_000), n=st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_ranges_hold_and_neither_order_nor_length_matters(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    image, text, original, stripped = rng.standard_normal((4, n, 3))
    order = rng.permutation(n)
    scale = rng.random((n, 1)) * 100 + 1e-3

    def figures(image, text, original, stripped):
        return score(
            rows(
                features=image,
                text_features=text,
                original_features=original,
                stripped_text_features=stripped,
            ),
            resamples=50,
        ).figures

    one = figures(image, text, original, stripped)
    other = figures(*((a * scale)[order] for a in (image, text, original, stripped)))
    for name, figure in one.items():
        assert other[name].value == pytest.approx(figure.value, rel=1e-9, abs=1e-12, nan_ok=True)
    low, high = clip_alignment.INFO.range
    assert low <= one["cosine"].value <= high
    assert 0 <= one["clipscore"].value <= 100
    assert one["hessel"].value == pytest.approx(one["clipscore"].value / 40)
    if one["csdr"].n_generations:
        assert abs(one["csdr_signed"].value) <= one["csdr"].value + 1e-12


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"features": []}, EmptyInputError, "no entries"),
        ({"text_features": TEXT[:3]}, InputError, "one row per generation"),
        ({"features": TEXT[:, :1]}, InputError, "one row per generation"),
        ({"features": np.full((4, 2), np.nan)}, NonFiniteError, r"features\[0, 0\]"),
        ({"text_features": np.zeros((4, 2))}, InputError, r"text_features\[0\] contains only zeros"),
        ({"ids": ["a"]}, LengthMismatchError, "ids 1"),
        ({"ids": ["a"] * 4, "seeds": [0, 1, 2, 2]}, DuplicateIdError, "entries 2 and 3"),
        ({"seeds": [0, 1, 2, 3]}, InputError, "without ids"),
        ({"variant": "percent"}, InputError, "'percent'"),
        ({"original_features": TEXT[:2], "stripped_text_features": TEXT}, InputError, "original_features"),
    ],
)
def test_bad_input_is_refused(change: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        rows(**({"features": TEXT, "text_features": TEXT} | change))
