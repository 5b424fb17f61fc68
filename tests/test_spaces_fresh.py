"""The kept Spaces are what the metrics say now, complete, loadable, and so are those of other packages' metrics."""

from __future__ import annotations

import importlib.util
import inspect
import json
import pickle
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from builders import spaces
from igmu_data.errors import EmptyInputError, InputError, LengthMismatchError
from igmu_metrics import registry
from igmu_metrics.contract import Estimate, Score, Signature
from igmu_metrics.spaces import check, checked, compute, flat, metric_class, page, references_of
from igmu_metrics.spaces.form import figures
from igmu_metrics.spaces.inputs import arguments

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
    for text in (info.summary, info.limits, info.headline, *info.references, *(f"- `{a}`: " for a in arguments(name))):
        assert text in files["README.md"]
    assert files["requirements.txt"].startswith("igmu")


@pytest.mark.parametrize("name", NAMES)
def test_script_of_a_space(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """evaluate loads the first Metric in the script's namespace, names it after the class, and asks pip for imports."""
    import evaluate
    from evaluate.loading import get_imports
    from evaluate.naming import camelcase_to_snakecase

    path = spaces.RENDERED / name / f"{name}.py"
    assert get_imports(str(path)) == [("library", "igmu_metrics", "igmu", None)]
    script = module_at(path, f"script_of_{name}")
    monkeypatch.setitem(sys.modules, script.__name__, script)
    (found,) = (c for c in vars(script).values() if isinstance(c, type) and issubclass(c, evaluate.Metric))
    assert camelcase_to_snakecase(found.__name__) == name
    assert pickle.loads(pickle.dumps(found)) is found


def test_no_metric_class_can_be_imported() -> None:
    """A script may import all of igmu_metrics.spaces, and evaluate still finds its own class first."""
    import evaluate

    import igmu_metrics.spaces

    public = [vars(module).values() for module in (igmu_metrics, igmu_metrics.spaces, inspect.getmodule(metric_class))]
    assert [c for found in public for c in found if isinstance(c, type) and issubclass(c, evaluate.Metric)] == []


def test_the_class_tells_of_its_metric(tmp_path: Path) -> None:
    metric = metric_class("lpips", __name__, owner="somebody")(cache_dir=str(tmp_path))
    info = registry.metric("lpips").INFO
    assert (metric.name, metric.info.homepage) == ("lpips", "https://huggingface.co/spaces/somebody/lpips")
    assert metric.citation == "\n".join(info.references)
    assert info.title in metric.description
    assert info.summary in metric.description
    assert "\n- splits: (n,) forget, retain or adversarial.\n" in metric.inputs_description
    assert metric.inputs_description in metric.compute.__doc__


def test_arguments_are_those_of_the_call() -> None:
    """Arguments of a backbone's making are none of the Space's, and sources that a metric can do without are."""
    assert list(arguments("clip_alignment"))[:7] == [
        "predictions", "references", "original_images", "stripped_prompts", "ids", "seeds", "variant",
    ]  # fmt: skip
    assert {"config", "detector", "k", "original_predictions"} < arguments("forget_score").keys()
    assert arguments("forget_score").keys().isdisjoint({"name", "images", "row_ids", "original_images", "signature"})
    for name in NAMES:
        assert all(arguments(name).values()), name


class Widget:
    """A stand-in for every widget of gradio: counts them, and runs the function behind the button."""

    made: ClassVar[list[str]] = []
    inputs: ClassVar[list[Any]] = []
    behind: ClassVar[Any] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Widget.made += [kwargs["label"]] if "label" in kwargs else []

    def __enter__(self) -> Widget:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def click(self, function: Any, inputs: list[Any], output: Any) -> None:
        Widget.behind, Widget.inputs = staticmethod(function), inputs


@pytest.fixture
def gradio(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("gradio")
    for widget in ("Blocks", "Button", "Dataframe", "File", "Gallery", "Markdown", "Textbox"):
        setattr(module, widget, Widget)
    module.Error = type("Error", (Exception,), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gradio", module)
    monkeypatch.setattr(Widget, "made", [])
    return module


@pytest.mark.parametrize("name", NAMES)
def test_page_of_a_space(name: str, gradio: ModuleType) -> None:
    """With no input there is one answer to whoever presses the button: what is missing."""
    assert isinstance(runpy.run_path(str(spaces.RENDERED / name / "app.py"))["demo"], Widget)
    assert len(Widget.made) == len(Widget.inputs)
    with pytest.raises(
        gradio.Error, match="Choose a CSV file" if references_of(name) == "labels" else "predictions is empty"
    ):
        Widget.behind(*[None] * len(Widget.inputs))


@pytest.mark.slow
def test_pages_with_gradio(tmp_path: Path) -> None:
    """The real pages are served, and their buttons answer over HTTP: with figures, or with what is missing."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("needs gradio: pip install 'igmu[spaces]'")
    (tmp_path / "labels.csv").write_text("predictions,references\nstyle/none,style/monet\n", encoding="utf-8")
    code = f"""
import json, runpy
from gradio_client import Client, handle_file
labels = handle_file({str(tmp_path / "labels.csv")!r})
given = {{"concept_accuracy": (labels, "style/monet"), "lpips": ([], []), "clip_alignment": ([], ""),
         "forget_score": ([], [], "", "all")}}
out = {{}}
for name, values in given.items():
    demo = runpy.run_path(f"{spaces.RENDERED}/{{name}}/app.py")["demo"]
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    try:
        out[name] = Client(url, verbose=False).predict(*values, api_name="/score")["data"][0]
    except Exception as error:
        out[name] = str(error)
    demo.close()
print(json.dumps(out))
"""
    root = Path(spaces.__file__).parents[1]
    env = {"PATH": "", "PYTHONPATH": str(root), "GRADIO_ANALYTICS_ENABLED": "False", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert found.pop("concept_accuracy") == ["unlearning_accuracy", "1.0"]
    assert set(found.values()) == {"predictions is empty. Pass one entry per generation."}


def test_labels_on_a_page(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("predictions,references\nstyle/none,style/monet\n,style/monet\nobject/cat,object/cat\n")
    shown = dict(figures("concept_accuracy", str(table), "style/monet"))
    assert (shown["unlearning_accuracy"], shown["n_unclear"]) == ("1.0", "1.0")
    with pytest.raises(InputError, match="church"):
        figures("concept_accuracy", str(table), "church")
    with pytest.raises(InputError, match="target"):
        figures("concept_accuracy", str(table), "")
    table.write_text("predictions,reference\nstyle/none,style/monet\n")
    with pytest.raises(InputError, match="no column 'references'"):
        figures("concept_accuracy", str(table), "style/monet")


@pytest.mark.parametrize(
    ("name", "values", "given"),
    [
        ("clip_alignment", ([("a.png", None)], " a cat\n\n"), (["a.png"], ["a cat"], {})),
        ("lpips", ([("a.png", None)], [("b.png", "caption")]), (["a.png"], ["b.png"], {})),
        (
            "forget_score",
            ([("a.png", None)], [("b.png", None)], "0f3a", "all"),
            (["a.png"], ["0f3a"], {"original_predictions": ["b.png"], "config": "all"}),
        ),
    ],
)
def test_images_on_a_page(name: str, values: Any, given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def computed(metric: str, predictions: Any, references: Any, **options: Any) -> dict[str, float]:
        assert (metric, (predictions, references, options)) == (name, given)
        return {"figure": 0.5}

    monkeypatch.setattr(sys.modules[figures.__module__], "compute", computed)
    assert figures(name, *values) == [["figure", "0.5"]]


@pytest.mark.parametrize("name", NAMES)
def test_a_space_passes_its_own_tests(name: str) -> None:
    tests = [f for case, f in vars(module_at(spaces.RENDERED / name / "tests.py", f"cases_of_{name}")).items()
             if case.startswith("test_")]  # fmt: skip
    assert len(tests) == 1
    tests[0]()


FOREIGN = '''
"""Share of red: how red images are.

>>> score(None)
0.5
"""
from igmu_metrics.contract import MetricInfo

INFO = MetricInfo(
    name="red_share", version=3, title="Share of red", summary="How red images are.", headline="red_share",
    direction="lower", range=(0.0, 1.0), references=("Somebody, 2026",), limits="None.",
)

def rows(*, predictions, references, hue="red"):
    """Count.

    Args:
        predictions: labels.
        references: labels.
        hue: what
            red is.
    """

def score(rows, *, seed=0, resamples=0):
    """The share.

    Returns:
        `red_share`.
    """
    return 0.5
'''


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A metric of another package, `red-metrics`, that the registry knows."""
    (tmp_path / "red_metrics.py").write_text(FOREIGN, encoding="utf-8")
    (tmp_path / "red_metrics-1.2.dist-info").mkdir()
    told = "Metadata-Version: 2.1\nName: red-metrics\nVersion: 1.2\n"
    (tmp_path / "red_metrics-1.2.dist-info/METADATA").write_text(told, encoding="utf-8")
    (tmp_path / "red_metrics-1.2.dist-info/top_level.txt").write_text("red_metrics\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    module, own_names, own_metric = importlib.import_module("red_metrics"), registry.names, registry.metric
    monkeypatch.setitem(sys.modules, "red_metrics", module)
    monkeypatch.setattr(registry, "names", lambda group: (*own_names(group), "red_share"))
    monkeypatch.setattr(registry, "metric", lambda name: module if name == "red_share" else own_metric(name))
    return "red_share"


def test_a_metric_of_another_package_has_a_space(foreign: str, gradio: ModuleType, tmp_path: Path) -> None:
    from evaluate.loading import get_imports

    assert foreign not in spaces.names(), "its Space is not kept here"
    files = spaces.render(foreign, "somebody")
    assert files["requirements.txt"].splitlines()[1:] == ["red-metrics>=1.2", "evaluate>=0.4.6"]
    assert 'evaluate.load("somebody/red_share")' in files["README.md"]
    assert "- `hue`: what red is.\n" in files["README.md"]
    script = tmp_path / "red_share.py"
    script.write_text(files["red_share.py"], encoding="utf-8")
    assert get_imports(str(script))[1:] == [("library", "red_metrics", "red-metrics", None)]
    found = module_at(script, "script_of_red_share").RedShare(cache_dir=str(tmp_path))
    assert (found.name, found.info.homepage) == (foreign, "https://huggingface.co/spaces/somebody/red_share")
    check(foreign)
    assert isinstance(page(foreign), Widget)


def test_check_says_what_is_wrong(foreign: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["red_metrics"], "__doc__", ">>> 1 + 1\n3\n")
    with pytest.raises(AssertionError, match="1 of 1 example lines give a different result"):
        check(foreign)
    monkeypatch.setattr(sys.modules["red_metrics"], "__doc__", "No example.")
    with pytest.raises(AssertionError, match="the docstrings contain no examples"):
        check(foreign)


def test_named_spaces_are_written_for_their_owner(
    foreign: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import typer

    app = typer.Typer()
    app.command()(spaces.main)
    monkeypatch.setattr(spaces, "RENDERED", tmp_path / "kept")
    done = CliRunner().invoke(app, [foreign, "--owner", "somebody", "--out", str(tmp_path / "hub")])
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (tmp_path / "hub/somebody/red_share").iterdir()) == [
        "README.md", "app.py", "manifest.json", "red_share.py", "requirements.txt", "tests.py",
    ]  # fmt: skip
    assert not (tmp_path / "kept").exists()


def test_what_references_are() -> None:
    assert {name: references_of(name) for name in NAMES} == {
        "attack_success_rate": "row_ids",
        "clip_alignment": "prompts",
        "concept_accuracy": "labels",
        "forget_score": "row_ids",
        "frechet": "original_images",
        "lpips": "original_images",
        "question_accuracy": "row_ids",
        "reward_alignment": "row_ids",
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


def test_checked_cuts_images_loose_and_refuses_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.png")
    opened = Image.open(tmp_path / "a.png")
    path, loose = checked("predictions", (tmp_path / "a.png", opened))
    assert path == str(tmp_path / "a.png")
    assert not getattr(loose, "filename", "")
    assert loose.getpixel((0, 0)) == (255, 0, 0)
    for nothing in (None, [], ()):
        with pytest.raises(EmptyInputError, match="predictions is empty"):
            checked("predictions", nothing)


def test_bad_calls_are_typed() -> None:
    with pytest.raises(LengthMismatchError, match="there are 1 predictions, but 2 references"):
        compute("lpips", ["a.png"], ["a.png", "b.png"])
    with pytest.raises(InputError, match="no option 'detectr'"):
        compute("forget_score", ["a.png"], ["0" * 16], detectr="clip")
    with pytest.raises(InputError, match="target"):
        compute("concept_accuracy", ["object/cat"], ["object/cat"])


_IMAGE = Image.new("RGB", (4, 4))


@pytest.mark.parametrize("way", ["compute", "Space", "one by one"])
@pytest.mark.parametrize("wrong", [True, 1, 0.5, None, ["a.png"], {"path": "a.png"}, b"a.png", _IMAGE])
@pytest.mark.parametrize("name", NAMES)
def test_entries_that_a_metric_does_not_take(name: str, wrong: Any, way: str, tmp_path: Path) -> None:
    """`evaluate` stores predictions before anybody looks at them, and ended in an AttributeError of an image's."""
    kind = references_of(name)
    if (kind == "labels" and wrong is None) or (kind != "labels" and wrong is _IMAGE and way == "one by one"):
        return  # a classifier that abstained, or an image alone
    right, reference = ("a/b", "object/cat") if kind == "labels" else ("a.png", "a.png")
    metric = metric_class(name, __name__)(cache_dir=str(tmp_path))
    given = {"predictions": [right, wrong], "references": [reference] * 2}
    ways: dict[str, Callable[[], Any]] = {
        "compute": lambda: compute(name, **given),
        "Space": lambda: metric.compute(**given),
        "one by one": lambda: metric.add(prediction=wrong, reference=reference),
    }
    with pytest.raises(InputError, match=r"predictions\[[01]\] is .*\. Expected: |are mixed"):
        ways[way]()
    with pytest.raises(InputError, match=r"references\[0\] is True\. Expected: "):
        metric.compute(predictions=[right], references=[True])
