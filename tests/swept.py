"""Every command with one wrong argument of each kind: read off the command line itself, so a new command is swept, too.

Conventions: a case is a command line that would be right but for one value. `BASE` says what a command needs to be
right; what it does not know is filled in by type. Placeholders in braces are files of the world that `build` makes.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import typer
from drawn import image_file
from own_concept import written
from scored import scored

from igmu_metrics import cli

SECONDS: Final = 60  # until a wrong argument has to be told; whoever works first is found out by it
Words = tuple[str, ...]

# What makes each command right; paths are placeholders. A heavy command never gets to its work, as one value is wrong.
BASE: Final[dict[Words, str]] = {
    ("demo",): "--out {new} --seeds-per-row 1",
    ("concepts",): "object/church",
    ("run",): "--original sandbox:original --unlearned mine=sandbox:filter/church --config sandbox.church --dry-run"
    " --out {new}",
    ("generate",): "--model sandbox:original --config sandbox.church --out {new} --split forget --seeds-per-row 1",
    ("match",): "{images} --config sandbox.church --replace",
    ("original",): "{images} --config sandbox.church --detector labels:{labels} --out {new}",
    # Another threshold than that of the card that is there: a rerun of the same evaluation may replace its own.
    ("score",): "--original {images} --unlearned {others} --config sandbox.church --detector labels:{labels}"
    " --threshold 0.6 --out {new}",
    ("report",): "{card} --out {new}.html",
    ("compare",): "{card}",
    ("check",): "{card} --min unlearning_accuracy=0",
    ("paper",): "{card}",
    ("power",): "{card}",
    # The detector cannot be fetched here, so it ends what is not wrong before minutes of searching.
    ("attack",): (
        "--model sandbox:filter/church --attack pez --original sandbox:original --config sandbox.church --out {new}"
        " --detector clip"
    ),
    ("families",): "{card}",
    ("leaderboard",): "{card} --out {new}.html",
    ("verify",): "{card}",
    ("sign",): "{card} --key {key}",
    ("check-table",): "{table}",
    ("export",): "{card} --csv --out {new}.csv",
    ("merge",): "{shards}",
    ("train-detector",): "--data sandbox --concept object/church --clip sandbox --out {new}.safetensors",
    ("import-head",): "{head} --concept object/church --out {new}.safetensors",
    ("import-prompts",): "{prompts} --format text --license CC0-1.0 --source mine --concept object/church --out {new}",
    ("build",): "--out {new} --concepts {concepts}",
    ("audit",): "--out {new} --work {new}-work",
    ("metrics",): "",
    ("validate",): "{bench}",
    ("concept", "new"): "object/zeppelin --out {new}",
    ("concept", "check"): "{concepts}/object/zeppelin.toml",
    ("cache", "info"): "",
    ("cache", "prune"): "",
}
WRITTEN: Final = ("out", "work", "chart")  # parameters that name what is to be written
# Values that igmu takes as they are: text that is the user's own.
FREE: Final = ("prompt", "license", "source")
# What is no mistake, or none that can be told apart from what was meant: a parameter and the kinds that it takes.
TAKEN: Final[dict[str, Words]] = {
    "out": ("an existing image",),  # of a folder, or what igmu wrote before
    "attack_family": ("unknown name", "a name too long"),  # of a list from elsewhere
    "name": ("unknown name",),  # of a model, which is the user's own
    "path": ("text that is no JSON", "JSON that is no object", "a scorecard"),  # of prompts, one a line
    "device": ("unknown name", "not UTF-8", "a name too long", "an image"),  # where no network is loaded
}
# Commands that say on stdout what is wrong with a file, and end with 1 where anything is.
REPORTING: Final = (("concept", "check"),)
_LONG: Final = "x" * 300


@dataclass(frozen=True)
class Case:
    """One wrong argument.

    Args:
        command: its words.
        parameter: the name of the one that is wrong.
        kind: what is wrong with it.
        words: the whole command line, with placeholders.
    """

    command: Words
    parameter: str
    kind: str
    words: Words

    @property
    def accepted(self) -> bool:
        """Whether the command may take the value as it is."""
        return self.kind in TAKEN.get(self.parameter, ())

    def __str__(self) -> str:
        return f"{' '.join(self.command)} {self.parameter}: {self.kind}"


def commands() -> dict[Words, Any]:
    """Every command of igmu by its words, as the command line has it."""

    def leaves(command: Any, words: Words) -> Iterator[tuple[Words, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield words, command
        for name, one in (inner or {}).items():
            yield from leaves(one, (*words, name))

    return dict(leaves(typer.main.get_command(cli.app), ()))


def cases() -> list[Case]:
    """Every command with one wrong argument of each kind, and with each that it needs missing, and one too many."""
    out = []
    for command, known in commands().items():
        base = _base(command, known)
        out.append(Case(command, "--no-such-option", "no such option", (*command, "--no-such-option", *_flat(base))))
        for parameter in known.params:
            flagged = parameter.param_type_name == "option"
            if parameter.required:
                rest = {name: words for name, words in base.items() if name != parameter.name}
                out.append(Case(command, parameter.name, "missing argument", (*command, *_flat(rest))))
            for kind, value in _wrong(parameter):
                given = (parameter.opts[0], value) if flagged else (value,)
                if given == base.get(parameter.name):
                    continue  # here it is right
                repeated = given * 2 if kind == "twice the same" else given
                out.append(Case(command, parameter.name, kind, (*command, *_flat({**base, parameter.name: repeated}))))
    return out


def _flat(base: dict[str, Words]) -> Words:
    # Options first, as arguments may be many; a value that begins with a dash is then no option.
    options = [w for words in base.values() if words[:1] and words[0].startswith("--") for w in words]
    arguments = [w for words in base.values() if words[:1] and not words[0].startswith("--") for w in words]
    return (*options, *(["--"] if arguments else []), *arguments)


def _base(command: Words, known: Any) -> dict[str, Words]:
    """The words of each parameter of a command line that is right."""
    flags = {option: p for p in known.params for option in p.opts if p.param_type_name == "option"}
    words = shlex.split(BASE.get(command, ""))
    out: dict[str, Words] = {}
    arguments = [p.name for p in known.params if p.param_type_name == "argument"]
    while words:
        word = words.pop(0)
        if word not in flags:
            out[arguments.pop(0)] = (word,)
        elif getattr(flags[word], "is_flag", False):
            out[flags[word].name] = (word,)
        else:
            out[flags[word].name] = (word, words.pop(0))
    for p in known.params:  # of a command that nobody described here
        if p.required and p.name not in out:
            value = "{new}" if p.name in WRITTEN else "{images}" if _type(p) is Path else "1"
            out[p.name] = (p.opts[0], value) if p.param_type_name == "option" else (value,)
    return out


def _type(parameter: Any) -> Any:
    found = parameter.type_descriptor.annotation
    return getattr(found, "__args__", (found,))[0]


def _wrong(parameter: Any) -> Iterator[tuple[str, str]]:
    """Kinds of wrong values of a parameter, by its type; what they are of, its name tells."""
    kind = _type(parameter)
    if kind in (int, float):
        yield "text for a number", "many"
        yield "not finite" if kind is float else "fraction for a whole number", "nan" if kind is float else "1.5"
        yield "infinite" if kind is float else "too many digits", "inf" if kind is float else "9" * 30
        yield "below its range", str(parameter.min - 1) if parameter.min is not None else "-9"
        if parameter.max is not None:
            yield "above its range", str(parameter.max + 1)
    elif kind is Path and parameter.name in WRITTEN:
        yield "below a file", "{card}/inside/x"
        yield "where nobody can write", "/proc/nowhere/x"
        yield "an existing image", "{image}"
        yield "a name too long", f"{{new}}/{_LONG}"
        yield "empty text", ""
        yield "inside what is read", "{card}"
    elif kind is Path:
        yield from _wrong_files("")
    elif kind is str and parameter.name not in FREE:
        yield "unknown name", "no-such-thing"
        yield "empty text", ""
        yield "not UTF-8", "caf\udce9"
        yield "a name too long", _LONG
        yield "an image", "{image}"
        for prefix in _PREFIXES.get(parameter.name, ()):
            yield from ((f"{prefix} {kind}", value) for kind, value in _wrong_files(prefix))
    if getattr(parameter, "multiple", False) or parameter.nargs == -1:
        yield "twice the same", "{images}" if kind is Path else "sandbox.church" if parameter.name == "config" else "x"


# What a text may begin with where a file follows.
_PREFIXES: Final[dict[str, Words]] = {
    "detector": ("labels:", "clip:", "igmu-head:", "hf-classifier:"),
    "bench": ("",),
    "clip": ("",),
    "features": ("clip:", "inception:"),
    "lpips": ("alex?trunk=",),
    "model": ("", "filter:"),
    "original": ("",),
    "unlearned": ("x=",),
    "unet": ("",),
    "text_encoder": ("",),
    "checkpoint": ("",),
    "lora": ("",),
    "embedding": ("",),
    "pipeline": ("", "f.py:"),
    "data": ("",),
    "key": ("",),
    "signer": ("",),
    "drawn": ("x=",),
    "plan": ("",),
}


def _wrong_files(prefix: str) -> Iterator[tuple[str, str]]:
    for kind in ("missing", "empty", "garbage", "latin", "words", "number", "image", "nothing", "dead", "pipe", "card"):
        yield _FILES[kind], f"{prefix}{{{kind}}}"


_FILES: Final = {
    "missing": "missing file",
    "empty": "file of 0 bytes",
    "garbage": "bytes of no format",
    "latin": "not UTF-8",
    "words": "text that is no JSON",
    "number": "JSON that is no object",
    "image": "an image",
    "nothing": "empty folder",
    "dead": "dead link",
    "pipe": "pipe",
    "card": "a scorecard",
}


class World:
    """The files that cases name, in a folder of which nothing may change.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        made = scored(folder / "scored")
        self.places = {
            "images": made / "original",
            "others": made / "forgetful",
            "labels": made / "labels.csv",
            "card": made / "cards" / "forgetful.json",
            "cards": made / "cards",
            "new": folder / "new",
            "missing": folder / "missing",
            "dead": folder / "dead",
            "pipe": folder / "pipe",
            "nothing": folder / "nothing",
            "image": image_file(folder / "image.png"),
        }
        for name, data in {
            "empty": b"",
            "garbage": bytes(range(256)) * 4,
            "latin": "caf\xe9, na\xefve\n".encode("latin-1"),
            "words": b"hello, world\nthis is text\n",
            "number": b"3",
            "table": b"model,n,value\nesd,10,0.5\n",
            "head": b"",
            "key": b"",
            "prompts": b"a church at dawn\na church in the snow\n",
        }.items():
            self.places[name] = folder / f"{name}.txt"
            self.places[name].write_bytes(data)
        self.places["dead"].symlink_to(folder / "gone")
        os.mkfifo(self.places["pipe"])
        self.places["nothing"].mkdir()
        self.places |= {name: folder / name for name in ("shards", "bench")}
        self.places["concepts"] = written(folder / "concepts").parent.parent
        self.run((*shlex.split("build --concepts {concepts} --out {bench}"),))
        self.run((*shlex.split(f"score {BASE['score',].replace('{new}', '{shards}')} --shard 1/1"),))
        self.kept = shutil.copytree(folder, folder.with_name(f"{folder.name}-kept"), symlinks=True, ignore=_no_pipes)

    def restore(self) -> None:
        """Put back what a case changed."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept, self.folder, symlinks=True)
        os.mkfifo(self.places["pipe"])

    def state(self) -> dict[str, tuple[int, int]]:
        """Every file with size and time of change, and every folder; a lock that comes and goes moves only its time."""
        found = {}
        for at, folders, files in os.walk(self.folder):
            for name in (*folders, *files):
                path = os.path.join(at, name)
                told = os.lstat(path)
                told_of = (0, 0) if name in folders else (told.st_size, told.st_mtime_ns)
                found[os.path.relpath(path, self.folder)] = told_of
        return found

    def run(self, words: Words) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a command line, as the entry point gives them, in the world's folder."""
        given = [word.format(**self.places) for word in words]
        out, err, before = io.StringIO(), io.StringIO(), (sys.argv, Path.cwd())
        sys.argv = ["igmu", *given]
        os.chdir(self.folder)
        try:
            with redirect_stdout(out), redirect_stderr(err), limited():
                cli.main()
            code = 0
        except SystemExit as done:
            code = done.code if isinstance(done.code, int) else 0 if done.code is None else 1
        finally:
            sys.argv = before[0]
            os.chdir(before[1])
        return code, out.getvalue(), err.getvalue()

    def faults(self, case: Case) -> list[str]:
        """What is wrong with how a case ends: it should be exit code 2, one line that names the value, nothing else."""
        before = self.state()
        try:
            code, out, err = self.run(case.words)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return [f"{type(error).__name__}: {str(error)[:200]}"]
        finally:
            after = self.state()
            if after != before:
                self.restore()
        found, errors = [], [line for line in err.split("\n") if re.match(r"\w+Error: |Error|Usage|  |Traceback", line)]
        if code == 0:
            return [] if case.accepted else ["accepted"]
        if code == 1 and case.command in REPORTING and out.strip():
            return []
        if code != 2:
            found.append(f"exit code {code}")
        if len(errors) != 1 or not err.rstrip().endswith(errors[0]):
            found.append(f"{len(errors)} lines: {err[:300]!r}")
        if before != after:
            found.append(f"written: {sorted(set(after.items()) ^ set(before.items()))[:4]}")
        return found


def _no_pipes(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "pipe"]


class TooLateError(Exception):
    """A wrong argument was not told in time."""


@contextmanager
def limited() -> Iterator[None]:
    """Stop what takes too long."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TooLateError(f"not told within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
