"""What `igmu generate` says of time and memory, beside a measurement that knows nothing of it.

The same prompts and seeds, by the sandbox's versions: once drawn by igmu, which notes its own times, and once by a loop
over diffusers' pipeline in a process of its own, timed from the outside.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from builders.benchmarks.material import ROOT
from builders.benchmarks.timing import ratios, rounds, spread, table

VERSIONS = ("original", "uce/church", "filter/church")
_ASKED = """
import json, sys
from igmu_metrics.images.generate import requests_for
from igmu_data.load import bench_rows
rows = sorted(bench_rows("sandbox.church").values(), key=lambda r: r.id)
requests = requests_for(rows, seeds_per_row=1)[:int(sys.argv[2])]
"""
_OWN = (
    _ASKED
    + """
from pathlib import Path
from igmu_metrics.images import efficiency
from igmu_metrics.images.generate import draw
from igmu_metrics.images.pipelines import find_pipeline
out = Path(sys.argv[3])
draw(requests, find_pipeline(f"sandbox:{sys.argv[1]}", device="cpu"), out, progress=False)
pace = efficiency.pace(out)
print(json.dumps([pace.seconds, pace.peak_bytes]))
"""
)
_PLAIN = (
    _ASKED
    + """
import statistics, time
import torch
from pathlib import Path
from diffusers import StableDiffusionPipeline
from igmu_data.sandbox.packaged import model_folder
version, _, task = sys.argv[1].partition("/")
pipe = StableDiffusionPipeline.from_pretrained(
    model_folder(version, task or None), safety_checker=None, requires_safety_checker=False, torch_dtype=torch.float32
)
pipe.set_progress_bar_config(disable=True)
took = []
for at in range(0, len(requests), 16):
    some = requests[at:at + 16]
    start = time.perf_counter()
    pipe(prompt=[r.prompt for r in some], generator=[torch.Generator().manual_seed(r.seed) for r in some],
         num_inference_steps=some[0].steps, guidance_scale=some[0].guidance_scale, width=some[0].width,
         height=some[0].height, output_type="np")
    took.append((time.perf_counter() - start) / len(some))
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps([statistics.median(took), int(status["VmHWM"].split()[0]) * 1024]))
"""
)


def measure(n_rounds: int, n_images: int) -> str:
    """A section of the page.

    Args:
        n_rounds: of both ways, in turn.
        n_images: by each version; whole calls of sixteen.
    """
    rows = []
    for version in VERSIONS:
        found: dict[str, list[list[float]]] = {"igmu": [], "outside": []}

        def run(name: str, code: str, version: str = version, found: dict[str, Any] = found) -> None:
            with TemporaryDirectory() as place:
                command = [sys.executable, "-c", code, version, str(n_images), str(Path(place, "images"))]
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))

        ways = {"igmu": _OWN, "outside": _PLAIN}
        rounds({f"{version}, {name}": partial(run, name, code) for name, code in ways.items()}, n_rounds)
        (mine, held), (theirs, peak) = (zip(*found[name], strict=True) for name in ("igmu", "outside"))
        rows.append(
            [
                version,
                *(spread(list(seconds), 4) for seconds in (mine, theirs)),
                spread(ratios(list(mine), list(theirs))),
                *(f"{max(of) / 1e9:.2f}" for of in (held, peak)),
            ]
        )
    return (
        f"Each version generates {n_images} images of the sandbox's size on a CPU, sixteen per call. The table "
        "compares the median over calls, which `igmu generate` records and the card shows, with an independent "
        "measurement in which a loop calls diffusers' pipeline.\n\n"
    ) + table(
        [
            "version",
            "seconds per image, igmu",
            "independent",
            "ratio",
            "peak memory in GB, igmu",
            "independent",
        ],
        rows,
    )
