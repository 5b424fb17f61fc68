"""The kept Spaces are what the metrics say now, complete, loadable, and right about their own cases."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from builders import spaces
from igmu_data.errors import EmptyInputError, InputError, LengthMismatchError
from igmu_metrics import registry
from igmu_metrics.contract import Estimate, Score, Signature
from igmu_metrics.spaces import checked, compute, flat, references_of

NAMES = registry.names("metrics")


def module_at(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_kept_spaces_are_up_to_date() -> None:
    assert spaces.stale(spaces.RENDERED) == []


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Spaces as they would be rendered now."""
    for name in spaces.names():
        spaces.write(name, tmp_path / "kept" / name, manifest=False)
    return tmp_path / "kept"


def test_stale_names_every_kind_of_difference(kept: Path) -> None:
    assert spaces.stale(kept) == []
    (kept / "lpips/README.md").write_text("old", encoding="utf-8")
    (kept / "frechet/app.py").unlink()
    (kept / "gone").mkdir()
    (kept / "gone/gone.py").write_text("", encoding="utf-8")
    assert spaces.stale(kept) == ["frechet/app.py", "gone/gone.py", "lpips/README.md"]


def test_check_fails_with_the_name_of_the_file(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    app = typer.Typer()
    app.command()(spaces.main)
    monkeypatch.setattr(spaces, "RENDERED", kept)
    assert CliRunner().invoke(app, ["--check"]).exit_code == 0
    (kept / "lpips/README.md").write_text("old", encoding="utf-8")
    done = CliRunner().invoke(app, ["--check"])
    assert done.exit_code == 2
    assert "lpips/README.md" in done.output
    assert (kept / "lpips/README.md").read_text(encoding="utf-8") == "old", "--check changes nothing"


@pytest.mark.parametrize("name", NAMES)
def test_files_of_a_space(name: str) -> None:
    files = spaces.render(name)
    assert set(files) == {"README.md", f"{name}.py", "app.py", "requirements.txt", "tests.py"}
    header = yaml.safe_load(files["README.md"].split("---\n")[1])
    assert header["title"] == registry.metric(name).INFO.title
    assert (header["sdk"], header["app_file"], header["pinned"]) == ("gradio", "app.py", False)
    assert header["tags"] == ["evaluate", "metric"]
    assert {"emoji", "colorFrom", "colorTo", "sdk_version"} <= header.keys()
    info = registry.metric(name).INFO
    for text in (info.summary, info.limits, info.headline, *info.references):
        assert text in files["README.md"]
    assert files["requirements.txt"].startswith("igmu")


@pytest.mark.parametrize("name", NAMES)
def test_script_of_a_space(name: str) -> None:
    """evaluate loads the first Metric in the script's namespace, and asks pip for what is imported at its margin."""
    text = spaces.render(name)[f"{name}.py"]
    tree = ast.parse(text)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert [ast.unparse(base) for node in classes for base in node.bases] == ["evaluate.Metric"]
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in classes[0].name).lstrip("_")
    assert snake == name
    margin = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert margin == ["import evaluate", "import igmu_metrics.spaces  # From: igmu"]


@pytest.mark.parametrize("name", NAMES)
def test_page_of_a_space(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without gradio: its widgets are stand-ins, the function behind the button is the real one."""

    class Widget:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            pass

        def __enter__(self) -> Widget:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def click(self, function: Any, inputs: list[Any], output: Any) -> None:
            assert len(inputs) == function.__code__.co_argcount

    gradio = ModuleType("gradio")
    for widget in ("Blocks", "Button", "Dataframe", "File", "Gallery", "Markdown", "Textbox"):
        setattr(gradio, widget, Widget)
    gradio.Error = type("Error", (Exception,), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    page = module_at(spaces.RENDERED / name / "app.py", f"page_of_{name}")
    if references_of(name) == "labels":
        table = tmp_path / "labels.csv"
        table.write_text("predictions,references\nstyle/none,style/monet\n,style/monet\nobject/cat,object/cat\n")
        shown = dict(page.score(str(table), "style/monet"))
        assert (shown["unlearning_accuracy"], shown["n_unclear"]) == ("1.0", "1.0")
        with pytest.raises(gradio.Error, match="church"):
            page.score(str(table), "church")
    else:
        assert page.paths([("a.png", None), ("b.png", "caption")]) == ["a.png", "b.png"]
        with pytest.raises(gradio.Error, match="no predictions"):
            page.score(*[[]] * page.score.__code__.co_argcount)


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Options that let a Space's own tests run without a network: small weights, a small corpus."""
    from tiny import tiny_clip, tiny_trunk

    from builders import bench

    out = tmp_path_factory.mktemp("offline")
    bench.build(out, only=["object/church"])
    clip = f"clip:{tiny_clip(out / 'clip')}"
    corpus = {"bench": str(out / "igmu/bench"), "device": "cpu"}
    trunk = tiny_trunk(out / "trunk.safetensors")
    return {
        "clip_alignment": {"backbone": clip, "device": "cpu"},
        "frechet": {"backbone": clip, "device": "cpu"},
        "lpips": {"backbone": f"lpips:alex?trunk={trunk}", "device": "cpu"},
        "attack_success_rate": corpus,
        "forget_score": corpus,
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_space_passes_its_own_tests(
    name: str, offline: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    cases = vars(module_at(spaces.RENDERED / name / "tests.py", f"cases_of_{name}"))
    tests = [function for case, function in cases.items() if case.startswith("test_")]
    assert len(tests) >= 2
    for test in tests:
        test(**offline.get(name, {}))


def test_what_references_are() -> None:
    assert {name: references_of(name) for name in NAMES} == {
        "attack_success_rate": "row_ids",
        "clip_alignment": "prompts",
        "concept_accuracy": "labels",
        "forget_score": "row_ids",
        "frechet": "original_images",
        "lpips": "original_images",
    }


def test_flat_is_plain_python() -> None:
    import numpy as np

    figures = {
        "a": Estimate(np.float64(0.5), (np.float64(0.25), np.float64(0.75))),
        "b": Estimate(np.nan, reason="why"),
    }
    score = Score("a", 0.5, None, np.int64(2), 3, 1, Signature({"metric": "a"}), figures)  # type: ignore[arg-type]
    found = flat(score)
    nan = found.pop("b")
    assert nan != nan
    numbers = {"a": 0.5, "a_low": 0.25, "a_high": 0.75, "n_prompts": 2, "n_generations": 3, "n_failed": 1}
    assert found == numbers | {"signature": "metric:a", "notes": "b: why"}
    assert {type(value) for value in (*found.values(), nan)} == {float, int, str}


def test_checked_cuts_pictures_loose_and_refuses_nothing(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.png")
    opened = Image.open(tmp_path / "a.png")
    path, loose = checked("predictions", (tmp_path / "a.png", opened))
    assert path == str(tmp_path / "a.png")
    assert not getattr(loose, "filename", "")
    assert loose.getpixel((0, 0)) == (255, 0, 0)
    for nothing in (None, [], ()):
        with pytest.raises(EmptyInputError, match="no predictions"):
            checked("predictions", nothing)


def test_bad_calls_are_typed() -> None:
    with pytest.raises(LengthMismatchError, match="1 predictions and 2 references"):
        compute("lpips", ["a.png"], ["a.png", "b.png"])
    with pytest.raises(InputError, match="no option 'detectr'"):
        compute("forget_score", ["a.png"], ["0" * 16], detectr="clip")
    with pytest.raises(InputError, match="target"):
        compute("concept_accuracy", ["object/cat"], ["object/cat"])
