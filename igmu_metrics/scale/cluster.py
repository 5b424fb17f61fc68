"""One evaluation over many machines with Ray Data: shards go to workers, tables come back, and merging gives the cards.

Conventions: workers are processes that hold the networks and look at one shard after another (see `sharding`); pictures
and plugin files must lie under the same paths on every machine. A shard whose worker dies is looked at again by
another one. The driver writes each table under its own name, whole or not at all, so that a shard that comes twice is
there once; tables of the same images that are there already are not made again, so that a restart goes on. The cards
are those of one machine, as far as the machines' arithmetic agrees (same kind of processor, same number of threads).
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from igmu_data import errors
from igmu_data.errors import ClusterError, IgmuError, MetadataError, OutputError
from igmu_data.files import beside, owned
from igmu_data.taxonomy import ENVIRONMENT as CONCEPTS
from igmu_metrics import generations, registry
from igmu_metrics.evaluation import Advance, Evaluation
from igmu_metrics.images.layouts import Model, models
from igmu_metrics.networks.loading import require
from igmu_metrics.scale import shards as sharding
from igmu_metrics.scorecard import Scorecard

_PATIENCE: Final = 5.0  # seconds that a cluster has to answer
PER_SHARD: Final = 256  # generations a model, about: a few seconds to a minute that a dead worker costs


def run(
    evaluation: Evaluation,
    original: Path | Model,
    unlearned: Sequence[Path | Model],
    out: Path,
    *,
    workers: int | None = None,
    per_shard: int = PER_SHARD,
    advance: Advance = lambda what, done, total: None,
) -> Iterator[Scorecard]:
    """Look with Ray, then merge.

    Args:
        evaluation: how.
        original: folder of the original model, or the model.
        unlearned: of the unlearned models.
        out: folder of the tables.
        workers: processes that look; as many as the cluster has room for by default.
        per_shard: generations of a model in a shard, about.
        advance: told about progress.

    Raises:
        MissingExtraError: ray is not installed.
        BusyError: another process is writing to `out`.
        IgmuError: as `Evaluation.run` and `sharding.merge`.
    """
    require("ray", "ray")
    import ray

    with owned(out):
        tables = evaluation.found(original, unlearned)
        n = max(1, round(len(tables[0]) / per_shard))
        named = models(original, unlearned)
        names = [model.name for model in named]
        known = [sharding.contents(table) for table in tables]
        missing = [
            i
            for i in range(1, n + 1)
            if not all(
                _there(out / sharding.file_name(name, i, n), evaluation, content)
                for name, content in zip(names, known, strict=True)
            )
        ]
        if missing:
            if not ray.is_initialized():
                _require_reachable(os.environ.get("RAY_ADDRESS", ""))
                ray.init(include_dashboard=False, log_to_driver=False)
            resolved = [replace(model, folder=model.folder.resolve()) for model in named]
            looked = ray.data.from_items([{"shard": i} for i in missing], override_num_blocks=len(missing)).map_batches(
                _Looker,
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=workers or max(1, int(ray.cluster_resources().get("CPU", 1)))),
                num_cpus=1,
                num_gpus=1 if ray.cluster_resources().get("GPU") else 0,
                fn_constructor_args=(evaluation, resolved, n, registry.files(), known, os.environ.get(CONCEPTS, "")),
            )
            for row in looked.iter_rows():
                if row["error"]:
                    raise _raised(row["error"])
                _write(out / row["name"], row["data"])
                advance("shards", 1, len(missing) * len(names))
        yield from sharding.merge(out, device=evaluation.device)


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


class _Looker:
    """One worker: the networks, loaded once."""

    def __init__(
        self,
        evaluation: Evaluation,
        named: Sequence[Model],
        n: int,
        plugins: Sequence[Path],
        known: Sequence[str],
        concepts: str,
    ) -> None:
        os.environ |= {CONCEPTS: concepts} if concepts else {}
        for path in plugins:
            registry.load_file(path)
        self._evaluation, self._n, self._known = evaluation, n, known
        self._original, *self._unlearned = named
        # Never closed: the worker is killed at the end, which the cache survives.
        self._opened = evaluation.opened()
        self._tools = self._opened.__enter__()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {"name": [], "data": [], "error": []}
        for i in batch["shard"]:
            with tempfile.TemporaryDirectory() as place:
                try:
                    files = sharding.look(
                        self._evaluation,
                        self._original,
                        self._unlearned,
                        (int(i), self._n),
                        Path(place),
                        tools=self._tools,
                        known=self._known,
                    )
                except IgmuError as error:
                    files, told = [Path()], _told(error)
                else:
                    told = ""
                for file in files:
                    found["name"].append(file.name)
                    found["data"].append(b"" if told else file.read_bytes())
                    found["error"].append(told)
        return found


def _told(error: IgmuError) -> str:
    """An error as text: Ray hands on no exception but as a traceback."""
    return f"{type(error).__name__}\n{error}"


def _raised(told: str) -> IgmuError:
    """The error that a worker told of, of its own kind."""
    name, _, message = told.partition("\n")
    kind = getattr(errors, name, IgmuError)
    error: IgmuError = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


def _there(path: Path, evaluation: Evaluation, content: str) -> bool:
    """Whether a table of an earlier run can be taken: made alike, of the same images."""
    if not path.exists():
        return False
    try:
        facts = generations.read(path)[1]
        return bool(facts["evaluation"] == sharding.options(evaluation) and facts.get("contents") == content)
    except (MetadataError, KeyError):
        return False


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as part:
            part.write_bytes(data)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}. Make room, or choose another --out.") from error
