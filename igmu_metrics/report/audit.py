"""The human audit: fifty randomly chosen generations, judged by eye without knowing the model or the verdict.

Conventions: the choice depends only on the generations, never on the detector's decisions. The exported CSV lists every
image of the section, so that it can be used as `--detector labels:FILE`: images that were not judged are `unclear`,
which counts as unscored. Paths are relative to the folder that contains all models' folders, if there is one.
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
    """One image, and the detector's decision about it."""

    line: Line
    model: str
    shot: Shot
    present: bool | None


def sample(view: View) -> list[Shown]:
    """Randomly chosen generations, in random order; empty if there is nothing to judge."""
    judged = [d for d in shots(view) if d.line.own_concept is not None]
    judged.sort(key=lambda d: (d.line.id, d.line.seed, d.model))
    return random.Random(_SEED).sample(judged, min(SAMPLE, len(judged)))


def data(view: View, folders: Mapping[str, Path], gallery: Gallery) -> dict[str, Any] | None:
    """The data for `audit.js`: the sample, and the path of every image; None if there is nothing to judge.

    Args:
        view: the section.
        folders: folders of its images, by model.
        gallery: gallery to which the images of the sample are added.
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
    """The folder that contains the folders of all models with images; see `common_root`."""
    there = {d.model for d in shots(view)}  # a reference table has no images and may be anywhere
    return common_root({model: folder for model, folder in folders.items() if model in there})


def key_of(view: View) -> str:
    """The key under which a browser stores the answers for a section."""
    return f"{view.first.config} {digest(key[0] for key in view.first.generations.keys)}"


def asked(shown: Shown, view: View, root: Path | None, gallery: Gallery) -> dict[str, Any]:
    """One image to be judged, in the form that `audit.js` reads; the image is added to the gallery."""
    return {
        "image": gallery.number(shown.shot.path, shown.shot.sha256),
        "path": relative(shown.shot.path, root),
        "question": question(shown.line.own_concept or view.first.target, shown.line.asked),
        "detector": shown.present,
    }


def question(concept: str, name: str = "") -> str:
    """The question for the auditor.

    Args:
        concept: id of the concept.
        name: its name; by default the one in the taxonomy.
    """
    phrase = phrased(concept, name)
    return f"Is it in {phrase}?" if concept.startswith("style/") else f"Is {phrase} visible?"


def common_root(folders: Mapping[str, Path]) -> Path | None:
    """The folder that contains every model's folder; None if only the root of the file system does."""
    resolved = [os.path.realpath(folder) for folder in folders.values()]
    try:
        root = Path(os.path.commonpath(resolved))
    except ValueError:  # on different drives
        return None
    if len(resolved) == 1 or str(root) in resolved:
        root = root.parent
    return root if root != root.parent else None


def shots(view: View) -> Iterator[Shown]:
    """All images of a section, line by line."""
    for line in view.lines:
        models = (view.first.original_model, *(c.model for c in view.cards))
        for model, cell in zip(models, (line.original, *line.cells), strict=True):
            if cell is not None and cell.shot is not None:
                yield Shown(line, model, cell.shot, cell.present)


def relative(path: Path, root: Path | None) -> str:
    """An image's path in a label file in the folder of all models; the absolute path if there is no such folder."""
    # Links of folders are followed, links of files are not, as in the detector `labels`.
    place = Path(os.path.realpath(path.parent)) / path.name
    return place.relative_to(root).as_posix() if root and place.is_relative_to(root) else place.as_posix()
