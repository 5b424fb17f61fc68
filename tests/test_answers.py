"""`--json` of every command: one document on stdout, of the type that the command's arrow promises."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from golden.record import unpack
from pydantic import TypeAdapter
from typer.testing import CliRunner

from igmu_data.errors import InputError
from igmu_metrics.cli import _json, app
from igmu_metrics.cli._card_answers import Card
from igmu_metrics.verdict.criteria import figures
from igmu_metrics.verdict.verify import read_all


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    if not below:
        yield " ".join(words), command
    for name, own in below.items():
        yield from commands(own, (*words, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_in_json(name: str) -> None:
    """By the one mechanism, with a type that the documentation can tell."""
    command = COMMANDS[name]
    options = [flag for parameter in command.params for flag in parameter.opts]
    assert options.count("--json") == 1
    called, files = command.callback, set()
    while called is not None:
        files.add(called.__code__.co_filename)
        called = getattr(called, "__wrapped__", None)
    assert _json.__file__ in files
    assert TypeAdapter(_json.answer_type(command.callback)).json_schema(mode="serialization")["properties"]


def test_a_command_without_an_answer_is_found() -> None:
    def planted() -> None:
        """Says nothing."""

    with pytest.raises(AttributeError):
        _json.answer_type(_json.with_json(planted))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answers")
    unpack(folder)
    (folder / "table.csv").write_text("model,value,n\nesd,0.35,10\nuce,0.50,10\n")
    (folder / "published.csv").write_text("model,n,successes\nesd,142,29\nuce,142,31\n")
    return folder


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def answered(words: str, code: int = 0) -> Any:
    """The result of a command, which is of its type; nothing else is on stdout."""
    done = CliRunner().invoke(app, [*words.split(), "--json"])
    assert done.exit_code == code or getattr(done.exception, "exit_code", None) == code, done.output
    document = json.loads(done.stdout)
    assert list(document) == ["igmu", "command", "exit_code", "result", "error"]
    assert document["exit_code"] == code
    command = COMMANDS[next(name for name in COMMANDS if f"{words} ".startswith(f"{name} "))]
    if document["result"] is not None:
        TypeAdapter(_json.answer_type(command.callback)).validate_json(json.dumps(document["result"]))
    assert (document["error"] is None) == (done.exception is None or isinstance(done.exception, SystemExit))
    return document["result"]


@pytest.mark.parametrize(
    "words",
    [
        "concepts object/church",
        "concepts style",
        "metrics",
        "compare cards/esd.json cards/uce.json",
        "compare --published published.csv",
        "power --rate 0.7 --rate 0.8 --prompts 50",
        "families cards --chart chart.svg",
        "verify cards",
        "verify --schema",
        "paper cards",
        "leaderboard cards cards/esd.json --out board.html",
        "export cards/esd.json --csv",
        "export cards/esd.json --latex --out table.tex",
        "concept new object/zeppelin",
        "cache info",
        "cache prune",
        "report cards --out report.html",
    ],
)
def test_an_answer_is_of_its_type(words: str) -> None:
    assert answered(words)


def test_what_was_found_stands_beside_the_error_that_follows() -> None:
    numbers = answered("check-table table.csv", 2)["numbers"]
    assert [n["possible"] for n in numbers] == [False, True]
    text = Path("cards/esd.json").read_text()
    Path("edited.json").write_text(text.replace('"n_prompts": 16', '"n_prompts": 17', 1))
    assert answered("verify edited.json", 2)["files"][0]["problems"]
    Path("object").mkdir()
    Path("object/none.toml").write_text("pos = 1\n")
    assert answered("concept check object/none.toml", 1)["files"][0]["problems"]


def test_an_exit_code_is_in_the_document() -> None:
    assert answered("check cards/esd.json --min forgetting=0.5")["outcome"] == "met"
    assert answered("check cards/filter.json --max asr=0.5", 1)["outcome"] == "not met"
    assert answered("check cards/uce.json --max asr=0.5", 3)["outcome"] == "undecided"
    assert answered("check cards/uce.json --max asrr=0.5", 2)["outcome"] == "error"


def test_figures_have_the_names_that_check_takes() -> None:
    (card,) = read_all([Path("cards/esd.json")])
    told = _json.plain(Card.of(card, Path("cards/esd.json")))
    assert (told["word"], told["file"]) == ("mostly", "cards/esd.json")
    assert list(told["figures"]) == list(figures(card))
    assert told["figures"]["forget_score/quality"]["interval"] == pytest.approx([0.38, 0.75], abs=0.01)


def test_nothing_else_reaches_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass
    class Written:
        path: Path
        share: float

    def planted() -> Written:
        print("a library says something")
        return Written(Path("a\u202e.json"), math.nan)

    _json.with_json(planted)(as_json=True)
    told, _ = capsys.readouterr()
    assert told.isascii()
    assert json.loads(told)["result"] == {"path": "a\u202e.json", "share": None}


def test_an_error_is_a_document_and_stays_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    def planted() -> None:
        raise InputError("no such thing.")

    with pytest.raises(InputError):
        _json.with_json(planted)(as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["error"] == {"type": "InputError", "message": "no such thing."}
    assert document["exit_code"] == 2


@pytest.mark.parametrize("words", ["check cards --mim forgetting=1 --json", "--plugin no.py metrics --json"])
def test_errors_before_a_command_are_documents_too(words: str) -> None:
    line = [sys.executable, "-c", "from igmu_metrics.cli import main; main()", *words.split()]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"]["message"]
