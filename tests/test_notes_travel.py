"""What affects whether numbers may be trusted is not lost between a scorecard and its reader."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from golden.record import unpack
from typer.testing import CliRunner

from igmu_data.errors import IncomparableError
from igmu_metrics import coverage
from igmu_metrics.cli import app
from igmu_metrics.images.ways import told_apart
from igmu_metrics.report import brief, verdict
from igmu_metrics.report.page import Section
from igmu_metrics.report.view import view
from igmu_metrics.scorecard import Scorecard, read, write
from igmu_metrics.verdict import paper
from igmu_metrics.verdict.compare import require_comparable
from igmu_metrics.verdict.joint import SCORE
from igmu_metrics.verdict.verify import read_all

ASSUMED = "the seeds of 108 of the unlearned model's 108 images are assumed, not recorded (order of file names)"
FILES = "the files of the two models differ: PNG 128×128 RGB against PNG 64×64 RGB"
LONG = ["scorecards: cards (all metrics: --verbose)", "report: igmu report " + "cards/a.json " * 25]
COMMANDS = ("compare", "paper", "families", "check --min forgetting=0", "export --latex", "export --csv", "power")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    unpack(tmp_path)
    return tmp_path / "cards"


@pytest.fixture
def three(place: Path) -> list[Scorecard]:
    return [read(place / f"{name}.json") for name in ("esd", "filter", "uce")]


def noted(cards: list[Scorecard], *notes: str) -> list[Scorecard]:
    return [card.model_copy(update={"notes": notes}) for card in cards]


def said(text: str) -> str:
    """Text without line breaks and comment signs."""
    return " ".join(text.replace("\n% ", " ").split())


# --- one screen -----------------------------------------------------------------------------------------------------


def test_a_long_command_takes_no_room_from_notes(three: list[Scorecard], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command to run next was wrapped over the whole rest of the screen, and every note was dropped for it."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = brief.lines(noted(three, FILES, ASSUMED), LONG)
    assert lines[-2:] == LONG
    for told in ("incomplete coverage: forget 11%", "PNG 128×128 RGB against PNG 64×64 RGB", "assumed, not recorded"):
        assert told in said("\n".join(lines))
    assert "--verbose" not in " ".join(lines[:-2])  # nothing was left out


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("columns", [40, 80])
def test_notes_without_room_are_counted(
    three: list[Scorecard], n: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    cards = noted(three[:n], *(f"remark {at} about the images" for at in range(20)))
    lines = brief.lines(cards, LONG)
    shown = [at for at, note in enumerate(brief.notes(cards)) if any(note.text[:30] in line for line in lines)]
    assert shown == list(range(len(shown)))  # the first ones, which are the most important
    assert shown
    assert f"{len(brief.notes(cards)) - len(shown)} more notes: --verbose" in lines
    assert len(lines) <= 15


# --- from scorecard to reader ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_the_notes_on_cards(
    command: str, three: list[Scorecard], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for card in noted([three[0], three[2]], ASSUMED):
        write(card, place / f"{card.model}.json")
    name, *options = command.split()
    chosen = [str(place / "esd.json"), str(place / "uce.json")]
    assert ASSUMED in said(CliRunner().invoke(app, [name, *chosen, *options], catch_exceptions=False).output)


@pytest.mark.parametrize("command", ["compare", "families", "check --min forgetting=0"])
def test_json_has_the_notes_on_cards(command: str, three: list[Scorecard], place: Path) -> None:
    write(noted(three[:1], ASSUMED)[0], place / "esd.json")
    name, *options = command.split()
    chosen = [str(place / "esd.json"), str(place / "uce.json")]
    done = CliRunner().invoke(app, [name, *chosen, *options, "--json"], catch_exceptions=False)
    assert json.loads(done.output)["result"]["notes"] == [f"Note on esd: {ASSUMED}."]


def test_the_footnote_of_a_paper_has_the_notes(three: list[Scorecard]) -> None:
    body = paper.table(noted(three, ASSUMED)).partition(r"\begin{table}")[2]
    assert f"Note: {ASSUMED}." in body


def test_notes_name_their_models_and_concepts(three: list[Scorecard]) -> None:
    esd, _, uce = three
    (first,), (other,) = noted([esd], ASSUMED), noted([uce], FILES)
    assert coverage.card_notes([first, other]) == [f"Note on esd: {ASSUMED}.", f"Note on uce: {FILES}."]
    elsewhere = first.model_copy(update={"config": "sandbox.zeppelin", "notes": ()})
    assert coverage.card_notes([first, elsewhere]) == [f"Note on esd on {esd.config}: {ASSUMED}."]


# --- a tie ----------------------------------------------------------------------------------------------------------


def scoring(card: Scorecard, value: float) -> Scorecard:
    entry = card.scores["forget_score"]
    figure = entry.figures["forget_score"].model_copy(update={"value": value, "interval": (0.0, 0.95)})
    changed = entry.model_copy(update={"figures": {**entry.figures, "forget_score": figure}})
    return card.model_copy(update={"scores": {**card.scores, "forget_score": changed}})


@pytest.mark.parametrize(("values", "printed"), [((0.0, 0.0), "0.00"), ((0.871, 0.869), "0.87")])
def test_equal_scores_are_a_tie(three: list[Scorecard], values: tuple[float, float], printed: str) -> None:
    """One model was said to have the higher score of two that were printed alike."""
    first, other = (scoring(card, value) for card, value in zip((three[0], three[2]), values, strict=True))
    told = verdict.lead(view(Section([first, other], {})))[1]
    assert "higher" not in told
    assert f"esd and uce have the same forget score to two decimals; that of esd is {printed} (0.00–0.95): " in told


def test_only_the_equal_ones_of_three_tie(three: list[Scorecard]) -> None:
    cards = [scoring(card, value) for card, value in zip(three, (0.5, 0.2, 0.5), strict=True)]
    seen = view(Section(cards, {}))
    open_ = replace(seen, tests=tuple(replace(c, p=1.0, p_holm=1.0) if c.measure == SCORE else c for c in seen.tests))
    assert "esd and uce have the same forget score to two decimals; that of esd is 0.50" in verdict.lead(open_)[1]
    unequal = [scoring(card, value) for card, value in zip(three, (0.51, 0.2, 0.5), strict=True)]
    assert "same forget score" not in verdict.lead(replace(open_, cards=view(Section(unequal, {})).cards))[1]


# --- two cards of one model -----------------------------------------------------------------------------------------


def test_refused_cards_of_one_model_are_named_by_their_files(place: Path) -> None:
    own = read(place / "esd.json")
    scores = {
        name: entry.model_copy(update={"signature": {**entry.signature, "detector": "another"}})
        for name, entry in own.scores.items()
    }
    write(own.model_copy(update={"scores": scores}), place / "other" / "esd.json")
    files = [place / "esd.json", place / "other" / "esd.json"]
    with pytest.raises(IncomparableError) as raised:
        require_comparable([read(path) for path in files], ranked=False)
    assert str(raised.value).startswith(f"esd ({files[0]}) and esd ({files[1]}) cannot be compared in ")


def test_two_cards_of_one_model_are_refused_with_their_files(place: Path) -> None:
    files = [place / "esd.json", place / "copy" / "esd.json"]
    write(read(files[0]), files[1])
    done = CliRunner().invoke(app, ["compare", *map(str, files)])
    assert f"there are 2 scorecards of 'esd' for sandbox.church ({files[0]}, {files[1]})" in str(done.exception)


def test_what_tells_cards_apart(place: Path, three: list[Scorecard]) -> None:
    esd, _, uce = three
    assert told_apart(esd, uce) == ("esd", "uce")
    (other,) = read_all([place / "esd.json"])
    assert (other.file, other == esd) == (str(place / "esd.json"), True)
    bare = Scorecard.model_validate(esd.model_dump(mode="json"))
    assert (bare.file, bare == esd) == ("", True)  # where a card was read has no part in what it is
    against = bare.model_copy(update={"original_model": "sd15"})
    assert told_apart(bare, against) == ("esd (against original)", "esd (against sd15)")
    hashed = bare.model_copy(update={"content_sha256": "f" * 64})
    assert told_apart(bare, hashed)[1] == "esd (scorecard ffffffffffff)"
