"""The count-consistency check of published numbers (GRIM): is a proportion possible for its number of trials?

A share of n images is k/n with a whole number k, so only few rounded values are possible: 0.35 of 10 images is a
misprint, or not a share of 10 images. The check needs no data, only the printed digits and n, so it works on any
table. If there are more images than the digits can distinguish (n ≥ 100 for two decimals), every value is possible, and
the check reports this.

Conventions: digits are read from the text, so `0.50` has two decimals and `0.5` one. Halves may have been rounded up or
to the even digit; both are accepted. All arithmetic is exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Final

from igmu_data.errors import EmptyInputError, MetadataError
from igmu_metrics.verdict import typed
from igmu_metrics.verdict.typed import COUNT, LINE, MOST_DIGITS, PERCENT, TRIALS, VALUE, trials

FORMAT: Final = (
    "a header and one measurement per line: n (number of images or prompts) and either value (0..1) or percent "
    "(0..100, with or without %), or successes (a count); all other columns, such as model, label the line."
)
_LISTED: Final = 3
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
        decimals: number of digits after the decimal point.
        successes: the count that is printed with the share, or in place of a share; None if there is none.
    """

    name: str
    line: int
    text: str
    share: Fraction
    unit: Fraction
    n: int
    percent: bool = False
    decimals: int = 0
    successes: int | None = None

    @property
    def counts(self) -> range:
        """The numbers of successes that would be printed like this; empty if there are none."""
        low = ceil((self.share - self.unit / 2) * self.n)
        high = floor((self.share + self.unit / 2) * self.n)
        if self.successes is not None:
            low, high = max(low, self.successes), min(high, self.successes)
        return range(max(0, low), min(self.n, high) + 1)

    @property
    def telling(self) -> bool:
        """Whether there are enough digits for the check to rule out any value."""
        return self.successes is not None or self.unit * self.n < 1

    @property
    def nearest(self) -> tuple[str, ...]:
        """How the nearest numbers of successes would be printed."""
        if not self.unit:
            return (str(self.n),)
        at = self.share * self.n if self.successes is None else Fraction(min(self.successes, self.n))
        around = [k for k in (floor(at), ceil(at)) if 0 <= k <= self.n]
        scale = 100 if self.percent else 1
        return tuple(f"{k}/{self.n} = {scale * k / self.n:.{self.decimals}f}" for k in dict.fromkeys(around))

    @property
    def wrong(self) -> str:
        """Why the number is impossible; "" if it is not."""
        if self.counts:
            return ""
        if self.successes is not None and self.successes > self.n:
            return f"successes is {self.successes}, which is more than n = {self.n}"
        values = "value is" if len(self.nearest) == 1 else "values are"
        return f"{self.text} is impossible for {self.of}; the nearest possible {values} {', '.join(self.nearest)}"

    @property
    def of(self) -> str:
        """What the share is a share of, for messages."""
        counted = self.successes is not None and self.unit
        return f"{self.successes} successes of n = {self.n}" if counted else f"n = {self.n}"


class Checked(list[Printed]):
    """The numbers of a table.

    Args:
        found: the numbers.
        unnumbered: lines without a number.
        notes: what readers of the result need to know.
    """

    def __init__(self, found: Iterable[Printed], unnumbered: Sequence[int], notes: Sequence[str]) -> None:
        super().__init__(found)
        self.unnumbered, self.notes = unnumbered, notes


def printed(text: str, n: int, *, percent: bool = False, name: str = "", line: int = 0) -> Printed:
    """Read the digits of a proportion.

    Raises:
        MetadataError: not a number, or one outside 0..1 (0..100 for percent).

    >>> list(printed("0.35", 10).counts), list(printed("76.1", 142, percent=True).counts)
    ([], [108])
    """
    read = typed.decimal(text)
    percent = percent or read.endswith("%")
    digits = read.removesuffix("%")
    match = _NUMBER.fullmatch(digits) if len(digits) <= MOST_DIGITS else None
    unit = Fraction(1, 100 if percent else 1)
    share = Fraction(digits) * unit if match else Fraction(-1)
    if match is None or not 0 <= share <= 1:
        what = "a percentage from 0 to 100" if percent else "a fraction from 0 to 1"
        cure = "Correct it" if percent else "Correct it, or put percentages into a column 'percent'"
        told = text if len(text) <= 40 else f"{text[:40]}…"
        raise MetadataError(
            f"line {line}: {told!r} is not {what}. {(typed.no_share(told) if match is None else '') or cure}."
        )
    decimals = len(match["decimals"] or "")
    return Printed(name, line, text.strip(), share, unit / 10**decimals, n, percent, decimals)


def label(row: Mapping[str, str]) -> str:
    """The contents of a line's other columns, which label it."""
    return ", ".join(v for k, v in row.items() if k not in (VALUE, PERCENT, COUNT, TRIALS, LINE) and v)


def check_table(path: Path) -> Checked:
    """All proportions of a table; those without possible counts are impossible as printed.

    Raises:
        MetadataError: columns or cells that are missing or not numbers.
        EmptyInputError: no lines, or no numbers.
    """
    table = typed.read(path, FORMAT)
    read = list(numbers(path, table, FORMAT))
    found = [number for _, number in read if number is not None]
    if not found:
        raise EmptyInputError(f"{path} contains no numbers. The table must have {FORMAT}")
    unnumbered = [int(row[LINE]) for row, number in read if number is None]
    return Checked(found, unnumbered, [*table.notes, *doubts(found)])


def numbers(path: Path, table: typed.Typed, form: str) -> Iterator[tuple[Mapping[str, str], Printed | None]]:
    """Each line of a table with its number; None if the line says that there is none.

    Args:
        path: the file, for messages.
        table: its lines.
        form: what the table must have, for messages.

    Raises:
        MetadataError: columns or cells that are missing or not numbers.
    """
    typed.require(path, table, (TRIALS,), form)
    for row in table.rows:
        given = [c for c in (VALUE, PERCENT) if not typed.nothing(row.get(c, ""))]
        counted = not typed.nothing(row.get(COUNT, ""))
        columns = row.keys() & {VALUE, PERCENT, COUNT}
        if len(given) > 1 or not columns:
            which = "both are" if given else "neither is"
            raise MetadataError(
                f"{path}, line {row[LINE]}: either value or percent must be given, but {which}. The table has the "
                f"columns {', '.join(k for k in row if k != LINE)}, but must have {form}"
            )
        if not given and not counted:
            yield row, None
            continue
        n, line = trials(path, row), int(row[LINE])
        successes = typed.successes(path, row) if counted else None
        if not given:
            share = Fraction(successes or 0, n)
            yield row, Printed(label(row), line, row[COUNT], share, Fraction(0), n, successes=successes)
            continue
        (column,) = given
        try:
            number = printed(row[column], n, percent=column == PERCENT, name=label(row), line=line)
        except MetadataError as error:
            raise MetadataError(f"{path}, {error}") from error
        yield row, replace(number, successes=successes)


def doubts(found: Sequence[Printed]) -> list[str]:
    """Whether fractions of 1 may have been typed as percentages, in all lines or in some."""
    shares = [p for p in found if p.percent and p.unit]
    small = [p for p in shares if p.share <= Fraction(1, 100) and "%" not in p.text]
    if any(p.share for p in small) and len(small) == len(shares):
        return ["all percentages are at most 1. If they are fractions of 1, name their column 'value'"]
    usual = max((p.decimals for p in shares if p not in small), default=0)
    odd = [p for p in small if p.share and p.decimals > usual]  # fractions have more decimals
    told = ", ".join(f"{p.text} in line {p.line}" for p in odd[:_LISTED]) + (", …" if len(odd) > _LISTED else "")
    return [f"some percentages are at most 1 ({told}). If they are fractions of 1, write them as percentages"] * bool(
        odd
    )
