"""The table of defects fits the code, and what plants them tells a killed one from a survivor."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from builders.mutants.__main__ import main
from builders.mutants.mutation import Mutation, StaleTableError, checked
from builders.mutants.running import run
from builders.mutants.table import MUTATIONS
from igmu_data.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_fits_the_code() -> None:
    """Every old text stands once in its file, every test exists; the error says what to write down anew."""
    assert len(MUTATIONS) >= 40
    assert [name for name, n in Counter(m.name for m in MUTATIONS).items() if n > 1] == []
    checked(MUTATIONS, ROOT)


def test_a_defect_is_code_that_differs() -> None:
    """Else it were killed by a syntax error, or could be by nothing."""
    sources = {file: (ROOT / file).read_text(encoding="utf-8") for file in {m.file for m in MUTATIONS}}
    before = {file: ast.dump(ast.parse(source)) for file, source in sources.items()}
    assert [m.name for m in MUTATIONS if ast.dump(ast.parse(m.applied(sources[m.file]))) == before[m.file]] == []
    assert [m.name for m in MUTATIONS if not m.harm] == []


# --- the runner, on a checkout of one module --------------------------------------------------------------------------

TESTS = "from half import half\n\n\ndef test_half():\n    assert half(4) == 2\n\n\ndef test_slow():\n    {}\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "half.py").write_text("def half(x):\n    return x / 2\n")
    (root / "test_half.py").write_text(TESTS.format("pass"))
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    return root


def mutant(name: str, new: str, *, old: str = "x / 2", test: str = "test_half.py::test_half") -> Mutation:
    return Mutation(name, "half.py", old, new, (test,), f"harm of {name}")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made; empty but for them."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.mark.slow
def test_a_survivor_is_told_from_the_killed_and_nothing_is_left(checkout: Path, place: Path) -> None:
    before = {p: p.read_bytes() for p in checkout.glob("*.py")}
    told: list[str] = []
    given = (mutant("third", "x / 3"), mutant("alike", "x * 0.5"), mutant("fifth", "x / 5"))
    survivors = run(checkout, given, jobs=2, say=told.append)
    assert [m.name for m in survivors] == ["alike"]
    text = "\n".join(told)
    for says in ("killed third", "SURVIVED alike", "killed fifth", "by test_half.py::test_half", "killed 2 of 3"):
        assert says in text
    assert told[-1] == "survived: alike (half.py): harm of alike"
    assert {p: p.read_bytes() for p in checkout.glob("*.py")} == before
    assert not list(place.iterdir())


@pytest.mark.slow
def test_a_named_test_runs_even_if_it_is_slow(checkout: Path) -> None:
    """`make nightly` ended at once: a test that a defect names had become slow, and none ran."""
    (checkout / "pytest.ini").write_text("[pytest]\naddopts = -m 'not slow'\nmarkers = slow\n")
    marked = TESTS.replace("def test_half", "@pytest.mark.slow\ndef test_half")
    (checkout / "test_half.py").write_text("import pytest\n" + marked.format("pass"))
    assert run(checkout, (mutant("third", "x / 3"),)) == []


@pytest.mark.slow
def test_what_takes_too_long_has_survived(checkout: Path) -> None:
    told: list[str] = []
    late = mutant("late", "__import__('time').sleep(60)")
    assert run(checkout, (late,), seconds=3, say=told.append) == [late]
    assert any("out of time after 3 s" in line for line in told)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (mutant("old", "x / 3", old="x // 2"), "mutant old: 'x // 2' stands 0 times in half.py"),
        (mutant("twice", "y", old="x"), "stands 2 times"),
        (mutant("lost", "x / 3", test="test_half.py::test_third"), "no test test_half.py::test_third"),
        (Mutation("gone", "third.py", "x", "y", (), "harm"), "no file third.py"),
    ],
)
def test_a_stale_table_is_refused_by_name(checkout: Path, given: Mutation, says: str) -> None:
    with pytest.raises(StaleTableError, match=says):
        run(checkout, (given,))


@pytest.mark.slow
def test_tests_that_fail_anyway_or_do_not_run_kill_nothing(checkout: Path) -> None:
    with pytest.raises(InputError, match=r"mutant broken: its tests cannot be run[\s\S]*SyntaxError"):
        run(checkout, (mutant("broken", "x /"),))
    (checkout / "test_half.py").write_text(TESTS.replace("== 2", "== 3"))
    with pytest.raises(InputError, match="tests fail without any mutation"):
        run(checkout, (mutant("third", "x / 3"),))


def test_interrupted_it_leaves_nothing(checkout: Path, place: Path) -> None:
    (checkout / "test_half.py").write_text(TESTS.format("__import__('time').sleep(60)"))
    code = (
        # What a shell starts behind it ignores interrupts, and so does what that starts.
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path\nfrom builders.mutants.mutation import Mutation\n"
        "from builders.mutants.running import run\n"
        f"run(Path({str(checkout)!r}), (Mutation('a', 'half.py', '2', '3', ('test_half.py',), 'b'),))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(place)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 60
    # The log is there a moment before the process that writes it.
    while not any(here(log.parent / "copy0") for log in place.glob("*/copy0-pytest.log")) and time.monotonic() < end:
        time.sleep(0.05)
    (tree,) = place.glob("*/copy0")
    assert here(tree)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    assert not list(place.iterdir())
    assert not here(tree)


def here(folder: Path) -> list[str]:
    """Processes whose working directory is a folder, gone or not."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd").startswith(str(folder)):
                found.append(process.name)
        except OSError:  # ended meanwhile, or another user's
            continue
    return found


def test_an_unknown_name_has_suggestions(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["mutants", "--only", "cache-key-without-weight"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "did you mean 'cache-key-without-weights'" in capsys.readouterr().err
