"""A message of igmu advises only options that the user's command has, or names the command that has them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import Final

import pytest
from swept import Words, commands
from test_architecture import MODULES, reached

OPTIONS: Final = {
    words: {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help"}
    for words, command in commands().items()
}
_OPTION: Final = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
_COMMAND: Final = re.compile(r"\bigmu ([a-z-]+)(?: ([a-z-]+))?")
# An option that a message calls given was given to the command, so the command has it.
_GIVEN: Final = re.compile(
    r"(--[a-z-]+)(?: …(?:[=:…]\S*)*)?:?(?: and (--[a-z-]+)(?: …)?)? "
    r"(?:is|are|was|has|specifies|assigns|names|depends|excludes|selects|cannot|can only|requires)\b"
    r"|(?:[Ll]eave|[Oo]mit) (--[a-z-]+)|(--[a-z-]+)(?: …)+:"
)
# Which commands use a module that more commands import; only these can raise its errors.
GENERATE: Final = "attack generate original run"
USED_BY: Final[dict[str, str]] = {
    "igmu_data.imports": "import-prompts",
    "igmu_data.load": "attack generate match original power report run score verify",
    "igmu_metrics.attacks": "attack",
    "igmu_metrics.detectors": "attack calibrate original run score verify",
    "igmu_metrics.images.calling": GENERATE,
    "igmu_metrics.images.matching": "match",
    "igmu_metrics.images.parts": f"merge {GENERATE}",
    "igmu_metrics.images.pipelines": GENERATE,
    "igmu_metrics.images.published": GENERATE,
    "igmu_metrics.networks.instruments": "attack calibrate original run score verify",
    "igmu_metrics.report.folders": "report",
    "igmu_metrics.report.page": "report",
    "igmu_metrics.running.looking": "run",
    "igmu_metrics.running.original": "run",
    "igmu_metrics.running.plan": "run",
    "igmu_metrics.running.run": "run",
    "igmu_metrics.sandbox.audit": "audit",
    "igmu_metrics.scale.originals": "original",
    "igmu_metrics.scale.pool": "generate run score",
    "igmu_metrics.training.run": "train-detector",
    "igmu_metrics.verdict.criteria": "check run",
    "igmu_metrics.verdict.export": "export",
    "igmu_metrics.verdict.signing": "sign",
}
# Not messages of errors: help, other programs' options, texts that are written into files, and hints in tables.
_OTHERS: Final = re.compile(
    r"igmu_metrics\.(settings|spaces\..*|scale\.originals$|cli\..*|report\.(terminal|wording))"
    r"|igmu_data\.(build|imports\.(folder|csv|text))"
)
_COLUMN: Final = "score that the --align model gives to the image and its prompt"  # a column's description
_WRITING: Final = "--out"  # said where something cannot be written, by commands that write


def strings(module: str) -> Iterator[tuple[int, str]]:
    """Every text in a module that may be part of a message, with … for its values, and its line."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {id(node.body[0].value) for node in ast.walk(tree)
            if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)}  # fmt: skip
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)  # type: ignore[misc]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (docs | parts):
            yield node.lineno, node.value


@cache
def users(module: str) -> list[Words]:
    """The commands that can raise a module's errors."""
    for name, own in USED_BY.items():
        if module == name or module.startswith(f"{name}."):
            return [words for words in OPTIONS if " ".join(words) in own.split()]
    return [words for words in OPTIONS if module in reached(f"igmu_metrics.cli.{words[0].replace('-', '_')}")]


def strange(text: str, words: Words) -> set[str]:
    """The options in a message that a command does not have, without those whose command the message names."""
    known = set(OPTIONS[words])
    for match in _COMMAND.finditer(text):
        known |= OPTIONS.get((match[1], match[2]), OPTIONS.get((match[1],), set()))
    given = {option for match in _GIVEN.finditer(text) for option in match.groups() if option}
    return set(_OPTION.findall(text)) - known - given - {_WRITING}


def test_every_message_advises_what_its_command_has() -> None:
    """A reviewer was advised `--layout` by `igmu verify`, which does not have it."""
    found = []
    for module in MODULES:
        if not module.startswith("igmu_") or _OTHERS.match(module):
            continue
        for line, text in strings(module):
            if " " in text and text != _COLUMN and _OPTION.search(text):
                wrong = {words: options for words in users(module) if (options := strange(text, words))}
                if wrong:
                    names = ", ".join(sorted({" ".join(words) for words in wrong}))
                    found.append(f"{module}:{line}: {sorted(set().union(*wrong.values()))} ({names}): {text}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Choose another --layout.", {"--layout"}),
        ("Choose another layout with 'igmu score --layout'.", set()),
        ("--layout … is given.", set()),
        ("Leave --layout out.", set()),
        ("Use --detector.", set()),
    ],
)
def test_what_is_strange_to_a_command(text: str, options: set[str]) -> None:
    assert strange(text, ("verify",)) == options
