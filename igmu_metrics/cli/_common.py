"""What several commands share: options that follow from the settings, and writing scorecards."""

from __future__ import annotations

import functools
import inspect
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, get_type_hints

import typer

from igmu_data.media import visible
from igmu_metrics.settings import options

if TYPE_CHECKING:
    from igmu_metrics.scorecard import Scorecard

_LARGEST: Final = 2**63  # whole numbers below it fit everywhere: seeds, counts, Parquet
_LONGEST: Final = 255  # bytes of a file's name
_WRITTEN: Final = ("out", "work", "chart")  # parameters of commands that name what is to be written
_Command = TypeVar("_Command", bound=Callable[..., None])


def option(name: str, help: str | None = None) -> Any:
    """The command-line option of a setting.

    Args:
        name: of the setting.
        help: what to say of it where it means something else than in `igmu score`.
    """
    setting = options()[name]
    return typer.Option(
        setting.flag,
        help=help or setting.help,
        min=setting.minimum,
        max=setting.maximum,
        metavar="|".join(setting.choices) or None,
    )


def say(*lines: object) -> None:
    """Print lines to stdout; a line end or anything unseen within one is written out."""
    for line in lines:
        sys.stdout.write(f"{visible(line)}\n")


def document(text: str) -> None:
    """Print a text of several lines to stdout, such as a file that was asked for without a place."""
    sys.stdout.write(visible(text, lines=True))


Config = Annotated[str, option("config")]
Bench = Annotated[str | None, option("bench")]
Revision = Annotated[str | None, option("revision")]
Device = Annotated[str | None, option("device")]
Steps = Annotated[int | None, typer.Option(min=1, help="Denoising steps, instead of the rows' or the model's preset.")]
GuidanceScale = Annotated[
    float | None, typer.Option(min=0, help="Guidance scale, instead of the rows' or the model's preset.")
]
Size = Annotated[
    int | None, typer.Option(min=1, help="Image width and height in pixels, instead of the rows' or the preset.")
]
Cards = Annotated[
    list[Path], typer.Argument(metavar="CARD.json...", help="Scorecards of models scored alike, or folders of them.")
]
OptionalCards = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[CARD.json...]", help="Scorecards of models scored alike, or folders of them."),
]


def with_settings(command: _Command) -> _Command:
    """Give a command that takes `**settings` an option for each that it has not itself, behind those it requires."""
    hints = get_type_hints(command, include_extras=True)
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
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return command


Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        help="Use the metric, detector, backbone or attack of a Python file, whose code runs; repeat for several.",
    ),
]


Concepts = Annotated[
    Path | None,
    typer.Option(
        "--concepts",
        metavar="DIR",
        help="Folder of your own concepts, <domain>/<slug>.toml, beside igmu's; default $IGMU_CONCEPTS.",
    ),
]


def with_extensions(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options `--plugin` and `--concepts`, behind its own."""
    hints = get_type_hints(command, include_extras=True)
    own = [p.replace(annotation=hints[p.name]) for p in inspect.signature(command).parameters.values()]
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in (("plugin", Plugins), ("concepts", Concepts))
    ]

    @functools.wraps(command)
    def loading(plugin: Sequence[Path] | None = None, concepts: Path | None = None, **given: Any) -> None:
        _require_sound(given)
        with own_concepts(concepts):
            load_plugins(plugin)
            command(**given)

    signature = inspect.Signature([*own, *more])
    loading.__signature__ = signature  # type: ignore[attr-defined]
    loading.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return loading


def sound(command: Callable[..., None]) -> Callable[..., None]:
    """A command that refuses numbers that are none, and outputs that would replace what it reads."""

    @functools.wraps(command)
    def checked(**given: Any) -> None:
        _require_sound(given)
        command(**given)

    return checked


def _require_sound(given: Mapping[str, Any]) -> None:
    from igmu_data.errors import InputError, OutOfRangeError, OutputError

    read: set[Path] = set()
    for name, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int | float) and not (math.isfinite(one) and abs(one) < _LARGEST):
                raise OutOfRangeError(
                    f"{name.replace('_', '-')}: {one} is no number that it can have. Give another, below 2^63."
                )
            choices = options()[name].choices if name in options() else ()
            if choices and one is not None and one not in choices:
                raise InputError(f"no {name} {one!r}; it is {', '.join(choices)}.")
            if isinstance(one, Path) and name not in _WRITTEN:
                read.add(one.absolute())
    for name in _WRITTEN:
        if not isinstance(out := given.get(name), Path):
            continue
        if long := [part for part in out.parts if len(os.fsencode(part)) > _LONGEST]:
            raise OutputError(f"--{name}: {len(long[0])} letters are more than a name can have. Give a shorter one.")
        if out.absolute() in read and out.is_file():
            raise OutputError(f"--{name} {out}: this file is read, and would be lost. Give another --{name}.")


def load_plugins(paths: Sequence[Path] | None) -> None:
    """Register the files of `--plugin`."""
    if paths:
        from igmu_metrics import registry

        for path in paths:
            registry.load_file(path)


@contextmanager
def own_concepts(folder: Path | None) -> Iterator[None]:
    """Have the concepts of `--concepts` until the block ends."""
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
    """What `igmu` does before any command."""
    context.with_resource(own_concepts(concepts))
    load_plugins(plugin)
    if version:
        from igmu_data import __version__

        say(__version__)
        raise typer.Exit


def write_cards(cards: Iterable[Scorecard], place: Callable[[Scorecard], Path | None]) -> list[Scorecard]:
    """Write every card as soon as it is there, and note the run beside it.

    Args:
        cards: as they are made.
        place: card → file to write, or None.

    Returns:
        All cards.

    Raises:
        OutputError: the file holds something else than an earlier card of the same evaluation.
    """
    from igmu_data.errors import OutputError
    from igmu_metrics.scorecard import Stopwatch, replaces, write

    clock, done = Stopwatch(), []
    for card in cards:
        done.append(card)
        if (path := place(card)) is not None:
            if path.exists() and (why := replaces(card, path)):
                raise OutputError(f"{path}: {why}, which would be lost. Give another --out.")
            write(card, path)
            clock.log(path, card.content_sha256)
    return done
