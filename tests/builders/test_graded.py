"""Graded models: on the way from one pipeline to another, made anew from the same weights, each under its own name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_diffusion import tiny_pipeline

from builders import graded
from builders.graded_page import Step, contradictions, page
from igmu_metrics.contract import Estimate
from igmu_metrics.images.pipelines import Pipeline

pytestmark = pytest.mark.usefixtures("one_thread")


def load(folder: Path) -> Any:
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline.from_pretrained(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pipeline(tmp_path_factory.mktemp("tiny"))


def weights(pipe: Any) -> torch.Tensor:
    return torch.cat([w.detach().flatten() for w in pipe.unet.parameters()])


def test_half_of_the_way_lies_half_way(folder: Path) -> None:
    here, there = load(folder), load(folder)
    start = weights(here)
    with torch.no_grad():
        for weight in there.unet.parameters():
            weight.add_(1.0)
    graded.between(here, there, 0.5)
    assert torch.allclose(weights(here), start + 0.5, atol=1e-6)
    graded.between(here, there, 1.0)
    assert torch.allclose(weights(here), weights(there), atol=1e-6)
    assert torch.allclose(weights(there), start + 1.0, atol=1e-6)


def test_more_noise_is_farther_away_and_the_same_each_time(folder: Path) -> None:
    original = Pipeline("original", "sha256:0", "cpu", "fp32", lambda: load(folder))
    start = weights(original.load())
    kinds = list(graded.KINDS["noise"]("church"))
    moved = [weights(graded.pipeline(one, original).load()) for one in kinds[:3]]
    apart = [float((w - start).norm()) for w in moved]
    assert apart == sorted(apart)
    assert apart[0] > 0
    assert torch.equal(moved[0], weights(graded.pipeline(kinds[0], original).load()))
    assert torch.equal(start, weights(original.load()))


@pytest.mark.parametrize(("kind", "n"), [("noise", 6), ("esd", 10), ("gold", 10), ("trained", 8), ("uce", 2)])
def test_every_model_has_a_name_and_a_revision_of_its_own(kind: str, n: int) -> None:
    original = Pipeline("original", "sha256:0", "cpu", "fp32", lambda: None)
    found = [graded.pipeline(one, original) for one in graded.KINDS[kind]("church")]
    assert len({p.name for p in found}) == len({p.revision for p in found}) == n
    assert all(p.revision.startswith("sha256:0 ") for p in found)


def scored(**figures: tuple[float, float, float]) -> Any:
    """A scorecard as far as the page reads it."""
    known = {name: Estimate(value, (low, high)) for name, (value, low, high) in figures.items()}
    return SimpleNamespace(figure=lambda score, name: known.get(name))


def test_the_page_counts_what_contradicts_the_order_of_construction() -> None:
    """Scores that fall where they should rise are found; those whose intervals overlap contradict nothing."""
    up = [Step("esd", i / 2, scored(forgetting=(i / 2, i / 2 - 0.1, i / 2 + 0.1))) for i in range(3)]
    down = [Step("esd", s.grade, t.card) for s, t in zip(up, reversed(up), strict=True)]
    right = page({"church": up}, command="x", prompts=[9], seeds=2)
    wrong = page({"church": down}, command="x", prompts=[9], seeds=2)
    assert "| church | `esd` | forgetting rises | 3 | 1.00 | 0 of 3 |" in right
    assert "| church | `esd` | forgetting rises | 3 | -1.00 | 3 of 3 |" in wrong
    assert "| church | `esd` | robustness rises | 0 | – | 0 of 0 |" in right


def test_a_model_without_an_interval_contradicts_nothing() -> None:
    assert contradictions([Estimate(0.9), Estimate(0.1, (0.0, 0.2))], +1) == (0, 0)
