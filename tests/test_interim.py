"""Cards from interim checks of a run: every command that shows their intervals says so, and the original's numbers are
those of the card with the most prompts.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from reported import CONFIG, SEEDS, chosen, draw
from typer.testing import CliRunner

from igmu_data.schema import ASIDE
from igmu_metrics.cli import app
from igmu_metrics.coverage import looked
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.report.families import chart
from igmu_metrics.report.families import tables as family_tables
from igmu_metrics.report.ranking import ranking
from igmu_metrics.report.terminal import ranking as compared_ranking
from igmu_metrics.report.view import Section, view
from igmu_metrics.scorecard import Scorecard, write
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict import export, paper
from igmu_metrics.verdict.baseline import baseline, counted_on
from igmu_metrics.verdict.compare import compared

ROWS = [row for row in chosen() if row.probe not in ASIDE]
FEW = frozenset((row.id, seed) for row in ROWS[::2] for seed in row.seeds[:SEEDS])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interim")
    draw(folder)
    return folder


def scored(root: Path, model: str, looks: str | None, only: frozenset[tuple[str, int]] | None = None) -> Scorecard:
    """A card of a model at a check, on all prompts or some."""
    evaluation = Evaluation(CONFIG, detector=f"labels:{root / 'drawn' / 'labels.csv'}", looks=looks, only=only)
    (card,) = evaluation.run(root / "drawn" / "original", [root / "drawn" / model])
    return card


@pytest.fixture(scope="module")
def few(root: Path) -> Scorecard:
    return scored(root, "esd", "2/11:decided", FEW)


@pytest.fixture(scope="module")
def many(root: Path) -> Scorecard:
    return scored(root, "fmn", "4/11:decided")


@pytest.fixture(scope="module")
def once(root: Path) -> Scorecard:
    """A card of a run with a single check."""
    return scored(root, "esd", None)


@pytest.fixture(scope="module")
def own(root: Path) -> Scorecard:
    """The card of the original itself."""
    return scored(root, "original", None)


@pytest.fixture(scope="module")
def files(few: Scorecard, many: Scorecard, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """esd at check 2 of 11, with half of the prompts, and fmn at check 4."""
    folder = tmp_path_factory.mktemp("cards")
    for card in (few, many):
        write(card, folder / f"{card.model}.json")
    return [str(folder / "esd.json"), str(folder / "fmn.json")]


def at(card: Scorecard, look: str) -> Scorecard:
    """A card that says that it is from another check."""
    fields = Looks.read(look).fields
    scores = {k: e.model_copy(update={"signature": {**e.signature, **fields}}) for k, e in card.scores.items()}
    return card.model_copy(update={"scores": scores})


def run(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return " ".join(done.output.split())


SAID = (
    "Interim checks: esd: look 2 of at most 11 with the stopping rule 'decided'; fmn: look 4 of at most 11 with the "
    "stopping rule 'decided'. Intervals are repeated confidence intervals: each has a level of "
    f"{Looks(1, 11).level:.2%}, "
    "so that all looks together are valid at 95%."
)


@pytest.mark.parametrize(
    "words", ["compare", "families", "check --min concept_accuracy=0.5", "power", "export --latex"]
)
def test_commands_say_that_intervals_are_repeated(words: str, files: list[str]) -> None:
    """compare, families, check and export showed intervals of 99% as if they were of 95%, without a word."""
    command, *options = words.split()
    assert SAID in run(command, *files, *options).replace("% Interim", "Interim")


@pytest.mark.parametrize("words", ["compare", "families", "check --min concept_accuracy=0.5"])
def test_json_says_it_too(words: str, files: list[str], once: Scorecard, tmp_path: Path) -> None:
    command, *options = words.split()
    done = CliRunner().invoke(app, [command, *files, *options, "--json"])
    assert json.loads(done.stdout)["result"]["looks"] == SAID
    write(once, tmp_path / "once.json")
    done = CliRunner().invoke(app, [command, str(tmp_path / "once.json"), *options, "--json"])
    assert json.loads(done.stdout)["result"]["looks"] == ""


def test_which_cards_are_from_a_check(once: Scorecard) -> None:
    other = once.model_copy(update={"model": "uce"})
    assert looked([once, other]) == ""
    assert looked([]) == ""
    both = looked([at(once, "3/5"), at(other, "3/5")])
    assert both.startswith("Interim checks: look 3 of at most 5. Intervals are"), "the same for all"
    assert looked([at(once, "3/5"), other]).startswith("Interim checks: esd: look 3 of at most 5. Intervals are")
    mixed = looked([at(once, "3/5"), at(other, "3/11")])
    for n in (5, 11):
        level = f"{Looks(1, n).level:.2%}"
        assert f"For {n} looks: Intervals are repeated confidence intervals: each has a level of {level}," in mixed
    elsewhere = at(other, "4/11").model_copy(update={"config": "sandbox.van-gogh"})
    told = looked([at(other, "3/11"), elsewhere])
    assert "uce on sandbox.church: look 3 of at most 11; uce on sandbox.van-gogh: look 4 of at most 11." in told


def test_a_spreadsheet_has_the_check_and_the_level(files: list[str], once: Scorecard) -> None:
    lines = list(csv.DictReader(CliRunner().invoke(app, ["export", *files, "--csv"]).stdout.splitlines()))
    told = {(one["model"], one["look"], one["planned_looks"]) for one in lines}
    assert told == {("esd", "2", "11"), ("fmn", "4", "11")}
    for one in lines:
        assert one["level"] == (f"{Looks(1, 11).level:.6g}" if one["low"] else "")
    assert {bool(one["low"]) for one in lines} == {True, False}
    alone = csv.DictReader(export.table([once]).splitlines())
    assert {(one["look"], one["planned_looks"], one["level"]) for one in alone} == {("", "", "0.95"), ("", "", "")}


def test_a_sentence_for_a_paper_names_the_check(few: Scorecard, once: Scorecard) -> None:
    told, usual = paper.sentences([few, once])
    assert "(repeated 95\\% confidence intervals over prompts at look 2 of at most 11 with the stopping rule" in told
    assert "(95\\% intervals over prompts; detector" in usual


def test_a_chart_says_that_its_intervals_are_repeated(few: Scorecard, many: Scorecard, once: Scorecard) -> None:
    assert "repeated confidence intervals" in chart([few, many])
    assert "repeated confidence intervals" not in chart([once])


def test_notes_for_the_hub_name_the_check(files: list[str]) -> None:
    assert "look 2 of at most 11" in run("export", files[0], "--model-index")


# --- the original's row -----------------------------------------------------------------------------------------------


def _row(text: str) -> list[str]:
    """The lines of the original's row in a LaTeX table."""
    lines = text.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("original"))
    return lines[first : first + 3]


def _in_paper(cards: Sequence[Scorecard]) -> tuple[object, str]:
    text = paper.table(cards)
    return _row(text), text


def _in_families(cards: Sequence[Scorecard]) -> tuple[object, str]:
    caption = str(family_tables(cards)[0].caption)
    return next(line for line in caption.splitlines() if line.startswith("original, all attacks")), caption


def _in_compare(cards: Sequence[Scorecard]) -> tuple[object, str]:
    table = compared_ranking(cards, compared(cards))
    return [next(iter(column.cells)) for column in table.columns], str(table.caption)


def _in_report(cards: Sequence[Scorecard]) -> tuple[object, str]:
    found = ranking(view(Section(list(cards), {})))
    return found.original.figures, found.counted_on


@pytest.mark.parametrize("shown", [_in_paper, _in_families, _in_compare, _in_report])
def test_the_originals_numbers_are_of_the_most_prompts(
    shown: Callable[[Sequence[Scorecard]], tuple[object, str]], few: Scorecard, many: Scorecard
) -> None:
    """They were those of the first card, even if that model had stopped at the second of eleven checks."""
    n = len(many.generations)
    assert len(few.generations) < n
    wanted, silent = shown([many])
    found, told = shown([few, many])
    assert found == wanted
    assert (
        f"The numbers of original are for the prompts and seeds of fmn, which has the most ({n} generations)." in told
    )
    assert "The numbers of" not in silent
    assert shown([many, few])[0] == wanted


def test_the_originals_own_card_is_named(few: Scorecard, once: Scorecard, own: Scorecard) -> None:
    told = paper.table([few, own])
    assert "Preservation, alignment, quality and score of original are for the prompts and seeds of its own" in told
    assert "its own scorecard" not in paper.table([once, own])
    found = ranking(view(Section([few, own], {})))
    assert found.counted_on.startswith("The numbers of original are for the prompts and seeds of its own scorecard")


def test_the_first_of_equal_cards_is_the_baseline(once: Scorecard) -> None:
    cards = [once, once.model_copy(update={"model": "uce"})]
    assert baseline(cards) is cards[0]
    assert counted_on(cards) == ""
