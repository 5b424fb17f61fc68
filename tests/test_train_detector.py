"""Training a head: on images that can be told apart and on images that cannot, and what comes of it in scoring."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load, load_file, save_file
from sklearn.metrics import roc_auc_score
from tiny import tiny_clip
from typer.testing import CliRunner

from igmu_data.errors import (
    CorruptImageError,
    EmptyInputError,
    InputError,
    LabelError,
    MetadataError,
    OutOfRangeError,
    OutputError,
    UnknownConceptError,
    UnknownLabelError,
    WeightsError,
)
from igmu_data.sandbox import labelled
from igmu_data.schema import detector_features
from igmu_metrics import registry
from igmu_metrics.cli import app
from igmu_metrics.detectors import igmu_head
from igmu_metrics.detectors._head_file import HeadFacts, head_bytes, shapes
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.images.files import read_image
from igmu_metrics.networks.instruments import Batch, ErrorRates
from igmu_metrics.training import fitting, run
from igmu_metrics.training.card import HeadCard
from igmu_metrics.training.run import HeadTraining, card_path

COLOURS = {"church": (200, 60, 40), "gas_pump": (40, 60, 200), "parachute": (60, 180, 60)}
N_TRAIN, N_TEST = 15, 8
STEPS = 100


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.getbasetemp() / "datasets")
    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)


def image_file(path: Path, colour: tuple[int, int, int], rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noisy = np.array(colour) + rng.normal(0, 25, (24, 24, 3))
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)


def image_folder(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, n in (("train", N_TRAIN), ("test", N_TEST)):
        for label, colour in COLOURS.items():
            for i in range(n):
                image_file(root / split / label / f"{i:02d}.png", colour, rng)
    return root


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def clip(place: Path) -> Path:
    return tiny_clip(place / "clip")


@pytest.fixture(scope="module")
def sample_images(place: Path) -> Path:
    return image_folder(place / "images")


@pytest.fixture
def training(clip: Path, sample_images: Path) -> HeadTraining:
    return HeadTraining(str(sample_images), "object/church", str(clip), steps=STEPS, device="cpu")


@pytest.fixture(scope="module")
def trained(place: Path, clip: Path, sample_images: Path) -> tuple[Path, HeadCard]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", place / "datasets")
        patch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
        out = place / "heads" / "church.safetensors"
        card = HeadTraining(str(sample_images), "object/church", str(clip), steps=STEPS, device="cpu").run(out)
        return out, card


def rows(folder: Path, splits: dict[str, list[dict[str, Any]]], features: datasets.Features) -> Path:
    """A folder of Parquet files."""
    (folder / "data").mkdir(parents=True)
    for split, records in splits.items():
        datasets.Dataset.from_list(records, features=features).to_parquet(str(folder / "data" / f"{split}.parquet"))
    return folder


def stored(path: Path) -> dict[str, Any]:
    return {"bytes": path.read_bytes(), "path": path.name}


# --- what a head is worth -----------------------------------------------------------------------------------------


def test_images_that_can_be_told_apart(trained: tuple[Path, HeadCard]) -> None:
    _, card = trained
    # A fifth of 15 churches and of 30 others are kept for the threshold.
    assert {part: (c.n_positives, c.n_negatives) for part, c in card.counts.items()} == {
        "fit": (12, 24),
        "validation": (3, 6),
        "test": (8, 16),
    }
    assert (
        card.test.accuracy.value == card.test.sensitivity.value == card.test.specificity.value == card.test.auroc == 1
    )
    # Wilson's interval for n in n starts at 1/(1 + z²/n).
    for share, n in ((card.test.accuracy, 24), (card.test.sensitivity, 8), (card.test.specificity, 16)):
        assert share.n == n
        assert share.interval == pytest.approx((1 / (1 + 1.959964**2 / n), 1), abs=1e-6)
    assert card.data.positive_labels == ("church",)
    assert card.data.labels["train"] == dict.fromkeys(COLOURS, N_TRAIN)
    assert card.data.name == "images"
    assert card.clip.width == 16
    assert [w for w in card.warnings if "chance" in w] == []
    assert any("3 validation images with" in w for w in card.warnings)


def test_images_that_cannot_be_told_apart(place: Path, clip: Path, tmp_path: Path) -> None:
    rng, folder = np.random.default_rng(1), place / "noise"
    for split, n in (("train", 60), ("test", 80)):
        for i in range(n):
            image_file(folder / split / ("church" if rng.random() < 0.5 else "tent") / f"{i}.png", (128, 128, 128), rng)
    training = HeadTraining(str(folder), "object/church", str(clip), steps=STEPS, device="cpu")
    card = training.run(tmp_path / "chance.safetensors")
    low, high = card.test.accuracy.interval
    assert low < 0.5 < high
    assert low < card.test.accuracy.value < high
    assert any("cannot be distinguished from chance" in w for w in card.warnings)
    if card.test.sensitivity.value + card.test.specificity.value <= 1:
        with pytest.raises(WeightsError, match="no better than chance"):
            registry.detector(f"igmu-head:{tmp_path / 'chance.safetensors'}", device="cpu")


# --- the file -----------------------------------------------------------------------------------------------------


def judged(detector: Any, folder: Path, label: str) -> Any:
    paths = sorted((folder / "test" / label).iterdir())
    return detector.probabilities(Batch(paths, [read_image(p) for p in paths]), ["object/church", "style/monet"])


def test_the_detector_says_what_the_card_says(trained: tuple[Path, HeadCard], sample_images: Path, clip: Path) -> None:
    out, card = trained
    detector = registry.detector(f"igmu-head:{out}", device="cpu")
    assert detector.info.threshold == card.threshold
    assert detector.info.concepts == {"object/church"}
    assert detector.info.error_rates == {"object/church": ErrorRates(1.0, 1.0, 8, 16)}
    p = {label: judged(detector, sample_images, label) for label in COLOURS}
    assert p["church"].mask[:, 1].all()
    assert (p["church"][:, 0] >= card.threshold).mean() == card.test.sensitivity.value
    others = np.concatenate([p["gas_pump"].data[:, 0], p["parachute"].data[:, 0]])
    assert (others < card.threshold).mean() == card.test.specificity.value
    # The same network of torch's own modules, without dropout, on the same features.
    gate = torch.nn.Sequential(torch.nn.Linear(16, 256), torch.nn.ReLU(), torch.nn.Linear(256, 16), torch.nn.Sigmoid())
    last = [torch.nn.Linear(256, 128), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(128, 1)]
    first = [torch.nn.LayerNorm(16), torch.nn.Linear(16, 256), torch.nn.ReLU(), torch.nn.Dropout()]
    network = torch.nn.ModuleDict({"attention": gate, "classifier": torch.nn.Sequential(*first, *last)}).eval()
    network.load_state_dict(load_file(out))
    images = [read_image(path) for path in sorted((sample_images / "test" / "church").iterdir())]
    features = torch.tensor(registry.backbone(f"clip:{clip}", device="cpu").image_features(images), dtype=torch.float32)
    with torch.inference_mode():
        wanted = network["classifier"](features * network["attention"](features))[:, 0].sigmoid()
    np.testing.assert_allclose(p["church"].data[:, 0], wanted.numpy(), atol=1e-5)


def test_the_card_names_its_file(trained: tuple[Path, HeadCard]) -> None:
    out, card = trained
    assert sorted(path.name for path in out.parent.iterdir()) == ["church.card.json", "church.safetensors"]
    assert json.loads(card_path(out).read_text(encoding="utf-8")) == json.loads(card.model_dump_json())
    assert hashlib.sha256(out.read_bytes()).hexdigest() == card.head_sha256
    with safe_open(out, "numpy") as file:
        assert float(file.metadata()["threshold"]) == card.threshold


def test_the_command_gives_the_same_file(
    trained: tuple[Path, HeadCard], sample_images: Path, clip: Path, tmp_path: Path
) -> None:
    out, card = trained
    again = tmp_path / "church.safetensors"
    given = ["--data", sample_images, "--concept", "object.church", "--clip", clip, "--out", again, "--steps", STEPS]
    done = CliRunner().invoke(app, ["train-detector", *map(str, given), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert again.read_bytes() == out.read_bytes()
    assert card_path(again).read_bytes() == card_path(out).read_bytes()
    assert "sensitivity" in done.stdout
    assert f"[{card.test.sensitivity.interval[0]:.3f}, 1.000]" in done.stdout
    for progress in (
        "features of train",
        "training",
        "warning: the threshold is based on only 3 validation images with",
    ):
        assert progress in done.stderr


@pytest.mark.slow
def test_another_process_writes_the_same_bytes() -> None:
    """safetensors alone orders metadata by a hash that is another one in every process."""
    code = (
        "import hashlib, torch\n"
        "from igmu_metrics.detectors._head_file import HeadFacts, head_bytes, shapes\n"
        "from igmu_metrics.networks.instruments import ErrorRates\n"
        "facts = HeadFacts('object/church', 1, 'clip', 'main', 0.5, ErrorRates(0.9, 0.8, 10, 20))\n"
        "data = head_bytes({name: torch.ones(shape) for name, shape in shapes(8).items()}, facts)\n"
        "print(hashlib.sha256(data).hexdigest())"
    )
    facts = HeadFacts("object/church", 1, "clip", "main", 0.5, ErrorRates(0.9, 0.8, 10, 20))
    data = head_bytes({name: torch.ones(shape) for name, shape in shapes(8).items()}, facts)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == hashlib.sha256(data).hexdigest()
    assert {name: (tuple(t.shape), bool((t == 1).all())) for name, t in load(data).items()} == {
        name: (shape, True) for name, shape in shapes(8).items()
    }


def test_another_seed_gives_another_head(
    training: HeadTraining, trained: tuple[Path, HeadCard], tmp_path: Path
) -> None:
    replace(training, seed=1, steps=5).run(tmp_path / "x.safetensors")
    replace(training, seed=0, steps=5).run(tmp_path / "y.safetensors")
    x, y = (load_file(tmp_path / f"{name}.safetensors") for name in "xy")
    assert not torch.equal(x["attention.0.weight"], y["attention.0.weight"])


# --- scoring with it ----------------------------------------------------------------------------------------------


@pytest.fixture
def evaluation(trained: tuple[Path, HeadCard]) -> Evaluation:
    return Evaluation("object.church", layout="flat", detector=f"igmu-head:{trained[0]}", device="cpu")


def accuracy(evaluation: Evaluation, sample_images: Path) -> Any:
    folders = sample_images / "test" / "church", [sample_images / "test" / "gas_pump"]
    return next(iter(evaluation.run(*folders))).scores["concept_accuracy"]


def test_corrected_accuracies_come_by_themselves(evaluation: Evaluation, sample_images: Path) -> None:
    score = accuracy(evaluation, sample_images)
    assert score.figures["unlearning_accuracy"].value == 1
    assert score.figures["corrected_unlearning_accuracy"].value == 1
    assert score.signature["n_positives"] == 8
    assert score.signature["n_negatives"] == 16


def test_what_the_user_says_counts_more(evaluation: Evaluation, sample_images: Path) -> None:
    own = accuracy(replace(evaluation, sensitivity=0.9, specificity=0.8), sample_images)
    assert own.signature["sensitivity"] == 0.9
    assert "n_positives" not in own.signature  # counts of another measurement would make its interval wrong
    # At another threshold than the calibrated one nothing is known of the errors.
    moved = accuracy(replace(evaluation, threshold=0.123), sample_images)
    assert moved.signature["detector.threshold"] == 0.123
    assert "corrected_unlearning_accuracy" not in moved.figures


def test_a_clip_that_moved_and_one_that_is_another(trained: tuple[Path, HeadCard], clip: Path, tmp_path: Path) -> None:
    out, card = trained
    moved, other = shutil.copytree(clip, tmp_path / "moved"), tiny_clip(tmp_path / "other", seed=1)
    clip.rename(clip.with_name("gone"))
    try:
        with pytest.raises(WeightsError, match=r"trained on the features of clip:.*\?clip=FOLDER"):
            registry.detector(f"igmu-head:{out}", device="cpu")
    finally:
        clip.with_name("gone").rename(clip)
    assert registry.detector(f"igmu-head:{out}?clip={moved}", device="cpu").info.threshold == card.threshold
    with pytest.raises(WeightsError, match=r"trained on the features .* not of clip:other"):
        registry.detector(f"igmu-head:{out}?clip={other}", device="cpu")


def test_a_folder_of_clip_is_never_taken_for_a_hub_id(
    training: HeadTraining, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(clip, tmp_path / "models" / "clip")
    monkeypatch.chdir(tmp_path)
    replace(training, clip="models/clip", steps=1).run(tmp_path / "x.safetensors")
    (tmp_path / "models").rename(tmp_path / "gone")
    with pytest.raises(WeightsError, match=r"no folder './models/clip'"):
        registry.detector("igmu-head:x.safetensors", device="cpu")


def head(path: Path, **facts: Any) -> str:
    weights = {name: torch.zeros(shape) for name, shape in shapes(16).items()}
    path.write_bytes(head_bytes(weights, HeadFacts("object/church", 1, **facts)))
    return str(path)


def test_a_head_no_better_than_chance_is_refused(tmp_path: Path, clip: Path) -> None:
    path = head(tmp_path / "x.safetensors", clip=str(clip), threshold=0.4, error_rates=ErrorRates(0.3, 0.7, 50, 50))
    with pytest.raises(WeightsError, match=r"no better than chance .*0\.300.*0\.700"):
        igmu_head.load(path, device="cpu")
    assert igmu_head.load(path, device="cpu", threshold=0.6).info.error_rates == {}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"threshold": 1.5}, "impossible"),
        ({"threshold": float("nan")}, "impossible"),
        ({"threshold": 0.5, "error_rates": ErrorRates(0.9, 1.1, 5, 5)}, "impossible"),
        ({"threshold": 0.5, "error_rates": ErrorRates(0.9, 0.9, 0, 5)}, "impossible"),
        ({"threshold": "half"}, "cannot be read"),
    ],
)
def test_metadata_that_cannot_be(tmp_path: Path, facts: dict[str, Any], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        igmu_head.load(head(tmp_path / "x.safetensors", **facts), device="cpu")


# --- where the labels stand ---------------------------------------------------------------------------------------


def test_parquet_as_the_builder_writes_it(sample_images: Path, training: HeadTraining, tmp_path: Path) -> None:
    """Column `concept` decides, whatever the classes are called; null is no concept."""
    features = detector_features(["gas pump", "n03028079", "parachute"])
    names = {"gas_pump": (0, "object/gas-pump"), "church": (1, "object/church"), "parachute": (2, None)}
    splits = {
        split: [
            {
                "image": stored(path),
                "label": names[path.parent.name][0],
                "concept": names[path.parent.name][1],
                "image_source": "test",
                "image_sha256": "",
                "license": "test",
                "source": "test",
            }
            for path in sorted((sample_images / split).rglob("*.png"))
        ]
        for split in ("train", "test")
    }
    by_concept = replace(training, data=str(rows(tmp_path / "hub", splits, features)), steps=20)
    card = by_concept.run(tmp_path / "a.safetensors")
    assert (card.data.label_column, card.data.positive_labels) == ("concept", ("object/church",))
    # The ImageNet class that the concept was taken from is one of its names.
    by_label = replace(by_concept, label_column="label").run(tmp_path / "b.safetensors")
    assert by_label.data.positive_labels == ("n03028079",)
    assert card.data.fingerprint == by_label.data.fingerprint
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert card.counts["test"].n_positives == N_TEST
    other = replace(by_concept, positive_label="parachute", test_split="test").run(tmp_path / "c.safetensors")
    assert other.data.positive_labels == ("parachute",)
    assert (tmp_path / "c.safetensors").read_bytes() != (tmp_path / "a.safetensors").read_bytes()


def test_rows_with_several_labels(sample_images: Path, training: HeadTraining, tmp_path: Path) -> None:
    features = datasets.Features({"image": datasets.Image(), "shows": datasets.List(datasets.Value("string"))})
    shows = {"church": ["object/church", "style/monet"], "gas_pump": ["style/monet"], "parachute": []}
    splits = {
        split: [
            {"image": stored(p), "shows": shows[p.parent.name]} for p in sorted((sample_images / split).rglob("*.png"))
        ]
        for split in ("train", "test")
    }
    folder = rows(tmp_path / "hub", splits, features)
    several = replace(training, data=str(folder), label_column="shows", image_column="image", steps=1)
    card = several.run(tmp_path / "x.safetensors")
    assert card.counts["test"].model_dump() == {"n_positives": 8, "n_negatives": 16}
    assert card.data.labels["test"] == {"object/church": 8, "style/monet": 16}


def test_images_of_the_test_in_train_are_told(sample_images: Path, training: HeadTraining, tmp_path: Path) -> None:
    leaky = shutil.copytree(sample_images, tmp_path / "leaky")
    shutil.copy(leaky / "train" / "church" / "00.png", leaky / "test" / "church" / "00.png")
    Image.open(leaky / "train" / "church" / "01.png").save(leaky / "test" / "church" / "01.bmp")  # other bytes
    shutil.copy(leaky / "train" / "church" / "02.png", leaky / "train" / "gas_pump" / "02.png")
    card = replace(training, data=str(leaky), steps=1).run(tmp_path / "x.safetensors")
    assert any(
        w.startswith("2 of 25 test images are also in train (the pixels of the first have") for w in card.warnings
    )
    assert any(
        w.startswith("train contains images (1) labelled both with and without the concept") for w in card.warnings
    )


def test_a_test_that_is_a_copy_of_train_is_refused(sample_images: Path, training: HeadTraining, tmp_path: Path) -> None:
    """Under other names, too: images are known by their pixels."""
    folder = shutil.copytree(sample_images, tmp_path / "data")
    shutil.rmtree(folder / "test")
    for path in sorted((folder / "train").rglob("*.png")):
        copy = folder / "test" / path.parent.name / f"other-{path.name}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(copy, compress_level=1)
    with pytest.raises(
        InputError, match=r"test images are also in the train split .for example, the image whose pixels"
    ):
        replace(training, data=str(folder)).run(tmp_path / "h.safetensors")
    assert not (tmp_path / "h.safetensors").exists()


@pytest.mark.parametrize("name", ["Church", "chruch", "curch"])
def test_a_class_that_is_misspelt_is_no_other_class(
    name: str, sample_images: Path, training: HeadTraining, tmp_path: Path
) -> None:
    folder = shutil.copytree(sample_images, tmp_path / "data")
    first = sorted((folder / "test" / "church").glob("*.png"))[0]
    (folder / "test" / name).mkdir()
    first.rename(folder / "test" / name / first.name)
    with pytest.raises(UnknownLabelError, match="'church'"):
        replace(training, data=str(folder)).run(tmp_path / "h.safetensors")


# --- what can be wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"concept": "object/chruch"}, UnknownConceptError, "did you mean 'object/church'"),
        ({"concept": "object/castle"}, UnknownLabelError, "object/castle.*'church', 'gas_pump'.*--positive-label"),
        ({"positive_label": "chruch"}, UnknownLabelError, "no label 'chruch'; did you mean 'church'"),
        ({"data": "./nowhere"}, InputError, "no folder './nowhere'"),
        ({"config": "fancy"}, InputError, "'fancy' not found"),
        ({"revision": "main"}, InputError, "only datasets on the Hub"),
        ({"label_column": "class"}, MetadataError, "no column 'class', only 'image', 'label'.*--label-column"),
        ({"label_column": "image"}, MetadataError, "not labels"),
        ({"image_column": "img"}, MetadataError, "no column 'img'.*--image-column"),
        ({"image_column": "label"}, MetadataError, "not images"),
        ({"test_split": "validation"}, InputError, "no split 'validation', only 'train', 'test'.*--test-split"),
        ({"test_split": "train"}, InputError, "measured on its training images"),
        ({"validation_fraction": 1.0}, OutOfRangeError, "validation_fraction is 1.0"),
        ({"steps": 0}, OutOfRangeError, "steps is 0"),
        ({"on_error": "ignore"}, InputError, "ignore"),
        ({"clip": "./nowhere"}, WeightsError, "no folder './nowhere'"),
        ({"device": "abacus"}, InputError, "abacus"),
    ],
)
def test_what_a_user_can_get_wrong(
    training: HeadTraining, tmp_path: Path, change: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=f"(?s){says}"):
        replace(training, **change).run(tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_that_the_hub_does_not_give(training: HeadTraining, tmp_path: Path, monkeypatch: Any) -> None:
    def unreachable(*_: Any, **__: Any) -> Any:
        raise ConnectionError("Couldn't reach 'nobody/nothing' on the Hub")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", unreachable)
    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(InputError, match=r"'nobody/nothing' is neither a folder nor available on the Hub .*reach"):
        replace(training, data="nobody/nothing").run(tmp_path / "x.safetensors")


def test_a_dataset_of_the_hub_is_named_with_its_commit(
    training: HeadTraining, sample_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None, str | None]] = []
    real = datasets.load_dataset

    def from_the_hub(name: str, config: str | None, *, revision: str | None) -> Any:
        asked.append((name, config, revision))
        return real(str(sample_images))

    commit = "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *_, **__: SimpleNamespace(sha=commit))
    monkeypatch.setattr(datasets, "load_dataset", from_the_hub)
    card = replace(training, data="me/images", config="big", revision="v1", steps=1).run(tmp_path / "x.safetensors")
    assert asked == [("me/images", "big", commit)]  # what was asked for cannot move before it is loaded
    assert (card.data.name, card.data.config, card.data.revision) == ("me/images", "big", commit)


def test_the_renders_of_the_sandbox_and_its_clip(
    training: HeadTraining, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = tmp_path / "embedded"
    monkeypatch.setenv("IGMU_SANDBOX", str(embedded))
    monkeypatch.setattr(labelled, "COUNTS", {"train": 90, "test": 27})
    monkeypatch.chdir(tmp_path)
    training = replace(training, data="sandbox", clip=None, steps=1)
    shutil.copytree(clip, embedded / "models" / "clip")
    (tmp_path / "sandbox").mkdir()  # a folder of that name does not count
    card = training.run(tmp_path / "x.safetensors")
    assert (card.data.name, card.clip.name) == ("sandbox", "clip:sandbox")
    assert card.test.sensitivity.n == 3  # every ninth render of the test split shows a church
    with pytest.raises(InputError, match=r"has only config 'sandbox_detector' and no revisions\. Leave 'other' out"):
        replace(training, config="other").run(tmp_path / "y.safetensors")
    (tmp_path / "sandbox").rmdir()
    assert registry.detector("igmu-head:x.safetensors", threshold=0.5, device="cpu").info.threshold == 0.5


def test_folders_without_a_split_or_without_labels(training: HeadTraining, sample_images: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="doesn't contain any data files"):
        replace(training, data=str(tmp_path / "empty")).run(tmp_path / "x.safetensors")
    shutil.copytree(sample_images / "train", tmp_path / "half" / "train")
    with pytest.raises(InputError, match=r"half has no split 'test', only 'train'"):
        replace(training, data=str(tmp_path / "half")).run(tmp_path / "x.safetensors")
    shutil.copytree(sample_images / "test", tmp_path / "other" / "test")
    with pytest.raises(InputError, match=r"other has no split 'train', only 'test'"):
        replace(training, data=str(tmp_path / "other")).run(tmp_path / "x.safetensors")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["church", "tent"])})
    some = [{"image": stored(sample_images / "test" / "church" / "00.png"), "label": label} for label in (0, 1, -1)]
    folder = rows(tmp_path / "unlabelled", {"train": some, "test": some}, features)
    with pytest.raises(LabelError, match=r"unlabelled, train, row 2: column 'label' has no label"):
        replace(training, data=str(folder)).run(tmp_path / "x.safetensors")
    (tmp_path / "empty").rmdir()


@pytest.mark.parametrize(("split", "least"), [("train", 2), ("test", 1)])
@pytest.mark.parametrize("positives", [True, False])
def test_classes_with_too_few_images(
    training: HeadTraining, sample_images: Path, tmp_path: Path, split: str, least: int, positives: bool
) -> None:
    folder = shutil.copytree(sample_images, tmp_path / "few")
    shutil.rmtree(folder / split / "parachute")
    for path in sorted((folder / split / ("church" if positives else "gas_pump")).iterdir())[least - 1 :]:
        path.unlink()
    what = "labelled" if positives else "not labelled"
    with pytest.raises(
        EmptyInputError,
        match=rf"few, {split}: at least {least} images? {what} 'church' .*; found {least - 1}\.",
    ):
        replace(training, data=str(folder)).run(tmp_path / "x.safetensors")


def test_the_same_image_twice_is_one_image(training: HeadTraining, sample_images: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(sample_images, tmp_path / "copies")
    for path in sorted((folder / "train" / "church").iterdir())[1:]:
        shutil.copy(folder / "train" / "church" / "00.png", path)
    with pytest.raises(EmptyInputError, match=r"at least two different images with the concept, .*; found 1"):
        replace(training, data=str(folder)).run(tmp_path / "x.safetensors")


def test_unreadable_images_are_named(training: HeadTraining, sample_images: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(sample_images, tmp_path / "broken")
    whole = (folder / "train" / "church" / "03.png").read_bytes()
    (folder / "train" / "church" / "03.png").write_bytes(whole[:100])
    (folder / "test" / "gas_pump" / "01.png").write_bytes(b"")
    broken = replace(training, data=str(folder), steps=1)
    with pytest.raises(CorruptImageError, match=r"broken, train, row 3: .*03\.png"):
        broken.run(tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()
    card = replace(broken, on_error="skip").run(tmp_path / "x.safetensors")
    assert {split: len(failures) for split, failures in card.data.unreadable.items()} == {"train": 1, "test": 1}
    assert "test, row 9" in card.data.unreadable["test"][0]
    assert card.counts["test"].n_negatives == 15
    assert card.counts["fit"].n_positives + card.counts["validation"].n_positives == 14
    # Too few that can be read are too few.
    for path in sorted((folder / "test" / "church").iterdir()):
        path.write_bytes(b"no image")
    with pytest.raises(
        EmptyInputError,
        match=r"test, without 9 unreadable images: at least 1 image labelled 'church' .*; found 0",
    ):
        replace(broken, on_error="skip").run(tmp_path / "y.safetensors")


def test_a_place_that_cannot_be_written_is_found_out_first(tmp_path: Path) -> None:
    training = HeadTraining("./nowhere", "object/church")  # would be the next error
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.safetensors").mkdir()
    for out, says in (
        (tmp_path / "head.bin", r"must end in \.safetensors"),
        (tmp_path / "folder.safetensors", "is a folder"),
        (tmp_path / "file" / "head.safetensors", "not a writable folder"),
    ):
        with pytest.raises(OutputError, match=says):
            training.run(out)


@pytest.mark.slow
def test_errors_are_one_message_and_exit_code_2(sample_images: Path, clip: Path, tmp_path: Path) -> None:
    code = (
        "import datasets, pathlib, sys\n"
        "datasets.config.HF_DATASETS_CACHE = pathlib.Path(sys.argv.pop(1))\n"
        "datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False\n"
        "from igmu_metrics.cli import main\nmain()"
    )
    given = ["--data", sample_images, "--concept", "object/castle", "--clip", clip, "--out", tmp_path / "x.safetensors"]
    command = [sys.executable, "-c", code, tmp_path / "cache", "train-detector", *given]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2, done.stderr
    assert "UnknownLabelError: there is no label 'object/castle'" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_command_tells_what_was_left_out(sample_images: Path, clip: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(sample_images, tmp_path / "broken")
    (folder / "test" / "gas_pump" / "01.png").write_bytes(b"")
    given = ["--data", folder, "--concept", "object/church", "--clip", clip, "--out", tmp_path / "x.safetensors"]
    more = ["--steps", "1", "--on-error", "skip", "--device", "cpu"]
    done = CliRunner().invoke(app, ["train-detector", *map(str, given), *more])
    assert done.exit_code == 0, done.output
    assert "left out of test: broken, test, row 9" in done.stderr
    assert str(tmp_path / "x.safetensors") in done.stdout


# --- being interrupted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["training", "the head", "the card"])
def test_an_interrupt_leaves_nothing_half_written(
    training: HeadTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    out = tmp_path / "x.safetensors"
    head(out)
    older = out.read_bytes()
    card_path(out).write_text("its card")
    real = Path.write_bytes, Path.write_text

    def interrupted(path: Path, data: Any, **_: Any) -> int:
        (real[0] if isinstance(data, bytes) else real[1])(path, data[:10])
        raise KeyboardInterrupt

    def at_once(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    if when == "training":
        monkeypatch.setattr(run.fitting, "fit", at_once)
    else:
        monkeypatch.setattr(Path, "write_bytes" if when == "the head" else "write_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace(training, steps=1).run(out)
    monkeypatch.undo()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"x.safetensors": older, "x.card.json": b"its card"}


def test_other_networks_are_not_replaced(training: HeadTraining, tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    save_file({"weight": torch.ones(3)}, out)
    before = out.read_bytes()
    with pytest.raises(OutputError, match="it is not an earlier output of this kind"):
        replace(training, steps=1).run(out)
    assert out.read_bytes() == before


# --- the laws of the parts ----------------------------------------------------------------------------------------

scored = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=30).filter(
    lambda pairs: len({shown for _, shown in pairs}) == 2
)


def arrays(pairs: list[tuple[int, bool]]) -> tuple[Any, Any]:
    return np.array([p / 12 for p, _ in pairs]), np.array([shown for _, shown in pairs])


@given(scored)
def test_no_threshold_has_a_larger_youden_index(pairs: list[tuple[int, bool]]) -> None:
    p, shown = arrays(pairs)

    def youden(threshold: float) -> float:
        return float((p[shown] >= threshold).mean() + (p[~shown] < threshold).mean() - 1)

    found = fitting.youden_threshold(p, shown)
    assert 0 <= found <= 1
    if len(set(p)) == 1:
        assert found == 0.5
        return
    inner = [(a + b) / 2 for a, b in zip(sorted(set(p)), sorted(set(p))[1:], strict=False)]
    assert youden(found) == pytest.approx(max(youden(t) for t in inner))
    assert any(found == pytest.approx(t) for t in inner)


def test_the_threshold_stands_in_the_middle_of_the_widest_of_equal_gaps() -> None:
    apart = np.array([0.1, 0.2, 0.4, 0.5]), np.array([False, False, True, True])
    assert fitting.youden_threshold(*apart) == pytest.approx(0.3)
    # J is 1/2 between 0.1 and 0.2, where one negative of two passes, and between 0.4 and 0.9, where one positive of two
    # is found; the second gap is wider.
    tie = np.array([0.1, 0.2, 0.4, 0.9]), np.array([False, True, False, True])
    assert fitting.youden_threshold(*tie) == pytest.approx(0.65)
    same = np.array([0.7, 0.7]), np.array([False, True])
    assert fitting.youden_threshold(*same) == 0.5
    close = np.nextafter(0.5, 1)
    assert fitting.youden_threshold(np.array([0.5, close]), np.array([False, True])) == close


@given(scored)
def test_auroc_agrees_with_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    p, shown = arrays(pairs)
    assert fitting.auroc(p, shown) == pytest.approx(roc_auc_score(shown, p))


@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=4, max_size=60),
    st.sampled_from([0.01, 0.2, 0.5, 0.99]),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_the_validation_part(pairs: list[tuple[int, bool]], fraction: float, seed: int, random: Any) -> None:
    shown = np.array([s for _, s in pairs])
    digests = [f"{d:x}" for d, _ in pairs]
    kinds = {s: {d for d, t in zip(digests, shown, strict=True) if s == t} for s in (True, False)}
    if min(map(len, kinds.values())) < 2:
        with pytest.raises(EmptyInputError, match="different images"):
            fitting.split_off(digests, shown, fraction, seed)
        return
    held = fitting.split_off(digests, shown, fraction, seed)
    for present, own in kinds.items():
        mine = shown == present
        inside = {d for d, h, m in zip(digests, held, mine, strict=True) if h and m}
        outside = {d for d, h, m in zip(digests, held, mine, strict=True) if not h and m}
        assert inside | outside == own
        assert not inside & outside  # copies stay together
        assert len(inside) == min(len(own) - 1, max(1, round(fraction * len(own))))
    order = random.sample(range(len(pairs)), len(pairs))
    again = fitting.split_off([digests[i] for i in order], shown[order], fraction, seed)
    np.testing.assert_array_equal(again, held[order])
