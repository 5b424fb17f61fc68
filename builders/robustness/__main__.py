"""`python -m builders.robustness`: measure, and write docs/robustness.md and its figure; resumes where it was stopped.

About a quarter of an hour on two free cores. The page is written after every cell, so that an interrupted run leaves
what it knows, and says what it does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from builders.robustness import figure, page
from builders.robustness.measure import BUDGETS, VERSIONS, measure
from igmu_data.errors import exits_on_error
from igmu_data.files import require_writable
from igmu_metrics.sandbox.demo import slugs
from igmu_metrics.scorecard import write_text

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PAGE: Final = "robustness.md"
FIGURE: Final = "robustness.svg"


@exits_on_error
def main(
    work: Annotated[Path, typer.Option(help="Folder of images and records.")] = ROOT / "dist" / "robustness",
    out: Annotated[Path, typer.Option(help="Folder of the page and its figure.")] = ROOT / "docs",
    task: Annotated[list[str] | None, typer.Option(help="Only this concept; repeat the option for each.")] = None,
    attack: Annotated[list[str] | None, typer.Option(help="Only this attack; repeat the option for each.")] = None,
) -> None:
    """Measure the robustness of the sandbox's versions against every attack."""
    for folder in (work, out):
        require_writable(folder)
    for found in measure(work, task or slugs(), attack or list(BUDGETS), VERSIONS):
        write_text(out / FIGURE, figure.render(found))
        write_text(out / PAGE, page.render(found, FIGURE))
    typer.echo(out / PAGE)


if __name__ == "__main__":
    typer.run(main)
