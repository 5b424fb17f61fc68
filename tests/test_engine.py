from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import image_file
from hypothesis import given, settings
from hypothesis import strategies as st

from igmu_data.errors import (
    CorruptImageError,
    InputError,
    LengthMismatchError,
    MissingImageError,
    NonFiniteError,
    OutOfRangeError,
)
from igmu_metrics import list_metrics, score
from igmu_metrics.contract import FloatArray
from igmu_metrics.images import files as images
from igmu_metrics.networks.instruments import Batch, InstrumentInfo
from igmu_metrics.networks.observe import observe


class Mean:
    """A backbone whose features can be computed by hand: the mean of each colour channel, 0..255."""

    info = InstrumentInfo(name="mean:rgb", revision="by hand", preparation="none")

    def __init__(self) -> None:
        self.seen = 0

    def image_features(self, images: Any) -> FloatArray:
        self.seen += len(images)
        return np.array([np.asarray(i, dtype=np.float64).mean((0, 1)) for i in images])

    def text_features(self, texts: Any) -> FloatArray:
        return np.array([[float(len(t)), 1.0, 0.0] for t in texts])

    def image_distance(self, images: Any, others: Any) -> FloatArray:
        difference: FloatArray = self.image_features(images)[:, 0] - self.image_features(others)[:, 0]
        return np.abs(difference)


class Redness:
    """A detector: the red channel is the probability; black images are unclear."""

    info = InstrumentInfo(name="redness", revision="by hand", preparation="none", threshold=0.5)

    def __init__(self, backbone: Mean) -> None:
        self.backbone = backbone

    def probabilities(self, batch: Batch, concepts: Any) -> np.ma.MaskedArray[Any, Any]:
        rgb = batch.features(self.backbone)
        p = np.repeat(rgb[:, :1] / 255, len(concepts), axis=1)
        return np.ma.MaskedArray(p, mask=np.repeat(rgb.sum(1, keepdims=True) == 0, len(concepts), axis=1))


@pytest.fixture
def five(tmp_path: Path) -> list[Path]:
    return [image_file(tmp_path / f"{r}.png", (r, 0, 10)) for r in (0, 51, 102, 153, 255)]


@settings(max_examples=10, deadline=None)
@given(size=st.integers(1, 7))
def test_batch_size_does_not_matter(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    folder = tmp_path_factory.mktemp("p")
    paths = [image_file(folder / f"{r}.png", (r, 0, 10)) for r in (0, 51, 102, 153, 255)]
    mean = Mean()
    concepts = ["object/a", "object/b", "", "object/a", "object/b"]
    seen = observe(paths, detector=Redness(mean), concepts=concepts, backbones={"x": mean}, batch_size=size)
    np.testing.assert_allclose(seen["probability"].filled(-1), [0, 0.2, -1, 0.6, 1])
    np.testing.assert_array_equal(seen["x"][:, 0], [0, 51, 102, 153, 255])
    assert seen["status"].tolist() == ["ok"] * 5  # where nothing was asked, nothing is unclear


def test_features_are_computed_once_for_detector_and_backbone(five: list[Path]) -> None:
    mean = Mean()
    observe(five, detector=Redness(mean), concepts=["object/a"] * 5, backbones={"x": mean})
    assert mean.seen == len(five)


class Broken(Mean):
    """A network that overflows on the first image of a call."""

    def image_features(self, images: Any) -> FloatArray:
        found = super().image_features(images)
        found[0, 0] = np.nan
        return found


class Says:
    """A detector with one answer to everything."""

    info = InstrumentInfo(name="says", revision="by hand", preparation="none", threshold=0.5)

    def __init__(self, answer: float) -> None:
        self.answer = answer

    def probabilities(self, batch: Batch, concepts: Any) -> np.ma.MaskedArray[Any, Any]:
        return np.ma.MaskedArray(np.full((len(batch), len(concepts)), self.answer))


def test_what_a_network_gives_as_no_number_is_an_error_and_no_missing_value(five: list[Path]) -> None:
    with pytest.raises(NonFiniteError, match=r"mean:rgb: the features of .*0\.png"):
        observe(five, backbones={"features": Broken()})
    with pytest.raises(NonFiniteError, match="mean:rgb: the distance of a pair"):
        observe(five, partners=five, distance=Broken())


@pytest.mark.parametrize(("answer", "error"), [(np.nan, NonFiniteError), (1.5, OutOfRangeError)])
def test_an_answer_that_is_no_probability_is_an_error(five: list[Path], answer: float, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"says: .* is not a probability"):
        observe(five, detector=Says(answer), concepts=["object/church"] * len(five))


def test_unclear_stays_masked(tmp_path: Path) -> None:
    paths = [image_file(tmp_path / "black.png", (0, 0, 0)), image_file(tmp_path / "red.png", (255, 0, 0))]
    seen = observe(paths, detector=Redness(Mean()), concepts=["object/a"] * 2)
    assert seen["probability"].mask.tolist() == [True, False]
    assert seen["status"].tolist() == ["unclear", "ok"]


@pytest.mark.parametrize(("spoil", "error"), [("missing", MissingImageError), ("truncated", CorruptImageError)])
def test_unreadable_is_an_error_or_a_failure_never_a_value(
    five: list[Path], spoil: str, error: type[Exception]
) -> None:
    if spoil == "missing":
        five[2].unlink()
    else:
        five[2].write_bytes(five[2].read_bytes()[:40])
    with pytest.raises(error, match=five[2].name):
        observe(five, detector=Redness(Mean()), concepts=["object/a"] * 5)
    seen = observe(five, detector=Redness(Mean()), concepts=["object/a"] * 5, backbones={"x": Mean()}, on_error="skip")
    assert [s.partition(":")[0] for s in seen["status"].tolist()] == ["ok", "ok", "failed", "ok", "ok"]
    assert five[2].name in seen["status"][2]
    assert seen["probability"].mask[2]
    assert np.isnan(seen["x"][2]).all()


def test_what_the_file_is_stands_in_the_table(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("L", (30, 20), 7).save(tmp_path / "grey.jpg")
    Image.new("RGBA", (4, 5)).save(tmp_path / "clear.png")
    seen = observe([tmp_path / "grey.jpg", tmp_path / "clear.png", Image.new("RGB", (8, 9))])
    assert seen["format"].tolist() == ["JPEG", "PNG", ""]
    assert seen["mode"].tolist() == ["L", "RGBA", "RGB"]
    assert list(zip(seen["width"].tolist(), seen["height"].tolist(), strict=True)) == [(30, 20), (4, 5), (8, 9)]
    assert [len(sha) for sha in seen["sha256"].tolist()] == [64, 64, 0]


def test_images_are_decoded_once_for_features_and_distances(five: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    whole = images.decode_image

    def counting(data: bytes, *, name: str) -> Any:
        decoded.append(Path(name).name)
        return whole(data, name=name)

    monkeypatch.setattr(images, "decode_image", counting)
    seen = observe(five[1:], partners=[five[0], None, five[0], five[3]], distance=Mean(), backbones={"x": Mean()})
    np.testing.assert_array_equal(seen["lpips"], [51, np.nan, 153, 102])
    assert sorted(decoded) == ["0.png", "0.png", "102.png", "153.png", "153.png", "255.png", "51.png"]
    assert "lpips" not in observe(five, backbones={"x": Mean()})


def test_a_pair_needs_both_images(five: list[Path]) -> None:
    five[0].write_bytes(b"")
    with pytest.raises(CorruptImageError, match=five[0].name):
        observe(five[1:3], partners=[five[3], five[0]], distance=Mean())
    seen = observe(five[1:3], partners=[five[3], five[0]], distance=Mean(), on_error="skip")
    assert [s.partition(":")[0] for s in seen["status"].tolist()] == ["ok", "failed"]
    with pytest.raises(LengthMismatchError, match="the number of images to compare them with is 1"):
        observe(five[1:3], partners=[five[3]], distance=Mean())


def test_score_takes_images_and_counts_failures(five: list[Path]) -> None:
    five[4].write_bytes(b"")
    got = score("lpips", images=five, original_images=five[:1] * 5, backbone=Mean(), on_error="skip", ids=list("abcde"))
    assert got.value == pytest.approx((0 + 51 + 102 + 153) / 4)
    assert (got.n_generations, got.n_failed) == (4, 1)
    assert got.signature.fields["backbone"] == "mean:rgb"


def test_score_names_the_features(five: list[Path]) -> None:
    got = score("frechet", images=five, original_images=five, backbone=Mean())
    assert got.value == pytest.approx(0, abs=1e-6)
    assert got.signature.fields["features"] == "mean:rgb"


def test_score_refuses_what_a_metric_cannot_use(five: list[Path]) -> None:
    with pytest.raises(InputError, match="images"):
        score("concept_accuracy", images=five, predictions=["object/a"], references=["object/a"], target="object/a")
    with pytest.raises(InputError, match="target"):
        score("concept_accuracy", predictions=["object/a"], references=["object/a"])
    with pytest.raises(InputError, match="prompts"):
        score("clip_alignment", images=five, backbone=Mean())


def test_signature_of_equal_settings_is_equal(five: list[Path]) -> None:
    a, b = (score("lpips", images=five, original_images=five, backbone=Mean(), signature={"model": m}) for m in "ab")
    assert a.signature.differences(b.signature) == {}
    other = score("lpips", images=five, original_images=five, backbone=Mean(), seed=1)
    assert a.signature.differences(other.signature) == {"bootstrap": ("2000@0", "2000@1")}


def test_former_names_of_arguments_are_taken_with_a_warning() -> None:
    """They are renamed before anything is looked for among images."""
    with pytest.warns(FutureWarning, match="image_features is now called features") as told:
        got = score("clip_alignment", image_features=[[3, 4]], text_features=[[1, 0]])
    assert got.value == pytest.approx(0.6)
    assert told[0].filename == __file__
    with pytest.raises(InputError, match="both given"):
        score("clip_alignment", image_features=[[3, 4]], features=[[3, 4]], text_features=[[1, 0]])


def test_prompts_are_those_of_the_originals_too(five: list[Path]) -> None:
    """Or images of one prompt would be paired across the models, where they are alike for other reasons."""
    texts = [f"prompt {i}" for i in range(5)]
    given: dict[str, Any] = {"images": five, "original_images": five, "backbone": Mean()}
    got = score("frechet", prompts=texts, **given)
    ids: dict[str, Any] = {"ids": texts, "original_ids": texts}
    assert got.figures["kid"] == score("frechet", **ids, **given).figures["kid"]
    assert "counted as a separate prompt" not in got.figures["frechet_distance"].reason


def test_to_dict_is_plain_json(five: list[Path]) -> None:
    import json

    got = score("lpips", images=five, original_images=five, backbone=Mean())
    assert json.loads(json.dumps(got.to_dict(), allow_nan=False))["value"] == 0


def test_equal_prompts_are_one_prompt(five: list[Path]) -> None:
    """Without ids every image was taken for a prompt in silence, though the texts were there."""
    texts = ["a church", "a church", "a cat", "a cat", "a cat"]
    got = score("lpips", images=five, original_images=five[:1] * 5, backbone=Mean(), prompts=texts)
    assert (got.n_prompts, got.n_generations) == (2, 5)
    assert "counted as a separate prompt" not in got.figures["lpips"].reason
    five[4].write_bytes(b"")
    skipped = score("lpips", images=five, original_images=five[:1] * 5, backbone=Mean(), prompts=texts, on_error="skip")
    assert (skipped.n_prompts, skipped.n_generations) == (2, 4)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("lpips", {"distances": [0.1, 0.2]}),
        ("clip_alignment", {"features": [[1.0, 0.0]] * 2, "text_features": [[1.0, 1.0]] * 2}),
        ("frechet", {"features": [[0.0], [1.0]], "original_features": [[0.0], [2.0]], "feature_name": "mine"}),
        ("concept_accuracy", {"predictions": ["a/b"] * 2, "references": ["a/b"] * 2, "target": "a/b"}),
    ],
)
def test_without_ids_the_headline_says_that_images_were_taken_for_prompts(name: str, inputs: dict[str, Any]) -> None:
    def told(**more: Any) -> list[str]:
        return [
            n for n, f in score(name, **inputs, **more).figures.items() if "counted as a separate prompt" in f.reason
        ]

    headline = next(m.headline for m in list_metrics() if m.name == name)
    assert headline in told()
    more = {"seeds": [0, 1], "original_ids": ["x", "x"], "original_seeds": [0, 1]} if name == "frechet" else {}
    assert told(ids=["x", "x"], **more) == []
