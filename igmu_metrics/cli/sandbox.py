"""Commands of the miniature world: `igmu demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder for pictures, scorecards and report.html; a restart resumes.")] = (
        Path("igmu-demo")
    ),
    full: Annotated[bool, typer.Option("--full", help="Every prompt and seed of both tasks; takes long.")] = False,
    task: Annotated[
        str | None, typer.Option(help="church, van-gogh or both; default church, both with --full.")
    ] = None,
    seeds_per_row: Annotated[int | None, typer.Option(min=1, max=5, help="Pictures of a prompt; default 2.")] = None,
) -> None:
    """Draw with the packaged models, score what they forgot, and show it: offline, in about two minutes."""
    from igmu_data.errors import UnknownTaskError
    from igmu_metrics.sandbox import demo

    both = "both"
    task = task or (both if full else demo.slugs()[0])
    if task not in (both, *demo.slugs()):
        raise UnknownTaskError(task, [both, *demo.slugs()], f"Write --task {demo.slugs()[0]}.")
    demo.run(out, demo.slugs() if task == both else [task], full=full, seeds_per_row=seeds_per_row)
