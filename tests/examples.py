"""The examples of the metrics' pages: `python tests/examples.py` runs them and writes what they print into them.

`builders/examples/<metric>.md` is Markdown with Python in it; the fences of a page share their names, and what one
prints comes behind it as a fence of text. `evaluate.load` takes the rendered Spaces, so nothing is asked of the Hub.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
EXAMPLES: Final = ROOT / "builders" / "examples"
_FENCE: Final = re.compile(r"(```python\n(.*?)```\n)(?:\n```text\n.*?```\n)?", re.DOTALL)
_DRIVER: Final = """
import contextlib, io, json, sys
import evaluate

load = evaluate.load
evaluate.load = lambda name: load(f"{sys.argv[1]}/" + name.removeprefix("igmu/"))
printed = {}
for page, fences in json.load(sys.stdin).items():
    names = {}
    for code in fences:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, page, "exec"), names)
        printed.setdefault(page, []).append(out.getvalue())
print(json.dumps(printed))
"""


def filled(pages: dict[str, str], folder: Path) -> dict[str, str]:
    """Pages with what their examples print.

    Args:
        pages: Markdown by the name of the metric.
        folder: where they run; see `prepare`.
    """
    code = {page: [fence[1] for fence in _FENCE.findall(text)] for page, text in pages.items()}
    offline = {"HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER, str(ROOT / "builders" / "rendered_spaces")],
        input=json.dumps(code),
        cwd=folder,
        env=os.environ | offline,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    out = {}
    for page, outputs in json.loads(done.stdout.splitlines()[-1]).items():
        out[page] = pages[page]
        for found, printed in zip(_FENCE.finditer(pages[page]), outputs, strict=True):
            out[page] = out[page].replace(found[0], f"{found[1]}\n```text\n{printed}```\n")
    return out


def prepare(folder: Path) -> None:
    """What the examples read: a few images of sandbox models, two squares, and networks with random weights."""
    from PIL import Image
    from tiny import tiny_trunk
    from tiny_vlm import llava, siglip

    from igmu_data.load import bench_rows
    from igmu_data.schema import Row
    from igmu_metrics.images.generate import draw, requests_for
    from igmu_metrics.images.pipelines import find_pipeline
    from igmu_metrics.sandbox.demo import load_rows

    rows = load_rows("church")
    attacks: dict[str | None, Row] = {}
    for row in rows:
        if row.split == "adversarial":
            attacks.setdefault(row.attack_family, row)
    attacked = list(attacks.values())[:3]
    sources = {row.attack_source_id for row in attacked}
    kept = [row for row in rows if row.id in sources]
    for probe, n in (("direct", 3), ("near", 3), ("far", 3)):
        kept += [row for row in rows if row.probe == probe and row.id not in sources][:n]
    for model, spec in (("original", "sandbox:original"), ("esd", "sandbox:esd/church")):
        draw(requests_for([*kept, *attacked], seeds_per_row=2), find_pipeline(spec), folder / "images" / model)
    general = list(bench_rows("general").values())[:4]
    draw(requests_for(general, seeds_per_row=1), find_pipeline("sandbox:original"), folder / "images" / "general")
    for colour in ("red", "blue"):
        Image.new("RGB", (64, 64), colour).save(folder / f"{colour}.png")
    tiny_trunk(folder / "alexnet.safetensors")
    llava(folder / "judge")
    siglip(folder / "preference")


def kept() -> dict[str, str]:
    """The pages as they are."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.md"))}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        prepare(Path(made))
        for name, text in filled(kept(), Path(made)).items():
            (EXAMPLES / f"{name}.md").write_text(text, encoding="utf-8")
