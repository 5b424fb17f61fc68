"""No option is ignored in silence: what a command declares about its options is held to before it does anything."""

from __future__ import annotations

import inspect
import shlex
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
import typer
from swept import BASE, Words, commands
from typer.testing import CliRunner

from igmu_data.errors import InputError
from igmu_metrics import cli
from igmu_metrics.cli import app
from igmu_metrics.cli._common import hints_of
from igmu_metrics.cli._effects import Alone, With, Without, flag
from igmu_metrics.settings import Settings


def rules() -> Iterator[tuple[Words, Any, Any]]:
    """Every rule of every command, with the parameter that declares it."""
    for words, command in commands().items():
        hints = hints_of(inspect.unwrap(command.callback))
        for parameter in command.params:
            for rule in get_args(hints.get(parameter.name, str))[1:]:
                if isinstance(rule, With | Without | Alone):
                    yield words, parameter, rule


RULES = list(rules())


def given(parameter: Any) -> list[str]:
    return [parameter.opts[0]] if parameter.is_flag else [parameter.opts[0], "1"]


def base(words: Words) -> list[str]:
    """A command line that is right, of files that need not exist."""
    return [*words, *shlex.split(BASE[words].format_map(defaultdict(lambda: "x")))]


def test_rules_name_parameters() -> None:
    for words, parameter, rule in RULES:
        known = {p.name for p in commands()[words].params}
        named = [] if isinstance(rule, Alone) else [other.partition("=")[0] for other in rule.others]
        assert set(named) <= known - {parameter.name}, (words, parameter.name)
    kinds = {(words[0], parameter.name) for words, parameter, _ in RULES}
    assert kinds >= {("families", "figure"), ("report", "beside"), ("compare", "verbose"), ("score", "workers")}


@pytest.mark.parametrize(("words", "parameter", "rule"), RULES, ids=[f"{w[0]} {p.opts[0]}" for w, p, _ in RULES])
def test_an_option_without_effect_is_refused(words: Words, parameter: Any, rule: Any) -> None:
    """`igmu families --figure` did nothing without --chart; nobody was told."""
    known = {p.name: p for p in commands()[words].params}
    others: list[list[str]] = [[]]
    if isinstance(rule, Without):
        others = [given(known[other]) for other in rule.others]
    elif isinstance(rule, Alone):
        others = [given(p) for p in known.values() if p.param_type_name == "option" and p.name in ("device", "verbose")]
    for more in others:
        line = [*base(words), *given(parameter), *more]
        error = CliRunner().invoke(app, line).exception
        assert isinstance(error, InputError), (line, error)
        assert "has no effect with" in str(error), line
        assert parameter.opts[0] in str(error), line
        if isinstance(rule, With):
            assert all(flag(other) in str(error) for other in rule.others)


class TestPlanted:
    @pytest.fixture
    def run(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        planted = typer.Typer(callback=lambda: None)
        seen: list[Any] = []

        def command(
            name: Annotated[str | None, typer.Argument()] = None,
            mode: Annotated[str, typer.Option()] = "a",
            depth: Annotated[int, typer.Option(), With(["mode=b", "wide"])] = 1,
            wide: Annotated[bool, typer.Option("--wide/--narrow"), Without(["name"])] = False,
        ) -> None:
            seen.append((name, mode, depth, wide))

        planted.command("planted", cls=cli._Command)(command)

        def invoke(line: str) -> str:
            done = CliRunner().invoke(planted, ["planted", *line.split()])
            return str(done.exception or "") if done.exception else f"{seen.pop()}"

        return invoke

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            (
                "--depth 1",
                "--depth 1 has no effect without --mode b or --wide. Add --mode b or --wide, or leave out --d",
            ),
            ("--depth 2 --mode a", "--depth 2 has no effect without --mode b"),
            ("--depth 2 --mode b", "(None, 'b', 2, False)"),
            ("--depth 2 --narrow", "(None, 'a', 2, False)"),
            ("--wide x", "--wide has no effect with x. Leave out one of them."),
            ("--narrow x", "--narrow has no effect with x."),
            ("x", "('x', 'a', 1, False)"),
            ("", "(None, 'a', 1, False)"),
        ],
    )
    def test_what_is_said(self, line: str, says: str, run: Any) -> None:
        assert says in run(line)


def test_merging_images_needs_no_device(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "metadata.jsonl").write_text("", encoding="utf-8")
    for more in (["--device", "cpu"], ["--verbose"]):
        error = CliRunner().invoke(app, ["merge", str(tmp_path / "images"), *more]).exception
        assert isinstance(error, InputError)
        assert " ".join(more) + " has no effect when parts of the images are merged" in str(error)


def test_numbers_of_images_without_rates() -> None:
    """`--n-positives` alone was recorded on the card, but changed nothing."""
    for name in ("n_positives", "n_negatives"):
        with pytest.raises(InputError, match=f"{name} is 5, but it has no effect without sensitivity and specificity"):
            Settings("object.church", **{name: 5})  # type: ignore[arg-type]
        one = {"sensitivity": 0.9, "specificity": 0.9, name: 5}
        with pytest.raises(InputError, match=rf"{name} is 5, but n_.* is not given.*\(--n-.* and --n-.*\)"):
            Settings("object.church", **one)  # type: ignore[arg-type]
    both = Settings("object.church", sensitivity=0.9, specificity=0.9, n_positives=5, n_negatives=6)
    assert (both.n_positives, both.n_negatives) == (5, 6)
