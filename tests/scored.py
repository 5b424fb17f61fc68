"""Scorecards of stand-in models on a few rows of the miniature world, made by a whole evaluation."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from drawn import draw

from igmu_data.load import bench_rows
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.scorecard import write

CONFIG = "sandbox.church"


def scored(folder: Path) -> Path:
    """`folder` with images and `cards/forgetful.json`, `cards/unchanged.json`; some answers are turned over."""
    rows = list(bench_rows(CONFIG).values())
    draw(folder, rows)
    labels = folder / "labels.csv"
    with labels.open(newline="", encoding="utf-8") as handle:
        lines = list(csv.reader(handle))
    for line in lines[1:]:
        luck = hashlib.sha256(line[0].encode()).digest()[0]
        if luck < 50:
            line[1:] = ["no" if cell == "yes" else "yes" for cell in line[1:]]
        elif luck < 60:
            line[1:] = ["unclear"] * len(line[1:])
    with labels.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(lines)
    evaluation = Evaluation(CONFIG, detector=f"labels:{labels}")
    for card in evaluation.run(folder / "original", [folder / "forgetful", folder / "unchanged"]):
        write(card, folder / "cards" / f"{card.model}.json")
    return folder
