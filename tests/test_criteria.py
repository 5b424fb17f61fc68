"""Bounds on figures, for continuous integration, and what to report in a paper."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from golden.record import unpack
from typer.testing import CliRunner

from igmu_data.errors import EmptyInputError, IncomparableError, InputError
from igmu_metrics.cli import app
from igmu_metrics.scorecard import Figure, Scorecard, card_files, write
from igmu_metrics.verdict import paper
from igmu_metrics.verdict.criteria import Criterion, Outcome, check, figures, full_name, overall, parsed
from igmu_metrics.verdict.verify import read_all

NAME = "forget_score/forgetting"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("criteria")
    unpack(folder)
    return folder


@pytest.fixture(scope="module")
def cards(place: Path) -> dict[str, Scorecard]:
    return {card.model: card for card in read_all([place / "cards"])}


def figure(low: float, high: float) -> Figure:
    return Figure(value=(low + high) / 2, interval=(low, high), n_prompts=9, n_generations=9)


@pytest.mark.parametrize(
    ("low", "high", "at_least", "at_most"),
    [
        (0.9, 0.95, Outcome.MET, Outcome.NOT_MET),
        (0.8, 0.9, Outcome.MET, Outcome.UNDECIDED),  # an end on the bound is on both sides
        (0.7, 0.9, Outcome.UNDECIDED, Outcome.UNDECIDED),
        (0.7, 0.8, Outcome.UNDECIDED, Outcome.MET),
        (0.1, 0.2, Outcome.NOT_MET, Outcome.MET),
        (0.8, 0.8, Outcome.MET, Outcome.MET),
    ],
)
def test_the_whole_interval_decides(low: float, high: float, at_least: Outcome, at_most: Outcome) -> None:
    found = figure(low, high)
    assert Criterion("x", 0.8, least=True).outcome(NAME, found) is at_least
    assert Criterion("x", 0.8, least=False).outcome(NAME, found) is at_most


def test_without_an_interval_only_a_count_decides() -> None:
    bare = Figure(value=3, interval=None, n_prompts=9, n_generations=9)
    assert Criterion("x", 5, least=False).outcome("frechet/retain/frechet_distance", bare) is Outcome.UNDECIDED
    assert Criterion("x", 5, least=False).outcome("concept_accuracy/n_unclear", bare) is Outcome.MET
    assert Criterion("x", 5, least=True).outcome("concept_accuracy/n_unclear", bare) is Outcome.NOT_MET


def test_the_worst_outcome_is_that_of_all() -> None:
    assert overall([]) is overall([Outcome.MET]) is Outcome.MET
    assert overall([Outcome.MET, Outcome.UNDECIDED]) is Outcome.UNDECIDED
    assert overall([Outcome.UNDECIDED, Outcome.NOT_MET, Outcome.MET]) is Outcome.NOT_MET
    assert [o.exit_code for o in (Outcome.MET, Outcome.NOT_MET, Outcome.UNDECIDED)] == [0, 1, 3]


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("forgetting", NAME),
        ("forget_score", "forget_score/forget_score"),
        ("asr", "attack_success_rate/asr_any@k"),
        ("attack_success_rate", "attack_success_rate/asr_any@k"),
        ("conditional_asr_image/leetspeak", "attack_success_rate/conditional_asr_image/leetspeak"),
        ("clip_alignment/retain", "clip_alignment/retain/cosine"),
        ("unlearning_accuracy", "concept_accuracy/unlearning_accuracy"),  # beside concept_accuracy/negation's
    ],
)
def test_names_of_figures(cards: dict[str, Scorecard], short: str, full: str) -> None:
    assert full_name(cards["esd"], short) == full


def test_every_figure_can_be_named(cards: dict[str, Scorecard]) -> None:
    card = cards["esd"]
    assert all(full_name(card, name) == name for name in figures(card))
    assert len(figures(card)) == sum(len(entry.figures) for entry in card.scores.values())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("forgeting", "did you mean 'forgetting'?"),
        ("forget_score/robustnes", "did you mean 'forget_score/robustness'?"),
        ("cosine", "has several metrics 'cosine': clip_alignment/forget/cosine"),
        ("xyz", "has no metric 'xyz'. To list all metrics, run: igmu export --csv"),
    ],
)
def test_names_that_are_none(cards: dict[str, Scorecard], name: str, says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        check([cards["esd"]], [Criterion(name, 0.5, least=True)])


@pytest.mark.parametrize(
    "text", ["forgetting", "=0.5", "forgetting=", "forgetting=x", "forgetting=nan", "forgetting=inf"]
)
def test_criteria_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match=r"--max is .*; it must have the form METRIC=NUMBER"):
        parsed(text, least=False)


def test_what_is_missing_is_an_error_that_names_every_card(cards: dict[str, Scorecard]) -> None:
    lacking = []
    for card in (cards["esd"], cards["uce"]):
        entry = card.scores["forget_score"]
        none = entry.figures["quality"].model_copy(update={"value": None, "interval": None, "reason": "one seed"})
        scores = card.scores | {"forget_score": entry.model_copy(update={"figures": entry.figures | {"quality": none}})}
        lacking.append(card.model_copy(update={"scores": scores}))
    with pytest.raises(InputError, match=r"(?s)card of esd .* no value for forget_score/quality \(one seed\).*of uce"):
        check(lacking, [parsed("quality=0.5", least=True)])
    with pytest.raises(EmptyInputError, match="no bounds were given"):
        check([cards["esd"]], [])
    with pytest.raises(EmptyInputError, match="none of the scorecards is for an unlearned model"):
        check([cards["original"]], [parsed("quality=0.5", least=True)])


@pytest.mark.parametrize(
    ("options", "code"),
    [("--min forgetting=0.5", 0), ("--min forgetting=0.5 --max asr=0.5", 1), ("--max asr=0.3 --min forgetting=0.5", 1)],
)
def test_a_folder_of_cards_is_checked(place: Path, options: str, code: int) -> None:
    done = CliRunner().invoke(app, ["check", str(place / "cards"), *options.split()])
    assert done.exit_code == code
    assert len(done.output.splitlines()) == 3 * options.count("=")


def test_a_runs_folder_stands_for_its_cards(place: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("")
    (tmp_path / "models.json").write_text("{}")
    # A run that was cut off: what else its folder holds is not a scorecard.
    with pytest.raises(EmptyInputError, match="has no scorecards yet"):
        card_files([tmp_path])
    shutil.copytree(place / "cards", tmp_path / "cards")
    names = ["esd.json", "filter.json", "original.json", "uce.json"]
    assert [path.name for path in card_files([tmp_path])] == names
    done = CliRunner().invoke(app, ["leaderboard", str(tmp_path), "--out", str(tmp_path / "board.html")])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "4 scorecards" in done.output


# --- paper ------------------------------------------------------------------------------------------------------------


def groups(text: str) -> None:
    """Braces and environments are closed in order, every row has as many cells as the table has columns."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    open_: list[str] = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if what == "begin":
            open_.append(name)
        else:
            assert open_.pop() == name
    assert open_ == []
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)
    assert columns is not None
    for row in (line for line in text.splitlines() if line.endswith("\\\\")):
        cells = re.split(r"(?<!\\)&", row)
        spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d)\}", row))
        assert len(cells) + spanned == len(columns[1]), row


def test_the_table_is_one_that_latex_takes(cards: dict[str, Scorecard]) -> None:
    text = paper.table([*cards.values()])
    groups(text)
    commands = set(re.findall(r"\\([a-zA-Z]+)", text))
    assert commands <= {
        *("begin", "end", "usepackage", "centering", "footnotesize", "setlength", "tabcolsep", "toprule", "midrule"),
        *(
            "cmidrule",
            "bottomrule",
            "multicolumn",
            "uparrow",
            "downarrow",
            "scriptsize",
            "par",
            "smallskip",
            "linewidth",
        ),
        *("raggedright", "texttt", "textbar", "allowbreak"),
    }
    assert not re.search(r"(?<!\\)_", "".join(x for x in text.splitlines(True) if not x.startswith("%")))


def test_names_are_escaped(cards: dict[str, Scorecard]) -> None:
    evil = cards["esd"].model_copy(update={"model": r"a_b & 50% {\input{x}} [1]"})
    text = paper.table([evil])
    groups(text)
    assert r"a\_b \& 50\% \{\textbackslash{}input\{x\}\} {[}1{]}" in text
    assert r"\input{x}" not in text + "".join(paper.sentences([evil]))


def test_the_original_stands_first_with_what_the_card_says_of_it(cards: dict[str, Scorecard]) -> None:
    rows = [
        line for line in paper.table([cards["esd"], cards["original"]]).splitlines() if line.startswith(("orig", "esd"))
    ]
    assert rows[0].startswith("original & 16 (32) & 0.00 ")
    own = cards["original"].figure("attack_success_rate", "asr_any@k")
    assert own is not None
    assert own.value is not None
    assert rows[0].split(" & ")[4].startswith(f"{own.value:.2f} ")
    alone = paper.table([cards["esd"]]).splitlines()
    assert next(line for line in alone if line.startswith("orig")).endswith(r"-- & -- \\")


def test_raw_and_conditional_are_apart(cards: dict[str, Scorecard]) -> None:
    row = next(line for line in paper.table([cards["filter"]]).splitlines() if line.startswith("filter"))
    card, cells = cards["filter"], row.split(" & ")
    for at, (score, name) in enumerate(
        (
            ("concept_accuracy", "unlearning_accuracy"),
            ("concept_accuracy", "conditional_unlearning_accuracy"),
            ("attack_success_rate", "asr_any@k"),
            ("attack_success_rate", "conditional_asr_any@k"),
        ),
        start=2,
    ):
        found = card.figure(score, name)
        assert found is not None
        assert found.value is not None
        assert cells[at].startswith(f"{found.value:.2f} ")
    assert cells[4] != cells[5]


def test_detector_signature_and_k_are_told(cards: dict[str, Scorecard]) -> None:
    text = paper.table([cards["esd"]])
    assert "$k=2$" in text
    assert "Detector: sandbox (threshold 0.5, sensitivity 0.976" in text
    assert "detector.revision:sha256:" in text
    assert cards["esd"].content_sha256[:12] in text
    (told,) = paper.sentences([cards["esd"]])
    assert "(raw: 12\\,\\% [3, 38])" in told
    assert told.endswith("detector sandbox).")


def test_cards_that_were_not_scored_alike_get_no_table(cards: dict[str, Scorecard]) -> None:
    entry = cards["uce"].scores["concept_accuracy"]
    signature = entry.signature | {"detector": "another"}
    other = cards["uce"].model_copy(
        update={"scores": cards["uce"].scores | {"concept_accuracy": entry.model_copy(update={"signature": signature})}}
    )
    with pytest.raises(IncomparableError):
        paper.table([cards["esd"], other])
    with pytest.raises(EmptyInputError):
        paper.sentences([cards["original"]])


def test_the_command_prints_all_three_and_refuses_a_card_that_was_edited(place: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["paper", str(place / "cards/esd.json")])
    assert done.exit_code == 0
    for text in ("% What to report, and why", "esd no longer shows church", r"\begin{tabular}"):
        assert text in done.output
    (card,) = read_all([place / "cards/esd.json"])
    write(card, tmp_path / "a.json")
    (tmp_path / "a.json").write_text((tmp_path / "a.json").read_text().replace('"seed": ', '"seed": 1', 1))
    assert CliRunner().invoke(app, ["paper", str(tmp_path)]).exit_code != 0
