"""Ray workers: processes that do one task after another, wherever there is room in the cluster.

Conventions: a worker is an actor that keeps its networks loaded. If the cluster has GPUs that may be used, there is one
worker per GPU, otherwise one per processor core, up to the requested number. If a worker dies, another retries its task
once. If that fails too, everything stops with an error; finished tasks are kept.
"""

from __future__ import annotations

import os
import socket
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from igmu_data import errors
from igmu_data.errors import ClusterError, IgmuError
from igmu_data.taxonomy import ENVIRONMENT as CONCEPTS
from igmu_metrics import registry
from igmu_metrics.networks.loading import require

_PATIENCE: Final = 5.0  # seconds to wait for the cluster's response
_TRIES: Final = 2
T = TypeVar("T")


class Work(Protocol):
    """The work of a worker; created once in each."""

    def do(self, task: Any) -> Any:
        """Do one task."""


class Worker:
    """The worker process, with the driver's folder, plugins and concepts; it returns errors as text.

    Args:
        kind: class of the work.
        arguments: its arguments.
        place: folder to which relative paths refer.
        plugins: files of plugins.
        environment: environment variables with the paths of the user's files.
    """

    def __init__(
        self, kind: Any, arguments: Sequence[Any], place: Path, plugins: Sequence[Path], environment: Mapping[str, str]
    ) -> None:
        os.environ |= environment
        if place.is_dir():
            os.chdir(place)
        for path in plugins:
            registry.load_file(path)
        self._kind, self._arguments = kind, arguments
        self._work: Work | None = None

    def do(self, task: Any) -> tuple[Any, str]:
        """The result of a task and its error, as text because Ray passes on exceptions only with a traceback."""
        try:
            self._work = self._work or self._kind(*self._arguments)
            return self._work.do(task), ""
        except IgmuError as error:
            return None, told(error)


def spread(
    kind: type[Work],
    arguments: Sequence[Any],
    tasks: Sequence[T],
    *,
    workers: int | None = None,
    device: str | None = None,
) -> Iterator[tuple[T, Any]]:
    """Do tasks with workers; yields each task with its result, in the order in which they finish.

    Args:
        kind: class of the work.
        arguments: its arguments, in every worker.
        tasks: the tasks.
        workers: maximum number of workers; by default as many as fit in the cluster.
        device: device to run the networks on; "cpu" means that no GPUs are used.

    Raises:
        MissingExtraError: ray is not installed.
        ClusterError: no cluster responds, or two workers died on the same task.
        IgmuError: raised by the work.
    """
    ray = started()
    most, gpus = _room(workers, device)
    actor = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_restarts=0)(Worker)
    concepts = os.environ.get(CONCEPTS)
    given = (kind, arguments, Path.cwd(), registry.files(), {CONCEPTS: concepts} if concepts else {})
    waiting, deaths = deque(range(len(tasks))), Counter[int]()
    idle: list[Any] = []
    busy: dict[Any, tuple[Any, int]] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < most:
                at, one = waiting.popleft(), idle.pop() if idle else actor.remote(*given)
                busy[one.do.remote(tasks[at])] = one, at
            (ready,), _ = ray.wait(list(busy), num_returns=1)
            one, at = busy.pop(ready)
            try:
                found, wrong = ray.get(ready)
            except _deaths(ray) as error:
                ray.kill(one)  # it may only have been unreachable
                deaths[at] += 1
                if deaths[at] == _TRIES:
                    raise ClusterError(
                        f"part {tasks[at]} failed, because two workers died while processing it. Finished parts are "
                        "kept. See Ray's logs; if memory ran out, use fewer --workers, a smaller --batch-size or, "
                        "to generate images, a lower precision ('igmu generate --dtype')."
                    ) from error
                waiting.appendleft(at)
                continue
            idle.append(one)
            if wrong:
                raise raised(wrong)
            yield tasks[at], found
    finally:
        for one in [*idle, *(one for one, _ in busy.values())]:
            ray.kill(one)


def started() -> Any:
    """Ray, connected to the cluster at RAY_ADDRESS, or to a new one on this machine.

    Raises:
        MissingExtraError: ray is not installed.
        ClusterError: no cluster responds.
    """
    require("ray", "ray")
    import ray

    if not ray.is_initialized():
        _require_reachable(os.environ.get("RAY_ADDRESS", ""))
        ray.init(include_dashboard=False, log_to_driver=False)
    return ray


def _deaths(ray: Any) -> tuple[type[Exception], ...]:
    """Ray's exceptions for a dead worker: it crashed, its machine died, or memory ran out."""
    known = ray.exceptions
    return known.RayActorError, known.WorkerCrashedError, known.NodeDiedError, known.OutOfMemoryError


def room(workers: int | None, device: str | None) -> int:
    """Maximum number of workers. Raises the same errors as `started`."""
    return _room(workers, device)[0]


def _room(workers: int | None, device: str | None) -> tuple[int, int]:
    """Maximum number of workers, and the number of GPUs that they use, one each."""
    found = started().cluster_resources()
    gpus = 0 if device == "cpu" else int(found.get("GPU", 0))
    most = gpus or max(1, int(found.get("CPU", 1)))
    return min(workers or most, most), gpus


def _require_reachable(address: str) -> None:
    """Refuse the address of a cluster that does not respond, since Ray itself would wait for minutes.

    Raises:
        ClusterError: the cluster does not respond; the message gives the address.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():  # none, "auto" or "local"
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no Ray cluster responds at RAY_ADDRESS={address} ({error}). Start the cluster, or unset RAY_ADDRESS."
        ) from error


def told(error: IgmuError) -> str:
    """An error as text, because some cannot be pickled."""
    return f"{type(error).__name__}\n{error}"


def raised(text: str) -> IgmuError:
    """The error that a worker reported with `told`, with its original type."""
    name, _, message = text.partition("\n")
    kind = getattr(errors, name, IgmuError)
    error: IgmuError = kind.__new__(kind)
    Exception.__init__(error, message)
    return error
