"""Folders of tiny pictures for tests: helpers to make them, and to spoil what the demo's stand-in models drew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from PIL import Image


def picture(path: Path, colour: tuple[int, int, int] = (90, 140, 70), size: tuple[int, int] = (32, 32)) -> Path:
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
