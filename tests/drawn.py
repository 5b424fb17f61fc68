"""Folders of tiny images for tests: two stand-in models, and helpers to spoil what they drew."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw

from igmu_data.schema import Row

_SEEDS: Final = 2
_SIDE: Final = 96


def image_file(path: Path, colour: tuple[int, int, int] = (90, 140, 70), size: tuple[int, int] = (32, 32)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def metadata(folder: Path, lines: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def read_metadata(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def draw(folder: Path, rows: Sequence[Row]) -> None:
    """Two stand-in models on a few rows: a church is a house with a spire, and forgetting it leaves the meadow."""
    _draw(folder, _chosen(rows))


def draw_few(folder: Path, rows: Sequence[Row]) -> None:
    """The same on two prompts to forget and two to retain."""
    forget, retain = ([r for r in rows if r.split == split] for split in ("forget", "retain"))
    draw(folder, [*forget[:4], *retain[:8]])


def _chosen(rows: Sequence[Row]) -> list[Row]:
    """Some forget rows, what attacks them, and some of every probe of the retain rows."""
    forget = [r for r in rows if r.split == "forget"][::3]
    sources = {r.id for r in forget}
    retain = [r for r in rows if r.split == "retain"][::4]
    return [*forget, *(r for r in rows if r.attack_source_id in sources), *retain]


def _draw(folder: Path, chosen: Sequence[Row]) -> None:
    own = sorted({r.own_concept for r in chosen if r.own_concept})
    labels = [["path", *own]]
    for model in ("original", "forgetful", "unchanged"):
        lines = []
        for row in chosen:
            for seed in row.seeds[:_SEEDS]:
                name = f"{row.split}/{row.id}_{seed}.png"
                shown = not (model == "forgetful" and row.own_concept == row.concept)
                _meadow(folder / model / name, seed, row.own_concept == row.concept, shown)
                lines.append(json.dumps({"file_name": name, "id": row.id, "seed": seed}))
                cells = ["yes" if shown and c == row.own_concept else "no" for c in own]
                labels.append([f"{model}/{name}", *cells])
        (folder / model / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(labels)


def _meadow(path: Path, seed: int, church: bool, shown: bool) -> None:
    image = Image.new("RGB", (_SIDE, _SIDE), (120 + seed % 60, 170, 220))
    image.putpixel((0, 0), (seed % 256, seed // 256 % 256, seed // 65536 % 256))  # no two seeds look the same
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 60, _SIDE, _SIDE), fill=(90, 140 + seed % 50, 70))
    x = 20 + seed % 40
    if shown and church:
        pen.rectangle((x, 45, x + 28, 72), fill=(225, 220, 205))
        pen.polygon([(x, 45), (x + 7, 14), (x + 14, 45)], fill=(130, 60, 50))
    elif shown:
        pen.ellipse((x, 40, x + 26, 66), fill=(200, 90, 40))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
