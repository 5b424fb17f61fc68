"""The count-consistency check of published numbers (GRIM): is a proportion possible for its number of trials?

A share of n images is k/n with a whole number k, so only few rounded values are possible: 0.35 of 10 images is a
misprint, or not a share of 10 images. The check needs no data, only the printed digits and n, so it works on any
table. If there are more images than the digits can distinguish (n ≥ 100 for two decimals), every value is possible, and
the check reports this.

Conventions: digits are read from the text, so `0.50` has two decimals and `0.5` one. Halves may have been rounded up or
to the even digit; both are accepted. All arithmetic is exact.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Final

from igmu_data.errors import EmptyInputError, MetadataError
from igmu_data.files import read_text
from igmu_data.numerals import counted

VALUE, PERCENT, COUNT, TRIALS = "value", "percent", "successes", "n"
FORMAT: Final = (
    "a header and one measurement per line: n (number of images or prompts) and either value (0..1) or percent "
    "(0..100, with or without %); all other columns, such as model, label the line."
)
MOST_TRIALS: Final = 10_000_000  # images or prompts: more than anybody has generated, and the limit of exact tests
MOST_DIGITS: Final = 20
_NUMBER: Final = re.compile(r"\d+(?:\.(?P<decimals>\d*))?")


@dataclass(frozen=True, slots=True)
class Printed:
    """A proportion as it was printed.

    Args:
        name: the contents of the other columns of its line.
        line: line number in the file, from 1.
        text: the digits.
        share: their value, 0..1.
        unit: the value of one unit of the last digit, as a share.
        n: number of trials.
        percent: whether the digits are a percentage.
    """

    name: str
    line: int
    text: str
    share: Fraction
    unit: Fraction
    n: int
    percent: bool = False

    @property
    def counts(self) -> range:
        """The numbers of successes that would be printed like this; empty if there are none."""
        low = ceil((self.share - self.unit / 2) * self.n)
        high = floor((self.share + self.unit / 2) * self.n)
        return range(max(0, low), min(self.n, high) + 1)

    @property
    def telling(self) -> bool:
        """Whether there are enough digits for the check to rule out any value."""
        return self.unit * self.n < 1

    @property
    def nearest(self) -> tuple[str, ...]:
        """How the nearest numbers of successes would be printed."""
        at = self.share * self.n
        around = [k for k in (floor(at), ceil(at)) if 0 <= k <= self.n]
        decimals = len(self.text.removesuffix("%").strip().partition(".")[2])
        scale = 100 if self.percent else 1
        return tuple(f"{k}/{self.n} = {scale * k / self.n:.{decimals}f}" for k in dict.fromkeys(around))


def printed(text: str, n: int, *, percent: bool = False, name: str = "", line: int = 0) -> Printed:
    """Read the digits of a proportion.

    Raises:
        MetadataError: not a number, or one outside 0..1 (0..100 for percent).

    >>> list(printed("0.35", 10).counts), list(printed("76.1", 142, percent=True).counts)
    ([], [108])
    """
    percent = percent or text.strip().endswith("%")
    digits = text.strip().removesuffix("%").strip()
    match = _NUMBER.fullmatch(digits) if len(digits) <= MOST_DIGITS else None
    unit = Fraction(1, 100 if percent else 1)
    share = Fraction(digits) * unit if match else Fraction(-1)
    if match is None or not 0 <= share <= 1:
        wanted = (
            "a percentage from 0 to 100. Correct it"
            if percent
            else "a fraction from 0 to 1. Correct it, or put percentages into a column 'percent'"
        )
        told = text if len(text) <= 40 else f"{text[:40]}…"
        raise MetadataError(f"line {line}: {told!r} is not {wanted}.")
    return Printed(name, line, text.strip(), share, unit / 10 ** len(match["decimals"] or ""), n, percent)


def read_table(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file as dictionaries with lower-case column names; `line` is added.

    Raises:
        MetadataError: it cannot be read, or a line is longer or shorter than the header.
        EmptyInputError: it has no lines.
    """
    text = read_text(path, "Use a CSV file encoded as UTF-8.")
    try:
        lines = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise MetadataError(f"{path} cannot be read ({error}). Use a CSV file encoded as UTF-8.") from error
    if len(lines) < 2:
        raise EmptyInputError(f"{path} contains no lines below the header. The table must have {FORMAT}")
    header = [cell.strip().lower() for cell in lines[0]]
    rows = []
    for number, cells in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise MetadataError(
                f"{path}, line {number}: the line has {counted(len(cells), 'cell')}, but the header has "
                f"{counted(len(header), 'column')}. "
                "Correct the line."
            )
        rows.append(dict(zip(header, (cell.strip() for cell in cells), strict=True)) | {"line": str(number)})
    return rows


def trials(path: Path, row: dict[str, str]) -> int:
    """The n of a line.

    Raises:
        MetadataError: it is missing or not a whole number of at least 1.
    """
    text = row.get(TRIALS, "")
    if not text.isascii() or not text.isdigit() or len(text) > MOST_DIGITS or not 1 <= int(text) <= MOST_TRIALS:
        told = text if len(text) <= 40 else f"{text[:40]}…"
        raise MetadataError(
            f"{path}, line {row['line']}: n is {told!r}; it must be a whole number from 1 to {MOST_TRIALS:,}."
        )
    return int(text)


def label(row: dict[str, str]) -> str:
    """The contents of a line's other columns, which label it."""
    return ", ".join(v for k, v in row.items() if k not in (VALUE, PERCENT, COUNT, TRIALS, "line") and v)


def check_table(path: Path) -> list[Printed]:
    """All proportions of a table; those without possible counts are impossible as printed.

    Raises:
        MetadataError: columns or cells that are missing or not numbers.
        EmptyInputError: no lines.
    """
    found = []
    for row in read_table(path):
        given = [c for c in (VALUE, PERCENT) if row.get(c)]
        if len(given) != 1:
            which = "both are" if given else "neither is"
            raise MetadataError(
                f"{path}, line {row['line']}: either value or percent must be given, but {which}. The table must have "
                f"{FORMAT}"
            )
        (column,) = given
        n, line = trials(path, row), int(row["line"])
        try:
            found.append(printed(row[column], n, percent=column == PERCENT, name=label(row), line=line))
        except MetadataError as error:
            raise MetadataError(f"{path}, {error}") from error
    return found
