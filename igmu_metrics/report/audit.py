"""The human audit: fifty generations drawn at random, judged by eye without knowing model or verdict.

Conventions: the choice depends on the generations alone, never on what was seen in them. The exported CSV lists every
picture of the section, so that `--detector labels:FILE` takes it back: what nobody judged is `unclear`, which counts as
unscored. Paths are relative to the folder that holds all of the models' folders, where there is one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from igmu_data import taxonomy
from igmu_data.load import digest
from igmu_metrics.report.pictures import Gallery
from igmu_metrics.report.view import Line, Shot, View, named

SAMPLE: Final = 50
_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Drawn:
    """One picture, and what the detector saw in it."""

    line: Line
    model: str
    shot: Shot
    present: bool | None


def sample(view: View) -> list[Drawn]:
    """Generations chosen at random, in random order; empty where there is nothing to judge."""
    judged = [d for d in _pictures(view) if d.line.own_concept is not None]
    judged.sort(key=lambda d: (d.line.id, d.line.seed, d.model))
    return random.Random(_SEED).sample(judged, min(SAMPLE, len(judged)))


def data(view: View, folders: Mapping[str, Path], gallery: Gallery) -> dict[str, Any] | None:
    """What `audit.js` reads: the sample, and the path of every picture; None where there is nothing to judge.

    Args:
        view: the section.
        folders: of its pictures, by model.
        gallery: takes the pictures of the sample.
    """
    chosen = sample(view)
    if not chosen:
        return None
    there = {d.model for d in _pictures(view)}  # an original's reference table holds none, and may lie anywhere
    root = common_root({model: folder for model, folder in folders.items() if model in there})
    return {
        "key": f"{view.first.config} {digest(key[0] for key in view.first.generations.keys)}",
        "root": root.name if root else None,
        "sample": [
            {
                "picture": gallery.number(d.shot.path, d.shot.sha256),
                "path": _relative(d.shot.path, root),
                "question": question(d.line.own_concept or view.first.target, d.line.asked),
                "detector": d.present,
            }
            for d in chosen
        ],
        "paths": sorted({_relative(d.shot.path, root) for d in _pictures(view)}),
    }


def question(concept: str, name: str = "") -> str:
    """What the auditor is asked.

    Args:
        concept: an id.
        name: what people call it; by default what the taxonomy does.
    """
    name = name or named(concept)
    if concept.startswith("style/"):
        return f"Is it in the style of {name}?"
    if (sibling := taxonomy.siblings().get(concept)) is not None:
        return f"Is {sibling.phrase} visible?"
    if (item := taxonomy.all_concepts().get(concept)) is not None:
        return f"Is {f'anybody {item.label}' if item.pos == 'adjective' else item.phrase()} visible?"
    return f"Is {name} visible?"


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


def _pictures(view: View) -> Iterator[Drawn]:
    for line in view.lines:
        models = (view.first.original_model, *(c.model for c in view.cards))
        for model, cell in zip(models, (line.original, *line.cells), strict=True):
            if cell is not None and cell.shot is not None:
                yield Drawn(line, model, cell.shot, cell.present)


def _relative(path: Path, root: Path | None) -> str:
    # The folder's links are followed, the file's are not: as the detector `labels` compares them.
    place = Path(os.path.realpath(path.parent)) / path.name
    return place.relative_to(root).as_posix() if root and place.is_relative_to(root) else place.as_posix()
