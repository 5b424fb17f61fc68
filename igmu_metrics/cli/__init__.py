"""The command line, `igmu`: a command is a module of this package with a function (or Typer group) of the same name.

Thin on purpose: commands read arguments, call the package and print. Everything heavy is imported inside the functions.
Results go to stdout, progress and errors to stderr; an error of the user's ends with exit code 2 and no traceback.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from io import TextIOWrapper
from pkgutil import iter_modules
from typing import Final

import typer

from igmu_data.errors import IgmuError, OutputError, exits_on_error
from igmu_metrics.cli._common import before, with_extensions

# In --help in the order in which somebody meets them; a command that is not listed here comes after these.
_ORDER: Final = (
    *(
        "demo",
        "concepts",
        "concept",
        "run",
        "generate",
        "match",
        "score",
        "report",
        "compare",
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
        "import_head",
        "import_prompts",
        "build",
    ),
)

# What a write to stdout ends with where nobody takes it; an error about a file names the file.
_STDOUT: Final = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

app = typer.Typer(
    name="igmu",
    help="Measure whether an image generator has forgotten a concept, how robustly, and what it lost on the way.",
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
        app.add_typer(_command, name=_name.replace("_", "-"))
    else:
        app.command(_name.replace("_", "-"))(with_extensions(_command))


@exits_on_error
def main() -> None:
    """Entry point: user errors become one message and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that has no ≥ shows \u2265
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where a full disk can be told; at exit Python would print a traceback
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; finished images and scorecards are kept.\n")
        sys.exit(130)
    except OSError as error:
        if isinstance(error, IgmuError) or error.filename is not None or error.errno not in _STDOUT:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in the buffer goes nowhere
        if error.errno == errno.EPIPE:  # whoever read has seen enough
            sys.exit(1)
        raise OutputError(f"cannot write to stdout: {error.strerror}. Make room, or write elsewhere.") from error
