"""Runs that are replayed on models whose truth is known: where each question of the verdict stops, and how right it is.

The plan of a run (`igmu_metrics.running.looking.looked`) asks for images look by look; it is handed the rows of the
model's table that it asked for, scored by the metrics at the level of a look. Every question stops by itself, as in a
run.

Conventions:

- A *model* is one of the packaged versions or of the models in steps (`builders.graded`) on the prompts of its task, or
  one of the audit's virtual ones on prompts drawn for it. Its truth is what its recipe says; without a recipe, what all
  of its kept images say.
- The *full run* has every prompt and kept seed, one look and intervals of 95%; a *fixed design*, some of its rounds.
- A *cell* is one question of one model, stopped by one rule or measured by one fixed design.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from builders.benchmarks.looks import ROUNDS, WORDS, Stop, wrong
from igmu_data.progress import bars
from igmu_data.rows.rounds import spread
from igmu_data.schema import Row
from igmu_metrics import registry
from igmu_metrics.contract import Setting, scored
from igmu_metrics.evaluation import both, facts
from igmu_metrics.generations import ORIGINAL, Generations, Key
from igmu_metrics.images.generate import requests_for
from igmu_metrics.metrics._contract import parts
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.report.verdict import ASKED
from igmu_metrics.report.wording import grade
from igmu_metrics.running.looking import looked, settled
from igmu_metrics.running.plan import DECIDED, GRADED, Plan
from igmu_metrics.sandbox import demo
from igmu_metrics.sandbox.audit.mixtures import PARTS, Pool, Recipe, recipes, serve, truth
from igmu_metrics.scorecard import Figure, Scorecard, ScoreEntry
from igmu_metrics.statistics.level import LEVEL, at_level
from igmu_metrics.statistics.looks import Looks

CORPUS: Final = {"forget": 80, "adversarial": 510, "retain": 176}
"""Prompts of `object.church` in corpus 1.0, without those that are counted by themselves."""
VERSIONS: Final = "versions"
STEPS: Final = "models in steps"
MIXTURES: Final = "mixtures"
LARGE: Final = "mixtures, as many prompts as corpus 1.0"
FIXED: Final = (1, 2, 5, ROUNDS)
RESAMPLES: Final = 100  # of bootstraps, which no word and no interval of a question rests on
ASPECT: Final = dict(zip(ASKED, ASPECTS, strict=False))  # by split, what is true of it
_EDGE: Final = 1e-9
_MODEL: Final = "model"


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model with all images that there are of it.

    Args:
        name: what it is called.
        group: VERSIONS, STEPS, MIXTURES or LARGE.
        task: whose prompts.
        table: every row and seed, both models, measured.
        rounds: of the protocol, by prompt.
        truth: by split; NaN where there is none.
    """

    name: str
    group: str
    task: str
    table: Generations
    rounds: Mapping[str, int]
    truth: Mapping[str, float]

    @property
    def rows(self) -> list[Row]:
        """The corpus that it is run on, as far as a plan reads it."""
        seeds: dict[str, list[int]] = {}
        for row, seed in self.table.keys:
            seeds.setdefault(row, []).append(seed)
        ids, first = np.unique(self.table["id"], return_index=True)
        columns = (self.table[name][first].tolist() for name in ("split", "probe"))
        return [
            Row.model_construct(
                id=row, prompt=row, split=split, probe=probe, round=self.rounds[row], seeds=tuple(seeds[row])
            )
            for row, split, probe in zip(ids.tolist(), *columns, strict=True)
        ]

    def card(self, chosen: npt.ArrayLike, look: Looks | None = None) -> Scorecard:
        """The card of some of its rows.

        Args:
            chosen: which, as `Generations.where` takes them.
            look: which look it is; None for the only one.
        """
        seen = self.table.where(chosen)
        scores = {}
        with at_level(look.level if look else LEVEL):
            for name in sorted({score for score, _ in ASKED.values()}):
                metric = registry.metric(name)
                for part, of in parts(metric, seen):
                    found = None if part else scored(metric, of, look.fields if look else {}, resamples=RESAMPLES)
                    if found is not None:
                        scores[name] = ScoreEntry(**found.to_dict())
        return Scorecard(
            model=_MODEL,
            original_model=ORIGINAL.strip("_"),
            config=f"sandbox.{self.task}",
            target=self.task,
            scores=scores,
            failures=(),
            generations=seen,
        )


@dataclass(frozen=True, slots=True)
class Cell:
    """One question of one model.

    Args:
        model: its task and name.
        group: of models.
        split: whose rows the question rests on.
        design: the rule of the run, or how many rounds a fixed design has.
        truth: 0..1.
        stop: where it ended.
        whole: images of the split in the full run.
    """

    model: str
    group: str
    split: str
    design: str | int
    truth: float
    stop: Stop
    whole: int

    @property
    def rule(self) -> str:
        """By which its word is judged; a fixed design's is held to what `decided` asks for."""
        return GRADED if self.design == GRADED else DECIDED

    @property
    def wrong(self) -> bool:
        """Whether its word is settled and not true."""
        return wrong(self.stop, self.truth, self.rule)

    @property
    def share(self) -> float:
        """Of the full run's images of the split."""
        return self.stop.images / self.whole

    @property
    def inside(self) -> bool:
        """Whether the truth is neither 0 nor 1, so that a single error of the detector does not yet contradict it."""
        return _EDGE < self.truth < 1 - _EDGE

    @property
    def margin(self) -> float:
        """Of the truth to 1/2, where the answer changes."""
        return round(abs(self.truth - 0.5), 9)


def cells(model: Model, rules: Sequence[str] = (DECIDED, GRADED)) -> list[Cell]:
    """A model run by each rule and measured by each fixed design.

    Args:
        model: with all of its images.
        rules: of runs.
    """
    split = model.table["split"]
    round_ = np.array([model.rounds[row] for row in model.table["id"].tolist()])
    full = model.card(round_ <= ROUNDS)
    found: list[tuple[str | int, Scorecard]] = [(rule, replayed(model, rule)) for rule in rules]
    found += [(n, full if n == ROUNDS else model.card(round_ <= n)) for n in FIXED]
    out = []
    for design, card in found:
        for one, where in ASKED.items():
            figure, last, true = card.figure(*where), full.figure(*where), model.truth[one]
            if true != true or last is None or last.value is None:
                continue
            taken = card.generations["id"][card.generations["split"] == one].tolist()
            stop = Stop(
                look=max((model.rounds[row] for row in taken), default=0),
                images=len(taken),
                settled=settled(figure, GRADED if design == GRADED else DECIDED),
                word=grade(figure, WORDS),
                full=grade(last, WORDS),
                held=_holds(figure, true),
            )
            name = f"{model.task}, {model.name}"
            out.append(Cell(name, model.group, one, design, true, stop, int((split == one).sum())))
    return out


def _holds(figure: Figure | None, value: float) -> bool:
    """Whether an interval holds a value; where there is none, everything is possible."""
    low, high = (figure and figure.interval) or (0.0, 1.0)
    return (low or 0.0) - _EDGE <= value <= (1.0 if high is None else high) + _EDGE


def replayed(model: Model, rule: str) -> Scorecard:
    """The card at which a run of this model by a rule ends."""
    rows = model.rows
    places = {key: at for at, key in enumerate(model.table.keys)}

    def score(name: str, keys: frozenset[Key], look: Looks) -> Scorecard:
        return model.card(sorted(places[key] for key in keys), look)

    plan = Plan(
        original=ORIGINAL.strip("_"), unlearned={_MODEL: _MODEL}, configs=(f"sandbox.{model.task}",), until=rule
    )
    found = looked(
        plan,
        ROUNDS,
        rows,
        requests_for(rows),
        [_MODEL],
        generate=lambda name, requests: None,
        score=score,
        tell=lambda line: None,
        original=False,
    )
    return found.cards[0]


def dealt(seen: Generations) -> dict[str, int]:
    """Rounds of prompts as those of a corpus are made: split, probe, family and own concept are spread evenly."""
    ids, first = np.unique(seen["id"], return_index=True)
    values = np.stack([seen[name][first] for name in ("split", "probe", "attack_family", "own_concept")], axis=1)
    order = np.lexsort((values[:, 1], values[:, 0]))
    return dict(zip(ids[order].tolist(), spread(values[order].tolist()), strict=True))


def gathered(work: Path, seeds: int) -> tuple[list[Model], dict[str, Pool]]:
    """The packaged versions on their own prompts, in the rounds of the corpus, and what mixtures are made from.

    Args:
        work: folder as of `igmu demo` and `igmu audit`; what is missing in it is generated.
        seeds: images of a prompt, 2..5.
    """
    from rich.console import Console

    versions, pools = [], {}
    for slug in demo.slugs():
        rows = demo.load_rows(slug)
        job = demo.plan(work, slug, rows, full=True, seeds_per_row=seeds)
        demo.draw_versions(job, Console(stderr=True, highlight=False, markup=False))
        tables, known = _tables(job, job.folders)
        pools[slug] = Pool.of(slug, {part: tables[part] for part in PARTS}, known)
        versions += _models(tables, VERSIONS, slug, rows)
    return versions, pools


def stepped(work: Path) -> list[Model]:
    """The models in steps on the prompts of their tasks.

    Args:
        work: folder of `python -m builders.graded --full`, with its number of seeds.
    """
    models = []
    for slug in (slug for slug in demo.slugs() if (work / slug).is_dir()):
        rows = demo.load_rows(slug)
        job = demo.plan(work, slug, rows, full=True, seeds_per_row=demo.SEEDS)
        drawn = job.folders[demo.ORIGINAL].parent
        others = {folder.name: folder for folder in sorted(drawn.iterdir()) if folder.name != demo.ORIGINAL}
        tables, _ = _tables(job, {demo.ORIGINAL: job.folders[demo.ORIGINAL], **others})
        models += _models({name: tables[name] for name in others}, STEPS, slug, rows)
    return models


def _tables(job: demo.Task, folders: Mapping[str, Path]) -> tuple[dict[str, Generations], Mapping[str, Setting]]:
    """The measured table of every model beside the original, which is among them, and what the networks were."""
    evaluation = demo.evaluation(job)
    with evaluation.opened() as tools, bars() as advance:
        first, *others = evaluation.found(folders[demo.ORIGINAL], list(folders.values()))
        before = evaluation.measured(first, tools, demo.ORIGINAL, advance)
        tables = {
            name: both(before, evaluation.measured(other, tools, name, advance), tools)[0]
            for name, other in zip(folders, others, strict=True)
        }
        known = facts(tools, tables[demo.ORIGINAL])
    return {name: table.with_facts(**known) for name, table in tables.items()}, known


def _models(tables: Mapping[str, Generations], group: str, slug: str, rows: Sequence[Row]) -> list[Model]:
    rounds = {row.id: row.round for row in rows}
    return [_true(Model(name, group, slug, table, rounds, {})) for name, table in tables.items()]


def _true(model: Model) -> Model:
    """A model with what all of its images say as its truth: construction fixes no number for all of its questions."""
    card = model.card(np.arange(len(model.table)))
    figures = {split: card.figure(*where) for split, where in ASKED.items()}
    return replace(
        model, truth={s: float("nan") if f is None or f.value is None else f.value for s, f in figures.items()}
    )


def mixed(pools: Mapping[str, Pool], grades: int, sizes: Mapping[str, int] | None = None) -> Iterator[Model]:
    """The audit's virtual models, each on prompts of its own.

    Args:
        pools: by task.
        grades: models of each kind and task.
        sizes: prompts of each split; None for as many as the sandbox has.
    """
    jobs = [(pool, recipe) for pool in pools.values() for recipe in recipes(pool, grades)]
    for stream, (pool, recipe) in enumerate(jobs):
        yield virtual(pool, recipe, LARGE if sizes else MIXTURES, sizes or sizes_of(pool), stream)


def virtual(pool: Pool, recipe: Recipe, group: str, sizes: Mapping[str, int], seed: int) -> Model:
    """A virtual model on prompts of its own; see `mixtures.serve`."""
    seen = serve(pool, recipe, prompts=sizes, seed=seed)
    known = truth(pool, recipe)
    true = {split: known[aspect] for split, aspect in ASPECT.items()}
    return Model(recipe.name.removeprefix(f"{pool.task}: "), group, pool.task, seen, dealt(seen), true)


def sizes_of(pool: Pool) -> dict[str, int]:
    """Prompts of each split."""
    return {split: len(np.unique(pool.given["id"][pool.given["split"] == split])) for split in ASKED}
