"""Tables that people type from papers: their separators, the names of their columns, and cells with more than digits.

Conventions: what has one meaning is read (bold numbers, decimal commas, `1,000` images); anything else is refused with
the reason. A line without a number (an empty cell, a dash) is kept, so that it can be reported.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from igmu_data.errors import EmptyInputError, MetadataError
from igmu_data.files import read_text
from igmu_data.numerals import counted, whole

MODEL, TRIALS, VALUE, PERCENT, COUNT = "model", "n", "value", "percent", "successes"
LINE: Final = " line"  # no column of a table has this name, because names have no spaces around them
MOST_TRIALS: Final = 10_000_000  # images or prompts: more than anybody has generated, and the limit of exact tests
MOST_DIGITS: Final = 20
# Other names of columns, regardless of case and of spaces, underscores and hyphens.
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    MODEL: ("method",),
    TRIALS: (
        "images",
        "n_images",
        "number_of_images",
        "prompts",
        "n_prompts",
        "number_of_prompts",
        "trials",
        "samples",
    ),
    VALUE: ("share", "proportion", "fraction"),
    PERCENT: ("percentage", "pct", "%", "value_(%)", "percent_(%)", "share_(%)"),
    COUNT: ("n_successes", "number_of_successes"),
}
_LONGEST: Final = 200  # characters of a cell with a number
_SHOWN: Final = 40  # characters of a cell that a message quotes
# Markdown, LaTeX and HTML around a number that is printed in bold, in italics or underlined.
_MARKED: Final = re.compile(
    r"(?:\*{1,3}|_{1,3}|\$|<(?:b|i|u|strong|em)>|\\(?:textbf|textit|mathbf|underline|emph|bf)\{)\s*(?P<inside>.*?)\s*"
    r"(?:\*{1,3}|_{1,3}|\$|</(?:b|i|u|strong|em)>|\})"
)
_NOTHING: Final = re.compile(r"[-–—−/.…]*|n\.?/?a\.?|nan|none|null", re.IGNORECASE)
_GROUPED: Final = re.compile("[0-9]{1,3}(?:[,'’ \u2009\u202f\u00a0][0-9]{3})+")
_DOTTED: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+")


@dataclass(frozen=True, slots=True)
class Typed:
    """A table.

    Args:
        rows: cells by column, with `LINE`, the number of the line in the file.
        notes: what readers of the result need to know about how the table was read.
    """

    rows: Sequence[dict[str, str]]
    notes: Sequence[str] = ()


def read(path: Path, form: str) -> Typed:
    """The lines of a CSV file, with commas, semicolons or tabs; columns have lower-case names, and igmu's where known.

    Args:
        path: the file.
        form: what the table must have, for messages.

    Raises:
        MetadataError: it cannot be read, a line is longer or shorter than the header, or columns are ambiguous.
        EmptyInputError: it has no lines.
    """
    text = read_text(path, "Use a CSV file encoded as UTF-8.")
    if text.lstrip().startswith("|"):
        raise MetadataError(f"{path} is a Markdown table. Save it as CSV. The table must have {form}")
    cut = max(",;\t", key=text.lstrip().partition("\n")[0].count)
    lines, reader, at = [], csv.reader(io.StringIO(text, newline=""), delimiter=cut), 1
    try:
        for cells in reader:
            lines.append((at, cells))  # a cell may contain line breaks
            at = reader.line_num + 1
    except csv.Error as error:
        raise MetadataError(f"{path} cannot be read ({error}). Use a CSV file encoded as UTF-8.") from error
    filled = [(n, cells) for n, cells in lines if any(cell.strip() for cell in cells)]
    if len(filled) < 2:
        raise EmptyInputError(f"{path} contains no lines below the header. The table must have {form}")
    header = [plain(cell).lower() for cell in filled[0][1]]
    if twice := [name for name, times in Counter(header).items() if name and times > 1]:
        raise MetadataError(f"{path}: the header contains {twice[0]!r} twice. Give each column its own name.")
    rows = []
    for number, cells in filled[1:]:
        if len(cells) != len(header):
            comma = " If its numbers have decimal commas, enclose them in double quotes." if cut == "," else ""
            raise MetadataError(
                f"{path}, line {number}: the line has {counted(len(cells), 'cell')}, but the header has "
                f"{counted(len(header), 'column')}. Correct the line.{comma}"
            )
        rows.append(dict(zip(header, (cell.strip() for cell in cells), strict=True)) | {LINE: str(number)})
    names, notes = _named(path, header, rows)
    return Typed([{names.get(name, name): cell for name, cell in row.items()} for row in rows], notes)


def _named(path: Path, header: Sequence[str], rows: Sequence[Mapping[str, str]]) -> tuple[dict[str, str], list[str]]:
    """igmu's names of columns that are called otherwise, and notes about columns that are not used."""
    found, notes = {}, []
    for name, others in _NAMES.items():
        alike = [column for column in header if re.sub(r"[\s_-]+", "_", column).strip("#_") in others]
        if name == TRIALS:  # a column of prompts may contain texts
            alike = [c for c in alike if all(count(row[c]) is not None for row in rows if not nothing(row[c]))]
        if name in header:
            notes += [f"{name} is read from the column {name!r}; the column {c!r} is not used" for c in alike]
        elif len(alike) > 1:
            raise MetadataError(
                f"{path}: the columns {alike[0]!r} and {alike[1]!r} could both be {name!r}. Name the right one "
                f"{name!r}."
            )
        elif alike:
            found[alike[0]] = name
    return found, notes if len(rows) else []


def require(path: Path, table: Typed, columns: Sequence[str], form: str) -> None:
    """Refuse a table that has none of some columns.

    Raises:
        MetadataError: lists the columns that there are.
    """
    there = [name for name in (table.rows[0] if table.rows else ()) if name != LINE]
    if table.rows and not set(columns) & set(there):
        wanted = " or ".join(columns)
        raise MetadataError(f"{path} has the columns {', '.join(there)}, but not {wanted}. The table must have {form}")


def plain(text: str) -> str:
    """A cell without the signs around it that make it bold, italic or underlined, and without spaces.

    >>> plain(" **95.2** "), plain(r"\\textbf{95.2}\\%"), plain("a*b")
    ('95.2', '95.2%', 'a*b')
    """
    text = text.strip().replace("\\%", "%")
    while len(text) <= _LONGEST and (marked := _MARKED.fullmatch(text.removesuffix("%"))) is not None:
        text = marked["inside"] + ("%" if text.endswith("%") else "")
    return text.strip()


def nothing(text: str) -> bool:
    """Whether a cell says that there is no number: it is empty, a dash or `n/a`."""
    return _NOTHING.fullmatch(plain(text)) is not None


def decimal(text: str) -> str:
    """The digits of a share with a point before the decimals, as a share above 1,000 is impossible.

    >>> decimal("0,95"), decimal(".95"), decimal("95·2%")
    ('0.95', '0.95', '95.2%')
    """
    text = re.sub(r"\s+%$", "%", plain(text))
    return re.sub(r"^(?=\.[0-9])", "0", re.sub(r"^([0-9]*)[,·]([0-9]+%?)$", r"\1.\2", text))


def no_share(text: str) -> str:
    """Why a cell is not a share although it has digits; "" if nothing special is known."""
    if re.search(r"±|\+/?-|\\pm", text):
        return "A number with ± is a mean of several measurements, not a share of n. Leave the line out"
    if re.fullmatch(r"[0-9.,]+[eE][-+]?[0-9]+", text):
        return "Write the number without an exponent"
    if re.fullmatch(r"[^0-9.,+−-]+\s*[0-9.,]+\s*%?", text):
        return "A bound or an approximate number is not a share of n. Leave the line out"
    if re.fullmatch(r"[0-9.,]+\s*%?\s*[^0-9.,%]{1,3}", text):
        return "Write the number without a mark behind it"
    if len(re.findall(r"[0-9]+(?:[.,][0-9]+)?", text)) > 1:
        return "The cell contains several numbers. Write only the share"
    return ""


def trials(path: Path, row: Mapping[str, str]) -> int:
    """The n of a line.

    Raises:
        MetadataError: it is missing, ambiguous, or not a whole number of at least 1.
    """
    text = row.get(TRIALS, "")
    found = count(text)
    if found is None or not 1 <= found <= MOST_TRIALS:
        dotted = " Write it without a point." if _DOTTED.fullmatch(plain(text)) else ""
        raise MetadataError(
            f"{path}, line {row[LINE]}: n is {_shown(text)!r}; it must be a whole number from 1 to "
            f"{MOST_TRIALS:,}.{dotted}"
        )
    return found


def successes(path: Path, row: Mapping[str, str]) -> int:
    """The count of a line; it may be larger than n.

    Raises:
        MetadataError: it is not a whole number.
    """
    if (found := count(row[COUNT])) is None:
        raise MetadataError(
            f"{path}, line {row[LINE]}: successes is {_shown(row[COUNT])!r}; it must be a whole number. Put shares "
            "into the column 'value' or 'percent'."
        )
    return found


def _shown(text: str) -> str:
    """A cell as a message quotes it."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def count(text: str) -> int | None:
    """A whole number as people type it, `1,000` too; None for anything else, such as `1.000`: 1 or 1,000."""
    digits = plain(text)
    if _DOTTED.fullmatch(digits):
        return None
    if _GROUPED.fullmatch(digits):
        digits = re.sub("[^0-9]", "", digits)
    return whole(digits) if digits.isascii() and len(digits) <= MOST_DIGITS else None
