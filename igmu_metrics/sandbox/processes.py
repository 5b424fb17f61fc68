"""Images of several packaged models at once: a process of one thread for each core.

Torch's threads spin while they wait, so that two of them take several times as long as one where another process is
busy. Models as small as these are faster in one process per core, busy or not, and the files are the same to the byte:
on a CPU every call has one shape, whatever the number of threads (`igmu_metrics.images.generate`).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Final

from igmu_data.errors import IgmuError
from igmu_data.progress import Advance
from igmu_metrics.images.generate import Request, draw
from igmu_metrics.images.parts import finished
from igmu_metrics.images.pipelines import Pipeline, find_pipeline
from igmu_metrics.scale.pool import raised, told

_SECONDS: Final = 0.5  # between two looks at what is there


def generate(
    requests: Sequence[Request], pipelines: Mapping[Path, Pipeline], advance: Advance, *, processes: int
) -> None:
    """Generate what is missing with packaged models on the CPU, each into its folder.

    Args:
        requests: what every model is asked for.
        pipelines: by folder, of `find_pipeline` by name alone.
        advance: told how many images are there.
        processes: at most so many at once.

    Raises:
        IgmuError: as `draw` does, of the first model that failed; what the others have finished stays.
    """
    wanted = {r.key for r in requests}

    def there(folder: Path) -> int:
        return len(wanted & finished(folder))

    counts = {folder: there(folder) for folder in pipelines}
    missing = {folder: len(wanted) - n for folder, n in counts.items() if n < len(wanted)}
    with _pool(min(processes, len(missing))) as pool:
        left = {pool.submit(_draw, requests, pipelines[folder].name, folder): folder for folder in missing}
        while left:
            done, _ = wait(left, _SECONDS, FIRST_COMPLETED)
            for folder in left.values():
                n = there(folder)
                advance("generating", n - counts[folder], sum(missing.values()))
                counts[folder] = n
            for one in done:
                del left[one]
                if error := one.result():
                    raise raised(error)


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one, and at once where it stops with an error."""
    # Spawned, for a fork of a process that runs torch's threads may hang.
    pool = ProcessPoolExecutor(processes or 1, get_context("spawn"), _begin)
    try:
        yield pool
    except BaseException:
        for process in active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """One thread of torch; and no life without the parent, which may be killed."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it as well, and ends this process
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            wait_for([parent.sentinel])
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _draw(requests: Sequence[Request], name: str, folder: Path) -> str:
    """What went wrong, as text: not every error can be sent from a process to another."""
    try:
        draw(requests, find_pipeline(name), folder, progress=False)
    except IgmuError as error:
        return told(error)
    return ""
