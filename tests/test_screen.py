"""What commands print fits a screen and a pipe: fifteen lines, eighty columns, plain progress, readers that go away."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from golden.record import COMMANDS, HERE, SCORED, printed, unpack

from igmu_data import progress
from igmu_data.taxonomy import all_concepts
from igmu_metrics.report import brief
from igmu_metrics.report import terminal as tables
from igmu_metrics.report.concept_tables import concepts
from igmu_metrics.report.families import tables as families
from igmu_metrics.report.wording import cured
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.verdict.compare import compared
from igmu_metrics.verdict.verify import read_all

SLOW_TO_READ = (
    *("metrics", "verify --schema", "compare cards --verbose", "export cards --csv", "power cards", "families cards"),
    *("concept new object/zeppelin", "cache info", "leaderboard cards", "report cards", "check-table table.csv"),
    *("paper cards --json", "compare --published published.csv", "cache prune", "--version"),
)
PASTED = (
    "report: ",
    "scorecard: ",
    "\\",
    "%",
    "$n$",
    "the scorecard of ",
)  # never broken: commands, paths, LaTeX, errors


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("screen")
    unpack(folder)
    return folder


@pytest.fixture(scope="module")
def cards(place: Path) -> list[Scorecard]:
    return read_all([place / "cards"])


@pytest.mark.parametrize("name", [*COMMANDS, *SCORED])
def test_a_command_prints_what_was_recorded(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meant to be another? `python tests/golden/record.py`, and read the difference as a user would."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "80")
    assert printed(name) == (HERE / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [n for n in (*COMMANDS, *SCORED) if "json" not in n])
def test_recorded_lines_fit_eighty_columns(name: str) -> None:
    lines = (HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    assert [x for x in lines if len(x) > 80 and not x.startswith(PASTED) and not x.endswith("\\\\")] == []
    if name in SCORED:
        assert len(lines) - 1 <= 15


@pytest.mark.parametrize("name", ["score-one", "check"])
def test_the_guide_shows_what_was_recorded(name: str) -> None:
    recorded = (HERE / f"{name}.txt").read_text(encoding="utf-8").rpartition("exit code")[0]
    guide = HERE.parent.parent / "docs" / "guides" / "score.md"
    assert f"```text\n{recorded}```" in guide.read_text(encoding="utf-8")


def many(cards: list[Scorecard], n: int, notes: int = 0) -> list[Scorecard]:
    """Cards of so many models, with long names and much to say."""
    told = tuple(f"note {i} " + "of many words " * 20 for i in range(notes))

    def named(card: Scorecard, i: int) -> Scorecard:
        own = card.generations.with_columns(sha256=[f"{i:02x}{sha[2:]}" for sha in card.generations["sha256"].tolist()])
        name = f"a-model-with-a-rather-long-name-{i}"
        return card.model_copy(update={"model": name, "notes": told, "failures": told, "generations": own})

    return [named(cards[i % len(cards)], i) for i in range(n)]


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 12])
def test_scores_take_fifteen_lines(
    cards: list[Scorecard], n: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    ending = ["report: report.html", "cards: cards"]
    lines = brief.lines(many(cards, n, notes=9), ending)
    assert len(lines) <= 15
    assert lines[-2:] == ending
    if columns >= 80:
        assert max(map(len, lines)) <= columns
    assert "forget score" in " ".join(lines) or n > 1
    assert any("failed" in line for line in lines)


def test_no_forget_score_says_why_and_names_the_models(cards: list[Scorecard]) -> None:
    own = cards[0]
    entry = own.scores["forget_score"]
    lacking = entry.figures["forget_score"].model_copy(update={"value": None, "interval": None, "reason": "no CLIP"})
    scores = own.scores | {
        "forget_score": entry.model_copy(update={"figures": entry.figures | {"forget_score": lacking}})
    }
    without = own.model_copy(update={"scores": scores})
    assert "no forget score: no CLIP" in brief.lines([without])
    assert f"{own.model}: no forget score: no CLIP" in brief.lines([without, cards[1]])
    assert "not measured" in "\n".join(brief.lines([without]))


REASON = (
    "missing: quality (not defined without retain prompts with at least two seeds); alignment (no retain pair for "
    "which the original's cosine is above 0)"
)


def without_score(card: Scorecard, reason: str) -> Scorecard:
    entry = card.scores["forget_score"]
    lacking = entry.figures["forget_score"].model_copy(update={"value": None, "interval": None, "reason": reason})
    changed = entry.model_copy(update={"figures": {**entry.figures, "forget_score": lacking}})
    return card.model_copy(update={"scores": {**card.scores, "forget_score": changed}})


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_reason_is_never_truncated(cards: list[Scorecard], n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ended in the middle of "retain prompts with at …"."""
    monkeypatch.setenv("COLUMNS", "80")
    each = [without_score(card, f"{REASON} {at}") for at, card in enumerate(many(cards, n, notes=9))]
    lines = brief.lines(each, ["report: report.html"])
    said = " ".join(" ".join(lines).split())
    for at, card in enumerate(each):
        name = f"{card.model[:15]}…: " if n > 1 else ""
        assert f"{name}no forget score: {cured(REASON)} {at}" in said
    assert len(lines) <= (15 if n == 1 else 20)
    assert max(map(len, lines)) <= 80


def test_two_models_have_a_word_per_aspect(cards: list[Scorecard], monkeypatch: pytest.MonkeyPatch) -> None:
    both = [card for card in cards if card.model in ("esd", "uce")]
    for columns, words in (("80", 12), ("60", 2)):
        monkeypatch.setenv("COLUMNS", columns)
        table = "\n".join(brief.lines(both)[:9])
        assert len(re.findall(r"\b(?:yes|mostly|hardly|no|undecided)\b", table)) == words
    certain = [card.model_copy(update={"model": f"{card.model}-2"}) for card in (cards[1], cards[1])]
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, brief.lines([certain[0], cards[0]]))) <= 80


def test_means_over_concepts(cards: list[Scorecard]) -> None:
    other = [card.model_copy(update={"config": "sandbox.van-gogh"}) for card in cards]
    lines = brief.lines([*cards, *other])
    assert lines[0] == "4 models, means over 2 concepts, and the weakest aspect"


def shown(*found: object) -> str:
    with redirect_stdout(io.StringIO()) as out:
        tables.show(*found)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("columns", [70, 100, 140])
def test_tables_are_as_wide_as_columns_says_and_break_no_word(
    cards: list[Scorecard], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = [c for c in cards if c.model != c.original_model]
    tests = compared(judged)
    for table in (
        tables.ranking(judged, tests),
        tables.comparisons(tests, judged),
        *tables.differences(tests, judged),
        *families(judged),
        *tables.scores(judged),
        concepts([(c.id, c.config, c.family, c.scope, c.label) for c in all_concepts().values()]),
    ):
        monkeypatch.delenv("COLUMNS", raising=False)
        natural = shown(table)
        monkeypatch.setenv("COLUMNS", str(columns))
        narrow = shown(table)
        assert max(map(len, narrow.splitlines())) <= columns
        assert "…" not in narrow
        intervals = re.findall(r"\[[^\]\n│]*\]", natural)
        assert sorted(re.findall(r"\[[^\]\n│]*\]", narrow)) == sorted(intervals)


def test_sentences_are_broken_between_words_where_columns_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    from igmu_metrics.cli._common import say

    text = "a word and another one " * 8 + "/a/path/that/is/longer/than/any/screen/" + "x" * 90
    for columns, most in (("", 1), ("40", 9)):
        monkeypatch.setenv("COLUMNS", columns)
        with redirect_stdout(io.StringIO()) as out:
            say(text)
        lines = out.getvalue().splitlines()
        assert 1 <= len(lines) <= most
        assert " ".join(out.getvalue().split()) == text
        assert not columns or max(len(line) for line in lines[:-1]) <= 40


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.bars() as advance:
        for _ in range(50):
            advance("esd\x1b[2J", 2, 100)
    assert capsys.readouterr().err == "esd\\x1b[2J: 100 of 100\n"


@pytest.mark.parametrize(
    ("environment", "bars"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "PAGER": "cat"}, True),
        ({"TERM": "xterm-color", "PAGER": "cat"}, False),  # `!igmu …` in a notebook
        ({"TERM": "dumb"}, False),
    ],
)
def test_progress_is_bars_only_where_the_cursor_can_move(
    environment: dict[str, str], bars: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PAGER", raising=False)
    for name, value in (environment | {"FORCE_COLOR": "1"}).items():  # counts as a terminal
        monkeypatch.setenv(name, value)
    with progress.bars() as advance:
        advance("esd", 2, 2)
    said = capsys.readouterr().err
    assert ("\x1b[" in said) == bars
    assert bars or said == "esd: 2 of 2\n"


def test_progress_says_something_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = iter(range(0, 1000, 10))
    lines = progress._Lines(clock=lambda: float(next(now)))
    for _ in range(10):
        lines.advance("generating", 1, 10)
    said = capsys.readouterr().err.splitlines()
    assert said == [f"generating: {n} of 10" for n in (4, 7, 10)]


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "score --help",
        "concepts",
        "check cards --min forgetting=0",
        *(pytest.param(words, marks=pytest.mark.slow) for words in SLOW_TO_READ),
    ],
)
def test_a_reader_that_goes_away_is_no_error(words: str, place: Path) -> None:
    """`igmu … | head -1`."""
    (place / "table.csv").write_text("value,n\n0.50,10\n")
    (place / "published.csv").write_text("model,n,successes\nesd,142,29\nuce,142,31\n")
    line = [sys.executable, "-c", "from igmu_metrics.cli import main; main()", *words.split()]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place, env=os.environ
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
