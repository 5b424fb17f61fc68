"""`--json` of every command: its return value, or an error, becomes one JSON document on stdout.

A command returns an answer, of a type in `_card_answers` or `_other_answers` that its annotation names; without
`--json` the answer is ignored. A command that ends with an error after it has found something passes its answer to
`noted` first. In JSON mode everything else written to stdout is discarded; progress and messages go to stderr.
"""

from __future__ import annotations

import functools
import inspect
import io
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Final, TypeVar

import typer

from igmu_data import __version__
from igmu_data.errors import IgmuError

FLAG: Final = "--json"
_TOLD: Final = "told_in_json"
_T = TypeVar("_T")
_noted: ContextVar[list[Any] | None] = ContextVar("noted", default=None)

Json = Annotated[
    bool,
    typer.Option(FLAG, help="Print a JSON document instead of text; reference/json.md describes its keys."),
]


def noted(answer: _T) -> _T:
    """Pass on an answer before the command ends with an error or an exit code."""
    if (found := _noted.get()) is not None:
        found.append(answer)
    return answer


def with_json(command: Callable[..., Any]) -> Callable[..., None]:
    """Give a command the option `--json`, after its own options."""
    own = list(inspect.signature(command).parameters.values())
    option = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json)
    # Commands of typer groups have positional parameters; keywords work for all commands.
    signature = inspect.Signature([p.replace(kind=p.KEYWORD_ONLY) for p in own] + [option])

    @functools.wraps(command)
    def answering(as_json: bool = False, **given: Any) -> None:
        if as_json:
            _answer(command, given)
        else:
            command(**given)

    answering.__signature__ = signature  # type: ignore[attr-defined]
    answering.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return answering


def _answer(command: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Call a command and print its document.

    Raises:
        IgmuError: the command's error, after the document was written.
        typer.Exit: the command ended with an exit code.
    """
    before: list[Any] = []
    token = _noted.set(before)
    answer, code, error = None, 0, None
    try:
        with redirect_stdout(io.StringIO()):
            answer = command(**given)
    except IgmuError as raised:
        code, error = raised.exit_code, raised
    except typer.Exit as end:
        code = end.exit_code
    finally:
        _noted.reset(token)
    found = answer if answer is not None or not before else before[-1]
    write(name(command), code, found, error)
    if error is not None:
        raise error
    if code:
        raise typer.Exit(code)


def name(command: Callable[..., Any]) -> str:
    """`score`, `cache info`: the module's name, followed by the function's if it differs."""
    module, function = command.__module__.rpartition(".")[2], command.__name__
    return (module if function == module else f"{module} {function}").replace("_", "-")


def answer_type(command: Callable[..., Any]) -> type:
    """The type of a command's answer, from its return annotation."""
    from igmu_metrics.cli import _card_answers, _other_answers

    named = str(inspect.unwrap(command).__annotations__.get("return"))
    found: type = getattr(_card_answers, named, None) or getattr(_other_answers, named)
    return found


def write(command: str, code: int, answer: Any, error: Exception | None) -> None:
    """Print a document.

    Args:
        command: its name; "" if there is none.
        code: the exit code of the process.
        answer: what was found, None if nothing was.
        error: the error that ended it, if any.
    """
    if error is not None:
        setattr(error, _TOLD, True)
    told = None if error is None else {"type": type(error).__name__, "message": str(error)}
    document = {"igmu": __version__, "command": command, "exit_code": code, "result": plain(answer), "error": told}
    # ASCII: no invisible characters reach the terminal, and every terminal can show it.
    sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")


def fail(error: IgmuError) -> None:
    """Print the document of an error raised before any command ran, if JSON is wanted and it was not printed yet."""
    if FLAG in sys.argv[1:] and not hasattr(error, _TOLD):
        write("", error.exit_code, None, error)


def plain(value: Any) -> Any:
    """An answer as JSON types: dataclasses and models become objects, paths strings, NaN and infinities null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json"))
    if isinstance(value, Mapping):
        return {str(key): plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple | set | frozenset | range):
        return [plain(held) for held in value]
    if isinstance(value, float):
        return float(value) if value - value == 0 else None
    if value is None or isinstance(value, bool | int):
        return value
    return str(value)
