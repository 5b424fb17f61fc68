"""Notebooks run from top to bottom offline, say what they should, and are committed without outputs."""

from __future__ import annotations

import copy
import json
import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from builders.words import Text, found

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = {p.stem: p for p in sorted((ROOT / "notebooks").glob("*.ipynb"))}
COLAB = "https://colab.research.google.com"
# Where builders.bench puts them.
OPENS = f"{COLAB}/#fileId=https%3A//huggingface.co/datasets/igmu/bench/blob/main/notebooks/"
# Package registries and their options: where packages come from is up to the reader's pip.
REGISTRIES = re.compile(
    r"pypi|conda|index.url|find-links|trusted-host|npmjs|artifactory|docker\.io|ghcr|https?://|git\+", re.I
)
INSTALL = 'if importlib.util.find_spec("igmu_metrics") is None:  # on Colab\n    %pip install --quiet igmu'
SECONDS = 90
# What a notebook prints, as words and numbers with single spaces between them.
SAYS: dict[str, tuple[str, ...]] = {
    "01_load": (
        "{'forget': 176, 'retain': 224, 'adversarial': 510}",
        "Una iglesia",  # an adversarial prompt in another language
        "adversarial 102 510",  # prompts of the lite protocol, and images
        "A church by the sea",
    ),
    "02_score_your_model": (
        "2 models, sandbox.church 54 prompts: 216 images",
        "forgetting 0.95 [0.72, 0.99]",
        "object/church True False",
        "conditional_unlearning_accuracy 0.95 0.72 0.99 10 20",
        "truncated after 100 bytes",
        "failed: 1 image",
    ),
    "03_compare_and_report": (
        "3 models on sandbox.church",
        "from top to bottom: original collapsed esd filter",
        "Holm-corrected",
        r"\toprule",
    ),
    "04_score_your_images": (
        "mine/esd/metadata.jsonl: matched 54 of 54 images",
        "robustness 0.95 [0.60, 1.00]",
        # 6 of the 7 judged; 2 of 8 of the original's lack it; 4 of the 5 judged where the original has it
        "unlearning_accuracy 0.857 0.487 0.974 7",
        "original_unlearning_accuracy 0.250",
        "conditional_unlearning_accuracy 0.800",
    ),
    "05_check_a_table": (
        "9/10 = 90, 10/10 = 100",
        "scores.attack_success_rate.figures.asr_any@k",
        "forged.json: 3 problems",
        "signed by authors.pub",
        "stranger.pub",
        "conditional_asr_any@k 1.00 0.62 1.00 10 20",
        "undecided: ours: forgetting 1 [0.566, 1] >= 0.9",
        "not met: ours: asr_any@2 0.833 [0.52, 0.958] <= 0.1",
        "original: 'original' and 'ours'",
        "detector: 'sandbox' and 'clip:sandbox'",
        "adversarial 1%",  # covered, once what failed is left out
        r"\toprule",
    ),
}
# `!igmu …` that fails does not stop a notebook. These errors are meant to be there, in this order.
ERRORS: dict[str, list[str]] = {
    "02_score_your_model": ["CorruptImageError"],
    "05_check_a_table": [
        *("VerificationError", "VerificationError", "VerificationError"),
        *("IncomparableError", "IncomparableError"),
    ],
}
Notebook = dict[str, Any]


def opened(name: str) -> Notebook:
    notebook: Notebook = json.loads(NOTEBOOKS[name].read_text(encoding="utf-8"))
    return notebook


def text_of(notebook: Notebook, kind: str) -> str:
    return "\n".join("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == kind)


def defects(name: str, notebook: Notebook) -> Iterator[str]:
    """What is wrong with a notebook as it is committed, a word for each."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and (cell["outputs"] or cell["execution_count"] is not None):
            yield "outputs"
    if notebook["metadata"]["language_info"] != {"name": "python"}:
        yield "machine"
    first, install, *_ = ("".join(cell["source"]) for cell in notebook["cells"])
    badge = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({OPENS}{name}.ipynb)"
    if not first.startswith("# ") or badge not in first.splitlines():
        yield "opening"
    if install.removeprefix("import importlib.util\n\n") != INSTALL:
        yield "install"
    prose, code = text_of(notebook, "markdown"), text_of(notebook, "code")
    if REGISTRIES.search((prose + code).replace(badge, "")):
        yield "registry"
    if not re.search(r"change one line|[Ff]or another concept, replace", first):
        yield "what to change"
    if found(iter([Text(name, prose)])) or re.search(r"(?i)\bpictures?\b|attacked prompt", prose + code):
        yield "words"
    for page in re.findall(r"\]\((?!http)([^)#]*)", prose):
        if not (ROOT / "notebooks" / page).is_file():
            yield "link"


def test_there_are_these() -> None:
    assert set(NOTEBOOKS) == set(SAYS)
    for page in ("README.md", "docs/start.md"):
        listed = re.findall(r"notebooks/(\w+)\.ipynb\)", (ROOT / page).read_text(encoding="utf-8"))
        assert listed == sorted(NOTEBOOKS), page
    start = (ROOT / "docs/start.md").read_text(encoding="utf-8")
    assert re.findall(rf"\({re.escape(OPENS)}(\w+)\.ipynb\)", start) == sorted(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_is_committed_as_it_should_be(name: str) -> None:
    import nbformat

    assert list(defects(name, opened(name))) == []
    nbformat.validate(nbformat.read(NOTEBOOKS[name], 4))


def planted(notebook: Notebook, defect: str) -> None:
    first, install = notebook["cells"][:2]
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    if defect == "outputs":
        code[-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["1"]}]
    elif defect == "machine":
        notebook["metadata"]["language_info"]["version"] = "3.11.9"
    elif defect == "opening":  # the badge of another notebook
        first["source"] = [re.sub(r"notebooks/\w+", "notebooks/00_other", line) for line in first["source"]]
    elif defect == "install":  # installs over what is there
        install["source"] = ["%pip install --quiet igmu"]
    elif defect == "registry":
        code[-1]["source"].append("\n!conda install igmu")
    elif defect == "what to change":
        first["source"] = first["source"][:3]
    elif defect == "words":
        first["source"].append("\nIt draws them.")
    elif defect == "link":
        first["source"].append("\n[next](06_none.ipynb)")


@pytest.mark.parametrize(
    "defect", ["outputs", "machine", "opening", "install", "registry", "what to change", "words", "link"]
)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_planted_defect_is_found(name: str, defect: str) -> None:
    notebook = copy.deepcopy(opened(name))
    planted(notebook, defect)
    assert defect in set(defects(name, notebook))


@pytest.mark.parametrize("text", ["pip install --index" + "-url X", "!conda install igmu", "see https://example.org"])
def test_a_registry_would_be_found(text: str) -> None:
    assert REGISTRIES.search(text)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    """Runs a notebook in a kernel of its own, in an empty folder, and gives its text with single spaces between words.

    Left out is what differs from run to run: stderr of the kernel, colors, and how long an image takes.
    """
    for name, value in {
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HTTPS_PROXY": "http://127.0.0.1:9",  # whoever tries all the same is refused at once
        "HF_HOME": str(tmp_path / "hf"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("IGMU_BENCH", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def execute(path: Path) -> str:
        import nbformat
        from nbclient import NotebookClient

        notebook = nbformat.read(path, 4)
        home = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        home.mkdir()
        resources = {"metadata": {"path": str(home)}}
        NotebookClient(notebook, kernel_name="python3", timeout=900, resources=resources).execute()
        texts = []
        for cell in notebook.cells:
            for output in cell.get("outputs", ()):
                if output.output_type == "stream" and output.name == "stdout":
                    texts.append(output.text)
                elif output.output_type in ("execute_result", "display_data"):
                    texts.append(output.data.get("text/plain", ""))
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", "\n".join(texts))
        return " ".join(re.sub(r"(?m)^.* s per image; .*$", "", text).split())

    return execute


def errors(text: str) -> list[str]:
    return re.findall(r"\b[A-Z]\w*Error(?=: )|command not found|sh: \d+: \S+: not found", text)  # bash, dash


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_runs_within_a_minute_and_a_half_of_one_core(name: str, run: Callable[[Path], str]) -> None:
    before = cpu()
    text = run(NOTEBOOKS[name])
    used = cpu() - before  # time of the processor, not of the clock: a busy machine is no defect
    for said in SAYS[name]:
        assert said in text
    assert errors(text) == ERRORS.get(name, [])
    assert "\x1b" not in text
    assert used < SECONDS


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("line", ["!igmu compare nowhere", "!no-such-igmu compare runs"])
def test_a_command_that_fails_is_found(line: str, run: Callable[[Path], str], tmp_path: Path) -> None:
    notebook = opened("02_score_your_model")
    notebook["cells"] = notebook["cells"][1:2]
    notebook["cells"][0]["source"] = [line]
    path = tmp_path / "planted.ipynb"
    path.write_text(json.dumps(notebook))
    assert errors(run(path))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_same_again(run: Callable[[Path], str]) -> None:
    path = NOTEBOOKS["04_score_your_images"]
    assert run(path) == run(path)
