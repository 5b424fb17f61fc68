"""`python -m builders.clients FOLDER PYTHON …`: what clients of several versions make of a built folder.

Give interpreters of virtual environments that hold one version of `datasets` and Pillow each, as made by
`python3.11 -m venv ds221 && ds221/bin/pip install "datasets==2.21.0" pillow "pyarrow<21"`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from igmu_data.errors import CorpusError, InputError, exits_on_error
from igmu_data.markdown import table

CONFIGS: Final = ("object.church", "object", "all", "general", "sandbox", "sandbox_detector")
_SCRIPT: Final = """
import json, os, sys, time
import datasets
datasets.disable_progress_bars()
out = {"datasets": datasets.__version__}
for config in sys.argv[2:]:
    start = time.perf_counter()
    try:
        loaded = datasets.load_dataset(sys.argv[1], config)
        seconds = time.perf_counter() - start
        first = next(iter(loaded.values()))
        row = first[0]
        told = {"rows": {split: len(rows) for split, rows in loaded.items()}, "columns": first.column_names}
        told["lists"] = sorted(name for name, value in row.items() if isinstance(value, list))
        told["image"] = getattr(row.get("image"), "size", None)
        label = first.features.get("label")
        told["classes"] = getattr(label, "names", None)
        stream = datasets.load_dataset(sys.argv[1], config, streaming=True)
        told["streamed"] = sorted(next(iter(next(iter(stream.values()))))) == sorted(row)
        out[config] = told | {"seconds": seconds}
    except Exception as error:
        out[config] = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps(out), flush=True)
os._exit(0)  # a stream that is given up leaves a thread of pyarrow, which can abort the interpreter's exit
"""


def loaded(python: Path, folder: Path, configs: tuple[str, ...] = CONFIGS) -> dict[str, Any]:
    """What one interpreter's `datasets` makes of some configs, with a cache of its own.

    Args:
        python: the interpreter.
        folder: a built repository.
        configs: of it.

    Returns:
        The version, and by config rows a split, columns, which are lists, the first image's size, classes, whether it
        streams and how many seconds it took; or the error.

    Raises:
        InputError: it cannot be run, or has no `datasets`.
    """
    with tempfile.TemporaryDirectory() as cache:
        own = {"HF_HOME": cache, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
        command = [str(python), "-c", _SCRIPT, str(folder), *configs]
        try:
            done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=False, cwd=cache)
        except OSError as error:
            raise InputError(f"{python}: cannot be run ({error.strerror}).") from error
    if done.returncode:
        raise InputError(f"{python}: {done.stderr.strip().splitlines()[-1]}. Install datasets and Pillow there.")
    return dict(json.loads(done.stdout.splitlines()[-1]))


@exits_on_error
def main(
    folder: Annotated[Path, typer.Argument(help="A built repository: dist/hub/igmu/bench.")],
    python: Annotated[list[Path], typer.Argument(help="Interpreters that have one version of datasets each.")],
) -> None:
    """Load a built folder with several versions of the client, and compare what they see."""
    seen = [loaded(p, folder) for p in python]
    head = ["config", *(f"datasets {s['datasets']}" for s in seen)]
    typer.echo(table(head, [[f"`{c}`", *(_cell(s[c]) for s in seen)] for c in CONFIGS]))
    for config in CONFIGS:
        told = [{k: v for k, v in s[config].items() if k != "seconds"} for s in seen]
        if any("error" in t for t in told) or any(t != told[0] for t in told):
            raise CorpusError(f"config {config!r} is not the same to all: {json.dumps(told)[:2000]}")


def _cell(told: dict[str, Any]) -> str:
    if "error" in told:
        return str(told["error"]).splitlines()[0][:80]
    rows = ", ".join(f"{n:,} {split}" for split, n in told["rows"].items())
    return f"{rows}; {told['seconds']:.1f} s"


if __name__ == "__main__":
    typer.run(main)
