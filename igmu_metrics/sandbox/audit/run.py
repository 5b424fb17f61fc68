"""The whole audit: gather the evidence, ask every question, write the page."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from igmu_data.files import owned, require_writable
from igmu_data.sandbox import packaged
from igmu_metrics.sandbox.audit import figure, page
from igmu_metrics.sandbox.audit.findings import DRAWS, Findings, analyse
from igmu_metrics.sandbox.audit.gather import gather
from igmu_metrics.scorecard import write_text

PAGE: Final = "audit.md"
FIGURE: Final = "audit.svg"


def run(out: Path, work: Path, *, seeds_per_row: int, draws: int = DRAWS) -> Findings:
    """Draw what is missing, compute, and write the page and its figure.

    Args:
        out: folder of `audit.md` and `audit.svg`.
        work: folder of the pictures.
        seeds_per_row: pictures of a prompt, 2..5.
        draws: random choices of prompts behind intervals and curves.

    Raises:
        IgmuError: whatever is wrong with folders, models or pictures; never what was found.
    """
    for folder in (out, work):
        require_writable(folder)
    packaged.part("detector")  # without models nothing else matters
    with owned(work, files=[out / PAGE]):
        findings = analyse(gather(work, seeds_per_row=seeds_per_row), draws=draws)
        write_text(out / FIGURE, figure.render(findings.agreements, findings.curves))
        write_text(out / PAGE, page.render(findings, figure=FIGURE, seeds_per_row=seeds_per_row))
    return findings
