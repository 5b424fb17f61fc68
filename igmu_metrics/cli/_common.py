"""Code that several commands share: options derived from the settings, and writing scorecards."""

from __future__ import annotations

import functools
import inspect
import json
import math
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, get_type_hints

import typer

from igmu_data.media import visible
from igmu_metrics.settings import options

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Scored
    from igmu_metrics.scorecard import Scorecard

_LARGEST: Final = 2**63  # whole numbers below it fit everywhere: seeds, counts, Parquet
_LONGEST: Final = 255  # bytes of a file name
_WRITTEN: Final = ("out", "work", "chart")  # parameters of commands that name what will be written
_Command = TypeVar("_Command", bound=Callable[..., Any])


def option(name: str, help: str | None = None) -> Any:
    """The command-line option of a setting.

    Args:
        name: of the setting.
        help: replaces the setting's own help where the option means something other than in `igmu score`.
    """
    setting = options()[name]
    return typer.Option(
        setting.flag,
        help=help or setting.help,
        min=setting.minimum,
        max=setting.maximum,
        metavar="|".join(setting.choices) or None,
    )


def bound(flag: str, text: str) -> Any:
    """An option for bounds on metrics, `--min` or `--max`, with a help text."""
    return typer.Option(flag, metavar="METRIC=NUMBER", help=text)


def pairs(flag: str, given: Iterable[str], form: str) -> dict[str, str]:
    """The values of an option of the form `NAME=VALUE`, by name.

    Raises:
        InputError: a value does not have the form, or a name is given twice.
    """
    from igmu_data.errors import InputError

    chosen: dict[str, str] = {}
    for one in given:
        name, equals, value = (part.strip() for part in one.partition("="))
        if not equals or not name:
            raise InputError(f"{flag} is {one!r}; it must have the form {form}.")
        if name in chosen:
            raise InputError(f"{flag} assigns a value to {name!r} twice. Assign only one value.")
        chosen[name] = value
    return chosen


def named_columns(given: str | None) -> dict[str, str]:
    """The columns that `--columns` assigns to names.

    Raises:
        InputError: the form is wrong, or a name is assigned twice.
    """
    return pairs("--columns", given.split(",") if given else (), "NAME=COLUMN,NAME=COLUMN,…")


def say(*lines: object) -> None:
    """Print lines to stdout; newlines and invisible characters within a line are escaped.

    In a terminal, or if COLUMNS is set, lines are wrapped between words. Commands to paste and paths go through
    `document`, which wraps nothing.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() or os.environ.get("COLUMNS") else 0
    for line in lines:
        text = visible(line)
        sys.stdout.write(f"{broken(text, width) if width else text}\n")


def broken(text: str, width: int) -> str:
    """A text wrapped to lines of at most `width` if no word is longer; lines after the first are indented."""
    own = len(text) - len(text.lstrip())
    found = textwrap.wrap(
        text, max(20, width), subsequent_indent=" " * (own + 2), break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(found)


def document(text: str) -> None:
    """Print a text of several lines to stdout, such as a file for which no path was given."""
    sys.stdout.write(visible(text, lines=True))


Config = Annotated[str, option("config")]
Bench = Annotated[str | None, option("bench")]
Revision = Annotated[str | None, option("revision")]
Device = Annotated[str | None, option("device")]
DatasetConfig = Annotated[str | None, typer.Option(help="Config of the dataset, if it has more than one.")]
DatasetRevision = Annotated[str | None, typer.Option(help="Commit, tag or branch of the dataset on the Hub.")]
PositiveLabel = Annotated[
    str | None,
    typer.Option(help="Label of images that show the concept; default: the label with the concept's name."),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        help="Column with the labels; default: the 'concept' column if it contains the concept, otherwise the 'label' "
        "column."
    ),
]
ImageColumn = Annotated[str, typer.Option(help="Column with the images.")]
Cards = Annotated[
    list[Path],
    typer.Argument(
        metavar="CARD.json...", help="Scorecards of models scored with the same settings, or folders of scorecards."
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print all metrics and notes, not only the main ones.")]
OptionalCards = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[CARD.json...]", help="Scorecards of models scored with the same settings, or folders of scorecards."
    ),
]


def with_settings(command: _Command) -> _Command:
    """Give a command with `**settings` an option for each setting that it lacks, after its required options."""
    hints = hints_of(command)
    own = [
        p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY)
        for p in inspect.signature(command).parameters.values()
        if p.kind is not p.VAR_KEYWORD
    ]
    settings = [
        inspect.Parameter(
            o.name, inspect.Parameter.KEYWORD_ONLY, default=o.default, annotation=Annotated[o.type, option(o.name)]
        )
        for o in options().values()
        if o.command_line and o.name not in {p.name for p in own}
    ]
    required = [p for p in own if p.default is p.empty]
    optional = [p for p in own if p.default is not p.empty]
    signature = inspect.Signature([*required, *settings, *optional])
    command.__signature__ = signature  # type: ignore[attr-defined]
    answer = command.__annotations__["return"]
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()} | {"return": answer}
    return command


def hints_of(command: Callable[..., Any]) -> dict[str, Any]:
    """The types of a command's options; the return type is not resolved, since importing it takes a second."""
    own = {name: hint for name, hint in command.__annotations__.items() if name != "return"}
    return get_type_hints(SimpleNamespace(__annotations__=own, __globals__=command.__globals__), include_extras=True)


Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        help="Python file that defines a metric, detector, backbone or attack; igmu runs the code in this file. "
        "Repeat this option for each file.",
    ),
]


Concepts = Annotated[
    Path | None,
    typer.Option(
        "--concepts",
        metavar="DIR",
        help="Folder of your own concept files, <domain>/<slug>.toml, which are added to igmu's concepts; default: "
        "$IGMU_CONCEPTS.",
    ),
]


def with_extensions(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `--plugin` and `--concepts`, after its own."""
    hints = hints_of(command)
    own = [p.replace(annotation=hints[p.name]) for p in inspect.signature(command).parameters.values()]
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in (("plugin", Plugins), ("concepts", Concepts))
    ]

    @functools.wraps(command)
    def loading(plugin: Sequence[Path] | None = None, concepts: Path | None = None, **given: Any) -> Any:
        _require_sound(given)
        with own_concepts(concepts):
            load_plugins(plugin, command.__name__)
            return command(**given)

    signature = inspect.Signature([*own, *more])
    loading.__signature__ = signature  # type: ignore[attr-defined]
    loading.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return loading


def _require_sound(given: Mapping[str, Any]) -> None:
    from igmu_data.errors import InputError, OutOfRangeError, OutputError

    read: set[Path] = set()
    for name, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int | float) and not (math.isfinite(one) and abs(one) < _LARGEST):
                raise OutOfRangeError(
                    f"{name.replace('_', '-')}: {one} is out of range. Use a finite number below 2^63."
                )
            choices = options()[name].choices if name in options() else ()
            if choices and one is not None and one not in choices:
                raise InputError(f"{name} is {one!r}; it must be one of {', '.join(choices)}.")
            if isinstance(one, Path) and name not in _WRITTEN:
                read.add(one.absolute())
    for name in _WRITTEN:
        if not isinstance(out := given.get(name), Path):
            continue
        if long := [part for part in out.parts if len(os.fsencode(part)) > _LONGEST]:
            raise OutputError(
                f"--{name}: a file name of {len(os.fsencode(long[0]))} bytes is too long; at most {_LONGEST} are "
                "allowed. Choose a shorter one."
            )
        if out.absolute() in read and out.is_file():
            raise OutputError(
                f"--{name} {out}: this is also an input file and would be overwritten. Choose another --{name}."
            )


def load_plugins(paths: Sequence[Path] | None, command: str | None) -> None:
    """Register the files of `--plugin` for a command; the one that lists plugins lists broken files, too."""
    if paths:
        from igmu_metrics import registry

        registry.load_files(paths, listing=command == "metrics")


def extensions() -> list[object]:
    """The options `--concepts` and `--plugin` that are in effect, for a command to run next."""
    from igmu_data.taxonomy import ENVIRONMENT
    from igmu_metrics import registry

    place = os.environ.get(ENVIRONMENT)
    concepts = ["--concepts", place] if place else []
    return [*concepts, *(word for file in registry.files() for word in ("--plugin", file))]


@contextmanager
def own_concepts(folder: Path | None) -> Iterator[None]:
    """Use the concepts of `--concepts` until the block ends."""
    if folder is None:
        yield
        return
    from igmu_data.taxonomy import using

    with using(folder):
        yield


def before(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    plugin: Plugins = None,
    concepts: Concepts = None,
) -> None:
    """Run before every command."""
    context.with_resource(own_concepts(concepts))
    load_plugins(plugin, context.invoked_subcommand)
    if version:
        from igmu_data import __version__

        say(__version__)
        raise typer.Exit


def tell_cards(
    cards: Sequence[Scorecard],
    files: Sequence[Path | None],
    *,
    report: Path | None = None,
    then: Sequence[object] = (),
    more: str = "",
    verbose: bool = False,
) -> Scored:
    """Print a summary of scorecards that fits on one screen, and where their files are.

    Args:
        cards: the new scorecards.
        files: the file of each, None if it was not written.
        report: the report page about them.
        then: the words of the command to run next, which shows the cards together.
        more: further lines to print at the end.
        verbose: print all metrics, in tables.

    Returns:
        The answer for `--json`.
    """
    from igmu_data.media import shell
    from igmu_metrics.cli._card_answers import Card, Scored
    from igmu_metrics.images.ways import conflict
    from igmu_metrics.report import brief
    from igmu_metrics.report import terminal as tables

    folders = dict.fromkeys(path.parent for path in files if path is not None)
    places = [str(path) for path in files if path is not None]
    ending = [f"report: {report}"] if report is not None else []
    if places:
        where = f"scorecard: {places[0]}" if len(places) == 1 else f"scorecards: {', '.join(map(str, folders))}"
        ending.append(f"{where}{'' if verbose else ' (all metrics: --verbose)'}")
    if then and not conflict(cards):  # igmu report would refuse them
        ending.append(f"report: {shell(then)}")
    if verbose:
        for config in dict.fromkeys(card.config for card in cards):
            own = [card for card in cards if card.config == config]
            tables.show(tables.forget_scores(own), *tables.scores(own), *tables.efficiency(own))
        told = [*(note.text for note in brief.notes(cards)), *ending]
    else:
        told = brief.lines(cards, [*ending, *more.splitlines()]) if cards else ending
    document("".join(f"{visible(line)}\n" for line in told))
    return Scored([Card.of(card, path) for card, path in zip(cards, files, strict=True)], report)


@dataclass(slots=True)
class Stopwatch:
    """When a run began, and how long it took."""

    started: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    _begin: float = field(default_factory=time.monotonic)

    def log(self, card: Path, content_sha256: str) -> None:
        """Add a line about a card to the `runs.jsonl` next to it: when, how long, and by which command.

        Raises:
            OutputError: the place cannot be written to.
        """
        from igmu_data.errors import OutputError
        from igmu_metrics.scorecard import RUNS

        line = {
            "card": card.name,
            "content_sha256": content_sha256,
            "started": self.started,
            "seconds": round(time.monotonic() - self._begin, 1),
            "arguments": sys.argv[1:],
        }
        try:
            with card.with_name(RUNS).open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as error:
            raise OutputError(
                f"cannot write {card.with_name(RUNS)}: {error.strerror}. Choose another --out."
            ) from error


def write_cards(cards: Iterable[Scorecard], place: Callable[[Scorecard], Path | None]) -> list[Scorecard]:
    """Write each card as soon as it is made, and record the run next to it.

    Args:
        cards: the cards, possibly still being computed.
        place: card → file to write, or None.

    Returns:
        All cards.

    Raises:
        OutputError: the file contains something other than an earlier card of the same evaluation.
    """

    from igmu_data.errors import OutputError
    from igmu_metrics.images.sequential import FILE
    from igmu_metrics.scorecard import replaces, write
    from igmu_metrics.statistics.looks import Looks

    clock, done = Stopwatch(), []
    for card in cards:
        done.append(card)
        if (look := Looks.of(card)) is not None and not (card.provenance and "looks" in card.provenance.options):
            told = [note for note in card.notes if note.startswith(look.sentence())]  # and where it was read
            sys.stderr.write(
                "".join(visible(f"{card.model}: {note} Keep {FILE} with the images.") + "\n" for note in told)
            )
        if (path := place(card)) is not None:
            if path.exists() and (why := replaces(card, path)):
                raise OutputError(f"{path} would be overwritten, but {why}. Choose another --out.")
            write(card, path)
            clock.log(path, card.content_sha256)
    return done
