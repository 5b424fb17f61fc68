"""Progress on stderr: bars in a terminal, nothing but a line at the end of each step elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from igmu_data.media import visible

Advance = Callable[[str, int, int], None]
"""Told what, how many more of it are done, and of how many."""


@contextmanager
def bars() -> Iterator[Advance]:
    """Yield `advance(what, done, total)`: `done` more of `total` steps of `what` are finished."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True, markup=False))
    tasks: dict[str, TaskID] = {}

    def advance(what: str, done: int, total: int) -> None:
        progress.start()  # not before: it ends with a line, which would stand above an error
        if what not in tasks:
            tasks[what] = progress.add_task(visible(what), total=total)
        progress.advance(tasks[what], done)

    try:
        yield advance
    finally:
        if tasks:
            progress.stop()


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Without the bars that transformers and diffusers, if imported, show for each part of a model on disk."""
    logs = [sys.modules.get(f"{name}.utils.logging") for name in ("transformers", "diffusers")]
    shown = [log for log in logs if log is not None and log.is_progress_bar_enabled()]
    for log in shown:
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log in shown:
            log.enable_progress_bar()
