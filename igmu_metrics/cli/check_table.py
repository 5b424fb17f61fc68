"""The command `igmu check-table`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_metrics.cli._common import say
from igmu_metrics.cli._json import noted

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Table


def check_table(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            help="A header, then one measurement per line: n (images or prompts behind it) and value (a fraction "
            "0..1) or percent (0..100, with or without %). Other columns, such as model, label the line. Write numbers "
            "as printed: 0.50 has two decimals.",
        ),
    ],
) -> Table:
    """Check whether the printed proportions of a table can come from their counts (GRIM test)."""
    from igmu_data.errors import VerificationError
    from igmu_metrics.cli._other_answers import PrintedNumber, Table
    from igmu_metrics.verdict.counts import check_table as check

    found = check(path)
    numbers = [PrintedNumber(p.line, p.name, p.text, p.n, bool(p.counts), p.telling, p.nearest) for p in found]
    answer = noted(Table(numbers))
    wrong = [p for p in found if not p.counts]
    for p in wrong:
        where = f"line {p.line}" + (f" ({p.name})" if p.name else "")
        say(f"{where}: {p.text} of n = {p.n} is impossible; nearest: {', '.join(p.nearest)}")
    blind = sum(not p.telling for p in found)
    note = f" {blind} have too many images for so few digits, so they cannot be checked." if blind else ""
    if wrong:
        raise VerificationError(f"{path}: {len(wrong)} of {len(found)} numbers are impossible as printed.{note}")
    say(f"{path}: all {len(found)} numbers are possible.{note}")
    return answer
