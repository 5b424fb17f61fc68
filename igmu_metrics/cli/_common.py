"""What several commands share: options that follow from the settings, and writing scorecards."""

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
_LONGEST: Final = 255  # bytes of a file's name
_WRITTEN: Final = ("out", "work", "chart")  # parameters of commands that name what is to be written
_Command = TypeVar("_Command", bound=Callable[..., Any])


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


def ray_wanted(engine: str, shard: str | None) -> bool:
    """Whether Ray is to run the work.

    Raises:
        InputError: an unknown engine, or Ray beside --shard.
    """
    from igmu_data.errors import InputError
    from igmu_metrics.networks.loading import choice

    wanted = choice("engine", engine, ENGINES) == "ray"
    if wanted and shard is not None:
        raise InputError("--engine ray shares the parts out itself; leave --shard out.")
    return wanted


def batch_of(given: str) -> int | str:
    """What `--batch-size` says.

    Raises:
        InputError: neither a number from 1 on nor `auto`.
    """
    from igmu_data.errors import InputError

    if given == "auto":
        return given
    if not given.isascii() or not given.isdigit() or int(given) < 1:
        raise InputError(f"--batch-size {given!r} is neither a number from 1 on nor auto.")
    return int(given)


def say(*lines: object) -> None:
    """Print lines to stdout; a line end or anything unseen within one is written out.

    In a terminal, or where COLUMNS is set, they are broken between words; a command to paste or a path goes through
    `document`, which breaks nothing.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() or os.environ.get("COLUMNS") else 0
    for line in lines:
        text = visible(line)
        sys.stdout.write(f"{broken(text, width) if width else text}\n")


def broken(text: str, width: int) -> str:
    """A text in lines of at most `width`, where its words allow; those after the first are indented."""
    own = len(text) - len(text.lstrip())
    found = textwrap.wrap(
        text, max(20, width), subsequent_indent=" " * (own + 2), break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(found)


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
ENGINES: Final = ("local", "ray")
Shard = Annotated[
    str | None,
    typer.Option(metavar="I/N", help="Generate only part I of N, by prompt, into a folder of its own in --out."),
]
Engine = Annotated[
    str, typer.Option(metavar="|".join(ENGINES), help="Where to run: in this process, or in parts over Ray.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Most Ray workers; default one a GPU, else as many as there is room for.")
]
Dtype = Annotated[
    str | None,
    typer.Option(help="Number format of the models: float32 (default), bfloat16 or float16; also fp32, bf16, fp16."),
]
BatchSize = Annotated[
    str | None,
    typer.Option(metavar="N|auto", help="Images per call on a GPU, default 4; auto: as many as fit its memory."),
]
Compile = Annotated[
    bool | None, typer.Option("--compile", help="Compile the denoiser first; faster on a GPU, and rounds otherwise.")
]
DatasetConfig = Annotated[str | None, typer.Option(help="Config of the dataset, if it has several.")]
DatasetRevision = Annotated[str | None, typer.Option(help="Commit, tag or branch of the dataset on the Hub.")]
PositiveLabel = Annotated[
    str | None, typer.Option(help="Label that means the concept; default the label named like it.")
]
LabelColumn = Annotated[
    str | None,
    typer.Option(help="Column of the labels; default concept where that column names the concept, else label."),
]
ImageColumn = Annotated[str, typer.Option(help="Column of the images.")]
Cards = Annotated[
    list[Path],
    typer.Argument(
        metavar="CARD.json...", help="Scorecards of models scored with the same settings, or folders of scorecards."
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print every figure and note, not only the main ones.")]
OptionalCards = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[CARD.json...]", help="Scorecards of models scored with the same settings, or folders of scorecards."
    ),
]


def with_settings(command: _Command) -> _Command:
    """Give a command that takes `**settings` an option for each that it has not itself, behind those it requires."""
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
    """The types of a command's options; that of its answer stays unread, since importing it takes a second."""
    own = {name: hint for name, hint in command.__annotations__.items() if name != "return"}
    return get_type_hints(SimpleNamespace(__annotations__=own, __globals__=command.__globals__), include_extras=True)


Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        help="Python file with a metric, detector, backbone or attack to use; its code runs. Repeat for several.",
    ),
]


Concepts = Annotated[
    Path | None,
    typer.Option(
        "--concepts",
        metavar="DIR",
        help="Folder of your own concepts, <domain>/<slug>.toml, added to igmu's; default $IGMU_CONCEPTS.",
    ),
]


def with_extensions(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `--plugin` and `--concepts`, behind its own."""
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
            load_plugins(plugin)
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
                    f"{name.replace('_', '-')}: {one} is out of range. Give a finite number below 2^63."
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
            raise OutputError(f"--{name}: {len(long[0])} letters are too long for a file name. Give a shorter one.")
        if out.absolute() in read and out.is_file():
            raise OutputError(
                f"--{name} {out}: this is an input file, and would be overwritten. Give another --{name}."
            )


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


def tell_cards(
    cards: Sequence[Scorecard],
    files: Sequence[Path | None],
    *,
    report: Path | None = None,
    then: Sequence[object] = (),
    more: str = "",
    verbose: bool = False,
) -> Scored:
    """Print what cards say, on one screen, and where they are.

    Args:
        cards: that were made.
        files: where each was written, None if nowhere.
        report: the page over them.
        then: the words of the command to go on with.
        more: lines to print below.
        verbose: every figure, in tables.

    Returns:
        The answer for `--json`.
    """
    from igmu_data.media import shell
    from igmu_metrics.cli._card_answers import Card, Scored
    from igmu_metrics.report import brief
    from igmu_metrics.report import terminal as tables

    folders = dict.fromkeys(path.parent for path in files if path is not None)
    places = [str(path) for path in files if path is not None]
    ending = [f"report: {report}"] if report is not None else []
    if places:
        where = f"card: {places[0]}" if len(places) == 1 else f"cards: {', '.join(map(str, folders))}"
        ending.append(f"{where}{'' if verbose else ' (every figure: --verbose)'}")
    if then:
        ending.append(f"report: {shell(then)}")
    if verbose:
        for config in dict.fromkeys(card.config for card in cards):
            own = [card for card in cards if card.config == config]
            tables.show(tables.forget_scores(own), *tables.scores(own), *tables.efficiency(own))
        told = [*brief.notes(cards), *ending]
    else:
        told = brief.lines(cards, [*ending, *more.splitlines()]) if cards else ending
    document("".join(f"{visible(line)}\n" for line in told))
    return Scored([Card.of(card, path) for card, path in zip(cards, files, strict=True)], report)


@dataclass(slots=True)
class Stopwatch:
    """When a run began, by the clock, and how long it took."""

    started: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    _begin: float = field(default_factory=time.monotonic)

    def log(self, card: Path, content_sha256: str) -> None:
        """Add a line about a card to the `runs.jsonl` beside it: when, how long, and by which command.

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
    from igmu_metrics.scorecard import replaces, write

    clock, done = Stopwatch(), []
    for card in cards:
        done.append(card)
        if (path := place(card)) is not None:
            if path.exists() and (why := replaces(card, path)):
                raise OutputError(f"{path}: {why}, which would be lost. Give another --out.")
            write(card, path)
            clock.log(path, card.content_sha256)
    return done
