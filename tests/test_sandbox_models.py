"""The packaged models themselves: whole, small, and as good as their training card says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from builders.sandbox import bars, detector, train
from builders.sandbox.package import size
from igmu_data.sandbox import packaged
from igmu_data.sandbox.world import world
from igmu_metrics.images.pipelines import find_pipeline

MODELS = packaged.part("vae").parent


def test_they_are_small_and_nothing_but_safetensors_holds_weights() -> None:
    assert size(MODELS) < 25e6
    kinds = {p.suffix for p in MODELS.rglob("*") if p.is_file()}
    assert kinds <= {".safetensors", ".json", ".txt"}


def test_every_training_left_its_curve() -> None:
    record = json.loads((MODELS / train.RECORD).read_text(encoding="utf-8"))
    golds = {f"gold-{train.slug(task)}" for task in world().tasks}
    assert record.keys() == {"detector", "autoencoder", "noise", "clip", "original"} | golds
    for name, curve in record.items():
        assert curve["losses"][-1] < curve["losses"][0], name


def test_the_detector_knows_its_errors_on_renders_and_on_generations() -> None:
    card = json.loads((MODELS / "detector" / "card.json").read_text(encoding="utf-8"))
    assert set(card["concepts"]) == set(detector.concepts())
    for name, found in card["concepts"].items():
        assert min(found["renders"][k] for k in ("sensitivity", "specificity")) >= 0.99, name
        assert found["generations"]["n_positives"] > 50, name


@pytest.mark.slow
def test_the_original_draws_what_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import ResNetForImageClassification

    monkeypatch.setenv("IGMU_CACHE", str(tmp_path))
    judge = ResNetForImageClassification.from_pretrained(packaged.part("detector"), dtype=torch.float32).eval()
    scenes = bars.asked(96, 5)
    sample_images, _ = bars.draw(
        find_pipeline("sandbox:original", device="cpu").load(), [bars.plainly(s) for s in scenes]
    )
    objects, styles = detector.found(detector.probabilities(judge, sample_images), scenes)
    assert float(np.mean(objects & styles)) >= 0.95
