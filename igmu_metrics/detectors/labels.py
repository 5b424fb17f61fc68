"""Labels assigned by people, from a CSV file: a detector without a model.

`labels:PATH.csv`. The header is `path` and one column per concept:

- `domain/slug` (`object/church`): that concept;
- `<slug>_visible` (`church_visible`, `gas_pump_visible`): the concept of the taxonomy with this slug, else the sibling
  with this slug (`mosque_visible`);
- `present` as the only label column: the concept of each image, for files in which every image is judged only for its
  own concept.

A cell is `yes` (1), `no` (0), `unclear` (masked: counted as unscored, never as forgotten) or a probability in 0..1.
Paths are relative to the CSV's folder. Two paths are the same if their folders (with links followed) and file names are
equal; links of files are *not* followed, since a Hub cache links equal images to one blob.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from igmu_data.errors import DuplicateIdError, EmptyInputError, LabelError, MetadataError
from igmu_data.files import here, read_text
from igmu_data.spelling import require_spelled
from igmu_metrics.contract import FloatArray
from igmu_metrics.detectors._common import Answer, checked_threshold, file_revision, masked_columns
from igmu_metrics.networks.instruments import Batch, InstrumentInfo

_WORDS = {"yes": 1.0, "no": 0.0, "unclear": math.nan}
_CONCEPT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*")
_Key = tuple[str, str]


class Labels:
    """Answers with the labels of one file.

    Args:
        name: the file's name, for the signature (without its folder, which is private).
        revision: hash of the file.
        threshold: `p >= threshold` counts as present; matters only for probabilities.
        concepts: the concept of each column, or [""] for the single column `present`.
        rows: row number in `values` of each image.
        values: (rows, columns) probabilities, NaN where unclear.
    """

    reads = ()  # nothing of an image but its name

    def __init__(
        self, name: str, revision: str, threshold: float, concepts: list[str], rows: dict[_Key, int], values: FloatArray
    ) -> None:
        self.info = InstrumentInfo(
            name=f"labels:{name}",
            revision=revision,
            preparation="none",
            threshold=threshold,
            concepts=None if concepts == [""] else frozenset(concepts),
        )
        self._columns = {concept: column for column, concept in enumerate(concepts)}
        self._rows = rows
        self._values = np.ma.masked_invalid(values)
        self._folders: dict[str, str] = {}

    @property
    def paths(self) -> list[Path]:
        """Every image that has a label, in the order of the file."""
        return [Path(*key) for key in self._rows]

    def probabilities(self, batch: Batch, concepts: Sequence[str]) -> Answer:
        """(n, len(concepts)) labels; masked where unclear, and fully masked for a concept without a column.

        Raises:
            LabelError: the file does not list an image.
        """
        found = []
        for path in batch.paths:
            row = self._rows.get(_key(str(path), self._folders))
            if row is None:
                raise LabelError(
                    f"{path} has no label in {self.info.name.removeprefix('labels:')}. Add a line for it; write "
                    "'unclear' if you cannot decide."
                )
            found.append(row)
        answers = self._values[found]
        known = {c: answers[:, self._columns.get(c, 0)] for c in concepts if c in self._columns or "" in self._columns}
        return masked_columns(len(batch.paths), concepts, known)


def load(
    argument: str | None, *, device: str | None = None, threshold: float | None = None, precision: str = "fp32"
) -> Labels:
    """Read a label file.

    Args:
        argument: path of the CSV file.
        device: ignored.
        threshold: `p >= threshold` counts as present; 0.5 by default.
        precision: ignored.

    Raises:
        MetadataError: the file does not exist, or has wrong columns or a line with too few or too many cells.
        LabelError: a cell is neither yes, no, unclear nor a number in 0..1.
        DuplicateIdError: an image is on two lines.
        EmptyInputError: the file has only a header.
    """
    if not argument:
        raise MetadataError("labels: no file is specified. Use labels:PATH.csv.")
    path = Path(argument)
    rows: dict[_Key, int] = {}
    lines: list[int] = []
    values: list[list[float]] = []
    folders: dict[str, str] = {}
    try:
        reader = csv.reader(io.StringIO(read_text(path, "Check the path.")), strict=True)
        header = [cell.strip() for cell in next(reader, [])]
        at, concepts = _columns(header, path)
        for cells in reader:
            if not cells:
                continue
            where = f"{path}, line {reader.line_num}"
            if len(cells) != len(header):
                raise MetadataError(
                    f"{where}: this line has {len(cells)} cell{'s' * (len(cells) != 1)}, but the header has "
                    f"{len(header)}. Add missing cells, or quote cells with commas."
                )
            image = cells.pop(at).strip()
            if not image or "\0" in image:
                what = "contains a null character" if image else "is empty"
                raise MetadataError(f"{where}: the image path {what}. Remove the line, or enter a valid path.")
            key = _key(str(here(path.parent, image)), folders)
            if key in rows:
                raise DuplicateIdError(
                    f"{where}: {image!r} already appears on line {lines[rows[key]]}. Keep only one of the two lines."
                )
            rows[key] = len(lines)
            lines.append(reader.line_num)
            values.append([_probability(cell, where) for cell in cells])
    except csv.Error as error:
        raise MetadataError(f"{path} is not a valid CSV file ({error}). Export it again.") from error
    if not values:
        raise EmptyInputError(f"{path} contains no labels below the header. Add one line per image.")
    threshold = checked_threshold(threshold, 0.5)
    return Labels(path.name, file_revision(path), threshold, concepts, rows, np.array(values, dtype=np.float64))


def _columns(header: list[str], path: Path) -> tuple[int, list[str]]:
    """Position of `path`, and the concept of every other column in order."""
    wanted = "one column 'path' and one column per concept ('present', '<slug>_visible' or 'domain/slug')"
    if header.count("path") != 1:
        raise MetadataError(
            f"{path}, line 1: the header {header} has {header.count('path')} columns named 'path'. Use {wanted}."
        )
    at = header.index("path")
    names = header[:at] + header[at + 1 :]
    if not names:
        raise MetadataError(f"{path}, line 1: the header has no column with labels. Use {wanted}.")
    if names == ["present"]:
        return at, [""]
    if "present" in names:
        raise MetadataError(
            f"{path}, line 1: column 'present' must be the only column with labels, but the header is {header}. Rename "
            "it to 'domain/slug'."
        )
    concepts = [_concept(name, path, wanted) for name in names]
    twice = sorted({c for c in concepts if concepts.count(c) > 1})
    if twice:
        raise MetadataError(
            f"{path}, line 1: the header {header} has two columns for {twice[0]!r}. Keep only one of them."
        )
    return at, concepts


def _concept(name: str, path: Path, wanted: str) -> str:
    from igmu_data import taxonomy

    if _CONCEPT.fullmatch(name):
        require_spelled(f"{path}, line 1", [name], taxonomy.known_ids())
        return name
    slug = name.removesuffix("_visible").replace("_", "-")
    if slug == name or not slug:
        raise MetadataError(f"{path}, line 1: column {name!r} does not name a concept. Use {wanted}.")
    found = [i for i in taxonomy.all_concepts() if i.partition("/")[2] == slug]
    found = found or [i for i in taxonomy.siblings() if i.partition("/")[2] == slug]
    if len(found) != 1:
        why = f"{slug!r} may mean {' or '.join(found)}" if found else f"{slug!r} is not a concept of the taxonomy"
        raise MetadataError(
            f"{path}, line 1: the concept of column {name!r} is unclear, because {why}. Rename the column to "
            "'domain/slug'."
        )
    return found[0]


def _probability(cell: str, where: str) -> float:
    text = cell.strip().casefold()
    if text in _WORDS:
        return _WORDS[text]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:  # false for NaN, too
        raise LabelError(f"{where}: {cell!r} is not yes, no, unclear or a number in 0..1. Correct the label.")
    return value


def _key(path: str, folders: dict[str, str]) -> _Key:
    # One realpath a folder, not one a file: 100,000 of them take seconds.
    folder, name = os.path.split(path)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    return folders[folder], name
