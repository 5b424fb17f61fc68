"""The same images and card from Ray's workers, one of which is killed in the middle; what dies twice is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from drawn import draw
from faked import asked
from timeless import TIMES, timeless
from tiny_sandbox import installed, tiny_bench, tiny_package

from igmu_data.errors import MissingExtraError
from igmu_data.load import bench_rows
from igmu_data.schema import Row
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.scale import cluster as distributed

ROOT = Path(__file__).resolve().parent.parent
KILLING = """
import json, os, sys, threading, time
from pathlib import Path
import psutil, ray
killed = []

def killer(seen):
    def kill():
        while not killed:
            if seen():
                for process in psutil.Process().children(recursive=True):
                    try:
                        if " ".join(process.cmdline()).startswith("ray::Worker.do"):
                            process.kill()
                            killed.append(process.pid)
                            return
                    except psutil.Error:
                        pass
            time.sleep(0.02)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    threading.Thread(target=kill, daemon=True).start()
"""
SCORE = """
from igmu_metrics.scale import cluster as distributed
from igmu_metrics.evaluation import Evaluation

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
killer(lambda: list(out.glob("*.parquet")))
evaluation = Evaluation("sandbox.church", detector="sandbox", clip="sandbox", bench="sandbox")
cards = distributed.run(evaluation, folder / "original", [folder / "forgetful"], out, workers=2, per_shard=12)
Path(sys.argv[3]).write_text(json.dumps([killed, [c.model_dump(mode="json") for c in cards]]))
"""
RUN = """
from igmu_metrics.running import plan, run
from igmu_metrics.scale import cluster

cluster.PER_PART = 8
out = Path(sys.argv[2])
killer(lambda: list(out.glob("images/*/*/part-*/*.png")))
run.run(plan.read(Path(sys.argv[1])), out, device="cpu", where=run.Where(ray=True, workers=2))
Path(sys.argv[3]).write_text(json.dumps(killed))
"""
DYING = """
from igmu_data.errors import ClusterError, InputError
from igmu_metrics.scale import pool

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)

class Mortal:
    def __init__(self, place, mortal):
        self.place, self.mortal = place, mortal

    def do(self, task):
        mark = self.place / f"{task}-{os.getpid()}"
        mark.touch()
        if task == 7:
            raise InputError("seven is wrong")
        if task == 2 and len(list(self.place.glob("2-*"))) <= self.mortal:
            os.kill(os.getpid(), 9)
        return task * 10

told = {}
for name, mortal, tasks in (("once", 1, [1, 2, 3]), ("twice", 2, [1, 2, 3]), ("wrong", 0, [1, 7])):
    place = Path(sys.argv[1]) / name
    place.mkdir()
    try:
        told[name] = sorted(pool.spread(Mortal, (place, mortal), tasks, workers=2))
    except (ClusterError, InputError) as error:
        told[name] = f"{type(error).__name__}: {error}"
Path(sys.argv[2]).write_text(json.dumps(told))
"""


def environment(cache: Path) -> dict[str, str]:
    # One thread everywhere: the order of summation depends on their number. A busy machine would starve nice workers.
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": path, "IGMU_CACHE": str(cache), "RAY_worker_niceness": "0"}
    return os.environ | own


def done(script: str, *arguments: Path, cache: Path) -> None:
    command = [sys.executable, "-c", KILLING + script, *map(str, arguments)]
    found = subprocess.run(command, env=environment(cache), capture_output=True, text=True, check=False, cwd=ROOT)
    assert found.returncode == 0, found.stderr[-3000:]


def test_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("igmu_metrics.networks.loading.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"igmu\[ray\]"):
        next(iter(distributed.run(Evaluation("sandbox.church"), tmp_path, [tmp_path], tmp_path)))
    with pytest.raises(MissingExtraError, match=r"igmu\[ray\]"):
        distributed.generate(lambda: None, asked(1), tmp_path)  # type: ignore[arg-type,return-value]


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a busy machine is no defect
def test_a_worker_that_dies_costs_no_row_and_doubles_none(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    folder = tmp_path / "images"
    draw(folder, sorted(bench_rows("sandbox.church", bench="sandbox").values(), key=lambda r: r.id))
    done(SCORE, folder, tmp_path / "tables", tmp_path / "out.json", cache=tmp_path / "cache")
    killed, cards = json.loads((tmp_path / "out.json").read_text())
    assert len(killed) == 1
    code = (
        "import sys, json; from pathlib import Path; from igmu_metrics.evaluation import Evaluation\n"
        "e = Evaluation('sandbox.church', detector='sandbox', clip='sandbox', bench='sandbox', cache=False)\n"
        "f = Path(sys.argv[1]); c, = e.run(f / 'original', [f / 'forgetful'])\n"
        "Path(sys.argv[2]).write_text(json.dumps([c.model_dump(mode='json')]))"
    )
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "one.json")]
    subprocess.run(command, cwd=ROOT, env=environment(tmp_path / "cache"), check=True)
    assert cards == json.loads((tmp_path / "one.json").read_text())


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a busy machine is no defect
def test_a_run_over_two_workers_one_of_which_is_killed_is_the_local_run(
    tmp_path: Path, world_rows: dict[str, list[Row]]
) -> None:
    pytest.importorskip("ray")
    with installed(tiny_package(tmp_path / "package")) as root:
        bench = str(tiny_bench(root, world_rows["object/church"]))
        plan = {
            "original": "sandbox:original",
            "unlearned": {"uce": "sandbox:uce/church"},
            "configs": ["sandbox.church"],
            "scoring": {"detector": "sandbox", "clip": "sandbox", "bench": bench},
            "methods": {"uce": {"training_seconds": 12}},
        }
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(plan))
        cache = root / "cache"
        done(RUN, tmp_path / "run.yaml", tmp_path / "ray", tmp_path / "killed.json", cache=cache)
        assert len(json.loads((tmp_path / "killed.json").read_text())) == 1
        words = ["run", str(tmp_path / "run.yaml"), "--device", "cpu", "--out", str(tmp_path / "local")]
        command = [sys.executable, "-c", "from igmu_metrics.cli import main; main()", *words]
        subprocess.run(command, cwd=ROOT, env=environment(cache), check=True, capture_output=True)

    def written(out: Path) -> dict[str, bytes]:
        """Images, their lists, models and cards."""
        files = (p for p in out.rglob("*") if p.suffix in (".png", ".json", ".jsonl", ".yaml") and p.name != TIMES)
        return {p.relative_to(out).as_posix(): timeless(p) for p in files}

    mine, theirs = written(tmp_path / "ray"), written(tmp_path / "local")
    assert mine.keys() == theirs.keys()
    assert [name for name, data in mine.items() if data != theirs[name]] == []
    card = json.loads((tmp_path / "ray" / "cards" / "uce.sandbox.church.json").read_text())
    assert card["efficiency"]["method"] == {"training_seconds": 12.0} | dict.fromkeys(
        ("gpu", "n_gpus", "data", "n_images", "n_prompts", "source")
    )
    assert card["efficiency"]["times"]["unlearned"]["n_images"] == len(card["generations"])


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a busy machine is no defect
def test_work_is_done_again_once_and_what_kills_twice_is_told(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    done(DYING, tmp_path, tmp_path / "told.json", cache=tmp_path / "cache")
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["once"] == [[1, 10], [2, 20], [3, 30]]
    assert told["twice"].startswith("ClusterError: part 2 failed, because two workers died while processing it")
    assert len(list((tmp_path / "twice").glob("2-*"))) == 2
    assert told["wrong"] == "InputError: seven is wrong"
