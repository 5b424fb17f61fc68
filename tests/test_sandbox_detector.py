"""The packaged detector: what it says, and how its card's error rates reach the scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_detectors
import torch
from tiny import sample_images
from tiny_sandbox import RATES, tiny_detector, write_card

from igmu_data.errors import InputError, WeightsError
from igmu_data.sandbox.world import world
from igmu_metrics import registry
from igmu_metrics.detectors.sandbox import read_card
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.networks.instruments import Batch, ErrorRates


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("package")
    tiny_detector(root / "models" / "detector")
    return root


@pytest.fixture
def package(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = shutil.copytree(made, tmp_path / "copy")
    monkeypatch.setenv("IGMU_SANDBOX", str(copy))
    return copy / "models" / "detector"


def test_it_keeps_the_contract_of_every_detector(package: Path, tmp_path: Path) -> None:
    test_detectors.test_contract(registry.detector("sandbox", device="cpu"), tmp_path)


def test_one_sigmoid_a_concept(package: Path) -> None:
    from transformers import ResNetForImageClassification

    detector = registry.detector("sandbox", device="cpu")
    assert detector.info.name == "sandbox"
    assert detector.info.concepts == {c.id for c in world().concepts()}
    images = sample_images(3, 32)  # the size that the network takes, so that there is nothing to resize
    asked = ["style/van-gogh", "object/church", "object/tench"]
    answers = detector.probabilities(Batch([Path(f"{i}.png") for i in range(3)], images), asked)
    config = json.loads((package / "preprocessor_config.json").read_text())
    mean, std = (np.array(config[k], np.float32) for k in ("image_mean", "image_std"))
    pixels = np.stack([(np.asarray(i, np.float32) / 255 - mean) / std for i in images]).transpose(0, 3, 1, 2)
    model = ResNetForImageClassification.from_pretrained(package).eval()
    with torch.no_grad():
        each = torch.sigmoid(model(torch.from_numpy(pixels)).logits).numpy()
    at = [model.config.label2id[label] for label in ("Vincent van Gogh", "church")]
    np.testing.assert_allclose(answers.data[:, :2], each[:, at], atol=1e-5)
    assert np.ptp(each[:, at]) > 0.01
    assert np.ma.getmaskarray(answers)[:, 2].all()


def test_a_label_of_another_world_is_refused(package: Path) -> None:
    config = json.loads((package / "config.json").read_text())
    config["id2label"]["0"] = "rocket"
    (package / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="is not valid for"):
        registry.detector("sandbox", device="cpu")


def test_it_takes_no_argument(package: Path) -> None:
    with pytest.raises(InputError, match="hf-classifier:DIR"):
        registry.detector("sandbox:folder")


def test_the_card_is_read(package: Path) -> None:
    other = {"sensitivity": 0.5, "specificity": 0.6, "n_positives": 7, "n_negatives": 8}
    concepts = {
        "object/church": {"renders": other, "generations": RATES, "note": "more"},
        "object/cat": {"renders": other},
        "object/bird": {},
    }
    write_card(package, concepts, threshold=0.25, curves=[1, 2])
    threshold, rates = read_card(package / "card.json")
    assert threshold == 0.25
    assert rates == {"object/church": ErrorRates(0.9, 0.8, 50, 60), "object/cat": ErrorRates(0.5, 0.6, 7, 8)}
    detector = registry.detector("sandbox", device="cpu")
    assert detector.info.threshold == 0.25
    assert detector.info.error_rates == rates
    assert registry.detector("sandbox", device="cpu", threshold=0.25).info.error_rates == rates
    other_threshold = registry.detector("sandbox", device="cpu", threshold=0.75).info
    assert (other_threshold.threshold, other_threshold.error_rates) == (0.75, {})
    write_card(package, concepts)
    assert read_card(package / "card.json")[0] == 0.5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "card.json"),
        ("[]", "AttributeError"),
        ("{}", "concepts"),
        ('{"concepts": {"object/church": {"renders": {"sensitivity": 0.9}}}}', "specificity"),
        (json.dumps({"concepts": {"object/cat": {"renders": {**RATES, "sensitivity": 97}}}}), "object/cat"),
        (json.dumps({"concepts": {"object/cat": {"renders": {**RATES, "n_negatives": 0}}}}), "object/cat"),
        (json.dumps({"concepts": {}, "threshold": "high"}), "high"),
    ],
)
def test_a_card_that_is_none(package: Path, text: str, says: str) -> None:
    (package / "card.json").write_text(text)
    with pytest.raises(WeightsError, match=says):
        registry.detector("sandbox", device="cpu")
    (package / "card.json").unlink()
    with pytest.raises(WeightsError, match=r"card\.json"):
        registry.detector("sandbox", device="cpu")


def test_an_evaluation_takes_the_rates_of_its_target(package: Path) -> None:
    write_card(package, {"object/church": {"renders": RATES}})

    def rates(target: str, **told: Any) -> dict[str, Any]:
        info = Evaluation("object.church", detector="sandbox", device="cpu", **told).instruments(target).detector.info
        return {name: getattr(info, name) for name in RATES}

    assert rates("object/church") == RATES
    assert rates("object/cat") == dict.fromkeys(RATES)
    told = {"sensitivity": 0.6, "specificity": 0.7}  # and not the counts of another measurement
    assert rates("object/church", **told) == dict.fromkeys(RATES) | told
