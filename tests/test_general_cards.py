"""Cards of general prompts, in which nothing was to be forgotten: what every reader of cards says of them."""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from igmu_data.errors import IncomparableError
from igmu_data.load import digest
from igmu_metrics.cli import app
from igmu_metrics.contract import scored
from igmu_metrics.generations import of_records
from igmu_metrics.metrics import question_accuracy
from igmu_metrics.report import brief, page, verdict
from igmu_metrics.scorecard import Scorecard, build, write
from igmu_metrics.verdict import paper
from igmu_metrics.verdict.compare import ANSWERING, compared
from igmu_metrics.verdict.criteria import check, parsed
from igmu_metrics.verdict.verify import read_all, verify

SIGNED: Mapping[str, str | float] = {
    "config": "general",
    "dataset": "igmu/bench 1.0.0",
    "detector": "vlm:judge",
    "detector.revision": "sha256:0",
    "detector.threshold": 0.5,
    "on_error": "raise",
    "original": "original",
    "rows": digest(f"p{i:02}" for i in range(24) for _ in range(2)),
}
FORGETTING = re.compile(r"forg[eo]t|unlearning accuracy|attack success|the concept\b|robust", re.IGNORECASE)


def card(model: str, losses: float, *, asked: bool = True, n: int = 24, **signed: str | float) -> Scorecard:
    """A card of n general prompts with two seeds each, of whose questions a model loses so many more."""
    chosen = random.Random(7)
    lines = []
    for i in range(n):
        for seed in (1, 2):
            before = chosen.choice([0.5, 0.75, 1.0])
            answers = {"answered": max(0.0, before - losses), "answered_original": before}
            lines.append({"id": f"p{i:02}", "seed": seed, "split": "retain", "probe": "general", "concept": "general",
                          "status": "ok", "status_original": "ok", "sha256": f"{i:063}{seed}",
                          "sha256_original": f"{i:063}{seed + 2}"} | (answers if asked else {}))  # fmt: skip
    table = of_records(lines)
    found = scored(question_accuracy, table, {**SIGNED, "model": model, **signed}) if asked else None
    return build(table, {"question_accuracy": found} if found else {}, model=model, original_model="original",
                 config="general", target="general", failures=(), options={})  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("general")
    for model, losses in (("little", 0.0), ("much", 0.4)):
        write(card(model, losses), folder / f"{model}.json")
        assert not verify(folder / f"{model}.json")[1]
    return folder


def said(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "80"})
    told = "" if done.exception is None or isinstance(done.exception, SystemExit) else f"{done.exception}"
    return getattr(done.exception, "exit_code", done.exit_code), done.output + told


def test_shares_of_answers_are_compared_by_permutation(place: Path) -> None:
    against, pair = [[c for c in compared(read_all([place])) if c.original is which] for which in (True, False)]
    assert {c.measure for c in (*against, *pair)} == {ANSWERING}
    little, much = against
    assert (little.difference, little.test, little.significant) == (0.0, "permutation", False)
    assert much.difference == pytest.approx(-0.4)
    assert much.raw == pytest.approx(much.difference)
    assert (much.only_first, much.only_second, much.significant) == (0, 48, True)
    assert (pair[0].only_first, pair[0].only_second) == (48, 0)


def test_one_image_a_prompt_is_no_yes_or_no() -> None:
    (found,) = compared([card("much", 0.4).model_copy(update={"generations": _first_seeds(card("much", 0.4))})])
    assert (found.n, found.n_prompts, found.test) == (24, 24, "permutation")
    assert found.difference == pytest.approx(-0.4)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_prompts_that_all_agree_give_no_point(share: float) -> None:
    table = question_accuracy.rows(answered=[share] * 30, original_answered=[1.0] * 30)
    found = question_accuracy.score(table)
    assert found is not None
    for name in ("question_accuracy", "original_question_accuracy", "question_preservation"):
        interval = found.figures[name].interval
        assert interval is not None
        assert interval[1] - interval[0] > 0.05, name


def _first_seeds(of: Scorecard):  # type: ignore[no-untyped-def]
    return of.generations.where([seed == 1 for _, seed in of.generations.keys])


@pytest.mark.parametrize("command", ["compare", "compare --verbose", "power", "paper"])
def test_what_commands_print_is_about_what_must_stay(place: Path, command: str) -> None:
    code, text = said(*command.split(), place)
    assert code == 0, text
    assert "question" in text
    text = text.replace("uce", "")
    assert not FORGETTING.search(" ".join(text.split()).replace("general prompts have no forget score", "")), text
    assert max(len(line) for line in text.splitlines() if not line.startswith(("\\", "%", "$n$"))) <= 80 or command == (
        "paper"
    )


def test_a_short_answer_fits_a_screen_and_speaks_of_questions(place: Path) -> None:
    cards = read_all([place])
    lines = brief.lines(cards, ["cards: there"])
    assert len(lines) <= brief.LINES
    text = "\n".join(lines)
    assert re.search(r"little +1\.00 \[.*much +0\.4", text, re.DOTALL)
    assert not FORGETTING.search(text)
    many = [card(f"model-{i:02}", i / 60, n=6) for i in range(50)]
    lines = brief.lines(many, ["cards: there"])
    assert len(lines) <= brief.LINES
    assert any("and 43 more" in line for line in lines)


def test_the_page_asks_what_was_lost(place: Path) -> None:
    cards = read_all([place])
    text = page.render(page.Section(cards, {}))
    shown = re.sub(
        r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text[text.index("<main") : text.index('id="definitions"')]))
    )
    assert "What did it lose on general prompts ?" in shown
    much, little = (f"{name} preserved what general prompts ask for." for name in ("much hardly", "little"))
    assert f"{much} {little}" in shown or (f"{little} {much}" in shown)
    for question in verdict.OF_GENERAL:
        assert question in shown
    assert not FORGETTING.search(
        shown.replace(
            "Models are ranked only by the forget score; the columns next to it show its five aspects.", ""
        ).replace("General prompts have no forget score, because they contain no concept to forget.", "")
    ), shown
    assert "answered as intended, relative to the original" in shown


def test_a_card_whose_questions_nobody_asked_says_what_to_do() -> None:
    silent = card("esd", 0.0, asked=False)
    text = page.render(page.Section([silent], {}))
    assert "score with a detector that answers them, vlm:MODEL" in text
    assert "It is undecided whether esd preserved what general prompts ask for." in text
    assert "no reportable metric was measured" in paper.sentences([silent])[0]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("families", "there are no attacks for general prompts. Use scorecards of a concept"),
        ("check --min forgetting=0.5", "no metric 'forgetting'; it has question_preservation, question_accuracy"),
        ("export --eval-results", "general prompts have no forget score; use --model-index"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_next_step(place: Path, command: str, says: str) -> None:
    code, text = said(*command.split(), place / "much.json")
    assert code == 2
    assert says in text
    code, text = said(*command.split(), place / "much.json", "--json")
    assert code == 2
    assert says in json.loads(text[: text.rindex("}") + 1])["error"]["message"]


def test_bounds_on_questions_are_checked(place: Path) -> None:
    assert said("check", place, "--min", "question_accuracy=0.2")[0] == 0
    assert said("check", place, "--min", "question_preservation=0.8")[0] == 1


def test_a_table_in_latex_has_both_shares(place: Path) -> None:
    text = said("export", place, "--latex")[1]
    assert "question preservation & question accuracy" in text
    text = said("paper", place)[1]
    assert r"\begin{tabular}{lccc}" in text
    assert re.search(r"^original & 24 \(48\) & 0\.\d\d .* & --", text, re.MULTILINE)


def test_a_judge_that_may_guess_is_said_to_in_the_sentence_and_below_the_table(place: Path) -> None:
    doubtful = card("esd", 0.0, **{"detector.sensitivity": 0.5, "detector.specificity": 0.5})
    assert "may agree with people no more often than chance" in paper.sentences([doubtful])[0]
    assert "may agree with people no more often than chance" in paper.table([doubtful]).split(r"\begin{minipage}")[1]


def test_two_cards_of_one_model_are_no_two_models(place: Path) -> None:
    cards = read_all([place])
    with pytest.raises(IncomparableError, match="2 scorecards of 'much'"):
        compared([*cards, cards[1]])


def test_a_card_that_is_named_twice_counts_once(place: Path) -> None:
    assert [c.model for c in read_all([place, place / "much.json", place / ".." / place.name])] == ["little", "much"]


@pytest.mark.parametrize(
    "bound", ["question_accuracy=80", "question_preservation=-0.1", "original_question_accuracy=1.5"]
)
def test_a_bound_that_no_share_can_reach_is_refused(place: Path, bound: str) -> None:
    assert all("lies in 0..1" in one.why for one in check(read_all([place]), [parsed(bound, least=False)]))
    assert said("check", place, "--max", "n_unanswered=5")[0] == 0


def test_of_many_models_only_neighbours_are_compared_on_the_screen(tmp_path: Path) -> None:
    for i in range(9):
        write(card(f"model-{i}", i / 60), tmp_path / f"{i}.json")
    code, text = said("compare", tmp_path)
    assert code == 0
    assert len(re.findall(r"model-\d – original", text)) == 9
    assert re.findall(r"model-(\d) – model-(\d)", text) == [(str(i), str(i + 1)) for i in range(8)]
    assert "28 more between models that are not neighbours: --verbose" in " ".join(text.split())
    assert len(json.loads(said("compare", tmp_path, "--json")[1])["result"]["comparisons"]) == 9 + 36


def test_a_concepts_card_without_a_detector_has_a_table_too() -> None:
    bare = card("esd", 0.0, asked=False).model_copy(update={"config": "object.church", "target": "object/church"})
    assert "present_original" not in bare.generations
    assert re.search(r"^esd & --", paper.table([bare]), re.MULTILINE)
