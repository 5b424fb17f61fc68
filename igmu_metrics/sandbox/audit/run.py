"""The whole audit: gather the evidence, ask every question, write the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from igmu_data.errors import InputError
from igmu_data.files import owned, require_writable
from igmu_data.sandbox import packaged
from igmu_metrics import registry
from igmu_metrics.sandbox.audit import data, figure, page
from igmu_metrics.sandbox.audit.findings import DRAWS, Findings, analyse
from igmu_metrics.sandbox.audit.gather import gather
from igmu_metrics.sandbox.audit.mixtures import SERVED
from igmu_metrics.sandbox.audit.yardstick import GRADES
from igmu_metrics.scorecard import write_text

PAGE: Final = "audit.md"
FIGURE: Final = "audit.svg"
SCATTER: Final = "audit-truth.svg"
DATA: Final = "audit.json"


def run(
    out: Path,
    work: Path,
    *,
    seeds_per_row: int,
    draws: int = DRAWS,
    grades: int = GRADES,
    metrics: Sequence[str] = (),
) -> Findings:
    """Draw what is missing, compute, and write the page, its figures and the data behind them.

    Args:
        out: folder of `audit.md`, `audit.svg`, `audit-truth.svg` and `audit.json`.
        work: folder of the images.
        seeds_per_row: images of a prompt, 2..5.
        draws: random choices of prompts behind intervals and curves.
        grades: virtual models of each kind and task.
        metrics: further metrics to test, `module:attribute` or a registered name; their code runs.

    Raises:
        UnknownMetricError, PluginError: a metric that is not there, or is none.
        InputError: a metric that requires columns that the audit does not measure.
        IgmuError: whatever is wrong with folders, models or images; never what was found.
    """
    given = {one: registry.chosen_metric(one) for one in metrics}  # before anything is drawn
    for name, metric in given.items():
        if lost := [column for column in metric.NEEDS if column not in SERVED]:
            raise InputError(
                f"--metric {name}: it requires {', '.join(lost)}, which the audit does not measure. Use only the "
                f"columns {', '.join(SERVED)}."
            )
    for folder in (out, work):
        require_writable(folder)
    packaged.part("detector")  # without models nothing else matters
    with owned(work, files=[out / PAGE]):
        evidence = gather(work, seeds_per_row=seeds_per_row)
        findings = analyse(evidence, draws=draws, grades=grades, given=given)
        write_text(out / FIGURE, figure.render(findings.measured))
        write_text(out / SCATTER, figure.scatter(findings.judged))
        write_text(out / DATA, data.render(findings))
        write_text(out / PAGE, page.render(findings, figure=FIGURE, scatter=SCATTER, seeds_per_row=seeds_per_row))
    return findings
