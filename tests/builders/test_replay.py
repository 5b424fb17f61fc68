"""Runs that are replayed on made-up models stop by the code of a run, and what they asked for is what is counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from audited import pool

from builders.benchmarks import looks, replay
from builders.benchmarks.looks import ROUNDS
from builders.benchmarks.replay import bars, told
from builders.benchmarks.replaying import FIXED, MIXTURES, VERSIONS, Cell, Model, cells, replayed, virtual
from igmu_metrics import registry
from igmu_metrics.report.verdict import ASKED
from igmu_metrics.running.looking import CHECKS
from igmu_metrics.running.plan import DECIDED, GRADED
from igmu_metrics.sandbox.audit.mixtures import Pool, Recipe, recipes
from igmu_metrics.sandbox.audit.yardstick import figures
from igmu_metrics.statistics.formatting import bounds
from igmu_metrics.statistics.level import at_level
from igmu_metrics.statistics.looks import Looks

PROMPTS = {"forget": 60, "adversarial": 80, "retain": 50}


@pytest.fixture(scope="module")
def made() -> Pool:
    return pool(prompts=60)


def model(made: Pool, recipe: Recipe) -> Model:
    return virtual(made, recipe, MIXTURES, PROMPTS, seed=3)


@pytest.fixture(scope="module")
def gold(made: Pool) -> Model:
    return model(made, next(r for r in recipes(made, 1) if r.kind == "gold"))


@pytest.fixture(scope="module")
def half(made: Pool) -> Model:
    """Between yes and no in forgetting."""
    shares = {"original": 0.5, "gold": 0.5}
    kept = {"original": 1.0}
    return model(made, Recipe("half", "half", made.task, {"forget": shares, "adversarial": shares, "retain": kept}))


@pytest.fixture(scope="module")
def clear(gold: Model) -> list[Cell]:
    return cells(gold)


@pytest.fixture(scope="module")
def open_(half: Model) -> list[Cell]:
    return cells(half, [DECIDED])


def of(found: list[Cell], split: str, design: str | int) -> Cell:
    return next(c for c in found if (c.split, c.design) == (split, design))


def test_prompts_and_rounds_are_those_of_a_corpus(gold: Model) -> None:
    ids, first = np.unique(gold.table["id"], return_index=True)
    for split, size in PROMPTS.items():
        here = ids[gold.table["split"][first] == split]
        counts = np.bincount([gold.rounds[i] for i in here], minlength=ROUNDS + 1)[1:]
        assert abs(counts.sum() - size) <= 2  # each stratum in its share
        assert counts.max() - counts.min() <= 1


def test_what_is_settled_stops_and_what_is_open_goes_on(clear: list[Cell], open_: list[Cell]) -> None:
    for split in ASKED:
        cell = of(clear, split, DECIDED)
        assert (cell.stop.settled, cell.stop.held, cell.wrong, cell.stop.full) == (True, True, False, "yes")
        assert cell.share < 0.5
        assert cell.share <= of(clear, split, GRADED).share
    forgets = of(open_, "forget", DECIDED)
    assert forgets.truth == pytest.approx(0.5)
    assert (forgets.share, forgets.stop.settled, forgets.wrong) == (1.0, False, False)
    assert of(open_, "retain", DECIDED).share < 1.0  # each question by itself


def test_the_figures_are_those_of_the_metrics_on_the_rows_that_were_asked_for(gold: Model) -> None:
    card = replayed(gold, DECIDED)
    look = Looks.of(card)
    assert look is not None
    assert look.planned == CHECKS
    assert str(look).endswith(f":{DECIDED}")
    rounds = np.array([gold.rounds[i] for i in card.generations["id"]])
    for split, (score, figure) in ASKED.items():
        last = rounds[card.generations["split"] == split].max()
        held = np.array([gold.rounds[i] <= last for i in gold.table["id"]]) & (gold.table["split"] == split)
        rest = card.generations["split"] != split
        assert card.generations.where(~rest) == gold.table.where(held)
        with at_level(look.level):
            alone = figures(gold.table.where(held), {score: registry.metric(score)}, {score}, 100)[f"{score}:{figure}"]
        shown = card.figure(score, figure)
        assert shown is not None
        assert (shown.value, shown.interval) == (alone.value, alone.interval)


def test_a_fixed_design_is_one_look_at_some_rounds(half: Model, open_: list[Cell]) -> None:
    for rounds in FIXED:
        cell = of(open_, "forget", rounds)
        assert (cell.stop.look, cell.share) == (rounds, rounds / ROUNDS)
    round_ = np.array([half.rounds[i] for i in half.table["id"]])
    one, several = (half.card(round_ <= 2, look).figure(*ASKED["forget"]) for look in (None, Looks(2, 11)))
    assert one is not None
    assert several is not None
    narrow, wide = bounds(one), bounds(several)
    assert narrow is not None
    assert wide is not None
    assert wide[0] < narrow[0]
    assert narrow[1] < wide[1]


def test_a_word_on_the_wrong_side_is_counted(half: Model) -> None:
    stop = looks.Stop(look=1, images=10, settled=True, word="mostly", full="no", held=False)
    cell = Cell("church, x", MIXTURES, "forget", DECIDED, 0.4, stop, 100)
    assert (cell.wrong, cell.share, cell.margin) == (True, 0.1, 0.1)
    assert not replace(cell, truth=0.6).wrong
    assert "0.0%: not met | 100.0%: not met | 0.0%: not met | 10.0%: met" in bars({"x": [cell]})


def test_the_section(clear: list[Cell], open_: list[Cell], tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n\n## One\n\ntext\n\n## Last\n\nmore\n")
    versions = [replace(cell, group=VERSIONS) for cell in clear]
    text = "\n".join((bars({MIXTURES: open_}), *told(VERSIONS, versions), *told(MIXTURES, open_)))
    looks.put(page, replay.TITLE, text)
    once = page.read_text()
    looks.put(page, replay.TITLE, text)
    assert page.read_text() == once
    assert once.startswith("# Performance\n\n## One\n\ntext\n\n## Last\n\nmore\n\n## ")
    for wanted in (
        "| --until decided |",
        "| 2 rounds (lite), all seeds, one check |",
        "| 0.45–0.50 |",
        "| church, gold |",
    ):
        assert wanted in once
    looks.put(page, "One", "other")
    assert page.read_text() == once.replace("\ntext\n", "\nother\n")
