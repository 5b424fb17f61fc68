"""Finds what a model drew: folders of images in one of three layouts.

Conventions: every generation is keyed by `(row_id, seed)`, and the same key in two folders means the same prompt and
the same starting noise. An image that cannot be attributed to a row is an error, never skipped in silence. Whether a
file that the metadata lists is there and can be read is found out when it is read.

- `metadata`: a `metadata.jsonl` beside the images (the ImageFolder convention) with `file_name`, `id` and `seed`.
- `igmu`: the IGMU reference's `<class>_<prompt>_<k>.png`, in folders `forget`, `retain` and `adversarial`.
- `flat`: all images of the folder were drawn for one and the same prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import (
    DuplicateIdError,
    EmptyInputError,
    InputError,
    MetadataError,
    UnknownIdError,
)
from igmu_data.schema import SPLITS, Row

LAYOUTS: Final = ("metadata", "igmu", "flat")
SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
METADATA: Final = "metadata.jsonl"
_REFERENCE_NAME: Final = re.compile(r"(?P<prompt>\d+_\d+)_(?P<sample>\d+)")


@dataclass(frozen=True, slots=True)
class Generation:
    """One image of one model.

    Args:
        path: the file.
        row_id: the prompt it was drawn for.
        seed: the seed (or, in layouts without seeds, the number of the sample).
        split: forget, retain or adversarial.
        row: the corpus row, when the layout knows it.
        prompt: the text it was drawn for, where that is known without a row.
    """

    path: Path
    row_id: str
    seed: int
    split: str
    row: Row | None = None
    prompt: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What pairs it with another model's generation."""
        return self.row_id, self.seed

    @property
    def text(self) -> str | None:
        """The text it was drawn for, if that is known."""
        return self.row.prompt if self.row else self.prompt


def find(
    folder: Path, layout: str, rows: Mapping[str, Row] | None = None, *, prompt: str | None = None
) -> list[Generation]:
    """All generations of a folder, sorted by split, row and seed.

    Args:
        folder: what one model drew.
        layout: one of LAYOUTS.
        rows: the corpus rows by id; needed by `metadata`.
        prompt: the one prompt of a `flat` folder, if its text is known.

    Raises:
        InputError: a layout that does not exist.
        MetadataError: the folder does not follow the layout; the message names file and line.
        EmptyInputError: no images.
        UnknownIdError, DuplicateIdError: what the metadata lists does not fit corpus or folder.
    """
    if layout not in LAYOUTS:
        raise InputError(f"no layout {layout!r}; the layouts are {', '.join(LAYOUTS)}.")
    if not folder.is_dir():
        raise MetadataError(f"{folder}: no such folder. Give the folder that holds one model's images.")
    if layout == "metadata":
        found = _from_metadata(folder, rows or {})
    else:
        found = _from_reference(folder) if layout == "igmu" else _flat(folder, prompt)
    if not found:
        raise EmptyInputError(f"{folder}: no images ({', '.join(SUFFIXES)}). There is nothing to score.")
    seen: dict[tuple[str, int], Path] = {}
    for g in found:
        if g.key in seen:
            raise DuplicateIdError(
                f"{g.path}: row {g.row_id!r} with seed {g.seed} is in {seen[g.key]} already. Keep one of them."
            )
        seen[g.key] = g.path
    return sorted(found, key=lambda g: (SPLITS.index(g.split), g.row_id, g.seed))


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def _from_metadata(folder: Path, rows: Mapping[str, Row]) -> list[Generation]:
    path = folder / METADATA
    if not path.is_file():
        raise MetadataError(
            f"{folder}: no {METADATA}. Write one line {{file_name, id, seed}} per image, or give --layout igmu or flat."
        )
    found, listed = [], set()
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        record = _record(line, f"{path}, line {number}")
        image = folder / record["file_name"]
        if not image.resolve().is_relative_to(folder.resolve()):
            raise MetadataError(f"{path}, line {number}: {record['file_name']!r} is outside of the folder.")
        row = rows.get(record["id"])
        if row is None:
            raise UnknownIdError(
                f"{path}, line {number}: id {record['id']!r} is no row of this config ({len(rows)} rows). "
                "Check --config and the corpus version."
            )
        listed.add(image.resolve())
        found.append(Generation(image, row.id, record["seed"], row.split, row))
    stray = [p for p in _images(folder) if p.resolve() not in listed]
    if stray:
        raise MetadataError(
            f"{stray[0]}: not listed in {path} ({len(stray)} such images). Add a line, or move it away."
        )
    return found


def listed(folder: Path) -> dict[tuple[str, int], Path]:
    """The images that a folder's `metadata.jsonl` lists, by row and seed, whatever rows they are of.

    Raises:
        MetadataError: a line that does not follow the layout.
    """
    out: dict[tuple[str, int], Path] = {}
    path = folder / METADATA
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if line.strip():
            record = _record(line, f"{path}, line {number}")
            out[record["id"], record["seed"]] = folder / record["file_name"]
    return out


def _record(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise MetadataError(f"{where}: not JSON ({error.msg}). Write one object a line.") from error
    if not isinstance(record, dict):
        raise MetadataError(f"{where}: {line[:40]!r} is not an object. Write {{file_name, id, seed}}.")
    for name, kind in (("file_name", str), ("id", str), ("seed", int)):
        if name not in record:
            raise MetadataError(f"{where}: no {name!r}, only {', '.join(sorted(record)) or 'nothing'}. Add it.")
        if not isinstance(record[name], kind) or isinstance(record[name], bool):
            raise MetadataError(f"{where}: {name} is {record[name]!r}; it must be a {kind.__name__}.")
    return record


def _from_reference(folder: Path) -> list[Generation]:
    found = []
    for path in _images(folder):
        match = _REFERENCE_NAME.fullmatch(path.stem)
        if match is None:
            raise MetadataError(
                f"{path}: the name is not <class>_<prompt>_<k>{path.suffix}. Rename it, or --layout flat."
            )
        inside = path.relative_to(folder).parts[:-1]
        split = next((part for part in inside if part in SPLITS), "forget")
        found.append(Generation(path, f"{split}/{match['prompt']}", int(match["sample"]), split))
    return found


def _flat(folder: Path, prompt: str | None) -> list[Generation]:
    return [Generation(path, "prompt", i, "forget", prompt=prompt) for i, path in enumerate(_images(folder))]


def paired(
    original: list[Generation], unlearned: list[Generation], *, skip: bool = False
) -> tuple[list[Generation], list[Generation], list[str]]:
    """Both lists in the same order of keys.

    Args:
        original: the original model's generations.
        unlearned: the unlearned model's.
        skip: leave out generations that only one of the models has, instead of raising.

    Returns:
        The two lists, and a reason for every generation that was left out.

    Raises:
        MetadataError: a generation that only one of the models has.
    """
    first, second = {g.key: g for g in original}, {g.key: g for g in unlearned}
    reasons = []
    for mine, theirs, name in ((first, second, "unlearned"), (second, first, "original")):
        missing = sorted(mine.keys() - theirs.keys())
        reasons += [f"row {row!r}, seed {seed}: no image of the {name} model" for row, seed in missing]
        if missing and not skip:
            row, seed = missing[0]
            raise MetadataError(
                f"the {name} model has no image for row {row!r}, seed {seed} ({len(missing)} missing), the partner of "
                f"{mine[missing[0]].path}. Draw it, or leave unpaired images out with --on-error skip."
            )
    keys = [g.key for g in original if g.key in second]
    return [first[k] for k in keys], [second[k] for k in keys], reasons
