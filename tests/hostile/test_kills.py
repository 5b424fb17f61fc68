"""Commands that are killed at any moment, or run beside one another: what they leave is whole, the end is the same.

The commands run in children of one process that has imported everything, so that kills fall into their work and not
into their imports. What a run that nothing came in the way of wrote is what every other has to end with, to the byte.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from timeless import TIMES, timeless
from tiny_sandbox import tiny_bench, tiny_package

from igmu_data.schema import Row

ROOT: Final = Path(__file__).resolve().parents[2]
# Reads a command a line, runs it in a child, kills that after some seconds; tells the exit status and how long it took.
SERVER: Final = """
import json, os, signal, sys, threading, time
from pathlib import Path
import datasets, diffusers, pyarrow.parquet, rich.table, scipy.special, torch, torchvision, transformers
from diffusers import StableDiffusionPipeline
from transformers import CLIPModel
import igmu_metrics.api, igmu_metrics.report.page, igmu_metrics.sandbox.demo, igmu_metrics.scale.shards
import igmu_metrics.attacks.running.run, igmu_metrics.running.run, igmu_metrics.training.run
from igmu_data.sandbox import labelled
from igmu_metrics import registry
from igmu_metrics.cli import main
labelled.COUNTS = {"train": 36, "test": 18}
torch.set_num_threads(1)
for group in ("metrics", "detectors", "backbones", "attacks"):
    for name in registry.names(group):
        registry.module(group, name)

def wait(number, pid, begun, after):
    timer = threading.Timer(after, os.kill, (pid, signal.SIGKILL)) if after is not None else None
    if timer: timer.start()
    status = os.waitpid(pid, 0)[1]
    if timer: timer.cancel()
    # One write a line: print makes two, and lines of two threads would run into one.
    os.write(1, (json.dumps([number, os.waitstatus_to_exitcode(status), time.monotonic() - begun]) + "\\n").encode())

print("ready", flush=True)
for line in sys.stdin:
    number, words, folder, after = json.loads(line)
    begun, pid = time.monotonic(), os.fork()
    if pid == 0:
        os.chdir(folder)
        log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1), os.dup2(log, 2)
        sys.argv = ["igmu", *words]
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        os._exit(code)
    threading.Thread(target=wait, args=(number, pid, begun, after)).start()
"""


class Server:
    """The process whose children run commands."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._next() == "ready"
        self._n = 0

    def _next(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def run(self, *commands: tuple[Sequence[str], Path], after: float | None = None) -> list[tuple[int, float]]:
        """Exit statuses and seconds of commands that run at once, in folders of their own or in one."""
        assert self._process.stdin is not None
        first = self._n
        for words, folder in commands:
            folder.mkdir(parents=True, exist_ok=True)
            self._process.stdin.write(json.dumps([self._n, list(words), str(folder), after]) + "\n")
            self._n += 1
        self._process.stdin.flush()
        told = {number: (status, took) for number, status, took in (json.loads(self._next()) for _ in commands)}
        return [told[number] for number in range(first, self._n)]

    def close(self) -> None:
        self._process.communicate(timeout=60)


@dataclass(frozen=True)
class World:
    """Tiny packaged models and their bench, the server, and what an undisturbed run of every command wrote."""

    root: Path
    server: Server
    whole: Path
    seconds: dict[str, float]


def commands(root: Path, drawn: Path) -> dict[str, list[str]]:
    """Every command that writes, each into its own folder."""
    how = ["--config", "sandbox.church", "--bench", str(root / "bench")]
    seeing = ["--original", str(drawn / "original"), "--unlearned", str(drawn / "esd"), *how]
    seeing += ["--detector", "sandbox", "--clip", "sandbox"]
    attack = ["--model", "sandbox:esd/church", "--original", "sandbox:original", "--attack", "pez", *how]
    attack += ["--detector", "sandbox", "--steps", "2", "--candidates", "4", "--prompts", "2", "--targets", "1"]
    models = ["--original", "sandbox:original", "--unlearned", "esd=sandbox:esd/church", "--seeds-per-row", "2"]
    train = ["--data", "sandbox", "--concept", "object/church", "--clip", "sandbox", "--steps", "20"]
    return {
        "generate": ["generate", "--model", "sandbox:gold/church", *how, "--seeds-per-row", "2", "--out", "images"],
        "score": ["score", *seeing, "--out", "cards/esd.json"],
        "shard": ["score", *seeing, "--shard", "1/2", "--out", "tables"],
        "merge": ["merge", str(drawn / "tables"), "--out", "merged"],
        "train-detector": ["train-detector", *train, "--out", "head.safetensors"],
        "attack": ["attack", *attack, "--out", "attack"],
        "demo": ["demo", "--out", "demo"],
        "run": [
            "run",
            *models,
            *how,
            "--detector",
            "sandbox",
            "--clip",
            "sandbox",
            "--protocol",
            "lite",
            "--out",
            "run",
        ],
        "report": ["report", str(drawn / "cards"), "--images", str(drawn), "--bench", how[-1], "--out", "report.html"],
        "prune": ["cache", "prune", "--max-gb", "0"],
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, world_rows: dict[str, list[Row]]) -> Iterator[World]:
    root = tmp_path_factory.mktemp("kills")
    tiny_package(root)
    tiny_bench(root, world_rows["object/church"])
    environment = {"IGMU_SANDBOX": str(root), "IGMU_CACHE": str(root / "cache"), "CUDA_VISIBLE_DEVICES": ""}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    server = Server(environment)
    drawn, whole = root / "drawn", root / "whole"
    everything = commands(root, drawn)
    seconds = {}

    def done(name: str, words: Sequence[str], folder: Path) -> None:
        ((status, took),) = server.run((words, folder))
        assert status == 0, f"{name}: {Path(f'{folder}.log').read_text()[-3000:]}"
        seconds[name] = took

    how = everything["generate"][3:-2]
    for name, model in (("original", "sandbox:original"), ("esd", "sandbox:esd/church")):
        done(name, ["generate", "--model", model, *how, "--out", name], drawn)
    done("card", [*everything["score"][:-1], "cards/esd.json"], drawn)
    for i in (1, 2):
        words = everything["shard"]
        done("table", [f"{i}/2" if word == "1/2" else word for word in words], drawn)
    for name, words in everything.items():
        done(name, words, whole / name)
    yield World(root, server, whole, seconds)
    server.close()


# Written to while a command runs, or telling when it ran.
_GROWING: Final = ("metadata.jsonl", "failed.jsonl", "runs.jsonl")


def written(folder: Path, *, also: Sequence[str] = ()) -> dict[str, bytes]:
    """What a command wrote under names of its own, but for when it ran and how long that took."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    left_out = {"runs.jsonl", TIMES, *also}
    return {p.relative_to(folder).as_posix(): timeless(p) for p in files if p.name not in left_out}


def killed(world: World, place: Path, kills: int, seed: int) -> dict[str, int]:
    """Kill every command in turn, each again and again in one folder; how many did not end before.

    Whatever lies there under its own name after a kill is what the undisturbed run wrote; in the end all of it is.
    """
    moments = random.Random(seed)
    everything = commands(world.root, world.root / "drawn")
    caught = dict.fromkeys(everything, 0)
    names = list(everything)
    for turn in range(kills):
        name = names[turn % len(names)]
        folder = place / name
        ((status, _),) = world.server.run(
            (everything[name], folder), after=moments.uniform(0.01, 1.05 * world.seconds[name])
        )
        assert status in (0, -9), f"{name}: {Path(f'{folder}.log').read_text()[-3000:]}"
        caught[name] += status == -9
        expected = written(world.whole / name)
        for file, data in written(folder, also=_GROWING).items():
            assert data == expected[file], f"{name}, turn {turn}: {file}"
    for name, words in everything.items():
        ((status, _),) = world.server.run((words, place / name))
        assert status == 0, f"{name}: {Path(f'{place / name}.log').read_text()[-3000:]}"
        found, expected = written(place / name), written(world.whole / name)
        assert found.keys() == expected.keys(), name
        assert all(found[file] == data for file, data in expected.items()), name
        assert not list((place / name).rglob(".*.lock")), name
    return caught


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a busy machine is no defect
def test_killed_at_some_moments(world: World, tmp_path: Path) -> None:
    caught = killed(world, tmp_path, 20, seed=1)
    assert sum(caught.values()) >= 9


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_killed_at_a_hundred_moments(world: World, tmp_path: Path) -> None:
    caught = dict.fromkeys(commands(world.root, tmp_path), 0)
    for seed in range(2, 40):
        for name, n in killed(world, tmp_path / str(seed), 30, seed=seed).items():
            caught[name] += n
        if sum(caught.values()) >= 100:
            break
    assert sum(caught.values()) >= 100
    assert all(caught.values()), caught


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_runs_killed_at_thirty_moments_one_or_two_at_once(world: World, tmp_path: Path) -> None:
    """Killed in a folder until one gets through, every second time two at once, on a cache that knows nothing."""
    everything = commands(world.root, world.root / "drawn")
    moments, expected, caught = random.Random(5), written(world.whole / "run"), 0
    for turn in range(200):
        folder = tmp_path / str(turn)
        world.server.run((everything["prune"], tmp_path / "prune"))
        for n in range(40):
            # The later ones are shorter, as what is finished stays.
            after = moments.uniform(0.01, 1.05 * world.seconds["run"] / (1 + n % 4))
            told = world.server.run(*[(everything["run"], folder)] * (1 + n % 2), after=after)
            statuses = [status for status, _ in told]
            log = Path(f"{folder}.log").read_text()
            assert set(statuses) <= {0, 2, -9}, log[-3000:]
            assert 2 not in statuses or "writing there" in " ".join(log.split()), log[-3000:]
            caught += -9 in statuses
            for file, data in written(folder, also=_GROWING).items():
                assert data == expected[file], f"folder {turn}, kill {n}: {file}"
            if 0 in statuses:
                break
        told = world.server.run(*[(everything["run"], folder)] * 2)
        assert 0 in [status for status, _ in told]
        found = written(folder)
        assert found.keys() == expected.keys()
        assert all(found[file] == data for file, data in expected.items())
        if caught >= 30:
            break
    assert caught >= 30, caught


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("n", [2, 4])
def test_several_at_once_on_one_cache_with_prunes_between(world: World, tmp_path: Path, n: int) -> None:
    everything = commands(world.root, world.root / "drawn")
    expected = written(world.whole / "score")
    folders = [tmp_path / str(i) for i in range(n)]
    prune = (everything["prune"], tmp_path / "prune")
    for _ in range(2):
        told = world.server.run(*((everything["score"], folder) for folder in folders), *[prune] * n)
        assert [status for status, _ in told] == [0] * 2 * n, [Path(f"{f}.log").read_text()[-900:] for f in folders]
        assert all(written(folder) == expected for folder in folders)
        for folder in folders:
            shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("n", [2, 4])
def test_several_at_once_in_one_folder_are_one(world: World, tmp_path: Path, n: int) -> None:
    """One works, and the others say so, or find it done."""
    for name, words in commands(world.root, world.root / "drawn").items():
        if name in ("prune", "report"):
            continue
        folder = tmp_path / name
        statuses = [status for status, _ in world.server.run(*[(words, folder)] * n)]
        log = Path(f"{folder}.log").read_text()
        assert 0 in statuses, log[-3000:]
        assert set(statuses) <= {0, 2}, log[-3000:]
        refused = re.findall(r"BusyError: (?:(?!BusyError).)* writing there", " ".join(log.split()))
        assert statuses.count(2) == len(refused), log[-3000:]
        assert written(folder) == written(world.whole / name), name


@pytest.mark.slow
def test_two_models_do_not_share_a_folder(world: World, tmp_path: Path) -> None:
    """Both ended well, and more than half of the images were the other's."""
    words = commands(world.root, world.root / "drawn")["generate"]
    other = [word.replace("gold", "uce") for word in words]
    told = sorted(status for status, _ in world.server.run((words, tmp_path / "x"), (other, tmp_path / "x")))
    assert told == [0, 2], (tmp_path / "x.log").read_text()[-3000:]
    lines = [json.loads(line) for line in (tmp_path / "x" / "images" / "metadata.jsonl").read_text().splitlines()]
    assert len({line["model"] for line in lines}) == 1
    assert len(lines) == len(list((tmp_path / "x" / "images").glob("*.png")))
