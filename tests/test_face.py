"""Likeness to photographs of one person, on images that contain nobody, and networks of one ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import sample_images, tiny_clip
from tiny_onnx import matrix, tiny_onnx
from typer.testing import CliRunner

from igmu_data.errors import EmptyInputError, InputError, WeightsError
from igmu_metrics import registry
from igmu_metrics.cli import app
from igmu_metrics.detectors import face
from igmu_metrics.networks.instruments import Batch
from igmu_metrics.testing import check_backbone, check_detector

pytest.importorskip("onnxruntime")
PERSON = "identity/albert-einstein"


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for i, image in enumerate(sample_images(7, 40, seed=5)):
        image.save(folder / f"{i}.png")
    return folder


def embedded(image: Image.Image, *, seed: int = 0, bgr: bool = False) -> np.ndarray:
    """By hand what `tiny_onnx` makes of an image."""
    values = np.asarray(image.resize((8, 8), Image.Resampling.BICUBIC), dtype=np.float64)
    values = (values[..., ::-1] if bgr else values) / 127.5 - 1
    return values.transpose(2, 0, 1).reshape(-1) @ matrix(8, 6, seed).astype(np.float64)


def test_a_network_of_one_file_gives_what_it_computes(tmp_path: Path) -> None:
    path = tiny_onnx(tmp_path / "a.onnx")
    images = [*sample_images(2, (60, 44)), *sample_images(2, 48, seed=3)]
    backbone = registry.backbone(f"onnx:{path}")
    assert np.abs(backbone.image_features(images) - [embedded(i) for i in images]).max() < 1e-5
    check_backbone(backbone)
    other = registry.backbone(f"onnx:{path}?channels=bgr")
    assert np.abs(other.image_features(images) - [embedded(i, bgr=True) for i in images]).max() < 1e-5
    assert other.info.preparation != backbone.info.preparation
    last = registry.backbone(f"onnx:{tiny_onnx(tmp_path / 'b.onnx', last=True)}")
    values = np.asarray(images[0].resize((8, 8), Image.Resampling.BICUBIC), dtype=np.float64) / 127.5 - 1
    assert np.abs(last.image_features(images[:1])[0] - values.reshape(-1) @ matrix(8, 6, 0)).max() < 1e-5


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("none.onnx", WeightsError, "no file"),
        ("garbage.onnx", WeightsError, "ONNX Runtime cannot open"),
        ("a.onnx?size=9", InputError, "this network requires 8x8"),
        ("a.onnx?std=0", InputError, "std is 0"),
        ("a.onnx?mean=x", InputError, "mean is 'x', not a number"),
        ("a.onnx?colour=red", InputError, "unknown option"),
    ],
)
def test_what_is_no_such_network_is_refused(tmp_path: Path, spec: str, error: type, message: str) -> None:
    tiny_onnx(tmp_path / "a.onnx")
    (tmp_path / "garbage.onnx").write_bytes(b"garbage")
    with pytest.raises(error, match=message):
        registry.backbone(f"onnx:{tmp_path / spec}")


def test_likeness_is_the_cosine_with_the_mean_of_the_photographs(tmp_path: Path, photographs: Path) -> None:
    out, network = tmp_path / "person.safetensors", tiny_onnx(tmp_path / "a.onnx")
    made = face.make(photographs, out, concept=PERSON, spec=f"onnx:{network}")
    detector = registry.detector(f"face:{out}")
    found = np.array([embedded(Image.open(path)) for path in sorted(photographs.iterdir())])
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    mean = found.mean(axis=0)
    images = sample_images(4, 30, seed=9)
    seen = np.array([embedded(image) for image in images])
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    answers = detector.probabilities(Batch([Path()] * 4, images), [PERSON, "identity/mark-twain"])
    assert np.abs(answers[:, 0] - (1 + seen @ mean / np.linalg.norm(mean)) / 2).max() < 1e-5
    assert np.ma.getmaskarray(answers[:, 1]).all()
    alone = []
    for i in range(len(found)):
        others = np.delete(found, i, axis=0).mean(axis=0)
        alone.append((1 + found[i] @ others / np.linalg.norm(others)) / 2)
    assert made.threshold == detector.info.threshold == pytest.approx(np.quantile(alone, 0.05), abs=1e-6)
    assert detector.info.settings["references"] == 7
    check_detector(detector)
    again = face.make(photographs, tmp_path / "again.safetensors", concept=PERSON, spec=f"onnx:{network}")
    assert (tmp_path / "again.safetensors").read_bytes() == out.read_bytes()
    assert again.threshold == made.threshold


def test_references_go_with_the_network_that_made_them(tmp_path: Path, photographs: Path) -> None:
    out, network = tmp_path / "person.safetensors", tiny_onnx(tmp_path / "a.onnx")
    face.make(photographs, out, concept=PERSON, spec=f"onnx:{network}")
    network.rename(tmp_path / "moved.onnx")
    with pytest.raises(WeightsError, match="no file"):
        face.load(str(out))
    assert face.load(f"{out}?network=onnx:{tmp_path / 'moved.onnx'}").info.threshold is not None
    other = tiny_onnx(tmp_path / "b.onnx", seed=1)
    for spec in (f"onnx:{other}", f"clip:{tiny_clip(tmp_path / 'clip')}"):
        with pytest.raises(WeightsError, match="Specify the network that it was made with"):
            face.load(f"{out}?network={spec}")


def test_what_is_no_person_or_no_photographs_is_refused(tmp_path: Path, photographs: Path) -> None:
    spec = f"onnx:{tiny_onnx(tmp_path / 'a.onnx')}"
    out = tmp_path / "person.safetensors"
    with pytest.raises(InputError, match="is not a person"):
        face.make(photographs, out, concept="object/church", spec=spec)
    with pytest.raises(InputError, match=r"is not supported\. Choose one of onnx"):
        face.make(photographs, out, concept=PERSON, spec="inception")
    with pytest.raises(InputError, match="is not a folder"):
        face.make(tmp_path / "none", out, concept=PERSON, spec=spec)
    for path in sorted(photographs.iterdir())[4:]:
        path.unlink()
    with pytest.raises(EmptyInputError, match="4 photographs"):
        face.make(photographs, out, concept=PERSON, spec=spec)
    out.write_bytes(b"garbage")
    for broken, message in (
        (str(out), "cannot be read"),
        (str(tmp_path / "none"), "cannot be read"),
        ("", "no file is specified"),
    ):
        with pytest.raises(WeightsError, match=message):
            face.load(broken)


def test_a_command_makes_it_once_it_is_said_whom_it_shows(tmp_path: Path, photographs: Path) -> None:
    spec, out = f"onnx:{tiny_onnx(tmp_path / 'a.onnx')}", tmp_path / "person.safetensors"
    given = ["face", str(photographs), "--concept", PERSON, "--network", spec, "--out", str(out)]
    refused = CliRunner().invoke(app, given)
    assert refused.exit_code != 0
    assert not out.exists()
    done = CliRunner().invoke(app, [*given, "--public-figure"])
    assert done.exit_code == 0, done.output
    assert "7 photographs of identity/albert-einstein" in done.output
    assert registry.detector(f"face:{out}").info.concepts == {PERSON}
