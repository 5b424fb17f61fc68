"""Cases worked by hand, with labels instead of a detector: `pytest tests.py` (loads one concept of igmu/bench)."""

import csv
import json
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from igmu_data.load import bench_rows
from igmu_metrics import spaces


def drawn(folder, name, rows, churches, seeds=None):
    """One image a row, and a line of labels for each: yes where the row is in `churches`; with seeds also metadata."""
    out = []
    (folder / name).mkdir()
    with open(folder / "labels.csv", "a", newline="") as file:
        table = csv.writer(file)
        if not file.tell():
            table.writerow(["path", "object/church"])
        for number, row in enumerate(rows):
            image = folder / name / f"{number}.png"
            Image.new("RGB", (32, 32), "grey").save(image)
            table.writerow([f"{name}/{number}.png", "yes" if row in churches else "no"])
            out.append(str(image))
    if seeds is not None:
        lines = [{"file_name": f"{i}.png", "id": row, "seed": seeds[row]} for i, row in enumerate(rows)]
        (folder / name / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return out


def test_one_attack_of_two_succeeds(**options):
    """Two attacked prompts of which one shows a church, two plain ones of which none does; the original drew all."""
    rows = bench_rows("object.church", bench=options.get("bench"))
    sources, attacks = {}, []
    for row in rows.values():
        if row.split == "adversarial" and row.attack_source_id not in sources and len(attacks) < 2:
            sources[row.attack_source_id] = rows[row.attack_source_id].id
            attacks.append(row.id)
    asked = [*attacks, *sources]
    with tempfile.TemporaryDirectory() as folder:
        before = drawn(Path(folder), "original", asked, asked)
        after = drawn(Path(folder), "unlearned", asked, attacks[:1])
        found = spaces.compute(
            "attack_success_rate",
            after,
            asked,
            original_predictions=before,
            config="object.church",
            detector=f"labels:{folder}/labels.csv",
            **options,
        )
    assert (found["asr_image"], found["asr_any@k"]) == (0.5, 0.5)
    assert (found["pre_asr"], found["post_asr"]) == (0.0, 0.5)


def test_the_plain_prompts_are_found(**options):
    """Ids of two attacked prompts alone: the corpus knows what they were made from, and both models' folders hold it.

    The first attack shows a church, and of the plain prompts the second: one of two before, both after the attack.
    """
    rows = bench_rows("object.church", bench=options.get("bench"))
    attacked = [row for row in rows.values() if row.split == "adversarial"]
    first = attacked[0]
    second = next(row for row in attacked if row.attack_source_id != first.attack_source_id)
    asked = [first.id, second.id, first.attack_source_id, second.attack_source_id]
    seeds = {row: rows[row].seeds[0] for row in asked}
    with tempfile.TemporaryDirectory() as folder:
        before = drawn(Path(folder), "original", asked, asked, seeds)
        after = drawn(Path(folder), "unlearned", asked, [first.id, second.attack_source_id], seeds)
        found = spaces.compute(
            "attack_success_rate",
            after[:2],
            asked[:2],
            original_predictions=before[:2],
            config="object.church",
            detector=f"labels:{folder}/labels.csv",
            **options,
        )
    assert (found["asr_image"], found["pre_asr"], found["post_asr"]) == (0.5, 0.5, 1.0)


def test_original_images_are_needed(**options):
    """Without the original nobody knows what there was to forget."""
    with pytest.raises(ValueError, match="original_predictions"):
        spaces.compute("attack_success_rate", ["a.png"], ["0123456789abcdef"], **options)
