"""An independent sample of the corpus, and how much of it its readers found wrong."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from igmu_data.errors import MetadataError
from igmu_data.rows.choose import ordered
from igmu_data.schema import Row

READ: Final = Path(__file__).parent / "read"


@dataclass(frozen=True, slots=True)
class Sample:
    """What a reading of a sample found.

    Args:
        n_read: rows read.
        n_wrong: rows found wrong.
        reader: who read.
        date: when.
        version: of the corpus that was read.
    """

    n_read: int
    n_wrong: int
    reader: str
    date: str
    version: str

    @property
    def share(self) -> float:
        """Of the rows, how many were found wrong: 0..1, lower is better."""
        return self.n_wrong / self.n_read


def drawn(rows: Iterable[Row], n: int, salt: str) -> list[Row]:
    """`n` rows, each cell of domain, split, probe, family and language in its proportion (systematic sampling).

    Args:
        rows: all of the corpus.
        n: how many.
        salt: chooses; another one gives an independent sample.
    """
    cells: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        cell = (row.domain, row.split, row.probe, row.attack_family or "", row.language)
        cells.setdefault(cell, []).append(row)
    line = [row for cell in sorted(cells) for row in _shuffled(cells[cell], salt)]
    step = len(line) / n
    return [line[int((at + 0.5) * step)] for at in range(n)]


def _shuffled(rows: Sequence[Row], salt: str) -> list[Row]:
    by_id = {row.id: row for row in rows}
    return [by_id[i] for i in ordered(by_id, salt)]


def latest(folder: Path = READ) -> Sample:
    """The newest sample that was read.

    Raises:
        MetadataError: there is none, or the file says too little.
    """
    found = []
    for path in sorted(folder.glob("sample-*.toml")):
        given = tomllib.loads(path.read_text(encoding="utf-8"))
        try:
            facts = (given["n_read"], len(given.get("wrong", [])), given["reader"], str(given["date"]))
            found.append(Sample(*facts, str(given["version"])))
        except KeyError as error:
            raise MetadataError(f"{path}: {error.args[0]} is missing.") from error
    if not found:
        raise MetadataError(f"{folder}: no sample-*.toml. Read one: python -m builders.review sample.")
    return max(found, key=lambda s: (s.version, s.date))
