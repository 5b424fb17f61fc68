"""Notebooks run from top to bottom offline, say what they should, and are committed without outputs."""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = {p.stem: p for p in sorted((ROOT / "notebooks").glob("*.ipynb"))}
# Package registries and their options: where packages come from is up to the reader's pip.
REGISTRIES = re.compile(
    r"pypi|conda|index.url|find-links|trusted-host|npmjs|artifactory|docker\.io|ghcr|https?://|git\+", re.I
)
SECONDS = 60
CORES = 2
# What must stand in a notebook's printed text, by notebook.
SAYS: dict[str, tuple[str, ...]] = {
    "01_load": (
        # 6 of the 7 judged, 2 of 8 of the original's missing; 4 of the 5 judged where the original drew it
        "{'forget': 80, 'retain': 66, 'adversarial': 125}",
        "conditional_unlearning_accuracy   0.800",
        "(0.8571428571428571, 0.8)",
    ),
    "02_score_your_model": ("CorruptImageError", "of 24 pictures, 0 left out", "of 23 pictures, 1 left out"),
    "03_compare_and_report": (
        "after Holm",
        "report.html: ",
        "agrees with itself",
        "content_sha256: the content was changed",
        "toprule",
    ),
}


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


def test_there_are_these() -> None:
    assert set(NOTEBOOKS) == set(SAYS)


@pytest.mark.parametrize("path", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_is_kept_without_outputs(path: Path) -> None:
    code = [c for c in cells(path) if c["cell_type"] == "code"]
    assert code
    for cell in code:
        shown = "".join(cell["source"])[:60]
        assert cell["outputs"] == [], f"clear the outputs of {path.name} before committing it: {shown}"
        assert cell["execution_count"] is None, f"clear the outputs of {path.name} before committing it: {shown}"
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    assert metadata["language_info"] == {"name": "python"}, f"{path.name} tells which Python it was saved with"


@pytest.mark.parametrize("path", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_names_no_registry(path: Path) -> None:
    assert REGISTRIES.findall("\n".join("".join(c["source"]) for c in cells(path))) == []


@pytest.mark.parametrize("text", ["pip install --index" + "-url X", "!conda install igmu", "see https://example.org"])
def test_a_registry_would_be_found(text: str) -> None:
    assert REGISTRIES.search(text)


@pytest.mark.parametrize("path", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_opens_with_a_title_and_tells_what_to_change(path: Path) -> None:
    first = cells(path)[0]
    assert first["cell_type"] == "markdown"
    assert first["source"][0].startswith("# ")
    told = "".join("".join(c["source"]) for c in cells(path) if c["cell_type"] == "markdown")
    assert re.search(r"For the real corpus|For Stable Diffusion|For your own models|In your clone", told)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    """Runs a notebook in a kernel of its own, away from the user's files, and gives its text.

    Left out is what differs from run to run: progress and warnings on stderr, and the names of temporary folders.
    """
    for name, value in {
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "HTTPS_PROXY": "http://127.0.0.1:9",  # whoever tries all the same is refused at once
        "HF_HOME": str(tmp_path / "hf"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
        "TMPDIR": str(tmp_path),
        "COLUMNS": "120",
        "NO_COLOR": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("IGMU_BENCH", raising=False)

    def execute(path: Path) -> str:
        import nbformat
        from nbclient import NotebookClient

        notebook = nbformat.read(path, 4)
        home = {"metadata": {"path": str(path.parent)}}
        NotebookClient(notebook, kernel_name="python3", timeout=900, resources=home).execute()
        found = []
        for cell in notebook.cells:
            for output in cell.get("outputs", ()):
                if output.output_type == "stream" and output.name == "stdout":
                    found.append(output.text)
                elif output.output_type in ("execute_result", "display_data"):
                    found.append(output.data.get("text/plain", ""))
        return re.sub(rf"{re.escape(str(tmp_path))}/igmu-\w+", "…", "\n".join(found))

    return execute


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("path", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_runs_within_a_minute_of_two_cores(path: Path, run: Callable[[Path], str]) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    text = run(path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    for said in SAYS[path.stem]:
        assert said in text
    # Time of the processor, not of the clock: a busy machine is no defect.
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < SECONDS * CORES


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_same_again(run: Callable[[Path], str]) -> None:
    path = NOTEBOOKS["02_score_your_model"]
    assert run(path) == run(path)
