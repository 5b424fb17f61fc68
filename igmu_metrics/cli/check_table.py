"""The command `igmu check-table`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.numerals import counted
from igmu_metrics.cli._common import say
from igmu_metrics.cli._json import noted

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Table
    from igmu_metrics.verdict.counts import Checked

_SHOWN = 5


def check_table(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            help="CSV file with a header and one measurement per line. Its columns are n (number of images or "
            "prompts) and either value (0..1) or percent (0..100, with or without %), or successes (a count), or a "
            "count and a share, which are compared. Other columns, such as model, are used to label the lines. Write "
            "numbers exactly as they are printed, with all decimals (0.50, not 0.5).",
        ),
    ],
) -> Table:
    """Check whether the proportions printed in a table are possible for their sample sizes (GRIM test)."""
    from igmu_data.errors import VerificationError
    from igmu_metrics.cli._other_answers import PrintedNumber, Table
    from igmu_metrics.verdict.counts import check_table as check

    found = check(path)
    numbers = [PrintedNumber(p.line, p.name, p.text, p.n, bool(p.counts), p.telling, p.nearest) for p in found]
    answer = noted(Table(numbers, found.unnumbered, found.notes))
    wrong = [p for p in found if not p.counts]
    for p in wrong:
        where = f"line {p.line}" + (f" ({p.name})" if p.name else "")
        say(f"{where}: {p.wrong}")
    say(*(f"note: {note}." for note in found.notes))
    checked = [p for p in found if p.telling]
    if wrong:
        raise VerificationError(f"{path}: {_verdict(len(wrong), found, 'impossible as printed')}.{_rest(found)}")
    if checked:
        say(f"{path}: {_verdict(len(checked), found, 'possible')}.{_rest(found)}")
    else:
        say(f"{path}: no number could be checked.{_rest(found)}")
    return answer


def _verdict(n: int, found: Checked, what: str) -> str:
    """`2 of 3 numbers are impossible as printed`; only numbers that could be checked are counted."""
    of, all_of_them = sum(p.telling for p in found), all(p.telling for p in found)
    could = "" if all_of_them else " that could be checked"
    if of == 1:
        return f"the only number{could} is {what}"
    which = f"all {n:,}" if n == of else f"{n:,} of {of:,}"
    return f"{which} numbers{could} {'is' if n == 1 else 'are'} {what}"


def _rest(found: Checked) -> str:
    """What was not checked, and why."""
    told, blind = "", [p for p in found if not p.telling]
    if blind:
        of = counted(len(blind), "number")
        told = (
            f" {of} could not be checked, because n is too large for so few digits ({_lines([p.line for p in blind])})."
        )
    if found.unnumbered:
        has = "line has" if len(found.unnumbered) == 1 else "lines have"
        told += f" {len(found.unnumbered)} {has} no number ({_lines(found.unnumbered)})."
    return told


def _lines(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    return f"line{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers[:_SHOWN]))}{more}"
