import numpy as np
import pytest

from igmu_data.errors import DuplicateIdError, EmptyInputError, InputError, LengthMismatchError, NonFiniteError
from igmu_metrics.contract import Result
from igmu_metrics.distances import gaussian
from igmu_metrics.metrics import frechet


def features(n: int = 20, *, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 6)) + 0.01 + shift


def scored(name: str = "inception:clean", n: int = 20, **kwargs) -> Result:
    rows = frechet.rows(
        features=features(n, seed=1), original_features=features(n, seed=2, shift=0.3), feature_name=name, **kwargs
    )
    return frechet.score(rows, resamples=200)


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("inception:clean", {"frechet_distance", "fid", "kid"}),
        ("clip:openai/clip-vit-base-patch32", {"frechet_distance", "kid", "cmmd", "cmmd_unbiased"}),
        ("dinov2:facebook/dinov2-base", {"frechet_distance", "kid"}),
    ],
)
def test_a_distance_bears_its_usual_name_only_on_its_usual_features(name: str, figures: set[str]) -> None:
    assert set(scored(name).figures) == figures


def test_the_figures_are_those_of_gaussian() -> None:
    x, y = features(seed=1), features(seed=2, shift=0.3)
    found = scored("clip")
    assert found.headline is found.figures["frechet_distance"]
    assert found.headline.value == pytest.approx(gaussian.frechet_distance(x, y))
    assert found.figures["kid"].value == pytest.approx(gaussian.kid(x, y))
    assert found.figures["cmmd"].value == pytest.approx(gaussian.cmmd(x, y))
    assert found.figures["cmmd_unbiased"].value == pytest.approx(gaussian.cmmd(x, y, unbiased=True))
    for name in ("kid", "cmmd_unbiased"):
        low, high = found.figures[name].interval
        assert low < found.figures[name].value < high


def test_few_generations_carry_a_caution_and_the_unbiased_alternative() -> None:
    distance = scored().figures["fid"]
    assert distance.interval is not None
    assert "fewer than 5,000 generations (20)" in distance.reason
    assert "'kid'" in distance.reason
    assert "'cmmd_unbiased'" in scored("clip").headline.reason


def test_unequal_sizes_are_pointed_out() -> None:
    rows = frechet.rows(features=features(9), original_features=features(12), feature_name="dinov2")
    assert "differ in size (9 and 12)" in frechet.score(rows, resamples=50).headline.reason


def test_enough_generations_carry_no_caution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frechet, "ENOUGH", 20)
    assert scored().headline.reason == ""


def test_prompts_are_the_unit() -> None:
    ids = [f"p{i // 2}" for i in range(20)]
    found = scored(ids=ids, seeds=[0, 1] * 10, original_ids=ids, original_seeds=[0, 1] * 10)
    assert (found.figures["kid"].n_prompts, found.figures["kid"].n_generations) == (10, 20)
    few = scored(ids=["a", "b"] * 10).figures["kid"]
    assert few.interval is None
    assert "fewer than 20 prompts" in few.reason


def test_generations_of_one_prompt_are_not_paired() -> None:
    ids, seeds = [f"p{i // 2}" for i in range(60)], [0, 1] * 30
    shared = scored(n=60, ids=ids, seeds=seeds, original_ids=ids, original_seeds=seeds).figures["kid"]
    x, y = features(60, seed=1), features(60, seed=2, shift=0.3)
    value, interval = gaussian.kid_estimate(x, y, x_ids=ids, y_ids=ids)
    assert (shared.value, shared.interval) == (value, interval)
    assert value != pytest.approx(gaussian.kid(x, y))


def test_one_prompt_has_no_pairs_of_different_prompts() -> None:
    found = scored("clip", n=5, ids=["a"] * 5, seeds=range(5)).figures
    assert found["kid"].value != found["kid"].value
    assert "one prompt" in found["cmmd_unbiased"].reason
    assert found["cmmd"].value > 0


def test_the_original_against_itself_is_as_near_as_can_be() -> None:
    x = features()
    near = frechet.score(frechet.rows(features=x, original_features=x, feature_name="clip"), resamples=50)
    blank = frechet.score(
        frechet.rows(features=np.ones((20, 6)), original_features=x, feature_name="clip"), resamples=50
    )
    assert near.headline.value < 1e-9
    for name, figure in near.figures.items():
        assert figure.value < blank.figures[name].value, name


def test_the_order_of_rows_does_not_matter() -> None:
    x, y = features(seed=1), features(seed=2)
    order = np.random.default_rng(3).permutation(20)
    one, other = (
        frechet.score(frechet.rows(features=f, original_features=y, feature_name="clip"), resamples=100)
        for f in (x, x[order])
    )
    for name, figure in one.figures.items():
        assert other.figures[name].value == pytest.approx(figure.value, rel=1e-9, abs=1e-9)
        if figure.interval:
            assert other.figures[name].interval == pytest.approx(figure.interval, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"features": []}, EmptyInputError),
        ({"original_features": np.full((4, 6), np.nan)}, NonFiniteError),
        ({"features": features()[:, :5]}, InputError),
        ({"features": features(1)}, InputError),
        ({"feature_name": ""}, InputError),
        ({"ids": ["a"] * 19}, LengthMismatchError),
        ({"ids": ["a"] * 20, "seeds": [0] * 20}, DuplicateIdError),
        ({"original_ids": ["a"] * 20, "original_seeds": [0] * 20}, DuplicateIdError),
        ({"seeds": range(20)}, InputError),
    ],
)
def test_bad_input_is_refused(change: dict, error: type[Exception]) -> None:
    good = {"features": features(seed=1), "original_features": features(seed=2), "feature_name": "inception:clean"}
    with pytest.raises(error):
        frechet.rows(**(good | change))
