"""Images and evaluations on many machines with Ray (`igmu_metrics.scale.pool`), with the same results as on one.

Conventions: all files must have the same paths on every machine. Each worker writes its images and tables atomically
and under unique names, so that repeated parts are not duplicated. Existing images, and tables of the same images, are
not made again, so that an interrupted run resumes. Images and cards are the same as on one machine, if the machines'
arithmetic agrees (same kind of processor, same number of threads).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import ClusterError, MetadataError
from igmu_data.files import owned
from igmu_metrics import generations
from igmu_metrics.evaluation import Advance, Evaluation
from igmu_metrics.images.generate import Request, draw_part
from igmu_metrics.images.layouts import Model, models
from igmu_metrics.images.parts import finished, gather, home, place
from igmu_metrics.images.pipelines import Pipeline
from igmu_metrics.networks.loading import require
from igmu_metrics.scale import pool
from igmu_metrics.scale import shards as sharding
from igmu_metrics.scorecard import Scorecard

PER_SHARD: Final = 256  # approximate generations per model; a dead worker costs a few seconds to a minute
PER_PART: Final = 64  # approximate number of images to generate


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
    """Measure with Ray, then merge.

    Args:
        evaluation: the evaluation.
        original: folder of the original model, or the model.
        unlearned: folders of the unlearned models, or the models.
        out: folder for the tables.
        workers: number of processes; by default as many as fit in the cluster.
        per_shard: approximate number of generations per model in a shard.
        advance: called with the progress.

    Raises:
        MissingExtraError: ray is not installed.
        ClusterError: no cluster responds, or two workers died on the same shard.
        BusyError: another process is writing to `out`.
        IgmuError: as `Evaluation.run` and `sharding.merge`.
    """
    require("ray", "ray")
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
            given = (evaluation, [replace(m, folder=m.folder.resolve()) for m in named], n, known, out.resolve())
            for _, files in pool.spread(_Looker, given, missing, workers=workers, device=evaluation.device):
                _require_here([out / name for name in files])
                advance("shards", len(files), len(missing) * len(names))
        yield from sharding.merge(out, device=evaluation.device)


class _Looker:
    """Measures one shard after another, with networks that are loaded once."""

    def __init__(self, evaluation: Evaluation, named: Sequence[Model], n: int, known: Sequence[str], out: Path) -> None:
        self._evaluation, self._n, self._known, self._out = evaluation, n, known, out
        self._original, *self._unlearned = named
        # Never closed: the worker is killed at the end, which does not harm the cache.
        self._opened = evaluation.opened()
        self._tools = self._opened.__enter__()

    def do(self, i: int) -> list[str]:
        """Write the tables of shard i; the names of their files."""
        shard = (i, self._n)
        return [
            path.name
            for path in sharding.look(
                self._evaluation,
                self._original,
                self._unlearned,
                shard,
                self._out,
                tools=self._tools,
                known=self._known,
            )
        ]


def generate(
    find: Callable[[], Pipeline],
    requests: Sequence[Request],
    out: Path,
    *,
    workers: int | None = None,
    device: str | None = None,
    per_part: int = PER_PART,
    drawn: Callable[[int], None] = lambda n: None,
    **options: Any,
) -> int:
    """Generate the missing images of a folder with Ray, then join them.

    Args:
        find: returns the pipeline, in every worker; must be picklable.
        requests: the images to generate.
        out: folder of the images.
        workers: number of processes; by default as many as fit in the cluster.
        device: device on which models run.
        per_part: approximate number of images in a part.
        drawn: called with the number of new images of each part.
        **options: as in `igmu_metrics.images.generate.draw`.

    Returns:
        The number of new images.

    Raises:
        MissingExtraError: ray is not installed.
        ClusterError: no cluster responds, two workers died on the same part, or images that a worker wrote are missing.
        BusyError: another process is writing to `out`.
        IgmuError: as `draw`.
    """
    require("ray", "ray")
    with owned(out):
        gather(out, whole=False)
        there = finished(out)
        missing = [r for r in requests if r.key not in there]
        n = max(pool.room(workers, device), round(len(missing) / per_part)) if missing else 0
        parts = sorted({home(r.row_id, n) for r in missing})
        new = 0
        given = (find, missing, out.resolve(), n, {**options, "progress": False})
        for i, made in pool.spread(_Drawer, given, parts, workers=workers, device=device) if parts else ():
            _require_here([place(out, i, n)])
            new += made
            drawn(made)
        gather(out, whole=False)
        return new


class _Drawer:
    """Generates one part after another, with a pipeline that is loaded once."""

    def __init__(
        self, find: Callable[[], Pipeline], requests: Sequence[Request], out: Path, n: int, options: Mapping[str, Any]
    ) -> None:
        found = find()
        self._pipeline = replace(found, load=lambda: self._loaded(found))
        self._requests, self._out, self._n, self._options = requests, out, n, options
        self._pipe: Any = None

    def _loaded(self, found: Pipeline) -> Any:
        self._pipe = self._pipe or found.load()
        return self._pipe

    def do(self, i: int) -> int:
        """Write the images of part i; how many are new."""
        return draw_part(self._requests, self._pipeline, self._out, (i, self._n), **self._options).n_drawn


def _require_here(paths: Sequence[Path]) -> None:
    """Check that this machine can see what a worker wrote.

    Raises:
        ClusterError: a file is missing; the message names it.
    """
    for path in paths:
        if not path.exists():
            raise ClusterError(
                f"{path}: a worker on another machine wrote this file, but the file is not visible on this machine. "
                "Choose an --out on a drive that all machines share."
            )


def _there(path: Path, evaluation: Evaluation, content: str) -> bool:
    """Whether a table of an earlier run can be reused: it has the same settings and images."""
    if not path.exists():
        return False
    try:
        facts = generations.read(path)[1]
        return bool(facts["evaluation"] == sharding.options(evaluation) and facts.get("contents") == content)
    except (MetadataError, KeyError):
        return False
