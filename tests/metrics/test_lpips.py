import numpy as np
import pytest

from igmu_data.errors import DuplicateIdError, EmptyInputError, InputError, NonFiniteError, OutOfRangeError
from igmu_metrics.metrics.lpips import rows, score


def test_forget_and_retain_rows_are_kept_apart() -> None:
    splits = ["forget", "forget", "retain", "adversarial"]
    figures = score(rows(distances=[0.8, 0.6, 0.1, 0.5], splits=splits)).figures
    assert {name: round(figure.value, 12) for name, figure in figures.items()} == {
        "lpips": 0.5,
        "lpips_forget": 0.7,
        "lpips_retain": 0.1,
        "lpips_adversarial": 0.5,
    }
    assert figures["lpips_forget"].n_generations == 2


def test_a_split_without_rows_has_no_figure() -> None:
    assert set(score(rows(distances=[0.1], splits=["retain"])).figures) == {"lpips", "lpips_retain"}
    assert set(score(rows(distances=[0.1])).figures) == {"lpips"}


def test_what_could_not_be_measured_is_counted_and_left_out() -> None:
    found = rows(distances=[0.2, None, 0.4], ids=["a", "b", "c"], splits=["forget", "retain", "forget"])
    assert score(found).n_failed == 1
    assert score(found).headline.value == pytest.approx(0.3)
    assert "lpips_retain" not in score(found).figures


def test_the_interval_holds_the_mean_and_resamples_prompts() -> None:
    distances = np.repeat(np.linspace(0.1, 0.9, 11), 4)
    ids = [f"p{i // 4}" for i in range(44)]
    clustered = score(rows(distances=distances, ids=ids, seeds=[0, 1, 2, 3] * 11)).headline
    assert clustered.interval[0] < 0.5 < clustered.interval[1]
    assert (clustered.n_prompts, clustered.n_generations) == (11, 44)
    assert clustered.interval == score(rows(distances=distances[::4])).headline.interval
    order = np.random.default_rng(0).permutation(44)
    again = score(rows(distances=distances[order], ids=np.array(ids)[order])).headline
    assert again.interval == pytest.approx(clustered.interval)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"distances": []}, EmptyInputError),
        ({"distances": [None, None]}, EmptyInputError),
        ({"distances": [0.1, float("nan")]}, NonFiniteError),
        ({"distances": [0.1, -0.1]}, OutOfRangeError),
        ({"distances": [[0.1], [0.2]]}, InputError),
        ({"distances": ["near"]}, InputError),
        ({"distances": [0.1, 0.2], "splits": ["forget", "test"]}, InputError),
        ({"distances": [0.1, 0.2], "splits": ["forget"]}, InputError),
        ({"distances": [0.1, 0.2], "ids": ["a", "a"], "seeds": [3, 3]}, DuplicateIdError),
    ],
)
def test_bad_input_is_refused(arguments: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        rows(**arguments)
