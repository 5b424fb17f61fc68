"""What is thrown at igmu, at what, and what must not happen: one line of `TARGETS` for each kind of input.

Conventions: a target is given a hostile input and a folder, and does what igmu does with such inputs. It returns
whatever was printed or written for people. It may raise an `IgmuError`, and nothing else; it may take ten seconds and
a gigabyte; it may write into its folder, and nowhere else.
"""

from __future__ import annotations

import os
import signal
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, Final

from hypothesis import strategies as st
from typer.testing import CliRunner

from igmu_data.errors import IgmuError
from igmu_data.media import visible
from igmu_metrics.cli import app

SECONDS: Final = 10  # of the processor, as a busy machine is no defect
WALL: Final = 120  # by the clock, for what waits
BYTES: Final = 2**30
BREAKS: Final = "\n\t"


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Args:
        inputs: what is thrown.
        run: what it is thrown at: (input, folder to work in) → texts for people.
        prepare: fills a folder that all examples share, and whose path is the environment variable's; once.
    """

    inputs: st.SearchStrategy[Any]
    run: Callable[[Any, Path, Path], Sequence[str]]
    prepare: Callable[[Path], None] = lambda base: None


class HangError(Exception):
    """It took too long."""


@contextmanager
def within_limits() -> Iterator[None]:
    """Ten seconds of work, two minutes in all, and a gigabyte above what the process held before.

    Raises:
        HangError: it takes longer.
        AssertionError: it took more memory.
    """

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise HangError(f"more than {SECONDS} s of work, or {WALL} s")

    before = {kind: signal.signal(kind, stop) for kind in (signal.SIGALRM, signal.SIGPROF)}
    held = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    signal.alarm(WALL)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for kind, handler in before.items():
            signal.signal(kind, handler)
    more = _memory("VmHWM") - held
    assert more < BYTES, f"{more / 2**20:.0f} MiB above the baseline"


def _memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def files_below(place: Path) -> set[str]:
    """Every file and folder below a place."""
    return {
        os.path.relpath(os.path.join(at, name), place)
        for at, inner, files in os.walk(place)
        for name in (*inner, *files)
    }


def hit(target: Target, thrown: Any, place: Path, base: Path) -> None:
    """Throw one input, and look at what came of it.

    Args:
        target: at what.
        thrown: the input.
        place: an empty folder; the target works in `place/in/side`, and everything else in `place` must stay as it is.
        base: what `prepare` filled.
    """
    inside = place / "in" / "side"
    inside.mkdir(parents=True)
    there = files_below(base)
    before = Path.cwd()
    os.chdir(inside)
    told: Sequence[str] = ()
    try:
        with within_limits():
            try:
                told = target.run(thrown, inside, base)
            except IgmuError as error:
                told = [visible(error, lines=True) or f"{type(error).__name__} without a word\0"]
    finally:
        os.chdir(before)
    escaped = {name for name in files_below(place) if name != "in" and not name.startswith(os.path.join("in", "side"))}
    assert not escaped, f"written outside: {escaped}"
    assert files_below(base) == there, "written beside the input"
    for text in told:
        unseen = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - set(BREAKS)
        assert not unseen, f"reaches the reader: {unseen}"


def command(*arguments: object) -> str:
    """What a command prints; errors of the user's are raised."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


# --- what is thrown ---------------------------------------------------------------------------------------------------

NAMES: Final = (
    "esd[lr=1e-5]", "[/]", "[bold]", "[red]esd[/red]", ":smile:", "a\x1b[2Jb", "\x1b]0;x\x07", "a\nb", "a\rb", "a\tb",
    "\u202eevil", "a\u2066b", "\ufeffa", "a\u200bb", "\u2028", "=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0",
    "../../x", "..", ".", "", "/etc/x", "a/b", "a\\b", "a\0b", "$(touch x)", "`touch x`", "; touch x", "a b", "'", '"',
    "<script>alert(1)</script>", "javascript:alert(1)", "{{7*7}}", "{% x %}", "%s", "{0}", "\\input{x}",
    "50% & $x$ #_^~",
    "x" * 300, "ü" * 200, "名前", "👩‍👩‍👧", "CON", "-rf", "--out", "\ud800", "a\u0000", "\x7f", "\x9b2J",
)  # fmt: skip
VALUES: Final = (
    None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e-320, 1e308, -1e308, 10**18, -(10**18), 2**53, 2**63, -(2**63), [], {},
    [None, None], [0.9, 0.1], ["a"], {"a": 1}, [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]], "abc@x", "3000000@0",
    "99999@0", "2000@-1", "0@0", "2000@9999999999999999999", "x" * 100_000, "1e999", "NaN", "0" * 64, *NAMES,
)  # fmt: skip
TEXTS: Final = (
    "NaN", "Infinity", "1e999", "-1e999", "1" * 400, "1" + "0" * 300, "0." + "0" * 5000 + "1", "1E308", "01", "'x'",
    "[" * 100_000, '{"a":' * 100_000, "[" * 900 + "]" * 900, "[[],[],[]]",
    '"\\ud800"', '"\\u0000"', "{}", '{"a": 1, "a": 2}',
)  # fmt: skip


RANDOMS: Final = st.builds(Random, st.integers(0, 2**32 - 1))


def damaged(data: bytes, random: Random) -> bytes:
    """Bytes with flipped bits, a piece missing, emptied or many times there, or only their beginning."""
    at, n = random.randint(0, len(data)), random.randint(1, 64)
    how = random.choice(("flip", "cut", "drop", "double", "zero", "append"))
    if how == "flip" and data:
        changed = bytearray(data)
        for _ in range(random.randint(1, 8)):
            changed[random.randrange(len(data))] ^= 1 << random.randint(0, 7)
        return bytes(changed)
    if how == "double":
        return data[:at] + data[at : at + n] * random.randint(2, 50) + data[at:]
    middle = {"drop": b"", "zero": bytes(n)}
    return data[:at] + middle[how] + data[at + n :] if how in middle else data[:at] if how == "cut" else data + bytes(n)
