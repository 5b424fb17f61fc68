"""The human audit: fifty generations chosen at random, judged by eye without knowing model or verdict.

Conventions: the choice depends on the generations alone, never on what was seen in them. The exported CSV lists every
image of the section, so that `--detector labels:FILE` takes it back: what nobody judged is `unclear`, which counts as
unscored. Paths are relative to the folder that holds all of the models' folders, where there is one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from igmu_data.load import digest
from igmu_metrics.report.thumbnails import Gallery
from igmu_metrics.report.view import Line, Shot, View, phrased

SAMPLE: Final = 50
FILE: Final = "audit.csv"
_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """One image, and what the detector saw in it."""

    line: Line
    model: str
    shot: Shot
    present: bool | None


def sample(view: View) -> list[Shown]:
    """Generations chosen at random, in random order; empty where there is nothing to judge."""
    judged = [d for d in shots(view) if d.line.own_concept is not None]
    judged.sort(key=lambda d: (d.line.id, d.line.seed, d.model))
    return random.Random(_SEED).sample(judged, min(SAMPLE, len(judged)))


def data(view: View, folders: Mapping[str, Path], gallery: Gallery) -> dict[str, Any] | None:
    """What `audit.js` reads: the sample, and the path of every image; None where there is nothing to judge.

    Args:
        view: the section.
        folders: of its images, by model.
        gallery: takes the images of the sample.
    """
    chosen = sample(view)
    if not chosen:
        return None
    root = root_of(view, folders)
    return {
        "key": key_of(view),
        "root": root.name if root else None,
        "file": FILE,
        "sample": [asked(d, view, root, gallery) for d in chosen],
        "settled": None,
        "paths": sorted({relative(d.shot.path, root) for d in shots(view)}),
    }


def root_of(view: View, folders: Mapping[str, Path]) -> Path | None:
    """The folder that holds the folder of every model with images; see `common_root`."""
    there = {d.model for d in shots(view)}  # an original's reference table holds none, and may lie anywhere
    return common_root({model: folder for model, folder in folders.items() if model in there})


def key_of(view: View) -> str:
    """What a browser keeps the answers on a section by."""
    return f"{view.first.config} {digest(key[0] for key in view.first.generations.keys)}"


def asked(shown: Shown, view: View, root: Path | None, gallery: Gallery) -> dict[str, Any]:
    """One image to be judged, as `audit.js` reads it; the gallery takes the image."""
    return {
        "image": gallery.number(shown.shot.path, shown.shot.sha256),
        "path": relative(shown.shot.path, root),
        "question": question(shown.line.own_concept or view.first.target, shown.line.asked),
        "detector": shown.present,
    }


def question(concept: str, name: str = "") -> str:
    """What the auditor is asked.

    Args:
        concept: an id.
        name: what people call it; by default what the taxonomy does.
    """
    phrase = phrased(concept, name)
    return f"Is it in {phrase}?" if concept.startswith("style/") else f"Is {phrase} visible?"


def common_root(folders: Mapping[str, Path]) -> Path | None:
    """The folder that holds every model's folder; None where only the root of the file system does."""
    resolved = [os.path.realpath(folder) for folder in folders.values()]
    try:
        root = Path(os.path.commonpath(resolved))
    except ValueError:  # on different drives
        return None
    if len(resolved) == 1 or str(root) in resolved:
        root = root.parent
    return root if root != root.parent else None


def shots(view: View) -> Iterator[Shown]:
    """Every image of a section, line by line."""
    for line in view.lines:
        models = (view.first.original_model, *(c.model for c in view.cards))
        for model, cell in zip(models, (line.original, *line.cells), strict=True):
            if cell is not None and cell.shot is not None:
                yield Shown(line, model, cell.shot, cell.present)


def relative(path: Path, root: Path | None) -> str:
    """What a label file in the folder of all models calls an image; its whole path where there is no such folder."""
    # The folder's links are followed, the file's are not: as the detector `labels` compares them.
    place = Path(os.path.realpath(path.parent)) / path.name
    return place.relative_to(root).as_posix() if root and place.is_relative_to(root) else place.as_posix()
