"""Measure and write the page: `python -m builders.benchmarks` (an hour and more), with `--quick` minutes."""

from __future__ import annotations

import argparse
import os
import platform
from importlib.metadata import version
from pathlib import Path

from builders.benchmarks.material import ROOT, prepare
from builders.benchmarks.timing import table

PARTS = ("evaluation", "agreement", "networks", "distances", "generation", "growth")


def main() -> None:
    """Read the arguments, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m builders.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: shows that it runs, not how fast")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "dist" / "benchmarks", help="folder for images and networks"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, help="default 3, or 1 with --quick")
    parser.add_argument("--eval-unlearn", type=Path, help="a Python that has eval-unlearn installed")
    given = parser.parse_args()
    os.environ["IGMU_CACHE"] = str(given.work / "cache")
    from builders.benchmarks import agreement, distances, evaluation, generation, growth, networks

    quick = given.quick
    n_rounds = given.rounds or (1 if quick else 3)
    drawn = set(given.only) - {"distances", "generation"}  # by the others
    material = prepare(given.work, 15 if quick else 250 if drawn else 1, models=3)
    options = " --quick" * quick + (f" --only {' '.join(given.only)}" if set(given.only) < set(PARTS) else "")
    options += f" --rounds {given.rounds}" if given.rounds else ""
    command = f"python -m builders.benchmarks{options}"
    machine = facts()  # with the load before anything runs
    sections: dict[str, str] = {}
    if "evaluation" in given.only:
        sections["One evaluation"] = evaluation.measure(material, given.work / "cache", n_rounds)
    if "agreement" in given.only:
        sections["Agreement"] = agreement.measure(material, given.work / "cache")
    if "networks" in given.only:
        n_calls = given.rounds or (1 if quick else 7)
        sections["Networks"] = networks.measure(material, n_calls, 32 if quick else 64)
    if "distances" in given.only:
        sizes, width = ([60, 400], 256) if quick else ([250, 1000, 2000, 5000], 2048)
        sections["Distances"] = distances.measure(sizes, width, n_rounds, given.eval_unlearn)
    if "generation" in given.only:
        sections["Generation"] = generation.measure(n_rounds, 16 if quick else 48)
    if "growth" in given.only:
        sizes = [8, 32] if quick else [100, 1000, 10_000]
        parts = (growth.measure(material, sizes), growth.labels(), growth.starts())
        sections["Memory and time"] = "\n".join(parts)
    whole = set(given.only) == set(PARTS)
    growth.page(given.out, assembled(command, machine, sections, given.out, whole=whole))
    print(given.out)


def assembled(command: str, machine: str, sections: dict[str, str], out: Path, *, whole: bool) -> str:
    """The page. Where not everything was measured, the other sections stay as they were, if on such a machine."""
    fresh = HEAD.format(command=command) + machine + "".join(f"\n## {k}\n\n{v}" for k, v in sections.items())
    old = out.read_text() if out.exists() and not whole else ""
    if machine.splitlines()[2] not in old.splitlines():
        return fresh
    head, *kept = old.split("\n## ")
    known = dict(part.split("\n\n", 1) for part in kept)
    known |= {
        title: f"This section was measured separately by `{command}`.\n\n{text}" for title, text in sections.items()
    }
    return head + "".join(f"\n## {title}\n\n{text.rstrip()}\n" for title, text in known.items())


HEAD = """\
# Performance

`{command}` writes this page; do not edit it by hand. Each number is a median over the rounds, followed by the
smallest and largest value in parentheses. Images and weights are random with fixed seeds, but the networks have real
architectures.

"""


def facts() -> str:
    """What the numbers depend on."""
    import torch

    name = platform.processor() or platform.machine()
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        lines = cpu.read_text().splitlines()
        name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), name)
        flags = next((line.split() for line in lines if line.startswith("flags")), [])
        name += " with AMX" if "amx_tile" in flags else ""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    packages = ("torch", "transformers", "numpy", "scipy", "torchmetrics", "torch-fidelity", "clean-fid", "lpips")
    rows = [
        ["CPU", f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads of torch"],
        ["memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"],
        ["GPU", gpu],
        ["load at the start", f"{os.getloadavg()[0]:.1f}"],
        ["Python", platform.python_version()],
        *([p, version(p)] for p in packages),
    ]
    return table(["machine", ""], [list(row) for row in rows])


if __name__ == "__main__":
    main()
