"""Images and scorecards of three models, small enough for every test of the report, judged by a label file.

`original` shows everything. `esd` has forgotten the church, also under attack, where it is excluded, in company and
where something wider is asked for, and half of the near concepts with it. `fmn` shows the church in every image.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

from igmu_data.load import bench_rows
from igmu_data.schema import ASIDE, Row
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.scorecard import Scorecard, write

CONFIG: Final = "sandbox.church"
MODELS: Final = ("original", "esd", "fmn")
SEEDS: Final = 2


def chosen() -> list[Row]:
    """Eight forget rows, eight attacked ones of two families, twelve retain rows, two of each probe of `ASIDE`."""
    rows = sorted(bench_rows(CONFIG).values(), key=lambda r: r.id)
    sources = {r.id for r in rows if r.probe == "direct"}
    attacked = [r for r in rows if r.split == "adversarial" and r.attack_source_id in sources]
    families = sorted({str(r.attack_family) for r in attacked})[:2]
    some = [r for family in families for r in [a for a in attacked if a.attack_family == family][:4]]
    needed = {r.attack_source_id for r in some}
    plain = sorted((r for r in rows if r.probe == "direct"), key=lambda r: (r.id not in needed, r.id))
    near, far = ([r for r in rows if r.probe == probe][:6] for probe in ("near", "far"))
    aside = [r for probe in ASIDE for r in [a for a in rows if a.probe == probe][:2]]
    return [*plain[: max(8, len(needed))], *some, *near, *far, *aside]


def shows(model: str, row: Row, number: int) -> bool:
    """Whether a model draws what a row is judged for."""
    if model == "esd":
        return row.probe == "far" or (row.probe == "near" and number % 2 == 0)
    return True


def draw(root: Path) -> Path:
    """Folders of images in `root/drawn` with their `labels.csv`; the latter's path."""
    lines = ["path,present"]
    for at, model in enumerate(MODELS):
        folder = root / "drawn" / model
        folder.mkdir(parents=True)
        listed = []
        for number, row in enumerate(chosen()):
            for seed in row.seeds[:SEEDS]:
                name = f"{row.id}_{seed}.png"
                image = Image.new("RGB", (128, 128), (60 + 60 * at, 40 + 5 * number % 200, 90))
                ImageDraw.Draw(image).rectangle(
                    (20 + number, 40, 70 + number, 100 - seed % 20), fill=(220, 200, 60 * at)
                )
                image.save(folder / name)
                listed.append(json.dumps({"file_name": name, "id": row.id, "seed": seed}))
                lines.append(f"{model}/{name},{'yes' if shows(model, row, number) else 'no'}")
        (folder / "metadata.jsonl").write_text("\n".join(listed), encoding="utf-8")
    labels = root / "drawn" / "labels.csv"
    labels.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return labels


def scored(root: Path) -> list[Scorecard]:
    """Draw, score by the labels, and write the cards to `root/cards`."""
    labels = draw(root)
    evaluation = Evaluation(CONFIG, detector=f"labels:{labels}")
    cards = list(evaluation.run(root / "drawn" / "original", [root / "drawn" / m for m in MODELS[1:]]))
    for card in cards:
        write(card, root / "cards" / f"{card.model}.json")
    return cards
