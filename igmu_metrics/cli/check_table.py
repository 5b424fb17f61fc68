"""The command `igmu check-table`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.numerals import counted
from igmu_metrics.cli._common import say
from igmu_metrics.cli._json import noted

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Table


def check_table(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            help="CSV file with a header and one measurement per line. Its columns are n (number of images or "
            "prompts) and either value (0..1) or percent (0..100, with or without %). Other columns, such as "
            "model, are used to label the lines. Write numbers exactly as they are printed, with all "
            "decimals (0.50, not 0.5).",
        ),
    ],
) -> Table:
    """Check whether the proportions printed in a table are possible for their sample sizes (GRIM test)."""
    from igmu_data.errors import VerificationError
    from igmu_metrics.cli._other_answers import PrintedNumber, Table
    from igmu_metrics.verdict.counts import check_table as check

    found = check(path)
    numbers = [PrintedNumber(p.line, p.name, p.text, p.n, bool(p.counts), p.telling, p.nearest) for p in found]
    answer = noted(Table(numbers))
    wrong = [p for p in found if not p.counts]
    for p in wrong:
        where = f"line {p.line}" + (f" ({p.name})" if p.name else "")
        say(f"{where}: {p.text} is impossible for n = {p.n}; the nearest possible values are {', '.join(p.nearest)}")
    blind = sum(not p.telling for p in found)
    note = f" {blind} could not be checked, because n is too large for so few digits." if blind else ""
    if wrong:
        raise VerificationError(
            f"{path}: {len(wrong)} of {counted(len(found), 'number')} {'is' if len(wrong) == 1 else 'are'} "
            f"impossible as printed.{note}"
        )
    say(f"{path}: {'the only number is' if len(found) == 1 else f'all {len(found)} numbers are'} possible.{note}")
    return answer
