"""A place has one writer: the second is told who the first is, and a dead one is no owner."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from igmu_data import files
from igmu_data.errors import BusyError, OutputError
from igmu_data.files import owned

ROOT = Path(__file__).resolve().parent.parent
HOLDER = """
import sys, time
from pathlib import Path
from igmu_data.files import owned
with owned(Path(sys.argv[1]), files=[Path(sys.argv[2])]):
    print("held", flush=True)
    time.sleep(120)
"""


@contextmanager
def holder(folder: Path, file: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), str(file)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_one_at_a_time_and_nothing_is_left(tmp_path: Path) -> None:
    folder, file = tmp_path / "a" / "images", tmp_path / "cards" / "card.json"
    with owned(folder, files=[file]):
        with pytest.raises(
            BusyError, match=f"{folder}: process {os.getpid()} on {socket.gethostname()} has been writing there since 2"
        ):
            owned(folder).__enter__()
        with pytest.raises(BusyError, match=r"card.json: process .* choose another --out"):
            owned(files=[file]).__enter__()
        with owned(folder / "inside"), owned(files=[file.with_name("other.json")]):
            pass
    assert list(folder.iterdir()) == [folder / "inside"]
    assert not list(file.parent.iterdir())
    with owned(folder, files=[file]):
        pass


@pytest.mark.parametrize("flock", [True, False])
def test_a_killed_owner_is_none(tmp_path: Path, flock: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, file = tmp_path / "images", tmp_path / "card.json"
    if not flock:
        _without_flock(monkeypatch)
    with holder(folder, file) as process:
        for place in ({"folder": folder}, {"files": [file]}):
            with pytest.raises(BusyError, match=f"process {process.pid} on"):
                owned(**place).__enter__()  # type: ignore[arg-type]
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (folder / ".igmu.lock").exists()  # which a kill leaves
    with owned(folder, files=[file]):
        assert json.loads((folder / ".igmu.lock").read_text())["pid"] == os.getpid()
    assert not list(folder.iterdir())


def _without_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drive that knows no locks."""

    def flock(handle: int, how: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(files.fcntl, "flock", flock)
    monkeypatch.setattr(files, "_MOMENT", 0.0)


def test_without_locks_the_owner_s_name_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_flock(monkeypatch)
    lock = tmp_path / ".igmu.lock"
    me = files._me()
    alive = [me, me | {"host": "elsewhere"}, me | {"host": "elsewhere", "pid": 999999999}]
    dead = [me | {"pid": 999999999}, me | {"started": "1"}, {}]  # another process got the number since
    for owner in alive:
        lock.write_text(json.dumps(owner))
        with pytest.raises(BusyError, match=rf"{owner['host']} has been writing there since .* delete {lock}"):
            owned(tmp_path).__enter__()
        assert json.loads(lock.read_text()) == owner
    for owner in dead:
        lock.write_text(json.dumps(owner))
        with owned(tmp_path):
            assert json.loads(lock.read_text())["pid"] == os.getpid()
    for text in ("", "{", "[]"):  # torn by a kill
        lock.write_text(text)
        with owned(tmp_path):
            pass


def test_a_lock_that_its_owner_just_removed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the next would hold a file that is in no folder, and the one after that another."""
    real, removed = files._flock, []

    def late(handle: int) -> bool | None:
        if not removed:
            removed.append(True)
            (tmp_path / ".igmu.lock").unlink()
        return real(handle)

    monkeypatch.setattr(files, "_flock", late)
    with owned(tmp_path):
        assert (tmp_path / ".igmu.lock").exists()
        with pytest.raises(BusyError):
            owned(tmp_path).__enter__()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        owned(tmp_path / "file").__enter__()


def test_of_several_places_none_is_held_if_one_is_not(tmp_path: Path) -> None:
    with (
        owned(files=[tmp_path / "b.json"]),
        pytest.raises(BusyError),
        owned(files=[tmp_path / f"{n}.json" for n in "ab"]),
    ):
        pass
    assert not list(tmp_path.iterdir())
