"""Checks the images in a dataset folder: they must be embedded, and checksums, labels and licences must be right.

Conventions: as in `igmu_data.folder`, problems are collected, not raised.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from igmu_data import policy
from igmu_data.taxonomy import all_concepts
from igmu_data.validate import Problem


def image_problems(name: str, path: Path) -> Iterator[Problem]:
    """What is wrong with the images of one Parquet file of rows or of labelled images.

    Args:
        name: of the file in the repository.
        path: the file.
    """
    for i, row in _records(path, "image", "image_sha256"):
        image, promised = row.get("image"), row.get("image_sha256")
        if image is not None and not image["bytes"]:
            yield Problem(name, "images must be embedded", f"row {i} contains only the path {image['path']!r}")
            continue
        found = None if image is None else hashlib.sha256(image["bytes"]).hexdigest()
        if found != promised:
            yield Problem(
                name,
                "image_sha256 must match the image",
                f"row {i} contains {promised} instead of {found}",
            )


def label_problems(files: Mapping[str, Path], labels: list[str]) -> Iterator[Problem]:
    """What is wrong with the labelled images of one config.

    Args:
        files: by name in the repository, all with the features of labelled images.
        labels: class names in the order of their integers.
    """
    splits: dict[str, set[str]] = defaultdict(set)
    concepts: dict[int, set[str | None]] = defaultdict(set)
    for name, path in files.items():
        for i, row in _records(path, "label", "concept", "image_source", "image_sha256", "license", "source"):
            label, digest = row["label"], row["image_sha256"]
            if digest is None:
                yield Problem(name, "every label must have an image", f"row {i} has none")
            if label is None or not 0 <= label < len(labels):
                yield Problem(name, "a label must be one of the classes", f"the label of row {i} is {label}")
            else:
                concepts[label].add(row["concept"])
            for key in ("image_source", "license", "source"):
                if not (row[key] or "").strip():
                    yield Problem(name, f"every row must have a value for {key}", f"row {i} has {row[key]!r}")
            splits[digest or ""].add(path.name.split("-")[0])
    where = Path(min(files)).parent.as_posix()
    for digest, own in splits.items():
        if digest and len(own) > 1:
            yield Problem(where, "no image may be in two splits", f"{digest} is in {' and '.join(sorted(own))}")
    for label, found in concepts.items():
        if len(found) > 1 or not found <= {None, *all_concepts()}:
            shown = ", ".join(sorted(map(str, found)))
            yield Problem(
                where,
                "each class must belong to at most one concept, which must be in the taxonomy",
                f"{labels[label]!r} belongs to {shown}",
            )
    for text in labels:
        for violation in policy.violations(text, domain="object"):
            yield Problem(
                where, f"the text must follow the content policy ({violation.rule})", f"class {text!r} violates it"
            )


def _records(path: Path, *columns: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Some columns of every row, one batch in memory at a time; a column that is not there is left out."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    there = [name for name in columns if name in file.schema_arrow.names]
    yield from enumerate(r for batch in file.iter_batches(100, columns=there) for r in batch.to_pylist())
