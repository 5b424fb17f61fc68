"""Command of the metric audit: `igmu audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def audit(
    out: Annotated[Path, typer.Option(help="Folder for audit.md and its figure.")] = Path("docs"),
    work: Annotated[Path, typer.Option(help="Folder for the pictures; a restart resumes.")] = Path("igmu-audit"),
    seeds_per_row: Annotated[int, typer.Option(min=2, max=5, help="Pictures of a prompt; quality needs two.")] = 2,
) -> None:
    """Do the metrics tell the truth? Score packaged models whose truth is known, and write down what was found."""
    from igmu_metrics.sandbox.audit.checks import Outcome
    from igmu_metrics.sandbox.audit.run import PAGE, run

    findings = run(out, work, seeds_per_row=seeds_per_row)
    for check in findings.checks:
        if check.outcome is not Outcome.HOLDS:
            typer.echo(f"{check.outcome}: {check.task}: {check.statement}: {check.measured}")
    counts = [f"{sum(c.outcome is o for c in findings.checks)} {o.counted}" for o in Outcome]
    typer.echo(f"{len(findings.checks)} checks: {', '.join(counts)}. {out / PAGE}")
