"""Generates, scores, compares and reports; a second run does only what is still missing.

The folder of a run:

- `run.yaml`: the last plan, as a run file, and `models.json`: the revision of each model;
- `images/<config>/<model>/`: images with their `metadata.jsonl`, or the original's reference table;
- `cards/<model>.<config>.json`: scorecards; `report.html`: the report on all of them;
- `tables/<config>/`: tables of the Ray workers, if there were any;
- `concepts/`: the files of the user's own concepts, if the run uses any.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from igmu_data.configs import config_concepts, config_target
from igmu_data.errors import InputError, MetadataError, OutOfRangeError
from igmu_data.files import owned, read_text, require_writable
from igmu_data.load import bench_rows
from igmu_data.numerals import counted, duration
from igmu_data.progress import Advance, bars
from igmu_data.rows.rounds import rounds_of, rows_of
from igmu_data.schema import Row
from igmu_data.taxonomy import CONCEPTS, ENVIRONMENT, own_files
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.generations import Key
from igmu_metrics.images import baselines, sequential
from igmu_metrics.images.generate import Request, draw, draw_part, file_of, requests_for, seeds_note, settled_alike
from igmu_metrics.images.generate import told as settings_told
from igmu_metrics.images.layouts import METADATA, Model, part_folders
from igmu_metrics.images.pipelines import Pipeline, find_pipeline, require_no_model
from igmu_metrics.images.presets import Settings
from igmu_metrics.report import page
from igmu_metrics.report.folders import sections
from igmu_metrics.report.templates import require_page
from igmu_metrics.running import original as reference
from igmu_metrics.running.foreseen import foreseen, require_labelled
from igmu_metrics.running.looking import first_look, looked, require_decidable
from igmu_metrics.running.plan import ORIGINAL, Plan, checked, differences, read, written
from igmu_metrics.scale import cluster
from igmu_metrics.scorecard import CARDS, PLAN, Scorecard, write, write_text
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict.criteria import Unsettled
from igmu_metrics.verdict.places import card_name

MODELS: Final = "models.json"
IMAGES: Final = "images"
REPORT: Final = "report.html"
TABLES: Final = "tables"
_FIRST: Final = 8  # number of images after which the time is estimated


@dataclass(frozen=True, slots=True)
class Job:
    """One concept of a run.

    Args:
        config: its config.
        rows: the corpus rows of the run.
        requests: the images that every model generates.
        settings: the settings of each image, for every model.
        folders: folder of each model's images, the original first.
        pipelines: pipeline of each model; none for an original that is a reference table.
        finds: functions that return the pipelines, in any process.
        generation: steps, guidance scale, width and height; None if rows or presets determine them.
        recorded: the original's reference table, if there is one.
    """

    config: str
    rows: Sequence[Row]
    requests: Sequence[Request]
    settings: Sequence[Settings]
    folders: Mapping[str, Path]
    pipelines: Mapping[str, Pipeline]
    finds: Mapping[str, Callable[[], Pipeline]]
    generation: Mapping[str, Any]
    recorded: Path | None = None

    def missing(self, model: str) -> int:
        """Number of missing images, according to the metadata of the folder and its parts."""
        folder = self.folders[model]
        lists = [p for one in (folder, *part_folders(folder)) if (p := one / METADATA).is_file()]
        return max(0, len(self.requests) - sum(path.read_bytes().count(b"\n") for path in lists))


@dataclass(frozen=True, slots=True)
class Where:
    """Where a run does its work.

    Args:
        shard: (i, n), from 1, to generate only one part of the images; None for everything.
        ray: whether to use Ray workers.
        workers: maximum number of Ray workers; None for as many as fit.
    """

    shard: tuple[int, int] | None = None
    ray: bool = False
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A finished run.

    Args:
        cards: the scorecards, by config.
        unsettled: what interim checks left undecided; empty for a run without them.
    """

    cards: list[Scorecard]
    unsettled: list[Unsettled]


def prepare(
    plan: Plan, out: Path, *, device: str | None = None, trust_code: bool = False, where: Where = Where()
) -> list[Job]:
    """Find all models, detectors and networks and select the rows of each concept, without generating anything.

    Args:
        plan: the run.
        out: its folder.
        device: "cpu", "cuda", …; None for a GPU if available.
        trust_code: whether code that a model specifies may run.
        where: where the work will be done.

    Raises:
        MetadataError: the folder belongs to another run.
        IgmuError: the plan, models, corpus, detector or networks are invalid.
    """
    checked(plan)
    if where.shard is not None and plan.until is not None:
        raise InputError("--until and --shard are both given, but interim checks require the whole run. Omit --shard.")
    require_writable(out / CARDS)
    require_page(out / REPORT)
    require_no_model(out)
    require_alike(plan, out)
    of = {name: plan.scoring.get(name) for name in ("bench", "revision")}
    every = {config: bench_rows(config, **of) for config in plan.configs}
    chosen = rows_asked(plan, {config: rows.values() for config, rows in every.items()})
    jobs, tables = [], []
    found: dict[tuple[str, str | None], Pipeline] = {}  # finding a pipeline hashes its weights, so do it once
    for config, rows in chosen.items():
        pipelines, finds = {}, {}
        table = reference.found(plan.original, every[config])
        for name, spec in (plan.models if table is None else plan.unlearned).items():
            key = spec, config_target(config) if baselines.parse(spec)[0] else None
            finds[name] = partial(
                find_pipeline,
                spec,
                device=device,
                dtype=plan.generation.dtype,
                trust_code=trust_code,
                target=key[1],
                compiled=plan.generation.compile,
            )
            if key not in found:
                found[key] = finds[name]()
            pipelines[name] = found[key]
        folders = {name: out / IMAGES / config / name for name in plan.models}
        requests = requests_for(rows, seeds_per_row=plan.seeds_per_row)
        how = reference.completed(plan.generation.settings, table)
        settings = settled_alike(requests, pipelines, config, **how)
        job = Job(config, rows, requests, settings, folders, pipelines, finds, how, reference.path_of(table))
        jobs.append(job)
        if table is not None:
            schedulers = {name: pipeline.scheduler for name, pipeline in pipelines.items()}
            reference.require_alike(table, requests, settings, plan.generation.dtype, plan.original, schedulers)
        tables.append(table)
    for job, table in zip(jobs, tables, strict=True):
        # Detect early that a detector cannot be loaded or is missing from the reference table, not after hours.
        evaluation = Evaluation(job.config, **{"device": device, **plan.scoring})
        with evaluation.opened() as tools:
            if table is not None:
                evaluation.measured(table, tools, ORIGINAL)
            require_labelled(tools, [job.folders[m] / file_of(r) for m in job.pipelines for r in job.requests])
            start = min(row.round for row in job.rows)
            first = {row.id for row in job.rows if row.round == start}
            scores = foreseen(evaluation, job.rows, [r for r in job.requests if r.row_id in first], tools)
            whole = partial(foreseen, evaluation, job.rows, job.requests, tools)
            require_decidable(plan, scores, f"a scorecard of {job.config}", whole)
    if plan.until is not None and plan.max_images is not None and sum(_first_looks(jobs)) > plan.max_images:
        raise OutOfRangeError(
            f"--max-images is {plan.max_images}, but the first check alone requires {sum(_first_looks(jobs))} "
            "images. Set it to a larger number."
        )
    return jobs


def _first_looks(jobs: Sequence[Job]) -> list[int]:
    """How many images the first look of each concept takes, over all models."""
    return [len(first_look(job.rows, job.requests)) * len(job.pipelines) for job in jobs]


def rows_asked(plan: Plan, every: Mapping[str, Iterable[Row]]) -> dict[str, list[Row]]:
    """The rows of the protocol; without interim checks, those of as many rounds as the number of images allows.

    Args:
        plan: the run.
        every: all rows of each of its concepts.

    Raises:
        OutOfRangeError: not even one round fits.
    """
    chosen = {config: rows_of(plan.protocol, rows) for config, rows in every.items()}
    most = plan.max_images
    if plan.until is not None or most is None:
        return chosen
    size, models = 0, len(plan.models) - (reference.tables(plan.original) is not None)
    for rounds in range(rounds_of(plan.protocol), 0, -1):
        fewer = {config: [r for r in rows if r.round <= rounds] for config, rows in chosen.items()}
        size = sum(len(requests_for(rows, seeds_per_row=plan.seeds_per_row)) for rows in fewer.values())
        if size * models <= most:
            return fewer
    raise OutOfRangeError(
        f"max_images is {most}, but one round alone requires {size * models} images. Set it to at least "
        f"{size * models}."
    )


def require_alike(plan: Plan, out: Path) -> None:
    """Refuse the folder of another run; a run that ended before its first image may be corrected in its folder.

    Raises:
        MetadataError: the run differs; the message says in what.
    """
    path = out / PLAN
    if not any(p.is_file() for p in (out / IMAGES).rglob("*")):
        return
    if path.is_file() and (why := differences(read(path), plan)):
        raise MetadataError(
            f"{path}: this folder belongs to a different run: {'; '.join(why)}. Use the same settings as in the first "
            "run, or choose another --out. (You may add rounds, models and concepts and, without --until, seeds.)"
        )
    for place, text in _own(plan, out).items():
        if place.is_file() and read_text(place) != text:
            raise MetadataError(f"{place}: the concept has changed since this run was started. Choose another --out.")


def _own(plan: Plan, out: Path) -> dict[Path, str]:
    """The texts of the user's own concepts in a run, by the path of the copy."""
    names = {name for config in plan.configs for name in config_concepts(config)}
    return {out / CONCEPTS / f"{n}.toml": read_text(path) for n, path in own_files().items() if n in names}


def run_of(card: Path) -> Path | None:
    """The folder of the run whose scorecards include a file; None for a file elsewhere."""
    out = card.parent.parent
    return out if card.parent.name == CARDS and (out / PLAN).is_file() else None


def concepts_of(out: Path) -> Path | None:
    """The folder of the user's own concepts in a run's folder, unless others are requested."""
    folder = out / CONCEPTS
    return folder if (out / PLAN).is_file() and folder.is_dir() and not os.environ.get(ENVIRONMENT) else None


def told(jobs: Sequence[Job], plan: Plan | None = None) -> str:
    """How many images a run has (at most, with interim looks), how many are missing, and how they are generated."""
    total = sum(len(job.requests) * len(job.pipelines) for job in jobs)
    each = ", ".join(f"{job.config} {counted(len({r.row_id for r in job.requests}), 'prompt')}" for job in jobs)
    models = counted(len(jobs[0].pipelines), "model")
    models += " against a reference table" if jobs[0].recorded is not None else ""
    most = "" if plan is None or plan.until is None else "at most "
    how = settings_told([s for job in jobs for s in job.settings])
    images = f"{most}{counted(total, 'image')}, of which {missing(jobs):,} must be generated"
    notes = dict.fromkeys(filter(None, (seeds_note(job.rows, job.requests) for job in jobs)))
    return "\n".join((f"{models}, {each}: {images}", how, *notes))


def missing(jobs: Sequence[Job]) -> int:
    """Number of missing images of a run."""
    return sum(job.missing(model) for job in jobs for model in job.pipelines)


def run(plan: Plan, out: Path, *, device: str | None = None, trust_code: bool = False, where: Where = Where()) -> Done:
    """Do the run; a second call does only what is missing.

    Args:
        plan: the run.
        out: its folder.
        device: device of models, detector and networks.
        trust_code: whether code that a model specifies may run.
        where: where the work is done.

    Returns:
        The scorecards, by config, none for a shard; and what is undecided.

    Raises:
        BusyError: another process is using the folder.
        IgmuError: anything is wrong; finished parts are kept.
    """
    jobs = prepare(plan, out, device=device, trust_code=trust_code, where=where)
    if where.shard is not None:  # the images of shards are in separate folders, each with its own lock
        _begin(plan, out, jobs)
        for job in jobs:
            for model, pipeline in job.pipelines.items():
                draw_part(job.requests, pipeline, job.folders[model], where.shard, **_options(job, plan, model))
        return Done([], [])
    with owned(out):
        require_alike(plan, out)  # another run may have started there in the meantime
        return _run(plan, out, jobs, device, where)


def _begin(plan: Plan, out: Path, jobs: Sequence[Job]) -> None:
    _require_loadable(jobs)
    write_text(out / PLAN, written(plan))
    write_text(out / MODELS, _revisions(jobs))
    for place, text in _own(plan, out).items():
        write_text(place, text)
    for job in jobs:
        if job.recorded is not None:
            reference.kept(job.recorded, job.folders[ORIGINAL])
    sys.stderr.write(told(jobs, plan) + "\n")


def _options(job: Job, plan: Plan, model: str) -> dict[str, Any]:
    """The options for generating a model's images."""
    how = {"batch_size": plan.generation.batch_size, "method": plan.methods.get(model)}
    return how | dict(job.generation)


def _run(plan: Plan, out: Path, jobs: Sequence[Job], device: str | None, where: Where) -> Done:
    _begin(plan, out, jobs)
    done = _looked(plan, out, jobs, device, where) if plan.until is not None else Done([], [])
    pace = Pace(missing(jobs))
    for job in jobs if plan.until is None else ():
        for model in job.pipelines:
            _generated(job, plan, model, job.requests, device, where, pace.drawn)
    with bars() as advance:
        for job in jobs if plan.until is None else ():
            keys = {r.key for r in job.requests}
            tables = out / TABLES / job.config if where.ray else None
            for card in _scored(job, plan, list(job.folders)[1:], keys, device, advance, tables=tables, where=where):
                write(card, out / CARDS / card_name(card.model, job.config))
                done.cards.append(card)
        bench = plan.scoring.get("bench")
        page.write(out / REPORT, *sections(done.cards, images=out / IMAGES, bench=bench), advance=advance)
    return done


def _require_loadable(jobs: Sequence[Job]) -> None:
    """Load every model that will generate once, so that an error in the last one does not waste hours. The first model
    is loaded immediately anyway.
    """
    waiting = {id(p): p for job in jobs for model, p in job.pipelines.items() if job.missing(model)}
    for pipeline in list(waiting.values())[1:]:
        pipeline.load()


def _revisions(jobs: Sequence[Job]) -> str:
    found: dict[str, Any] = {
        job.config: {m: {"model": p.name, "revision": p.revision, "dtype": p.dtype} for m, p in job.pipelines.items()}
        for job in jobs
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _generated(
    job: Job,
    plan: Plan,
    model: str,
    requests: Sequence[Request],
    device: str | None,
    where: Where,
    drawn: Callable[[int], None] = lambda n: None,
) -> None:
    folder, how = job.folders[model], _options(job, plan, model) | {"drawn": drawn}
    if where.ray:
        given = {"workers": where.workers, "device": device, **how}
        cluster.generate(job.finds[model], requests, folder, **given)
    else:
        draw(requests, job.pipelines[model], folder, **how)


def _scored(
    job: Job,
    plan: Plan,
    models: Sequence[str],
    only: Collection[Key],
    device: str | None,
    advance: Advance,
    look: Looks | None = None,
    tables: Path | None = None,
    where: Where = Where(),
) -> Iterator[Scorecard]:
    evaluation = Evaluation(
        job.config,
        **{"device": device, **plan.scoring},
        looks=None if look is None else str(look),
        only=frozenset(only),
    )
    folders = Model(ORIGINAL, job.folders[ORIGINAL]), [Model(name, job.folders[name]) for name in models]
    if tables is not None:
        return cluster.run(evaluation, *folders, tables, workers=where.workers, advance=advance)
    return evaluation.run(*folders, advance)


def _looked(plan: Plan, out: Path, jobs: Sequence[Job], device: str | None, where: Where) -> Done:
    """The cards of a run with a look after every round, and what is undecided; scoring is done in this process."""
    left, first = plan.max_images, _first_looks(jobs)
    done = Done([], [])
    for at, job in enumerate(jobs):

        def score(model: str, keys: frozenset[Key], look: Looks, job: Job = job) -> Scorecard:
            for name in (model, *([] if job.recorded is not None else [ORIGINAL])):
                sequential.record(job.folders[name], look, keys if name == model else ())
            with bars() as advance:
                return next(_scored(job, plan, [model], keys, device, advance, look))

        def generate(model: str, requests: Sequence[Request], job: Job = job) -> None:
            _generated(job, plan, model, requests, device, where)

        cards, size, unsettled = looked(
            plan,
            rounds_of(plan.protocol),
            job.rows,
            job.requests,
            list(plan.unlearned),
            generate=generate,
            score=score,
            tell=lambda line: sys.stderr.write(line + "\n"),
            most=None if left is None else left - sum(first[at + 1 :]),  # every concept gets its first look
            original=job.recorded is None,
        )
        left = None if left is None else left - size
        for card in cards:
            write(card, out / CARDS / card_name(card.model, job.config))
        done.cards.extend(cards)
        done.unsettled.extend(unsettled)
    return done


def images_of(card: Path, model: str, config: str) -> tuple[Path, Path] | None:
    """The folders of the model's and the original's images for a card in the folder of a run; None for other cards.

    Args:
        card: path of the card, which may have any name.
        model: name of the model according to the card.
        config: config according to the card.

    Raises:
        MetadataError: the card is in the folder of a run that has no images for this model and config.
    """
    out = run_of(card)
    if out is None:
        return None
    for folder in (out / IMAGES).glob("*/*"):
        if (folder.name, folder.parent.name) == (model, config):
            return folder, folder.parent / ORIGINAL
    raise MetadataError(
        f"{out / IMAGES} contains no images of {model!r} for {config}. Restore the images, or copy the scorecard out "
        "of the run's folder to check only the scorecard."
    )


class Pace:
    """Prints an estimate of the total time after the first images.

    Args:
        total: number of images to generate.
        clock: returns seconds, for tests.
        write: prints the estimate; by default to stderr.
    """

    def __init__(
        self,
        total: int,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[str], object] | None = None,
    ) -> None:
        self._total, self._clock, self._write = total, clock, write or sys.stderr.write
        self._done, self._begun, self._said = 0, clock(), False

    def drawn(self, n: int) -> None:
        """Record that `n` more images are finished."""
        if not self._done:  # the first batch includes loading the model
            self._begun = self._clock()
        elif not self._said and self._done + n > _FIRST:
            each = (self._clock() - self._begun) / self._done
            left = each * (self._total - self._done - n)
            n_left = counted(self._total - self._done - n, "image")
            self._write(f"{each:.2g} s per image; generating the remaining {n_left} takes about {duration(left)}\n")
            self._said = True
        self._done += n
