"""Images and evaluations over many machines with Ray (`igmu_metrics.scale.pool`): what one machine makes, to the byte.

Conventions: what is read and written must lie under the same paths on every machine. Images and tables are written by
the worker that makes them, whole or not at all and under names of their own, so that a part that is made twice is there
once; tables of the same images that are there already are not made again, nor are images, so that a restart goes on.
Images and cards are those of one machine, as far as the machines' arithmetic agrees (same kind of processor, same
number of threads).
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

PER_SHARD: Final = 256  # generations a model, about: a few seconds to a minute that a dead worker costs
PER_PART: Final = 64  # images to generate, about


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
        ClusterError: no cluster answers, or a shard ended two workers.
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
    """Looks at one shard after another, with networks that are loaded once."""

    def __init__(self, evaluation: Evaluation, named: Sequence[Model], n: int, known: Sequence[str], out: Path) -> None:
        self._evaluation, self._n, self._known, self._out = evaluation, n, known, out
        self._original, *self._unlearned = named
        # Never closed: the worker is killed at the end, which the cache survives.
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
    """Generate with Ray what a folder lacks, then join.

    Args:
        find: gives the pipeline, in every worker; can be pickled.
        requests: what to generate.
        out: folder of the images.
        workers: processes that generate; as many as the cluster has room for by default.
        device: where models run.
        per_part: images in a part, about.
        drawn: told how many images a part has brought.
        **options: as of `igmu_metrics.images.generate.draw`.

    Returns:
        How many images are new.

    Raises:
        MissingExtraError: ray is not installed.
        ClusterError: no cluster answers, a part ended two workers, or an image is not here that one says it wrote.
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
    """Refuse what a worker wrote where this machine cannot see it.

    Raises:
        ClusterError: names it.
    """
    for path in paths:
        if not path.exists():
            raise ClusterError(
                f"{path}: a worker wrote it on its own machine, and it is not here. Give an --out on a drive that all "
                "machines share."
            )


def _there(path: Path, evaluation: Evaluation, content: str) -> bool:
    """Whether a table of an earlier run can be taken: made alike, of the same images."""
    if not path.exists():
        return False
    try:
        facts = generations.read(path)[1]
        return bool(facts["evaluation"] == sharding.options(evaluation) and facts.get("contents") == content)
    except (MetadataError, KeyError):
        return False
