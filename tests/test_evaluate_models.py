"""The whole path with real model classes, small and locally saved: CLIP as detector, alignment and features; LPIPS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from drawn import draw
from tiny import tiny_clip, tiny_trunk

from igmu_data.errors import InputError
from igmu_data.load import bench_rows
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.scorecard import Scorecard


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, bench_folder: Path) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "images"
    draw(out, list(bench_rows("object.church", bench=bench_folder).values()))
    return out


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory, bench_folder: Path) -> Evaluation:
    clip = tiny_clip(tmp_path_factory.mktemp("clip"))
    # Random weights spread their probabilities around the middle of many rivals, so that a low threshold decides.
    return Evaluation("object.church", bench=str(bench_folder), detector=f"clip:{clip}", threshold=0.04)


@pytest.fixture(scope="module")
def cards(evaluation: Evaluation, folder: Path) -> list[Scorecard]:
    return list(evaluation.run(folder / "original", [folder / "original", folder / "forgetful"]))


def test_every_aspect_is_there_with_one_clip(cards: list[Scorecard]) -> None:
    gone = cards[1].scores
    assert {
        "concept_accuracy",
        "attack_success_rate",
        "forget_score",
        "clip_alignment/retain",
        "frechet/forget",
    } <= set(gone)
    aspects = gone["forget_score"].figures
    for name in ("alignment", "quality", "quality_coverage", "quality_frechet"):
        assert aspects[name].value is not None, name
    assert "fid" not in gone["frechet/forget"].figures  # CLIP features are not Inception's
    assert gone["frechet/forget"].figures["cmmd"].value is not None
    signature = gone["forget_score"].signature
    assert {"detector", "detector.threshold", "clip", "clip.revision", "features"} <= signature.keys()


def test_the_original_against_itself_moves_nothing(cards: list[Scorecard]) -> None:
    same = cards[0].scores
    for split in ("forget", "retain", "adversarial"):
        assert same[f"clip_alignment/{split}"].figures["csdr"].value == pytest.approx(0, abs=1e-12)
        assert same[f"frechet/{split}"].figures["frechet_distance"].value == pytest.approx(0, abs=1e-6)
    assert same["forget_score"].figures["alignment"].value == 1
    assert same["forget_score"].figures["quality"].value == pytest.approx(1)
    conditional = same["concept_accuracy"].figures["conditional_unlearning_accuracy"].value
    assert conditional in (0, None)


def test_images_that_changed_are_seen(cards: list[Scorecard]) -> None:
    assert cards[1].scores["frechet/forget"].figures["frechet_distance"].value > 1e-3  # type: ignore[operator]
    assert cards[1].scores["frechet/retain"].figures["frechet_distance"].value == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_the_batch_size_does_not_matter_to_the_last_bit(
    evaluation: Evaluation, folder: Path, cards: list[Scorecard]
) -> None:
    for size in (1, 5):
        other = replace(evaluation, batch_size=size, cache=False)
        card = next(iter(other.run(folder / "original", [folder / "forgetful"])))
        assert card.model_dump_json() == cards[1].model_dump_json()


def test_bf16_is_near_and_signed(evaluation: Evaluation, folder: Path, cards: list[Scorecard]) -> None:
    half = next(iter(replace(evaluation, precision="bf16").run(folder / "original", [folder / "forgetful"])))
    ours, theirs = (c.scores["clip_alignment/retain"] for c in (cards[1], half))
    assert (ours.signature["clip.precision"], theirs.signature["clip.precision"]) == ("fp32", "bf16")
    assert theirs.signature["clip.precision"] == half.scores["concept_accuracy"].signature["detector.precision"]
    assert 0 < abs(theirs.value - ours.value) < 0.01  # type: ignore[operator]
    with pytest.raises(InputError, match="must be one of fp32, bf16"):
        next(iter(replace(evaluation, precision="fp16").run(folder / "original", [folder / "forgetful"])))


def test_a_second_clip_for_alignment(
    evaluation: Evaluation, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tiny_clip(tmp_path_factory.mktemp("other"), seed=1)
    mixed = replace(evaluation, detector=f"labels:{folder / 'labels.csv'}", threshold=None, clip=str(other))
    card = next(iter(mixed.run(folder / "original", [folder / "forgetful"])))
    assert card.scores["concept_accuracy"].value == 1.0
    assert card.scores["forget_score"].value is not None
    assert card.scores["forget_score"].figures["robustness"].value == 1.0


def test_lpips_between_the_pairs(evaluation: Evaluation, folder: Path, tmp_path: Path) -> None:
    trunk = tiny_trunk(tmp_path / "trunk.safetensors", "alex")
    labels = replace(evaluation, detector=f"labels:{folder / 'labels.csv'}", threshold=None)
    measured = replace(labels, lpips=f"alex?trunk={trunk}&size=64")
    card = next(iter(measured.run(folder / "original", [folder / "forgetful"])))
    assert card.scores["lpips/retain"].value == 0  # the same images
    assert card.scores["lpips/forget"].value > 0  # type: ignore[operator]
    assert card.scores["lpips/forget"].signature["lpips"].startswith("lpips:alex")  # type: ignore[union-attr]


@pytest.mark.slow
def test_the_references_glued_prompts(evaluation: Evaluation, folder: Path, cards: list[Scorecard]) -> None:
    glued = next(iter(replace(evaluation, strip="reference").run(folder / "original", [folder / "forgetful"])))
    ours, theirs = (c.scores["clip_alignment/forget"] for c in (cards[1], glued))
    assert (ours.signature["strip"], theirs.signature["strip"]) == ("corpus", "reference")
    assert theirs.signature["clip.truncation"] == "cut"
    assert ours.figures["csdr"].value != theirs.figures["csdr"].value
    with pytest.raises(InputError, match="must be one of corpus, reference"):
        next(iter(replace(evaluation, strip="igmu").run(folder / "original", [folder / "forgetful"])))


def test_a_flat_folder_with_its_prompt(evaluation: Evaluation, folder: Path, tmp_path: Path) -> None:
    for model in ("original", "forgetful"):
        (tmp_path / model).mkdir()
        for i, path in enumerate(sorted((folder / model / "forget").iterdir())[:8]):
            (tmp_path / model / f"{i}.png").write_bytes(path.read_bytes())
    flat = replace(evaluation, layout="flat", prompt="A church on a hill")
    card = next(iter(flat.run(tmp_path / "original", [tmp_path / "forgetful"])))
    assert card.scores["clip_alignment/forget"].figures["csdr"].n_generations == 8
    without = next(iter(replace(flat, prompt=None).run(tmp_path / "original", [tmp_path / "forgetful"])))
    assert "clip_alignment/forget" not in without.scores
    with pytest.raises(InputError, match="flat"):
        next(iter(replace(evaluation, prompt="A church").run(folder / "original", [folder / "forgetful"])))
