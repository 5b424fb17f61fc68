"""The reference pages of what other programs meet: command line, JSON, errors and exit codes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer

from igmu_data import errors as typed
from igmu_data.errors import IgmuError
from igmu_data.markdown import table

ROOT: Final = Path(__file__).resolve().parent.parent
WIDTH: Final = 86  # of the help of commands, in characters: what fits between the site's two columns
_MANY: Final = 6  # packages that raise an error are listed up to this number
_JSON: Final = """# JSON

Every command accepts `--json`. It then prints a single document to stdout, and nothing else; progress and messages go
to stderr. Keys are stable: later versions may add keys, but do not rename or remove any.

```json
{{"igmu": "VERSION", "command": "check", "exit_code": 0, "result": {{}}, "error": null}}
```

- `exit_code` is the exit code of the process: 0 for success, 2 for an error, or a code specific to the command
  (`igmu check`: 1 and 3; [all exit codes](errors.md)).
- `result` has the type in the table below, or is null if there was an error before a result.
- `error` is null or `{{"type": "MetadataError", "message": "…"}}` ([all types](errors.md)); the same message is printed
  to stderr. If a command fails after it has found something (`igmu verify`), both `result` and `error` are set.
- Shares are between 0 and 1. A missing number is null, and `reason` contains the cause.

```bash
igmu check cards --min forgetting=0.8 --json | jq -r '.result.results[] | select(.outcome != "met") | .figure'
igmu score … --json | jq '.result.cards[0].figures["forget_score/robustness"].interval'
```

{commands}

## Types

{types}
"""
_ERRORS: Final = """# Errors and exit codes

An error is one message on stderr, `Type: message`, that says what is wrong, where, which value was given and what to do
next. There is no traceback. With [`--json`](json.md), the document also contains the type and the message.

## Exit codes

{codes}

`igmu run --until` exits with 0 even if something is undecided; `settled` in its JSON document says so.

## Types

All types are in `igmu_data.errors` and derive from `IgmuError`, so `except IgmuError` catches every error that igmu
raises on purpose. *Kind of* lists the types that also catch an error: `except ValueError` catches every `InputError`.

{types}
"""


def command_line() -> str:
    """The help of every command, as Typer prints it."""
    from igmu_metrics.cli import app

    found = list(_helps(typer.main.get_command(app), "igmu"))
    parts = [
        "# Command line",
        "This page has the help of every command, as printed by `--help`. [Errors and exit codes](errors.md) are on a "
        "separate page.",
        *(f"## {name}\n\n```text\n{text}\n```" for name, text in found),
    ]
    return "\n\n".join(parts)


def _helps(command: Any, name: str) -> Iterator[tuple[str, str]]:
    context = command.context_class(command, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
    yield name, "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    for key, below in sorted(getattr(command, "commands", {}).items()):
        yield from _helps(below, f"{name} {key}")


def json_answers() -> str:
    """What every command prints with `--json`, type by type."""
    from pydantic import TypeAdapter

    from igmu_metrics.cli import app
    from igmu_metrics.cli._json import answer_type

    types = {name: answer_type(own.callback) for name, own in _commands(typer.main.get_command(app), "igmu")}
    definitions: dict[str, Any] = {}
    for kind in types.values():
        schema = TypeAdapter(kind).json_schema(mode="serialization")
        definitions |= {kind.__name__: schema} | schema.pop("$defs", {})
    listed = table(["command", "result"], [[f"`{name}`", _linked(kind.__name__)] for name, kind in types.items()])
    described = {name: text for name, own in sorted(definitions.items()) if (text := _definition(own))}
    return _JSON.format(commands=listed, types="\n\n".join(f"### {name}\n\n{t}" for name, t in described.items()))


def errors() -> str:
    """Exit codes, and the types of errors with the packages that raise them."""
    from igmu_metrics.cli import INTERRUPTED
    from igmu_metrics.verdict.criteria import Outcome

    codes: dict[int, str] = {
        0: "Success. `igmu check`: every bound is met.",
        Outcome.NOT_MET.exit_code: "`igmu check`: at least one bound is not met. `igmu concept check`: a file has "
        "problems.",
        IgmuError.exit_code: "An error, which is printed to stderr. `igmu check`: a bound could not be checked.",
        Outcome.UNDECIDED.exit_code: "`igmu check`: no bound is known to be missed, but at least one is undecided.",
        INTERRUPTED: "Interrupted with Ctrl-C; finished images and scorecards are kept.",
    }
    known = [one for one in vars(typed).values() if isinstance(one, type) and issubclass(one, IgmuError)]
    raised = _raised({one.__name__ for one in known})
    rows = []
    for one in known:
        kind = vars(one).get("kind") if one.__base__ is not IgmuError else None
        meaning = f"No {kind} has this name; the message suggests similar ones." if kind else (one.__doc__ or "")
        places = sorted(raised[one.__name__])
        where = ", ".join(f"`{place}`" for place in places) if len(places) <= _MANY else "nearly everywhere"
        where = where or "only as one of its kinds"
        bases = ", ".join(f"`{base.__name__}`" for base in one.__bases__)
        rows.append([f"`{one.__name__}`", meaning.partition("\n\n")[0].replace("\n    ", " "), bases, where])
    return _ERRORS.format(
        codes=table(["code", "meaning"], [[str(code), about] for code, about in sorted(codes.items())]),
        types=table(["type", "meaning", "kind of", "raised by"], rows),
    )


def _raised(names: set[str]) -> dict[str, set[str]]:
    """By error, the parts of the packages that create it."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for package in ("igmu_data", "igmu_metrics", "builders/sources"):
        for path in sorted((ROOT / package).rglob("*.py")):
            part = path.relative_to(ROOT).with_suffix("").parts[:2]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                # An error is created, chosen from a table or handed to what creates it.
                used: list[Any] = node.values if isinstance(node, ast.Dict) else []
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") not in ("isinstance", "issubclass"):
                    used = [node.func, *node.args, *(keyword.value for keyword in node.keywords)]
                for name in {one.id for one in used if isinstance(one, ast.Name)} & names:
                    found[name].add(".".join(part))
    return found


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its words."""
    below = getattr(command, "commands", {})
    if not below:
        yield name, command
    for key, own in sorted(below.items()):
        yield from _commands(own, f"{name} {key}")


def _definition(schema: dict[str, Any]) -> str:
    """The keys of an object, or the words of a text; "" where there is nothing to tell."""
    if "enum" in schema:
        return "One of " + ", ".join(f"`{word}`" for word in schema["enum"]) + "."
    text = schema.get("description", "")
    about, _, arguments = text.partition("\n\nArgs:\n")
    told = dict(re.findall(r"^    (\w+): (.*(?:\n        .*)*)", arguments, re.MULTILINE))
    rows = [
        [f"`{key}`", _json_kind(own), escaped(" ".join((own.get("description") or told.get(key, "")).split()))]
        for key, own in schema.get("properties", {}).items()
    ]
    return f"{escaped(about)}\n\n{table(['key', 'type', 'meaning'], rows)}" if rows else ""


def _json_kind(schema: dict[str, Any]) -> str:
    """The type of a value in words."""
    if "$ref" in schema:
        return _linked(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_json_kind, schema["anyOf"])))
    if "prefixItems" in schema:
        return f"[{', '.join(map(_json_kind, schema['prefixItems']))}]"
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_json_kind(schema.get('items', {}))}"
    if kind == "object" and isinstance(below := schema.get("additionalProperties"), dict):
        return f"object of {_json_kind(below)}"
    return {"string": "text", "integer": "whole number"}.get(kind, kind)


def _linked(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def escaped(text: str) -> str:
    """Text for a cell of a table."""
    return text.replace("<", "&lt;")
