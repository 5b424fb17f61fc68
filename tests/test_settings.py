"""Settings are defined once: the command line, Python and the documentation say the same of each."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from builders import docs, interface
from igmu_data.errors import InputError, OutOfRangeError
from igmu_metrics import cli
from igmu_metrics.cli import app
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.settings import Influence, Option, Settings, local, options, unrecorded

CONFIG = "object.church"
ALL = list(options().values())
OFFERED = [o for o in ALL if o.command_line]


def words(text: str) -> str:
    """Text without the line breaks of a terminal."""
    return "".join(text.split())


@pytest.fixture(scope="module")
def score_help() -> str:
    return words(CliRunner().invoke(app, ["score", "--help"], terminal_width=100).output)


def test_python_and_evaluation_have_the_fields() -> None:
    assert [f.name for f in fields(Evaluation)] == [f.name for f in fields(Settings)] == [o.name for o in ALL]
    assert [f.default for f in fields(Evaluation)] == [f.default for f in fields(Settings)]
    for option in ALL:
        assert f"{option.name}: {option.help}" in (inspect.getdoc(Settings) or "")


@pytest.mark.parametrize("option", ALL, ids=lambda o: o.name)
def test_a_help_text_can_be_read_alone(option: Option) -> None:
    assert option.help[0].isupper()
    assert option.help.endswith(".")
    assert "likewise" not in option.help.casefold()


@pytest.mark.parametrize("option", OFFERED, ids=lambda o: o.name)
def test_the_command_line_offers_a_setting_with_its_help(option: Option, score_help: str) -> None:
    assert words(option.help) in score_help
    assert all(flag in score_help for flag in option.flag.split("/"))
    assert "|".join(option.choices) in score_help


@pytest.mark.parametrize("option", OFFERED, ids=lambda o: o.name)
def test_the_command_line_has_the_defaults(option: Option) -> None:
    (parameter,) = (p for p in score_parameters() if p.name == option.name)
    assert parameter.required is option.required
    assert option.required or parameter.default == option.default


def score_parameters() -> list[Any]:
    command: Any = typer.main.get_command(app)
    return list(command.commands["score"].params)


def test_what_is_for_python_only_is_no_option() -> None:
    own = {"original", "unlearned", "out", "shard", "engine", "workers", "plugin", "concepts", "verbose", "as_json"}
    assert {p.name for p in score_parameters()} == {o.name for o in OFFERED} | own
    assert {o.name for o in ALL} - {o.name for o in OFFERED} == {"only"}


@pytest.mark.parametrize("option", ALL, ids=lambda o: o.name)
def test_the_documentation_says_it(option: Option) -> None:
    (line,) = (x for x in docs.settings().splitlines() if x.startswith(f"| `{option.name}` "))
    assert interface.escaped(option.help) in line
    assert line.endswith(f"| {option.influence} |")
    if option.command_line:
        assert f"`{option.flag}`" in line
    if option.default not in (None, inspect.Parameter.empty):
        assert f"| `{option.default}` |" in line


@pytest.mark.parametrize("option", [o for o in ALL if o.choices], ids=lambda o: o.name)
@pytest.mark.parametrize("kind", [Settings, Evaluation])
def test_a_closed_choice_is_refused(option: Option, kind: type[Settings]) -> None:
    for choice in option.choices:
        kind(CONFIG, **{option.name: choice})
    with pytest.raises(InputError, match=f"{option.name} is 'other'; it must be .*{option.choices[-1]}"):
        kind(CONFIG, **{option.name: "other"})


@pytest.mark.parametrize("option", [o for o in ALL if o.choices], ids=lambda o: o.name)
def test_the_command_line_refuses_a_closed_choice_in_one_line(
    option: Option, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--original", str(tmp_path), "--unlearned", str(tmp_path), "--config", CONFIG]
    monkeypatch.setattr("sys.argv", ["igmu", "score", *folders, option.flag, "other"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr()
    assert end.value.code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"InputError: {option.name} is 'other'; it must be one of ")


@pytest.mark.parametrize("name", ["k", "batch_size"])
def test_a_number_below_its_minimum_is_refused(name: str) -> None:
    with pytest.raises(OutOfRangeError, match=f"{name} is 0; it must be at least 1"):
        Settings(CONFIG, **{name: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "given", "detector", "clip"),
    [
        ("object.church", {}, "clip", None),
        ("sandbox.church", {}, "sandbox", "sandbox"),
        ("sandbox.church", {"align": "pickscore"}, "sandbox", "sandbox"),
        ("sandbox.church", {"align": "clip:mine"}, "sandbox", "mine"),
        ("sandbox.church", {"clip": "mine"}, "sandbox", "mine"),
        ("sandbox.church", {"detector": "sandbox"}, "sandbox", None),
        ("sandbox.church", {"detector": "clip"}, "clip", None),
        ("sandbox.church", {"detector": "labels:me.csv"}, "labels:me.csv", None),
    ],
)
def test_the_sandbox_has_its_own_detector_and_clip(
    config: str, given: dict[str, Any], detector: str, clip: str | None
) -> None:
    made = Evaluation.from_keywords("forget_score", {"config": config, **given})
    for settings in (made, made.settled()):
        assert (settings.detecting(), settings.aligning()[0]) == (detector, clip)
    assert made.detector == given.get("detector")  # which is recorded: only what was given


def test_settings_from_keywords() -> None:
    made = Evaluation.from_keywords("forget_score", {"config": CONFIG, "k": 5})
    assert made == Evaluation(CONFIG, k=5)
    assert type(made) is Evaluation


def test_an_unknown_keyword_is_named_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match="forget_score has no option 'treshold'; did you mean 'threshold'") as caught:
        Settings.from_keywords("forget_score", {"config": CONFIG, "treshold": 0.5}, also=("budgets",))
    assert all(o.name in str(caught.value) for o in ALL)
    assert "budgets" in str(caught.value)
    with pytest.raises(InputError, match=r"no option 'zzzz'\. Its options are config, "):
        Settings.from_keywords("forget_score", {"config": CONFIG, "zzzz": 1})


def test_a_missing_config_is_named() -> None:
    with pytest.raises(InputError, match="forget_score requires config"):
        Settings.from_keywords("forget_score", {"k": 5})


def test_importing_settings_is_light() -> None:
    script = "import sys, igmu_metrics.settings; print(*{'numpy', 'pydantic', 'torch', 'typer'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_influence() -> None:
    assert unrecorded() == {"batch_size", "cache", "only"}
    assert local() == unrecorded() | {"device"}
    assert {o.influence for o in ALL} == set(Influence)
