"""How far fast arithmetic may be from the slow path on real architectures, and that no verdict hangs on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import tiny_clip, tiny_inception, tiny_trunk

from igmu_data.sandbox import packaged
from igmu_data.taxonomy import SANDBOX
from igmu_metrics import registry
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.sandbox import demo
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.verdict.compare import compared

pytestmark = pytest.mark.slow

FP32 = 2e-6  # largest relative difference of norms: two orders of summation in fp32
BF16 = 0.02  # what the documentation promises


@pytest.fixture(scope="module")
def sample_images() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (4, 9, 9, 3), dtype=np.uint8)
    return [Image.fromarray(c).resize((256, 256), Image.Resampling.BICUBIC) for c in coarse]


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CLIP ViT-B/32 in size and preparation, with seeded weights."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    folder = tmp_path_factory.mktemp("vit")
    tiny_clip(folder)  # for its tokenizer
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(vision_config={"patch_size": 32}, projection_dim=512))
    for parameter in model.parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.04)
    model.save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    return folder


def apart(found: Any, expected: Any) -> float:
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_clip(vit: Path, sample_images: list[Image.Image]) -> None:
    from transformers import CLIPModel

    fine, rough = (registry.backbone(f"clip:{vit}", device="cpu", precision=p) for p in ("fp32", "bf16"))
    inputs = torch.from_numpy(np.stack([fine.prepare(p) for p in sample_images]))  # type: ignore[attr-defined]
    plain = CLIPModel.from_pretrained(vit).eval()
    with torch.no_grad():
        slow = plain.get_image_features(inputs).pooler_output
    assert apart(fine.image_features(sample_images), slow) < FP32
    assert 0 < apart(rough.image_features(sample_images), slow) < BF16


def test_inception(tmp_path: Path, sample_images: list[Image.Image]) -> None:
    from safetensors.torch import load_file
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    weights = tiny_inception(tmp_path / "inception.safetensors")
    fine, rough = (registry.backbone(f"inception:{weights}", device="cpu", precision=p) for p in ("fp32", "bf16"))
    torch.save(load_file(weights), tmp_path / "inception.pth")
    copy = str(tmp_path / "inception.pth")
    network = FeatureExtractorInceptionV3("plain", ["2048"], feature_extractor_weights_path=copy)
    layers = [layer for name, layer in network.named_children() if name != "fc"]
    plain = torch.nn.Sequential(*layers, torch.nn.Flatten()).eval()
    with torch.no_grad():
        slow = plain(torch.from_numpy(np.stack([fine.prepare(p) for p in sample_images])))  # type: ignore[attr-defined]
    assert apart(fine.image_features(sample_images), slow) < FP32
    assert 0 < apart(rough.image_features(sample_images), slow) < BF16


def test_lpips(tmp_path: Path, sample_images: list[Image.Image]) -> None:
    from builders.benchmarks.reference import plain_lpips

    trunk = tiny_trunk(tmp_path / "alex.safetensors", "alex")
    fine, rough = (registry.backbone(f"lpips:alex?trunk={trunk}", device="cpu", precision=p) for p in ("fp32", "bf16"))
    one, other = sample_images[:2], sample_images[2:]
    a, b = (torch.from_numpy(np.stack([np.asarray(p) for p in side])).permute(0, 3, 1, 2) for side in (one, other))
    with torch.no_grad():
        slow = plain_lpips(trunk)(a / 127.5 - 1, b / 127.5 - 1).flatten()
    assert apart(fine.image_distance(one, other), slow) < FP32
    assert 0 < apart(rough.image_distance(one, other), slow) < BF16


def test_no_verdict_changes_in_bf16(tmp_path: Path) -> None:
    """Which model forgets, withstands or keeps more, and whether that is settled: alike in both precisions."""
    fine = demo.run(tmp_path, ["church"])["church"]
    job = demo.plan(tmp_path, "church", demo.load_rows("church"))
    evaluation = Evaluation(
        job.config,
        bench=str(packaged.bench_folder()),
        detector=SANDBOX,
        clip=SANDBOX,
        precision="bf16",
        only=frozenset(r.key for r in job.requests),
    )
    rough = list(evaluation.run(job.folders[demo.ORIGINAL], list(job.folders.values())))
    assert [c.scores["concept_accuracy"].signature["detector.precision"] for c in rough] == ["bf16"] * len(rough)
    assert _verdicts(rough) == _verdicts(fine)
    order = [_ranked(cards) for cards in (fine, rough)]
    assert order[0] == order[1]


def _verdicts(cards: Sequence[Scorecard]) -> dict[tuple[str, str, str], tuple[bool, int]]:
    found = compared(cards)
    return {(c.measure, c.first, c.second): (c.significant, int(np.sign(c.difference))) for c in found}


def _ranked(cards: Sequence[Scorecard]) -> list[str]:
    scores = {c.model: c.scores["forget_score"].value or 0.0 for c in cards}
    return sorted(scores, key=lambda m: -round(scores[m], 2))
