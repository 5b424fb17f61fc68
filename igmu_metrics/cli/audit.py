"""The command `igmu audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.numerals import counted
from igmu_metrics.cli._common import say

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Audited


def audit(
    out: Annotated[Path, typer.Option(help="Folder for audit.md, its figures and audit.json.")] = Path("igmu-audit"),
    work: Annotated[
        Path, typer.Option(help="Folder for the generated images; an interrupted run resumes from this folder.")
    ] = Path("igmu-audit/work"),
    seeds_per_row: Annotated[
        int, typer.Option(min=2, max=5, help="Number of images per prompt; the quality metrics need at least two.")
    ] = 2,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:NAME",
            help="Additional metric to audit: the name of a registered metric, or MODULE:NAME for a metric in an "
            "installed package (igmu runs the package's code). Repeat this option for each metric.",
        ),
    ] = None,
) -> Audited:
    """Audit the metrics on packaged models with known ground truth, and write a page with the findings."""
    from igmu_metrics.cli._other_answers import Audited, Statement
    from igmu_metrics.sandbox.audit.checks import Outcome
    from igmu_metrics.sandbox.audit.run import PAGE, run

    findings = run(out, work, seeds_per_row=seeds_per_row, metrics=metric or ())
    for check in findings.checks:
        if check.outcome is not Outcome.HOLDS:
            say(f"{check.outcome}: {check.task}: {check.statement}: {check.measured}")
    counts = [f"{sum(c.outcome is o for c in findings.checks)} {o.counted}" for o in Outcome]
    say(f"{counted(len(findings.checks), 'check')}: {', '.join(counts)}. {out / PAGE}")
    return Audited(out / PAGE, [Statement(c.task, c.statement, c.measured, str(c.outcome)) for c in findings.checks])
