"""Plants mutations in copies of a checkout and runs their tests, several copies at a time.

Conventions: the checkout itself is only read. A copy lies in a temporary folder and goes with it, whatever ends the
run; so do the processes. Only a failing test kills: tests that could not be run are an error, and a mutant whose tests
take too long has survived.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from builders.mutants.mutation import Mutation, checked
from igmu_data.errors import InputError

SECONDS: Final = 300.0  # that the tests of one mutant may take
_FAILED: Final = 1  # pytest's exit code for tests that ran and failed
_PAUSE: Final = 0.05
_SHOWN: Final = 15  # last lines of pytest that an error quotes


@dataclass(frozen=True, slots=True)
class Job:
    """Tests to run, with a defect in the copy or without."""

    tests: tuple[str, ...]
    mutation: Mutation | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a job.

    Args:
        job: the job.
        code: pytest's exit code; None where the time was up.
        output: of pytest.
        seconds: that it took.
    """

    job: Job
    code: int | None
    output: str
    seconds: float

    @property
    def by(self) -> str:
        """The test that failed."""
        lines = [line for line in self.output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        return lines[0].partition(" - ")[0].partition(" ")[2] if lines else "?"


def run(
    root: Path,
    mutations: tuple[Mutation, ...],
    *,
    jobs: int = 2,
    seconds: float = SECONDS,
    say: Callable[[str], object] = print,
) -> list[Mutation]:
    """Plant every mutation and run its tests.

    Args:
        root: of a git checkout; what is not committed counts, what git ignores does not.
        mutations: the table.
        jobs: copies, and so test runs, at a time.
        seconds: that the tests of one mutant may take.
        say: told about progress, a line at a time.

    Returns:
        The survivors.

    Raises:
        StaleTableError: the table does not fit the code.
        InputError: no git checkout, tests that fail without any mutation, or that cannot be run with one.
    """
    checked(mutations, root)
    begin = time.monotonic()
    survivors = []
    with TemporaryDirectory(prefix="igmu-mutants-") as place:
        trees = [_copied(root, Path(place) / f"copy{i}") for i in range(max(1, min(jobs, len(mutations))))]
        say(f"{len(mutations)} mutants, {len(trees)} at a time; first their tests without any")
        # Just as they will be run: some fail alone that pass after others.
        plain = [Job(tests) for tests in dict.fromkeys(one.tests for one in mutations)]
        for at, done in enumerate(_each(trees, plain, inf), 1):
            say(f"[{at}/{len(plain)}] {'pass' if done.code == 0 else 'FAIL'} {' '.join(done.job.tests)}")
            if done.code != 0:
                raise InputError(f"tests fail without any mutation; mend them first.\n{_tail(done)}")
        say(f"they pass ({_took(begin)})")
        mutants = [Job(one.tests, one) for one in mutations]
        for at, done in enumerate(_each(trees, mutants, seconds), 1):
            one = done.job.mutation
            assert one is not None
            if done.code not in (0, _FAILED, None):
                raise InputError(
                    f"mutant {one.name}: its tests cannot be run (pytest gave {done.code}).\n{_tail(done)}"
                )
            killed = done.code == _FAILED
            word, why = ("killed", f"by {done.by}") if killed else ("SURVIVED", one.harm)
            late = "" if done.code is not None else f", out of time after {seconds:g} s"
            say(f"[{at}/{len(mutations)}] {word} {one.name} ({done.seconds:.0f} s{late}): {why}")
            survivors += [] if killed else [one]
    say(f"killed {len(mutations) - len(survivors)} of {len(mutations)} ({_took(begin)})")
    for one in survivors:
        say(f"survived: {one.name} ({one.file}): {one.harm}")
    return survivors


def _took(begin: float) -> str:
    minutes, seconds = divmod(round(time.monotonic() - begin), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _tail(done: Done) -> str:
    return "\n".join(done.output.splitlines()[-_SHOWN:])


def _copied(root: Path, target: Path) -> Path:
    """A copy of all that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        raise InputError(f"{root}: no git checkout ({listed.stderr.decode().strip()}). Run it in a clone.")
    for name in listed.stdout.decode().split("\0"):
        source, copy = root / name, target / name
        if name and source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    return target


@dataclass(slots=True)
class _Running:
    """A job under way in a copy."""

    job: Job
    tree: Path
    process: subprocess.Popen[bytes]
    begin: float

    @classmethod
    def start(cls, tree: Path, job: Job) -> _Running:
        beside = tree.with_name(f"{tree.name}-pytest")
        own = {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        if job.mutation is not None:
            _plant(tree, job.mutation)
            own["PYTHONDONTWRITEBYTECODE"] = "1"  # of a mutated file it would outlive the mutation
        # A test that is named runs even if it is slow; of whole files, only what runs by default.
        marked = ["-m", ""] if all("::" in test for test in job.tests) else []
        words = ["-x", "-q", "--tb=short", "-p", "no:cacheprovider", f"--basetemp={beside}", *marked, *job.tests]
        with beside.with_suffix(".log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *words],
                cwd=tree,
                env=os.environ | own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that what the tests start ends with them
            )
        return cls(job, tree, process, time.monotonic())

    def done(self, code: int | None) -> Done:
        """The outcome, with the copy as it was."""
        log = self.tree.with_name(f"{self.tree.name}-pytest.log")
        output = log.read_text(encoding="utf-8", errors="replace")
        return Done(self.job, code, output, time.monotonic() - self.begin)

    def stop(self) -> None:
        """End the tests and what they started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _plant(tree: Path, mutation: Mutation) -> None:
    path, aside = tree / mutation.file, _aside(tree)
    os.replace(path, aside)
    path.write_text(mutation.applied(aside.read_text(encoding="utf-8")), encoding="utf-8")
    # Python takes bytecode of a source with the same time, to the second, and size for its own.
    before = aside.stat()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**10))


def _restore(tree: Path, mutation: Mutation) -> None:
    os.replace(_aside(tree), tree / mutation.file)


def _aside(tree: Path) -> Path:
    return tree.with_name(f"{tree.name}-original")


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """An interrupt waits to the end: one between a process' start and its entry in the list would leave it running."""
    late: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: late.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if late:
        raise KeyboardInterrupt


def _each(trees: Sequence[Path], jobs: Iterable[Job], seconds: float) -> Iterator[Done]:
    """The outcomes of jobs as they end, as many at a time as there are copies."""
    waiting, running = deque(jobs), dict[Path, _Running]()
    try:
        while waiting or running:
            for tree in trees:
                if waiting and tree not in running:
                    with _uninterrupted():
                        running[tree] = _Running.start(tree, waiting.popleft())
            for tree, one in list(running.items()):
                code = one.process.poll()
                if code is None and time.monotonic() - one.begin < seconds:
                    continue
                one.stop()
                del running[tree]
                if one.job.mutation is not None:
                    _restore(tree, one.job.mutation)
                yield one.done(code)
            time.sleep(_PAUSE)
    finally:
        for one in running.values():
            one.stop()
