"""A local Hub, folders to put on it, and real clients in subprocesses."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import Hub

ROOT = Path(__file__).resolve().parents[2]
CONCEPTS = ("object/castle", "object/church", "style/van-gogh", "nsfw/nudity")
Client = Callable[..., str]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever forgets to ask the local Hub finds nobody at all."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


def build_folders(out: Path, world: Path | None = None) -> Path:
    """`igmu/bench` and `igmu/bench-nsfw` of a few concepts, and every Space, below `out`.

    Args:
        out: parent of the owner's folder.
        world: the miniature world's corpus, if it is to be part of `igmu/bench`.
    """
    from world_corpus import in_place

    from builders import bench, spaces

    with in_place(world):
        bench.build(out, only=CONCEPTS, world=world is not None, general=True)
    for name in spaces.names():
        spaces.write(name, out / "igmu" / name, manifest=True)
    return out


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory, world_folder: Path) -> Path:
    """What is pushed: the parent of `igmu/bench` and the others. Not to be changed by a test."""
    return build_folders(tmp_path_factory.mktemp("dist") / "hub", world_folder)


@pytest.fixture
def hub() -> Iterator[Hub]:
    """An empty Hub."""
    with Hub() as running:
        yield running


def environment(hub: Hub, home: Path, token: str = "hf_test") -> dict[str, str]:
    """What a client's process sees: the local Hub, its own caches, this checkout."""
    quiet = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    return os.environ | hub.env(home, token) | quiet


def run(command: list[str], env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its exit code."""
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """Runs Python code against a Hub in a process of its own; returns stdout, fails with stderr."""

    def call(code: str, hub: Hub, cwd: Path | None = None, token: str = "hf_test") -> str:
        nowhere = tmp_path / "elsewhere"
        nowhere.mkdir(exist_ok=True)
        command = [sys.executable, "-c", textwrap.dedent(code)]
        done = run(command, environment(hub, tmp_path / "hf", token), cwd or nowhere)
        if done.returncode:
            pytest.fail(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr[-4000:]}", pytrace=False)
        return done.stdout

    return call


@pytest.fixture
def push(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m builders.push FOLDERS …` against a Hub."""

    def call(hub: Hub, folders: Path, *options: str, token: str = "hf_test") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "builders.push", str(folders), *options]
        return run(command, environment(hub, tmp_path / "hf", token), ROOT)

    return call
