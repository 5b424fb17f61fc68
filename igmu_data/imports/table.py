"""Reads a list's file: text, lines, or a table whose every cell knows its line.

Conventions: UTF-8, with or without a byte order mark; commas; cells in double quotes may hold commas and line breaks. A
line is counted as an editor counts it, from 1, and a record's line is the one it begins on. Messages quote names of
columns and short numbers, never a prompt: the list may hold what nobody should have to read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from igmu_data.errors import EmptyInputError, InputError, MetadataError, nearest
from igmu_data.files import irregular, require_text
from igmu_data.numerals import no_whole, whole
from igmu_data.schema import LARGEST_SEED

_SHOWN: Final = 20  # characters of a wrong cell that a message quotes
_COLUMN_NAME: Final = re.compile(r"[A-Za-z_]\w{0,40}")


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a table.

    Args:
        cells: by column.
        path: the file.
        line: where the record begins, from 1.
    """

    cells: Mapping[str, str]
    path: Path
    line: int

    @property
    def where(self) -> str:
        """`file, line 3`, for messages."""
        return f"{self.path}, line {self.line}"

    def seed(self, column: str) -> int:
        """A seed, 0..2³²-1 (what a generator tells apart); `5.0` is taken for 5, as pandas writes it."""
        self.number(column)
        exact = whole(self.cells[column])
        if exact is None or exact > LARGEST_SEED:
            wanted = "a whole number in 0..2^32-1, the range of seeds that generators use"
            power = exact is None and "e" in self.cells[column].casefold()
            raise self._wrong(column, f"{wanted} ({no_whole(self.cells[column])})" if power else wanted)
        return exact

    def number(self, column: str) -> float:
        """A finite number."""
        try:
            value = float(self.cells[column])
        except ValueError:
            raise self._wrong(column, "a number") from None
        if value - value != 0:
            raise self._wrong(column, "a number")
        return value

    def positive(self, column: str | None) -> float | None:
        """A number above 0; None without such a column."""
        if column is None:
            return None
        value = self.number(column)
        if value <= 0:
            raise self._wrong(column, "a number above 0")
        return value

    def pixels(self, column: str | None) -> int | None:
        """A whole number of pixels; None without such a column."""
        value = self.positive(column)
        if value is not None and not value.is_integer():
            raise self._wrong(str(column), "a whole number of pixels")
        return None if value is None else int(value)

    def _wrong(self, column: str, wanted: str) -> MetadataError:
        text = self.cells[column]
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        return MetadataError(
            f"{self.where}: column {column!r} contains {shown!r}; expected {wanted}. Correct the value."
        )


@dataclass(frozen=True, slots=True)
class Table:
    """A list with a header.

    Args:
        path: the file.
        line: of the header.
        columns: its names.
        records: the lines below it.
    """

    path: Path
    line: int
    columns: Sequence[str]
    records: Sequence[Record]

    def column(self, *alternatives: str) -> str:
        """The first of some columns that the table has.

        Raises:
            MetadataError: it has none of them.
        """
        found = self.optional(*alternatives)
        if found is None:
            # Without a header the first prompt stands there, so only what looks like a name is offered.
            like = nearest(alternatives[0], [c for c in self.columns if _COLUMN_NAME.fullmatch(c)])
            raise MetadataError(
                f"{self.path}, line {self.line}: the header has {len(self.columns)} columns, but none is named "
                f"{' or '.join(map(repr, alternatives))}{f'; did you mean {like[0]!r}?' if like else '.'} Check "
                "--format."
            )
        return found

    def optional(self, *alternatives: str) -> str | None:
        """The first of some columns that the table has, or None."""
        return next((c for c in alternatives if c in self.columns), None)


class ListFile:
    """A published list on disk.

    Args:
        path: the file.
        where: column and value; records with a different value are left out.
        columns: role → name of the column, where the format lets the caller choose it.

    Raises:
        MetadataError: it cannot be read, or is not UTF-8.
        EmptyInputError: there is nothing in it.
    """

    def __init__(
        self, path: Path, where: Mapping[str, str] | None = None, columns: Mapping[str, str] | None = None
    ) -> None:
        self.path = path
        self.where = dict(where or {})
        self.columns = dict(columns or {})
        self.text = _decoded(path)
        self.n_left_out = 0  # by `where`

    def table(self) -> Table:
        """The file as a table with a header.

        Raises:
            MetadataError: not CSV, two columns of one name, or a record with more or fewer cells than the header.
            EmptyInputError: a header and nothing else.
            InputError: `where` names a column that is not there.
        """
        rows = self._rows()
        line, header = next(rows, (1, []))
        columns = [c.strip() for c in header]
        double = next((c for c in columns if columns.count(c) > 1), None)
        if double is not None:
            raise MetadataError(
                f"{self.path}, line {line}: two columns have the name {double[:_SHOWN]!r}. Rename one of them."
            )
        records = [self._record(columns, cells, at) for at, cells in rows]
        if not records:
            raise EmptyInputError(
                f"{self.path} contains no prompts below the header. Add prompts, or use a different file."
            )
        for name in self.where:
            if name not in columns:
                like = nearest(name, [c for c in columns if _COLUMN_NAME.fullmatch(c)])
                guess = f"; did you mean {like[0]!r}?" if like else "."
                raise InputError(f"{self.path}: the list has no column {name!r} for --where{guess}")
        kept = [r for r in records if all(r.cells[k].strip() == v for k, v in self.where.items())]
        self.n_left_out = len(records) - len(kept)
        return Table(self.path, line, columns, kept)

    def lines(self) -> Iterator[tuple[int, str]]:
        """The nonblank lines with their numbers, for lists without a header; outer quotes are removed.

        Raises:
            InputError: `where` is given, and there are no columns.
        """
        if self.where:
            raise InputError(f"{self.path}: --where selects by column, but this list has no header. Leave --where out.")
        for number, line in enumerate(io.StringIO(self.text, newline=None), 1):
            text = line.strip()
            if len(text) > 1 and text[0] == text[-1] == '"':
                text = text[1:-1].replace('""', '"').strip()
            if text:
                yield number, text

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """The records of the CSV, header included, with the line that each begins on; blank lines are no records."""
        reader = csv.reader(io.StringIO(self.text, newline=""), strict=True)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise MetadataError(
                    f"{self.path}, line {line}: this line cannot be read as CSV ({error}). Check for a quote that is "
                    "never closed."
                ) from None
            if cells is None:
                return
            if cells:
                yield line, cells

    def _record(self, columns: Sequence[str], cells: Sequence[str], line: int) -> Record:
        if len(cells) < len(columns):
            missing = columns[len(cells)]
            raise MetadataError(
                f"{self.path}, line {line}: this line has no cell for column {missing[:_SHOWN]!r}. Complete the line."
            )
        if len(cells) > len(columns):
            raise MetadataError(
                f"{self.path}, line {line}: this line has {len(cells)} cells, but the header has {len(columns)} "
                "columns. Enclose prompts that contain commas in double quotes."
            )
        return Record(dict(zip(columns, cells, strict=True)), self.path, line)


def _decoded(path: Path) -> str:
    try:
        if what := irregular(path):
            raise MetadataError(f"{path} cannot be read because it is {what}. Check the path.")
        data = path.read_bytes()
    except OSError as error:
        raise MetadataError(f"{path} cannot be read ({error.strerror}). Check the path.") from error
    if not data.strip(b"\xef\xbb\xbf \t\r\n"):
        raise EmptyInputError(f"{path}: the file is empty. Use a file that contains prompts.")
    require_text(path, data[:8])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise MetadataError(
            f"{path}, line {line}: byte 0x{byte:02x} is not UTF-8. Save the list as UTF-8 (it may be Windows-1252)."
        ) from error
