"""How memory and time grow with the number of images: a process for each number, with its own peak."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from builders.benchmarks.material import ROOT, Material
from builders.benchmarks.timing import table

_CODE = """
import json, sys, time
from pathlib import Path
from igmu_metrics import registry
from igmu_metrics.networks.observe import observe
n, folder, *specs = sys.argv[1:]
files = sorted(Path(folder).glob("*.png"))
paths = [files[i % len(files)] for i in range(int(n))]
tools = {spec: registry.backbone(spec) for spec in specs}
start = time.perf_counter()
observe(paths, backbones=tools)
# Not getrusage: its peak is that of the process that started this one, if that was larger.
status = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())
peak = int(status['VmHWM'].split()[0]) * 1024 / 1e9
print(json.dumps([time.perf_counter() - start, peak]))
"""


def measure(material: Material, sizes: list[int]) -> str:
    """A section of the page."""
    clip = f"clip:{material.clip32}"
    every = [clip, f"clip:{material.clip16}", f"inception:clean?weights={material.inception}"]
    rows = [_row("CLIP ViT-B/32", material, n, [clip]) for n in sizes]
    rows.append(_row("ViT-B/32, ViT-B/16, Inception", material, sizes[0], every))
    return (
        "These runs process n images of 512×512 without a cache, in a separate process for each n. As n grows, only "
        "the features need more memory: 4 to 24 KB per image.\n\n"
    ) + table(["networks", "images", "seconds", "ms per image", "peak memory, GB"], rows)


def _row(name: str, material: Material, n: int, specs: list[str]) -> list[str]:
    command = [sys.executable, "-c", _CODE, str(n), str(material.images["original"]), *specs]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    sys.stderr.write(f"{name}, {n} images: {seconds:.1f} s, {peak:.2f} GB\n")
    return [name, f"{n:,}", f"{seconds:.1f}", f"{1000 * seconds / n:.1f}", f"{peak:.2f}"]


def labels(n: int = 100_000) -> str:
    """Scoring from decisions that are there already, with its bootstrap."""
    import time

    import numpy as np

    from igmu_metrics import score

    rng = np.random.default_rng(0)
    seen = np.where(rng.random(n) < 0.3, "object/church", "object/none").tolist()
    start = time.perf_counter()
    score(
        "concept_accuracy",
        predictions=seen,
        references=["object/church"] * n,
        target="object/church",
        ids=[str(i // 5) for i in range(n)],
        seeds=[i % 5 for i in range(n)],
    )
    return f"Concept accuracy of {n:,} labels takes {time.perf_counter() - start:.1f} s, including the bootstrap.\n"


def starts(n: int = 5) -> str:
    """`igmu --help` and `import igmu_metrics`, in fresh processes."""
    import statistics
    import time

    def seconds(code: str) -> float:
        found = []
        for _ in range(n):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
            found.append(time.perf_counter() - start)
        return statistics.median(found)

    empty = seconds("pass")
    helps = seconds("import sys; sys.argv = ['igmu', '--help']; from igmu_metrics.cli import main; main()")
    imports = seconds("import igmu_metrics")
    return (
        f"`igmu --help` takes {helps:.2f} s and `import igmu_metrics` {imports:.2f} s (starting Python takes "
        f"{empty:.2f} s).\n"
    )


def page(path: Path, text: str) -> None:
    """Write beside and rename."""
    from igmu_metrics.scorecard import write_text

    write_text(path, text)
