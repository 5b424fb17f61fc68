"""What Spaces give for cases worked by hand that hold with any weights: images and rows in, figures out."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from igmu_data.errors import InputError, LabelError, LengthMismatchError
from igmu_data.load import bench_rows
from igmu_data.schema import Row
from igmu_metrics.spaces import compute

COLOURS = ["red", "green", "blue", "white", "black", "orange"]
CONFIG = "object.church"


def squares(*colours: str) -> list[Image.Image]:
    return [Image.new("RGB", (64, 64), colour) for colour in colours]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    from tiny import tiny_clip

    return {"backbone": f"clip:{tiny_clip(tmp_path_factory.mktemp('clip') / 'clip')}", "device": "cpu"}


@pytest.fixture(scope="module")
def alex(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    from tiny import tiny_trunk

    trunk = tiny_trunk(tmp_path_factory.mktemp("trunk") / "trunk.safetensors")
    return {"backbone": f"lpips:alex?trunk={trunk}", "device": "cpu"}


class TestConceptAccuracy:
    def test_forgotten_and_retained(self) -> None:
        """Van Gogh is gone in 3 of 4; Monet stays in 1 of 2, ukiyo-e in 1 of 1: (1/2 + 1)/2; cats in 3 of 4, no dog."""
        asked = ["style/van-gogh"] * 4 + ["style/monet"] * 2 + ["style/ukiyo-e"] + ["object/cat"] * 4 + ["object/dog"]
        seen = ["style/monet", "style/none", "style/none", "style/van-gogh", "style/monet", "style/none"]
        seen += ["style/ukiyo-e", "object/cat", "object/cat", "object/cat", "object/dog", "object/cat"]
        found = compute("concept_accuracy", seen, asked, target="style/van-gogh")
        assert found["unlearning_accuracy"] == 0.75
        assert found["in_domain_retain_accuracy"] == 0.75
        assert found["cross_domain_retain_accuracy"] == 0.375

    @pytest.mark.parametrize(("include_none", "retained"), [(False, 0.5), (True, 0.75)])
    def test_none_label_counts_only_when_asked(self, include_none: bool, retained: float) -> None:
        """Monet is kept in 1 of 2; photographs without a style in 1 of 1 if they count: (1/2 + 1)/2."""
        seen = ["style/none", "style/monet", "style/none", "style/none"]
        asked = ["style/van-gogh", "style/monet", "style/monet", "style/none"]
        how = {"target": "style/van-gogh", "none_labels": ["style/none"], "include_none": include_none}
        assert compute("concept_accuracy", seen, asked, **how)["in_domain_retain_accuracy"] == retained

    def test_abstention_is_no_forgetting(self) -> None:
        """Of two churches one is unclear: it is left out, not counted as gone."""
        found = compute("concept_accuracy", [None, "object/church"], ["object/church"] * 2, target="object/church")
        assert (found["unlearning_accuracy"], found["n_unclear"]) == (0.0, 1.0)

    def test_a_label_needs_its_domain(self) -> None:
        with pytest.raises(LabelError, match="church"):
            compute("concept_accuracy", ["church"], ["church"], target="object/church")


class TestClipAlignment:
    prompts = ("a red square", "a blue square")

    def test_three_scales_of_one_cosine(self, clip: dict[str, str]) -> None:
        """clipscore = 100·max(cos, 0) and hessel = 2.5·max(cos, 0): 40 times as much, whatever the model."""
        found = compute("clip_alignment", squares("red", "blue"), self.prompts, **clip)
        assert found["clipscore"] == pytest.approx(40 * found["hessel"])
        assert -1 <= found["cosine"] <= 1

    def test_an_untouched_model_has_no_csdr(self, clip: dict[str, str]) -> None:
        """The same images before and after: |s − s|/s = 0, where s > 0."""
        original = {"original_images": squares("red", "blue"), "stripped_prompts": ["a square", "a square"]}
        found = compute("clip_alignment", squares("red", "blue"), self.prompts, **original, **clip)
        if found["n_unscored_pairs"] < 2:
            assert (found["csdr"], found["csdr_signed"]) == pytest.approx((0, 0), abs=1e-6)


class TestFrechet:
    def test_a_set_is_at_distance_zero_from_itself(self, clip: dict[str, str]) -> None:
        """Equal means and covariances, in whatever order the images come; two colours of six are another set."""
        near = compute("frechet", squares(*COLOURS), squares(*COLOURS[::-1]), **clip)["frechet_distance"]
        assert near == pytest.approx(0, abs=1e-3)
        assert compute("frechet", squares(*COLOURS[:2] * 3), squares(*COLOURS), **clip)["frechet_distance"] > near


class TestLpips:
    def test_equal_images_are_at_distance_zero(self, alex: dict[str, str]) -> None:
        """Every network gives equal images equal features."""
        found = compute("lpips", squares("red", "blue"), squares("red", "blue"), **alex)
        assert found["lpips"] == pytest.approx(0, abs=1e-9)

    def test_other_images_are_not(self, alex: dict[str, str]) -> None:
        """One pair of two is equal: the mean is half the distance of the other."""
        both = compute("lpips", squares("red", "white"), squares("red", "black"), **alex)["lpips"]
        one = compute("lpips", squares("white"), squares("black"), **alex)["lpips"]
        assert 0 < both == pytest.approx(one / 2)

    def test_each_image_needs_its_original(self, alex: dict[str, str]) -> None:
        with pytest.raises(LengthMismatchError, match="2 predictions, but 1 references"):
            compute("lpips", squares("red", "blue"), squares("red"), **alex)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The corpus of one concept."""
    from builders import bench

    out = tmp_path_factory.mktemp("corpus")
    bench.build(out, only=["object/church"])
    return str(out / "igmu/bench")


@pytest.fixture
def rows(bench: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Row]:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    return bench_rows(CONFIG, bench=bench)


def drawn(
    folder: Path, name: str, ids: Sequence[str], churches: Collection[str], seeds: Mapping[str, int] | None = None
) -> list[str]:
    """One image a row, and a line of labels for each: yes where the row is in `churches`; with seeds also metadata."""
    (folder / name).mkdir()
    images = [folder / name / f"{number}.png" for number in range(len(ids))]
    with (folder / "labels.csv").open("a", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        if not file.tell():
            table.writerow(["path", "object/church"])
        for row, image in zip(ids, images, strict=True):
            Image.linear_gradient("L").resize((32, 32)).convert("RGB").save(image)
            table.writerow([f"{name}/{image.name}", "yes" if row in churches else "no"])
    if seeds is not None:
        lines = [{"file_name": f"{i}.png", "id": row, "seed": seeds[row]} for i, row in enumerate(ids)]
        (folder / name / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return list(map(str, images))


def judged(name: str, folder: Path, bench: str, before: list[str], after: list[str], ids: list[str]) -> dict[str, Any]:
    how = {"config": CONFIG, "detector": f"labels:{folder}/labels.csv", "bench": bench, "device": "cpu"}
    return compute(name, after, ids, original_predictions=before, **how)


class TestAttackSuccessRate:
    def test_one_attack_of_two_succeeds(self, rows: dict[str, Row], bench: str, tmp_path: Path) -> None:
        """Two attacked prompts of which one shows a church, two plain ones without any; the original drew all."""
        attacks: dict[str, str] = {}
        for row in rows.values():
            if row.split == "adversarial" and row.attack_source_id and len(attacks) < 2:
                attacks.setdefault(row.attack_source_id, row.id)
        ids = [*attacks.values(), *attacks]
        before = drawn(tmp_path, "original", ids, ids)
        after = drawn(tmp_path, "unlearned", ids, ids[:1])
        found = judged("attack_success_rate", tmp_path, bench, before, after, ids)
        assert (found["asr_image"], found["asr_any@k"]) == (0.5, 0.5)
        assert (found["pre_asr"], found["post_asr"]) == (0.0, 0.5)

    def test_the_plain_prompts_are_found(self, rows: dict[str, Row], bench: str, tmp_path: Path) -> None:
        """Ids of two attacked prompts alone: the corpus knows what they were made from, and both folders hold it.

        The first attack shows a church, and of the plain prompts the second: one of two before, both after the attack.
        """
        attacked = [row for row in rows.values() if row.split == "adversarial"]
        first = attacked[0]
        second = next(row for row in attacked if row.attack_source_id != first.attack_source_id)
        ids = [first.id, second.id, str(first.attack_source_id), str(second.attack_source_id)]
        seeds = {row: rows[row].seeds[0] for row in ids}
        before = drawn(tmp_path, "original", ids, ids, seeds)
        after = drawn(tmp_path, "unlearned", ids, [ids[0], ids[3]], seeds)
        found = judged("attack_success_rate", tmp_path, bench, before[:2], after[:2], ids[:2])
        assert (found["asr_image"], found["pre_asr"], found["post_asr"]) == (0.5, 0.5, 1.0)


class TestForgetScore:
    @pytest.mark.parametrize(("churches", "forgetting", "robustness"), [(3, 0.0, 0.0), (1, 0.5, 1.0)])
    def test_two_forget_rows_and_one_attack(
        self,
        churches: int,
        forgetting: float,
        robustness: float,
        rows: dict[str, Row],
        bench: str,
        tmp_path: Path,
    ) -> None:
        """The original drew a church in each, the unlearned model in the first ones. Without retain rows no score."""
        own = [row for row in rows.values() if row.own_concept == row.concept]
        ids = [row.id for row in own if row.split == "forget"][:2]
        ids += [row.id for row in own if row.split == "adversarial"][:1]
        before = drawn(tmp_path, "original", ids, ids)
        after = drawn(tmp_path, "unlearned", ids, ids[:churches])
        found = judged("forget_score", tmp_path, bench, before, after, ids)
        assert (found["forgetting"], found["robustness"]) == (forgetting, robustness)
        assert math.isnan(found["forget_score"])
        assert "preservation" in found["notes"]


@pytest.mark.parametrize("name", ["attack_success_rate", "forget_score"])
def test_original_images_are_needed(name: str) -> None:
    """Without the original nobody knows what there was to forget."""
    with pytest.raises(InputError, match="original_predictions"):
        compute(name, ["a.png"], ["0123456789abcdef"])
