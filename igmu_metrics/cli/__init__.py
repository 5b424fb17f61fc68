"""The command line, `igmu`: a command is a module of this package with a function (or Typer group) of the same name.

Thin on purpose: commands read arguments, call the package and print. Everything heavy is imported inside the functions.
Results go to stdout, progress and errors to stderr; an error of the user's ends with exit code 2 and no traceback.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import iter_modules
from typing import Final

import typer

from igmu_data.errors import exits_on_error
from igmu_metrics.cli._common import before, with_plugins

# In --help in the order in which somebody meets them; a command that is not listed here comes after these.
_ORDER: Final = (
    *(
        "demo",
        "concepts",
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
    *("verify", "check_table", "export", "merge", "train_detector", "import_head", "import_prompts"),
)

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
        app.command(_name.replace("_", "-"))(with_plugins(_command))


@exits_on_error
def main() -> None:
    """Entry point: user errors become one message and exit code 2."""
    try:
        app()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; finished images and scorecards are kept.\n")
        sys.exit(130)
