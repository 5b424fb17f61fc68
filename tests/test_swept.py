"""Every command with one wrong argument of each kind: one line that says so, exit code 2, and nothing written."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from swept import Case, World, cases, commands

from igmu_metrics import cli
from igmu_metrics.cli._common import with_extensions

CASES = cases()
# What click tells before the command begins, and a few of the others.
TOLD_FIRST = ("no such option", "missing argument", "text for a number", "empty text")
HEAVY = {("attack",), ("audit",), ("demo",), ("generate",), ("train-detector",), ("score",), ("run",), ("import-head",)}
ONE_IN = 40


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        return World(tmp_path_factory.mktemp("swept") / "world")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def faults(world: World, chosen: list[Case]) -> dict[str, list[str]]:
    return {str(case): found for case in chosen if (found := world.faults(case))}


def test_a_sample(world: World) -> None:
    first = [c for c in CASES if c.kind in TOLD_FIRST and (c.kind != "empty text" or c.parameter != "out")]
    rest = [c for c in CASES if c not in first and c.command not in HEAVY and luck(c) % ONE_IN == 0]
    assert len(first) > 150
    assert len(rest) > 10
    assert faults(world, [*first, *rest]) == {}


def luck(case: Case) -> int:
    return int.from_bytes(hashlib.sha256(str(case).encode()).digest()[:4], "big")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_wrong_argument(command: tuple[str, ...], world: World) -> None:
    assert faults(world, [c for c in CASES if c.command == command]) == {}


def test_every_parameter_of_every_command_is_swept() -> None:
    known = {(words, p.name) for words, command in commands().items() for p in command.params}
    flags = {
        (words, p.name)
        for words, command in commands().items()
        for p in command.params
        if p.type_descriptor.annotation is bool
    }
    free = {key for key in known if key[1] in ("prompt", "license", "source")}
    assert {(c.command, c.parameter) for c in CASES if c.parameter != "--no-such-option"} >= known - flags - free
    assert min(Counter(c.command for c in CASES).values()) >= 1


class TestPlanted:
    """A new command is swept without a word about it here, and what it does wrong is found."""

    @pytest.fixture
    def planted(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        def plant(command: Any) -> list[Case]:
            app = typer.Typer(callback=lambda: None)
            app.command("planted")(with_extensions(command))
            monkeypatch.setattr(cli, "app", app)
            return [c for c in cases() if c.parameter == "card" and c.kind != "missing argument"]

        return plant

    def test_a_traceback_and_what_is_taken(self, planted: Any, world: World) -> None:
        def command(card: Annotated[Path, typer.Argument()]) -> None:
            card.read_text(encoding="utf-8")

        found = faults(world, [c for c in planted(command) if c.kind != "pipe"])
        assert found["planted card: not UTF-8"][0].startswith("UnicodeDecodeError")
        assert found["planted card: file of 0 bytes"] == ["accepted"]
        assert "planted card: missing file" not in found  # main tells of files that nobody foresaw

    def test_two_lines_and_a_file(self, planted: Any, world: World) -> None:
        def command(card: Annotated[Path, typer.Argument()]) -> None:
            Path("written").write_text("x", encoding="utf-8")
            raise SystemExit(print_two())

        def print_two() -> int:
            import sys

            sys.stderr.write("SomeError: one\nSomeError: two\n")
            return 2

        found = faults(world, [c for c in planted(command) if c.kind == "missing file"])
        ((told, written),) = found.values()
        assert told.startswith("2 lines")
        assert "written" in written


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("score --k 0", "InputError: igmu score: Invalid value for '--k'"),
        ("score --k many", "Got 'many'. See igmu score --help."),
        ("score --out", "Option '--out' requires an argument"),
        ("power --rate nan --rate 0.5", "OutOfRangeError: rate: nan is out of range"),
        ("power --rate=", "InputError: the argument after '--rate' is empty"),
        ("no-such-command", "InputError: igmu: No such command 'no-such-command'"),
        ("families {card} --chart {card}", "this is also an input file and would be overwritten"),
        ("leaderboard {cards} --out {card}", "is not an earlier output of this kind that igmu wrote"),
        ("power {card} --alpha 2", "--alpha is 2; it must be a fraction, greater than 0 and less than 1"),
        ("verify {card} --detector labels:x.csv", "has no effect unless images are scored again. Specify --images"),
    ],
)
def test_what_is_said(words: str, says: str, world: World) -> None:
    before = world.state()
    code, out, err = world.run(tuple(words.split()))
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert world.state() == before


def test_what_takes_one_value_is_given_once(world: World) -> None:
    """Of every command and option: the parser alone would take the last of two values without a word."""
    found = []
    for command, known in commands().items():
        for p in known.params:
            if p.param_type_name == "option" and not (p.multiple or p.is_flag):
                code, out, err = world.run((*command, p.opts[0], "1", p.opts[0], "2"))
                if (code, out) != (2, "") or "the option takes one value, but is used 2 times" not in err:
                    found.append((*command, p.opts[0], err))
    assert found == []
