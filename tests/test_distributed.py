"""The same card from Ray's workers, one of which is killed in the middle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from drawn import draw

from igmu_data.errors import MissingExtraError
from igmu_data.load import bench_rows
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.scale import cluster as distributed

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = """
import json, sys, threading, time
from pathlib import Path
import psutil, ray
from igmu_metrics.scale import cluster as distributed
from igmu_metrics.evaluation import Evaluation

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
killed = []

def kill():
    while not killed:
        if list(out.glob("*.parquet")):
            for process in psutil.Process().children(recursive=True):
                try:
                    if "MapWorker" in " ".join(process.cmdline()):
                        process.kill()
                        killed.append(process.pid)
                        return
                except psutil.Error:
                    pass
        time.sleep(0.02)

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
threading.Thread(target=kill, daemon=True).start()
evaluation = Evaluation("sandbox.church", detector="sandbox", clip="sandbox", bench="sandbox")
cards = distributed.run(evaluation, folder / "original", [folder / "forgetful"], out, workers=2, per_shard=12)
Path(sys.argv[3]).write_text(json.dumps([killed, [c.model_dump(mode="json") for c in cards]]))
"""


def test_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("igmu_metrics.networks.loading.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"igmu\[ray\]"):
        next(iter(distributed.run(Evaluation("sandbox.church"), tmp_path, [tmp_path], tmp_path)))


@pytest.mark.slow
def test_a_worker_that_dies_costs_no_row_and_doubles_none(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    folder = tmp_path / "pictures"
    draw(folder, sorted(bench_rows("sandbox.church", bench="sandbox").values(), key=lambda r: r.id))
    command = [sys.executable, "-c", SCRIPT, *map(str, (folder, tmp_path / "tables", tmp_path / "out.json"))]
    # One thread everywhere: the order of summation depends on their number.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "IGMU_CACHE": str(tmp_path / "cache")}
    environment["RAY_worker_niceness"] = "0"  # a busy machine would starve them
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    killed, cards = json.loads((tmp_path / "out.json").read_text())
    assert len(killed) == 1
    code = (
        "import sys, json; from pathlib import Path; from igmu_metrics.evaluation import Evaluation\n"
        "e = Evaluation('sandbox.church', detector='sandbox', clip='sandbox', bench='sandbox', cache=False)\n"
        "f = Path(sys.argv[1]); c, = e.run(f / 'original', [f / 'forgetful'])\n"
        "Path(sys.argv[2]).write_text(json.dumps([c.model_dump(mode='json')]))"
    )
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "one.json")]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    assert cards == json.loads((tmp_path / "one.json").read_text())
