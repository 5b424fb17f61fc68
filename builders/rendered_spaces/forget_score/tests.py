"""Cases worked by hand, with labels instead of a detector: `pytest tests.py` (loads one concept of igmu/bench)."""

import csv
import math
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from igmu_data.load import bench_rows
from igmu_metrics import spaces


def compute(churches, **options):
    """Two forget rows and one attack; the original drew a church in each, the unlearned model in the first ones."""
    rows = [r for r in bench_rows("object.church", bench=options.get("bench")).values() if r.own_concept == r.concept]
    asked = [r.id for r in rows if r.split == "forget"][:2] + [r.id for r in rows if r.split == "adversarial"][:1]
    with tempfile.TemporaryDirectory() as folder:
        images = {who: [f"{folder}/{who}{i}.png" for i in range(3)] for who in ("original", "unlearned")}
        with open(f"{folder}/labels.csv", "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["path", "object/church"])
            for who, paths in images.items():
                for i, path in enumerate(paths):
                    Image.new("RGB", (32, 32), "grey").save(path)
                    table.writerow([Path(path).name, "yes" if who == "original" or i < churches else "no"])
        return spaces.compute(
            "forget_score",
            images["unlearned"],
            asked,
            original_predictions=images["original"],
            config="object.church",
            detector=f"labels:{folder}/labels.csv",
            **options,
        )


def test_an_untouched_model_has_forgotten_nothing(**options):
    """All that the original drew is still there."""
    found = compute(3, **options)
    assert (found["forgetting"], found["robustness"]) == (0.0, 0.0)


def test_half_forgotten_and_robust(**options):
    """One church of two is left, and the attack shows none. Without retain rows the score itself is missing."""
    found = compute(1, **options)
    assert (found["forgetting"], found["robustness"]) == (0.5, 1.0)
    assert math.isnan(found["forget_score"])
    assert "preservation" in found["notes"]


def test_original_images_are_needed(**options):
    """Without the original nobody knows what there was to forget."""
    with pytest.raises(ValueError, match="original_predictions"):
        spaces.compute("forget_score", ["a.png"], ["0123456789abcdef"], **options)
