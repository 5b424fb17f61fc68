"""Ray's workers: processes that each take one piece of work after another, wherever the cluster has room.

Conventions: a worker is an actor that keeps its networks. Where the cluster has GPUs and they are wanted, there is one
worker a GPU, otherwise as many as asked for, a processor core each. A piece of work whose worker dies is done once more
by another worker; if that dies too, the fault is taken for the work's, and everything stops with what is finished kept.
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

_PATIENCE: Final = 5.0  # seconds that a cluster has to answer
_TRIES: Final = 2
T = TypeVar("T")


class Work(Protocol):
    """What a worker does; made once in each."""

    def do(self, task: Any) -> Any:
        """One piece of it."""


class Worker:
    """The process: it stands where the driver does, knows its plugins and concepts, and tells errors as text.

    Args:
        kind: makes the work.
        arguments: of it.
        place: folder that relative paths are read from.
        plugins: files of plugins.
        environment: variables that say where the user's things lie.
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
        """A piece of work, and what went wrong: Ray hands on no exception but as a traceback."""
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
    """Have work done; each piece with what came of it, in the order of being finished.

    Args:
        kind: of the work.
        arguments: that it is made with, in every worker.
        tasks: the pieces.
        workers: at most so many; as many as the cluster has room for by default.
        device: where networks run: "cpu" leaves GPUs alone.

    Raises:
        MissingExtraError: ray is not installed.
        ClusterError: no cluster answers, or a piece of work ended two workers.
        IgmuError: as the work does.
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
                ray.kill(one)  # which may only have been out of reach
                deaths[at] += 1
                if deaths[at] == _TRIES:
                    raise ClusterError(
                        f"part {tasks[at]}: two workers died at it, one after the other. What is finished stays. See "
                        "Ray's logs; if the memory was full, take fewer --workers, a smaller --batch-size or --dtype."
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
    """Ray, connected to the cluster that RAY_ADDRESS names, or with one of its own on this machine.

    Raises:
        MissingExtraError: ray is not installed.
        ClusterError: no cluster answers.
    """
    require("ray", "ray")
    import ray

    if not ray.is_initialized():
        _require_reachable(os.environ.get("RAY_ADDRESS", ""))
        ray.init(include_dashboard=False, log_to_driver=False)
    return ray


def _deaths(ray: Any) -> tuple[type[Exception], ...]:
    """How Ray says that a worker died: of itself, with its machine, or for want of memory."""
    known = ray.exceptions
    return known.RayActorError, known.WorkerCrashedError, known.NodeDiedError, known.OutOfMemoryError


def room(workers: int | None, device: str | None) -> int:
    """How many workers there are at most; raises as `started`."""
    return _room(workers, device)[0]


def _room(workers: int | None, device: str | None) -> tuple[int, int]:
    """The same, and the number of GPUs that they use, one each."""
    found = started().cluster_resources()
    gpus = 0 if device == "cpu" else int(found.get("GPU", 0))
    most = gpus or max(1, int(found.get("CPU", 1)))
    return min(workers or most, most), gpus


def _require_reachable(address: str) -> None:
    """Refuse the address of a cluster at which nobody answers, for Ray itself would wait for minutes.

    Raises:
        ClusterError: with the address.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():  # none, "auto" or "local"
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no Ray cluster answers at RAY_ADDRESS={address} ({error}). Start it, or unset it."
        ) from error


def told(error: IgmuError) -> str:
    """An error as text: some cannot be sent from a process to another."""
    return f"{type(error).__name__}\n{error}"


def raised(text: str) -> IgmuError:
    """The error of a worker, of its own kind, from `told`."""
    name, _, message = text.partition("\n")
    kind = getattr(errors, name, IgmuError)
    error: IgmuError = kind.__new__(kind)
    Exception.__init__(error, message)
    return error
