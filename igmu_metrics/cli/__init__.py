"""The command line, `igmu`: a command is a module of this package with a function (or Typer group) of the same name.

Commands are thin on purpose: they read arguments, call the package and print. Heavy imports are inside the functions.
Results go to stdout, progress and errors to stderr; a user error exits with code 2 and without a traceback.
Every command returns what it found, for `--json` (`_json`). A reader that closes stdout (`| head -1`) does not stop
the command.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections import Counter
from importlib import import_module
from io import BufferedWriter, FileIO, TextIOWrapper
from pkgutil import iter_modules
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from igmu_data.errors import IgmuError, InputError, OutputError, exits_on_error
from igmu_metrics.cli import _json
from igmu_metrics.cli._common import before, with_extensions
from igmu_metrics.cli._effects import require_effects

# The order in --help, roughly the order of use; commands that are not listed here come last.
_ORDER: Final = (
    *(
        "demo",
        "concepts",
        "concept",
        "run",
        "generate",
        "match",
        "original",
        "score",
        "report",
        "compare",
        "check",
        "paper",
        "power",
        "attack",
        "families",
        "leaderboard",
    ),
    *(
        "verify",
        "sign",
        "check_table",
        "export",
        "merge",
        "train_detector",
        "calibrate",
        "face",
        "import_head",
        "import_prompts",
        "build",
    ),
)

# Errors of a write to stdout when there is no room; an error about a file has a file name.
_STDOUT: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
INTERRUPTED: Final = 130
# From click, or from typer's copy of it.
_USAGE: Final[type[Exception]] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")


class _Strict:
    """What takes one value is given once: of two values the parser would take the last without a word. And what is
    given has an effect (`_effects`).
    """

    def parse_args(self: Any, ctx: Any, args: list[str]) -> list[str]:
        """Read the words, where no option of one value appears twice, and every option has an effect."""
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for param, n in Counter(order).items():
            one = param.param_type_name == "option" and param.nargs == 1 and not (param.multiple or param.is_flag)
            if n > 1 and one:
                raise typer.BadParameter(
                    f"the option takes one value, but is used {n} times. Use the option only once", ctx=ctx, param=param
                )
        found: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        if self.callback is not None:
            given = {param.name: _as_given(param, values.get(param.name)) for param in order}
            given = {name: text for name, text in given.items() if values.get(name) not in (None, [], ())}
            require_effects(self.callback, given, ctx.params)
        return found


def _as_given(param: Any, value: Any) -> str:
    """An option with its value, or an argument, as messages quote it."""
    shown = value[0] if isinstance(value, list | tuple) and value else value
    if param.param_type_name != "option":
        return str(shown)
    if param.is_flag:
        return str(param.opts[0] if value else (*param.secondary_opts, *param.opts)[0])
    return f"{param.opts[0]} {shown}"


class _Command(_Strict, TyperCommand):
    pass


class _Group(_Strict, TyperGroup):
    pass


app = typer.Typer(
    name="igmu",
    cls=_Group,
    help="Measure whether an image generator has forgotten a concept, how robust the forgetting is, and what else was "
    "damaged.",
    callback=before,
    invoke_without_command=True,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_FOUND: Final = {module.name for module in iter_modules(__path__) if not module.name.startswith("_")}
for _name in (*_ORDER, *sorted(_FOUND - set(_ORDER))):
    _command = getattr(import_module(f"{__name__}.{_name}"), _name)
    if isinstance(_command, typer.Typer):
        for _part in _command.registered_commands:
            _part.callback = _json.with_json(with_extensions(_part.callback))  # type: ignore[arg-type]
            _part.cls = _Command
        app.add_typer(_command, name=_name.replace("_", "-"))
    else:
        app.command(_name.replace("_", "-"), cls=_Command)(_json.with_json(with_extensions(_command)))


class _Patient(FileIO):
    """Stdout whose reader may go away: later output is discarded, and the command finishes its work."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(data)


@exits_on_error
def main() -> None:
    """Entry point: user errors become one message and exit code 2."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            raw = _Patient(stream.fileno(), "wb", closefd=False)
            # PYTHONUNBUFFERED is respected, so that a log shows progress at once.
            buffer = raw if isinstance(stream.buffer, FileIO) else BufferedWriter(raw)
            # A terminal that cannot show ≥ prints \u2265.
            lines, at_once = stream.line_buffering, stream.write_through
            own = TextIOWrapper(
                buffer, stream.encoding, "backslashreplace", line_buffering=lines, write_through=at_once
            )
            setattr(sys, name, own)
    try:
        try:
            _require_no_empty(sys.argv[1:])
            code = app(prog_name="igmu", standalone_mode=False)
        finally:
            sys.stdout.flush()  # here, where a full disk can be reported; at exit Python would print a traceback
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        told = _told(error)
        if isinstance(told, IgmuError):
            _json.fail(told)
        if told is error:
            raise
        raise told from error
    if code == INTERRUPTED:
        sys.stderr.write("interrupted; finished images and scorecards are kept.\n")
    if code:
        sys.exit(code)


def _told(error: Exception) -> Exception:
    """The error to show to the user: the same one if igmu raised it or if it was not foreseen."""
    if isinstance(error, IgmuError):
        return error
    if isinstance(error, _USAGE):
        return _misused(error)
    if isinstance(error, UnicodeEncodeError):
        return InputError(f"{error.object[error.start :][:20]!r} is not valid UTF-8. Encode it as UTF-8.")
    if isinstance(error, OSError):
        if error.filename is not None:  # not handled where it happened
            return InputError(f"{os.fsdecode(error.filename)}: {error.strerror}. Check the path.")
        if error.errno in _STDOUT:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the rest of the buffer is discarded
            return OutputError(f"cannot write to stdout: {error.strerror}. Free some space, or redirect the output.")
    return error


def _require_no_empty(words: list[str]) -> None:
    """Refuse an empty argument. Most often a shell variable is not set, and as a path it would mean the current folder.

    Raises:
        InputError: an argument is empty; the message names the option before it.
    """
    for at, word in enumerate(words):
        if not word or re.fullmatch(r"--[a-z0-9-]+=", word):
            after = word.rstrip("=") or (words[at - 1] if at else "igmu")
            raise InputError(f"the argument after {after!r} is empty. Specify a value, or omit the option.")


def _misused(error: Any) -> InputError:
    """Click's message about a command line that it cannot parse, on one line, with the value."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(error.exit_code)
    command = error.ctx.command_path if error.ctx is not None else "igmu"
    told = " ".join(error.format_message().split())
    options = getattr(getattr(error, "param", None), "opts", ())
    words = sys.argv[1:]
    given = [words[at + 1] for at, word in enumerate(words[:-1]) if word in options]
    given += [word.partition("=")[2] for word in words if word.partition("=")[0] in options and "=" in word]
    value = f" Got {', '.join(map(repr, given))}." if given else ""
    return InputError(f"{command}: {told.removesuffix('.')}.{value} See {command} --help.")
