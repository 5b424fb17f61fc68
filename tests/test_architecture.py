"""How the packages hang together: who imports whom, what stays light, how long a file may be, what no file says."""

from __future__ import annotations

import ast
import functools
import json
import re
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("igmu_data", "igmu_metrics", "builders")
MAX_LINES = 500  # a file has one reason to change; a split that gains nothing is none
# A module is in the layer of its first name below the package ("" is the package's own `__init__`), and may import that
# layer and those before it. CONTRIBUTING.md draws them.
LAYERS = {
    "igmu_data": (
        (
            "",
            "errors",
            "files",
            "schema",
            "folding",
            "lengths",
            "spelling",
            "markdown",
            "media",
            "modules",
            "numerals",
            "progress",
            "stored",
            "strangers",
            "stripping",
        ),
        ("policy", "taxonomy"),
        ("rows", "attacks", "template"),
        ("sandbox", "validate", "images", "writing"),
        ("configs",),
        ("general",),
        ("load", "folder", "imports"),
        ("build",),
    ),
    "igmu_metrics": (
        ("", "contract", "settings"),
        ("networks", "statistics", "images", "generations", "copied", "coverage"),
        ("distances", "backbones", "detectors"),
        ("metrics",),
        ("registry",),
        ("scorecard", "evaluation"),
        ("scale", "attacks", "training", "verdict", "api", "testing"),
        ("report",),
        ("running",),
        ("sandbox", "spaces"),
        ("cli",),
    ),
    "builders": (
        (
            "",
            "church",
            "docstrings",
            "graded_page",
            "headings",
            "hub_collections",
            "hubfolder",
            "mutants",
            "images",
            "interface",
            "review",
            "writing",
        ),
        ("sources",),
        ("card", "detector", "unlearning"),
        ("croissant", "sandbox"),
        ("bench", "ledger"),
        (
            "clients",
            "benchmarks",
            "checked",
            "docs",
            "graded",
            "plugin_page",
            "push",
            "readme",
            "release",
            "robustness",
            "screenshot",
            "spaces",
            "words",
        ),
    ),
}
MAY_IMPORT_UPWARDS = {
    ("igmu_metrics", "igmu_metrics.api"),  # the package's two functions, loaded when they are asked for
}
MAX_TOP_LEVEL = 10
HEAVY = (
    "torch",
    "torchvision",
    "transformers",
    "datasets",
    "evaluate",
    "scipy",
    "PIL",
    "pandas",
    "pyarrow",
    "diffusers",
    "gradio",
)


def files(package: str) -> list[Path]:
    return sorted(p for p in (ROOT / package).rglob("*.py") if "rendered_spaces" not in p.parts)


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(p): p for package in PACKAGES for p in files(package)}
Graph = Mapping[str, Collection[str]]


def imported(source: str) -> Iterator[str]:
    """Every module that a file imports anywhere, in functions and for types too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module is not None
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in MODULES else node.module


@functools.cache
def imports() -> Graph:
    """What every module imports. Not read while tests are collected, which each worker does."""
    return {name: frozenset(imported(path.read_text(encoding="utf-8"))) for name, path in MODULES.items()}


def planted(lines: Mapping[str, str]) -> Graph:
    """What our modules would import if some had these lines too."""
    return {**imports(), **{name: {*imports()[name], *imported(line)} for name, line in lines.items()}}


def reached(start: str) -> set[str]:
    """Every module of ours that `start` imports, directly or not."""
    found: set[str] = set()
    todo = [start]
    while todo:
        new = {other for other in imports()[todo.pop()] if other in MODULES} - found
        found |= new
        todo += new
    return found


def layer(name: str) -> tuple[int, int]:
    """The package and the layer in it; what imports only downwards imports nothing that is greater."""
    package, _, rest = name.partition(".")
    top = rest.split(".")[0]
    own = [i for i, members in enumerate(LAYERS[package]) if top in members]
    assert len(own) == 1, f"{name} is in {len(own)} layers; put {top!r} into one of LAYERS[{package!r}]."
    return PACKAGES.index(package), own[0]


def upward(graph: Graph) -> list[str]:
    """Imports of ours that go up."""
    return [
        f"{name} imports {other}"
        for name, others in graph.items()
        for other in others
        if other in MODULES and layer(other) > layer(name) and (name, other) not in MAY_IMPORT_UPWARDS
    ]


def circles(graph: Graph) -> list[list[str]]:
    """Modules that import each other, directly or through others: the strongly connected components (Tarjan 1972)."""
    found: list[list[str]] = []
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: list[str] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        open_.append(name)
        for other in graph[name]:
            if other not in MODULES or (name, other) in MAY_IMPORT_UPWARDS:
                continue
            if other not in order:
                visit(other)
            if other in open_:
                lowest[name] = min(lowest[name], lowest[other])
        if lowest[name] == order[name]:
            at = open_.index(name)
            component = open_[at:]
            del open_[at:]
            if len(component) > 1 or name in graph[name]:
                found.append(sorted(component))

    for name in graph:
        if name not in order:
            visit(name)
    return found


def test_the_modules_are_found() -> None:
    assert {"igmu_data.taxonomy", "igmu_metrics.contract", "builders.bench", "igmu_data.attacks.synonym"} <= set(
        MODULES
    )
    assert "igmu_metrics.contract" in reached("igmu_metrics.metrics.frechet")


def test_every_module_is_in_one_layer() -> None:
    assert {layer(name)[0] for name in MODULES} == {0, 1, 2}


def test_nothing_imports_upwards() -> None:
    assert upward(imports()) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("igmu_data.errors", "import igmu_data.taxonomy"),
        ("igmu_data.sandbox.world", "def f():\n    from igmu_data import configs"),
        ("igmu_data.validate", "import igmu_metrics.contract"),
        ("igmu_metrics.contract", "def f():\n    from igmu_metrics.statistics import wilson"),
        ("igmu_metrics.detectors.clip", "from igmu_metrics import registry"),
        ("igmu_metrics.verdict.compare", "if TYPE_CHECKING:\n    from igmu_metrics.report import page"),
        ("igmu_metrics.report", "import igmu_metrics.cli"),
        ("igmu_metrics.cli", "from builders import card"),
        ("igmu_data.attacks.synonym", "from igmu_data import load"),
        ("builders.sources", "from builders import detector"),
    ],
)
def test_a_planted_upward_import_is_found(name: str, line: str) -> None:
    assert [found.split(" imports ")[0] for found in upward(planted({name: line}))] == [name]


def test_a_module_in_no_layer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULES, "igmu_data.planted", ROOT)
    with pytest.raises(AssertionError, match=r"igmu_data\.planted is in 0 layers"):
        test_every_module_is_in_one_layer()


def test_no_modules_import_each_other() -> None:
    known = [["igmu_metrics.provenance", "igmu_metrics.scorecard"]]  # TODAY-ONLY: become one
    assert [circle for circle in circles(imports()) if circle not in known] == []


def test_a_planted_circle_is_found() -> None:
    # Within a layer, where the layers say nothing.
    graph = planted({"igmu_data.schema": "from igmu_data import lengths", "igmu_data.lengths": "import igmu_data.files",
                     "igmu_data.files": "def f():\n    import igmu_data.schema"})  # fmt: skip
    assert ["igmu_data.files", "igmu_data.lengths", "igmu_data.schema"] in circles(graph)


def test_igmu_data_imports_nothing_that_runs_networks() -> None:
    networks = {"torch", "torchvision", "transformers", "evaluate", "diffusers"}
    wrong = {m: found for m in MODULES if m.startswith("igmu_data")
             if (found := {i.split(".")[0] for i in imports()[m]} & networks)}  # fmt: skip
    assert wrong == {}


def test_the_top_level_stays_small() -> None:
    names = {p.stem for p in (ROOT / "igmu_metrics").glob("*.py")} - {"__init__"}
    assert len(names) <= MAX_TOP_LEVEL, sorted(names)


@pytest.mark.parametrize("name", [m for m in MODULES if m.startswith("igmu_metrics.metrics.")])
def test_metrics_are_handed_rows(name: str) -> None:
    """A metric imports no detector or backbone, and runs no network."""
    rooms = {m.split(".")[1] for m in reached(name) if m.startswith("igmu_metrics.")}
    assert rooms.isdisjoint({"detectors", "backbones", "images"})
    assert {i.split(".")[0] for i in imports()[name]}.isdisjoint({"torch", "torchvision", "transformers", "lpips"})


def test_nothing_but_its_documentation_imports_the_command_line() -> None:
    importing = [m for m, found in imports().items() if "igmu_metrics.cli" in found]
    assert importing == ["builders.interface", "builders.words"]


def loaded_after(code: str) -> set[str]:
    """The heavy modules that a fresh process has loaded after some code."""
    script = f"import sys\n{code}\nsys.stderr.write(repr(sorted(set({HEAVY!r}) & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.replace("'", '"')))


def test_the_check_of_heavy_modules_can_fail() -> None:
    assert "PIL" in loaded_after("import PIL")


@pytest.mark.parametrize(
    "name",
    ["igmu_metrics", "igmu_data.taxonomy", "igmu_data.rows.concept", "igmu_metrics.registry", "igmu_metrics.spaces"],
)
def test_importing_is_light(name: str) -> None:
    assert loaded_after(f"import {name}") == set()


@pytest.mark.parametrize("argument", ["--help", "--version", "score --help"])
def test_help_is_light(argument: str) -> None:
    code = (
        f"sys.argv = ['igmu', *{argument.split()!r}]\n"
        "from igmu_metrics.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )
    assert loaded_after(code) == set()


def test_heavy_modules_are_not_imported_at_the_top() -> None:
    """At module level only contracts of types may name them, so that no file makes another one slow.

    Benchmarks may: nothing imports them, and they are about these.
    """
    heavy = {"torch", "torchvision", "transformers", "datasets", "evaluate", "diffusers", "scipy", "gradio"}
    wrong = []
    for name, path in MODULES.items():
        if name.startswith("builders.benchmarks."):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong += [f"{name}: {n}" for n in names if n.split(".")[0] in heavy]
    assert wrong == []


def test_no_file_is_too_long() -> None:
    lengths = {m: len(p.read_text(encoding="utf-8").splitlines()) for m, p in MODULES.items()}
    assert {m: n for m, n in lengths.items() if n > MAX_LINES} == {}


# Of text in small letters: a search that ignores case takes three times as long, and there are 40 MB.
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|pypi\.python\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|deb\.debian\.org|"
    r"(?:archive|security)\.ubuntu\.com|proxy\.golang\.org|crates\.io|conda\.anaconda\.org|"
    r"https?://[^\s/\"']*(?:pypi|npm|debian|mirror|artifactory|nexus|devpi)[^\s/\"']*[/:]|"
    r"(?:--index-url|--extra-index-url|index-url\s*=|pip_index_url\s*=)",
)


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("https://pypi" + ".org/simple", True),
        ("http://mirror" + ".example.com/debian", True),
        ("https://pypi" + "-cache.internal:8080/x", True),
        ("pip install --index" + "-url=x", True),
        ("pip install igmu", False),
        ("https://huggingface.co/datasets/igmu/bench", False),
        ("`olah` (PyPI)", False),
    ],
)
def test_the_pattern_of_registries(text: str, hit: bool) -> None:
    assert bool(REGISTRY.search(text.lower())) is hit


def test_no_file_names_a_package_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    wrong = []
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and path != Path(__file__).resolve():
            text = path.read_text(encoding="utf-8", errors="replace").lower()
            lines = text.splitlines() if REGISTRY.search(text) else []  # most files have none, and weights many lines
            wrong += [f"{name}:{number}" for number, line in enumerate(lines, 1) if REGISTRY.search(line)]
    assert wrong == []


def test_the_guard_refuses_and_reports_what_leaves_this_machine(outward_connections: list[str]) -> None:
    with pytest.raises(Exception, match="tests are offline"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(Exception, match="tests are offline"):
        socket.getaddrinfo("huggingface.co", 443)
    with socket.socket() as outward, pytest.raises(Exception, match="tests are offline"):
        outward.connect_ex(("192.0.2.2", 80))
    assert outward_connections == ["192.0.2.1", "huggingface.co", "192.0.2.2"]
    outward_connections.clear()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"in here all is well")
    assert outward_connections == []
