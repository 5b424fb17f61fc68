"""Labelled images for calibrating a detector: a dataset as for `igmu train-detector`, or a CSV of people's labels.

Conventions: an image is kept as a path or as its file's bytes until it is read. `unclear` does not count as a label.
Images are grouped by their prompt: from a column of the dataset, from `metadata.jsonl`, or from the file's name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from igmu_data.errors import ImageError, InputError, LabelError
from igmu_data.taxonomy import Concept
from igmu_metrics.contract import BoolArray, batches
from igmu_metrics.detectors import labels as label_file
from igmu_metrics.generations import FAILED, Array
from igmu_metrics.images.layouts import prompts_of
from igmu_metrics.networks.instruments import Batch
from igmu_metrics.training.labelled import decoded, find_rule, labels, open_dataset, require_column, require_images

TEST: Final = "test"
LABELS: Final = "labels.csv"
IMAGE: Final = "image"  # column with the images
PROMPTS: Final = ("prompt", "id")  # columns that name an image's prompt
_AT_ONCE: Final = 256  # images in memory


@dataclass(frozen=True, slots=True)
class Marked:
    """Labelled images.

    Args:
        name: id on the Hub, or the name of the folder or file.
        config: of a dataset with several.
        revision: commit on the Hub; None for a folder.
        split: of a dataset; None for a CSV.
        column: of the labels.
        positive: the labels that mean the concept.
        images: paths, or records of a dataset with the file's bytes.
        shown: (n,) whether each shows the concept.
        prompts: (n,) prompt of each; "" if unknown.
        n_unclear: number of images that people could not judge, which are left out.
    """

    name: str
    config: str | None
    revision: str | None
    split: str | None
    column: str
    positive: tuple[str, ...]
    images: Sequence[Path | Mapping[str, Any]]
    shown: BoolArray
    prompts: Sequence[str]
    n_unclear: int = 0


def from_file(path: Path, item: Concept) -> Marked:
    """Images with labels in a CSV, as the detector `labels` reads it.

    Raises:
        LabelError: there is no column for the concept.
        IgmuError: something is wrong with the file.
    """
    judge = label_file.load(str(path))
    if judge.info.concepts is not None and item.id not in judge.info.concepts:
        listed = ", ".join(sorted(judge.info.concepts))
        raise LabelError(
            f"{path} contains labels of {listed}, but not of {item.id}. Choose another --concept, or add a column."
        )
    told = judge.probabilities(Batch(judge.paths), [item.id])[:, 0]
    clear = np.flatnonzero(~np.ma.getmaskarray(told)).tolist()
    kept = [judge.paths[i] for i in clear]
    return Marked(
        name=path.name,
        config=None,
        revision=judge.info.revision,
        split=None,
        column=item.id,
        positive=("yes",),
        images=kept,
        shown=np.ma.getdata(told)[clear] >= (judge.info.threshold or 0.5),
        prompts=prompts_of(kept),
        n_unclear=len(told) - len(clear),
    )


def open_marked(
    data: str,
    item: Concept,
    *,
    config: str | None = None,
    revision: str | None = None,
    split: str | None = None,
    label_column: str | None = None,
    positive_label: str | None = None,
    image_column: str = IMAGE,
    prompt_column: str | None = None,
) -> Marked:
    """Open labelled images.

    Args:
        data: a CSV of labels, a folder with a `labels.csv`, or anything that `labelled.open_dataset` takes.
        item: the concept.
        config: of a dataset with several.
        revision: commit, branch or tag on the Hub.
        split: by default `test` if it exists, else the only one.
        label_column: by default `concept` if it names the concept, else `label`.
        positive_label: by default the label that equals the concept's name.
        image_column: of the images.
        prompt_column: by which images are grouped; by default `prompt` or `id`, if there is one.

    Raises:
        InputError, MetadataError: there is no such dataset, split or column, or an option does not apply to a CSV.
        LabelError, UnknownLabelError: an image has no label, or no label means the concept.
    """
    here = Path(data).expanduser()
    file = here / LABELS if (here / LABELS).is_file() else here
    if file.suffix == ".csv" and file.is_file():
        given = {"--config": config, "--revision": revision, "--split": split, "--label-column": label_column,
                 "--positive-label": positive_label, "--prompt-column": prompt_column,
                 "--image-column": None if image_column == IMAGE else image_column}  # fmt: skip
        if useless := [flag for flag, value in given.items() if value is not None]:
            raise InputError(
                f"{useless[0]} applies only to datasets, but {file} is a CSV file of labels. Leave {useless[0]} out."
            )
        return from_file(file, item)
    opened = open_dataset(data, config, revision)
    split = split or (TEST if TEST in opened.splits else next(iter(opened.splits)) if len(opened.splits) == 1 else TEST)
    rows = opened.split(split, "Choose one with --split.")
    where = f"{opened.name}, {split}"
    rule = find_rule(rows, where, item, label_column, positive_label)
    stored = require_images(rows, image_column, where)
    column = prompt_column or next((name for name in PROMPTS if name in rows.features), None)
    if column is not None:
        require_column(rows, column, where, "--prompt-column")
    return Marked(
        name=opened.name,
        config=config,
        revision=opened.revision,
        split=split,
        column=rule.column,
        positive=rule.positive,
        images=_Records(stored, image_column, where),
        shown=rule.shown(labels(rows, rule.column, where)),
        prompts=[""] * len(rows) if column is None else ["" if v is None else str(v) for v in rows[column]],
    )


class _Records(Sequence[Any]):
    """The images of a dataset, read one by one; those that lie in files are told by their paths."""

    def __init__(self, rows: Any, column: str, where: str) -> None:
        self._rows, self._column, self.where = rows, column, where

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, i: Any) -> Any:
        record = self._rows[i][self._column]
        path = record and record["bytes"] is None and record["path"]
        return Path(path) if path else {"record": record, "name": f"{self.where}, row {i}"}


def looked_at(
    marked: Marked, observe: Callable[[Sequence[Any]], Mapping[str, Array]], *, skip: bool
) -> tuple[Array, list[str], BoolArray, list[str]]:
    """Read every labelled image once.

    Args:
        marked: the images.
        observe: returns the columns `probability`, `sha256` and `status` of some images.
        skip: leave out images of a dataset that cannot be decoded, instead of raising.

    Returns:
        (n,) probabilities, masked where the detector declined; the hash of each file; whether each could be read; and
        why the others could not.

    Raises:
        ImageError: an unreadable image, unless they are skipped.
    """
    n = len(marked.images)
    found = np.ma.MaskedArray(np.zeros(n), mask=True)
    hashes, ok, failures = [""] * n, np.zeros(n, dtype=np.bool_), []
    for at in batches(range(n), _AT_ONCE):
        images: list[Any] = []
        places: list[int] = []
        for i in at:
            one = marked.images[i]
            if isinstance(one, Path):
                images.append(one)
            else:
                try:
                    images.append(decoded(one["record"], one["name"]))
                except ImageError as error:
                    if not skip:
                        raise
                    failures.append(str(error))
                    continue
                hashes[i] = hashlib.sha256(one["record"]["bytes"]).hexdigest()
            places.append(i)
        if not images:
            continue
        seen = observe(images)
        found[places] = seen["probability"]
        for i, sha, status in zip(places, seen["sha256"].tolist(), seen["status"].tolist(), strict=True):
            hashes[i], ok[i] = sha or hashes[i], not status.startswith(FAILED)
            failures += [] if ok[i] else [status.removeprefix(FAILED)]
    return found, hashes, ok, failures
