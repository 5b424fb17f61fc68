"""What every registered metric must obey. A new metric is under test as soon as its file is there.

Its inputs are made from the names of the arguments of `rows`, the field's own names; a name that is new here needs one
line in MAKERS.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import igmu_data
from igmu_data.errors import DuplicateIdError, InputError
from igmu_metrics import list_metrics, registry, score
from igmu_metrics.contract import Result

N = 40  # generations: 20 prompts with two seeds
METRICS = registry.names("metrics")
CONCEPTS = ("object/church", "object/cat", "style/monet", "style/van-gogh")
SPLITS = ("forget", "retain", "adversarial")
Random = np.random.Generator
Values = Callable[[Random], list[Any]]


def flags(rng: Random) -> list[Any]:
    return [bool(v) for v in rng.random(N) < 0.6]


def vectors(rng: Random) -> list[Any]:
    return [list(map(float, v)) for v in rng.normal(size=(N, 6)) + 1]


def by_prompt(values: tuple[str, ...]) -> Values:
    """The same for both generations of a prompt."""
    return lambda rng: [values[(i // 2) % len(values)] for i in range(N)]


MAKERS: dict[str, Values] = {
    "ids": lambda rng: [f"prompt-{i // 2:02d}" for i in range(N)],
    "prompt_ids": lambda rng: [f"prompt-{i // 2:02d}" for i in range(N)],
    "original_ids": lambda rng: [f"prompt-{i // 2:02d}" for i in range(N)],
    "seeds": lambda rng: [i % 2 for i in range(N)],
    "original_seeds": lambda rng: [i % 2 for i in range(N)],
    "splits": by_prompt(SPLITS),
    "probes": by_prompt(("direct", "near", "attack", "direct", "far", "attack")),
    "families": by_prompt(("synonym", "indirect")),
    "attack_families": by_prompt(("synonym", "indirect")),
    "budgets": by_prompt(("40 steps", "0 steps")),  # in step with the families
    "own_concepts": by_prompt(CONCEPTS),
    "references": by_prompt(CONCEPTS),
    "predictions": lambda rng: [CONCEPTS[i] for i in rng.integers(len(CONCEPTS), size=N)],
    "original_predictions": by_prompt(CONCEPTS),
    "present": flags,
    "original_present": flags,
    "distances": lambda rng: [float(v) for v in rng.random(N)],
    "answered": lambda rng: [float(v) for v in rng.random(N)],
    "original_answered": lambda rng: [float(v) for v in rng.random(N)],
    "rewards": lambda rng: [float(v) for v in rng.normal(size=N)],
    "original_rewards": lambda rng: [float(v) for v in rng.normal(size=N)],
    "alignment": lambda rng: [float(v) for v in rng.random(N)],
    "original_alignment": lambda rng: [float(v) for v in rng.random(N)],
    "features": vectors,
    "original_features": vectors,
    "image_features": vectors,
    "text_features": vectors,
    "original_image_features": vectors,
    "stripped_text_features": vectors,
}
FIXED = {"target": "object/church", "feature_name": "clip:tiny"}


def inputs(name: str, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    parameters = inspect.signature(registry.metric(name).rows).parameters.values()
    lost = [p.name for p in parameters if p.default is p.empty and p.name not in MAKERS and p.name not in FIXED]
    assert not lost, f"tell MAKERS how to make {lost}"
    made = {p.name: MAKERS[p.name](rng) for p in parameters if p.name in MAKERS}
    return made | {p.name: FIXED[p.name] for p in parameters if p.name in FIXED}


def result(name: str, given: dict[str, Any], resamples: int = 50) -> Result:
    metric = registry.metric(name)
    return metric.score(metric.rows(**given), seed=0, resamples=resamples)


def figures(found: Result) -> dict[str, tuple[float, ...]]:
    return {k: (f.value, *(f.interval or (0.0, 0.0)), f.n_prompts, f.n_generations) for k, f in found.figures.items()}


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=8, deadline=None)
@given(order=st.permutations(range(N)))
def test_the_order_of_generations_does_not_matter(name: str, order: list[int]) -> None:
    made = inputs(name)
    shuffled = {k: [v[i] for i in order] if k in MAKERS else v for k, v in made.items()}
    before, after = figures(result(name, made)), figures(result(name, shuffled))
    assert before.keys() == after.keys()
    for figure, values in before.items():
        np.testing.assert_allclose(after[figure], values, rtol=1e-9, atol=1e-9, err_msg=figure)


@pytest.mark.parametrize("name", METRICS)
def test_empty_input_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        result(name, {k: [] if k in MAKERS else v for k, v in inputs(name).items()})


@pytest.mark.parametrize(("name", "argument"), [(m, a) for m in METRICS for a in inputs(m) if a in MAKERS])
def test_a_list_that_is_too_short_is_refused(name: str, argument: str) -> None:
    made = inputs(name)
    if name == "frechet" and argument.startswith("original_"):
        pytest.skip("the two sets of a distribution distance may differ in size")
    made[argument] = made[argument][:-1]
    with pytest.raises(InputError):
        result(name, made)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(("name", "argument"), [(m, a) for m in METRICS for a in inputs(m) if a in MAKERS])
def test_what_is_not_a_number_is_refused(name: str, argument: str, wrong: float) -> None:
    made = inputs(name)
    for at in range(6):  # one prompt of each split: an argument may count in some of them only
        value = made[argument][at]
        made[argument][at] = [wrong, *value[1:]] if isinstance(value, list) else wrong
    with pytest.raises(InputError):
        result(name, made)


@pytest.mark.parametrize("name", METRICS)
def test_a_generation_given_twice_is_refused(name: str) -> None:
    made = inputs(name)
    doubled = {k: [*v, v[-1]] if k in MAKERS else v for k, v in made.items()}
    with pytest.raises(DuplicateIdError):
        result(name, doubled)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("seed", range(5))
def test_the_headline_lies_in_its_range_and_in_its_interval(name: str, seed: int) -> None:
    low, high = registry.metric(name).INFO.range
    headline = result(name, inputs(name, seed), resamples=400).headline
    assert low <= headline.value <= high
    if headline.interval is not None:
        assert headline.interval[0] <= headline.value <= headline.interval[1]


@pytest.mark.parametrize("name", METRICS)
def test_the_score_is_signed_and_plain(name: str) -> None:
    info, made = registry.metric(name).INFO, inputs(name)
    got = score(name, resamples=50, **made)
    assert got.name == info.name == name
    assert info.headline in got.figures
    told = {"metric": name, "v": info.version, "igmu": igmu_data.__version__, "bootstrap": "50@0"}
    assert {field: got.signature.fields.get(field) for field in told} == told
    assert got.n_prompts > 0 < got.n_generations
    again = score(name, resamples=50, **made)
    assert json.dumps(got.to_dict(), allow_nan=False) == json.dumps(again.to_dict(), allow_nan=False)


def test_every_metric_says_what_it_is() -> None:
    assert {"concept_accuracy", "clip_alignment", "frechet", "lpips", "attack_success_rate", "forget_score"} <= set(
        METRICS
    )
    for info in list_metrics():
        assert info.version >= 1
        assert info.title
        assert info.summary.endswith(".")
        assert info.limits
        assert info.references
        assert info.range[0] < info.range[1]
