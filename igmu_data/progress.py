"""Progress on stderr: bars in a terminal; otherwise plain lines at intervals and at the end of each step."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from igmu_data.media import visible

Advance = Callable[[str, int, int], None]
"""Called with the name of a step, the number of newly finished items, and their total."""
_EVERY: Final = 30.0  # seconds between two lines of one step


@contextmanager
def bars() -> Iterator[Advance]:
    """Yield `advance(what, done, total)`: `done` more of `total` steps of `what` are finished."""
    from rich.console import Console

    console = Console(stderr=True, markup=False)
    # The kernel of a notebook sets these two for `!igmu …`: a terminal, but one that cannot move the cursor up, so bars
    # would pile up in the output.
    notebook = (os.environ.get("TERM"), os.environ.get("PAGER")) == ("xterm-color", "cat")
    if notebook or console.is_jupyter or not console.is_interactive:
        yield _Lines().advance
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console)
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


class _Lines:
    """Progress without a terminal: few lines, as a log keeps every line.

    Args:
        clock: seconds, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._done: dict[str, int] = {}
        self._said: dict[str, float] = {}

    def advance(self, what: str, done: int, total: int) -> None:
        """See `Advance`."""
        now = self._clock()
        self._said.setdefault(what, now)
        before = self._done.get(what, 0)
        self._done[what] = before + done
        finished = before < total <= before + done
        if finished or now - self._said[what] >= _EVERY:
            self._said[what] = now
            sys.stderr.write(f"{visible(what)}: {self._done[what]} of {total}\n")


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Hide the progress bars of transformers and diffusers, if imported, for the parts of a model."""
    logs = [sys.modules.get(f"{name}.utils.logging") for name in ("transformers", "diffusers")]
    shown = [log for log in logs if log is not None and log.is_progress_bar_enabled()]
    for log in shown:
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log in shown:
            log.enable_progress_bar()
