"""Terminals, pipes, clusters and tables that nobody meant: one message and exit code 2, no traceback and no waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import command

from builders.hubfolder import replaced
from igmu_data.errors import ClusterError, MetadataError, OutOfRangeError, OutputError
from igmu_metrics.scale import pool
from igmu_metrics.settings import Settings
from igmu_metrics.verdict.typed import MOST_TRIALS

ROOT = Path(__file__).resolve().parents[2]
C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
PRINTERS = (("concepts",), ("power", "--rate", "0.5", "--rate", "0.7"), ("verify", "--schema"))
MAIN = "from igmu_metrics.cli import main; main()"


def igmu(*arguments: object, stdout: int | None = subprocess.PIPE, **env: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    words = [sys.executable, "-c", MAIN, *map(str, arguments)]
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent", **env}
    return subprocess.run(
        words, stdout=stdout, stderr=subprocess.PIPE, env=clean, encoding="utf-8", timeout=120, check=False
    )


def table(place: Path, *lines: str) -> Path:
    path = place / "published.csv"
    path.write_text("\n".join(("model,n,successes", *lines)) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("env", [{"PYTHONIOENCODING": "ascii"}, C])
def test_a_terminal_without_our_letters(tmp_path: Path, env: dict[str, str]) -> None:
    done = igmu("compare", "--published", table(tmp_path, "名前,50,10", "other,50,40"), **env)
    assert done.returncode == 0, done.stderr
    assert "\\u540d\\u524d against other" in done.stdout
    wrong = igmu("compare", "--published", table(tmp_path, "名前,50,60"), **env)
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", PRINTERS)
def test_a_full_disk_behind_stdout(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = igmu(*arguments, stdout=full.fileno())
    assert done.returncode == 2
    assert done.stderr.startswith("OutputError: cannot write to stdout: No space left on device.")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", PRINTERS)
def test_a_reader_that_has_seen_enough(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = igmu(*arguments, stdout=writing)
    finally:
        os.close(writing)
    assert done.returncode == 0
    assert done.stderr == ""


def test_seeds_below_nought() -> None:
    with pytest.raises(OutOfRangeError, match="seed is -1; it must be at least 0"):
        Settings("object.church", seed=-1)
    done = igmu("score", "--original", "a", "--unlearned", "b", "--config", "sandbox.church", "--seed", "-1")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("n", ["1" + "0" * 18, "9" * 5000, "0" * 19 + "1" + "9" * 5000, str(MOST_TRIALS + 1)])
def test_tables_of_more_images_than_there_are(tmp_path: Path, n: str) -> None:
    began = time.monotonic()
    with pytest.raises(MetadataError, match="must be a whole number from 1 to 10,000,000"):
        command("compare", "--published", table(tmp_path, f"a,{n},1", f"b,{n},2"))
    (tmp_path / "t.csv").write_text(f"value,n\n0.5,{n}\n", encoding="utf-8")
    with pytest.raises(MetadataError, match="must be a whole number"):
        command("check-table", tmp_path / "t.csv")
    assert time.monotonic() - began < 10


def test_the_largest_table_is_compared_in_time(tmp_path: Path) -> None:
    began = time.monotonic()
    n, half = MOST_TRIALS, MOST_TRIALS // 2
    assert "not significant" in command("compare", "--published", table(tmp_path, f"a,{n},{half}", f"b,{n},{half + 1}"))
    (tmp_path / "t.csv").write_text(f"value,n\n0.{'5' * 5000},10\n", encoding="utf-8")
    with pytest.raises(MetadataError, match="a fraction from 0 to 1"):
        command("check-table", tmp_path / "t.csv")
    assert time.monotonic() - began < 10


def test_power_says_where_it_stops() -> None:
    told = command("power", "--rate", "0.5", "--rate", "0.50000001")
    assert told.startswith("Comparing 0.5 with 0.5 requires at least 10,000,000 prompts")
    assert "at least" not in command("power", "--rate", "0.5", "--rate", "0.7")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:99999999"])
def test_a_cluster_where_nobody_is(address: str) -> None:
    began = time.monotonic()
    with pytest.raises(ClusterError, match="no Ray cluster responds"):
        pool._require_reachable(address)
    assert time.monotonic() - began < 10
    for known in ("", "auto", "local"):
        pool._require_reachable(known)


def test_what_a_killed_build_left_goes(tmp_path: Path) -> None:
    target = tmp_path / "bench"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for kind in ("new", "old"):
        (tmp_path / f".bench.{dead.pid}.{kind}").mkdir()
        (tmp_path / f".bench.{dead.pid}.{kind}" / kind).touch()
    mine, other = tmp_path / f".bench.{os.getppid()}.new", tmp_path / ".bench.notes.new"
    mine.mkdir()
    other.mkdir()
    with pytest.raises(OutputError), replaced(target):  # noqa: PT012
        assert (target / "old").exists(), "what had been moved away came back"
        raise OutputError("no")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["bench", mine.name, other.name])
