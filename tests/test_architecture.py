"""How the packages hang together: who imports whom, what stays light, how long a file may be, what no file says."""

from __future__ import annotations

import ast
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("igmu_data", "igmu_metrics", "builders")
MAX_LINES = 300
# Each may import its own layer and what stands before it. Every module is in one layer; a package in it is the layer of
# all its modules.
LAYERS = {
    "igmu_data": (
        ("", "errors", "files", "schema"),
        ("folding", "policy", "pictures", "lengths"),
        ("taxonomy", "stripping"),
        ("load", "folder", "sandbox"),
        ("validate", "imports"),
    ),
    "igmu_metrics": (
        ("", "contract", "settings"),
        ("networks", "statistics", "images", "generations"),
        ("distances", "backbones", "detectors"),
        ("metrics",),
        ("registry",),
        ("scorecard", "evaluation"),
        ("scale", "attacks", "training", "verdict", "api", "testing"),
        ("report",),
        ("sandbox", "spaces"),
        ("cli",),
    ),
    "builders": (("",),),
}
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


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, in functions and for types too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in MODULES else node.module


def reached(start: str) -> dict[str, str]:
    """Every module of ours that `start` imports, directly or not, with the one that imports it."""
    by: dict[str, str] = {}
    todo = [start]
    while todo:
        name = todo.pop()
        for other in imported(MODULES[name]):
            if other in MODULES and other not in by and other != start:
                by[other] = name
                todo.append(other)
    return by


def layer(name: str) -> int | None:
    """The layer of a module of igmu_metrics."""
    top = name.split(".")[1] if name.startswith("igmu_metrics.") else ""
    return next((i for i, members in enumerate(LAYERS) if top in members), None)


def test_the_modules_are_found() -> None:
    assert {"igmu_data.taxonomy", "igmu_metrics.contract", "builders.bench", "builders.attacks.synonym"} <= set(MODULES)
    assert {layer(m) for m in MODULES if m.startswith("igmu_metrics.")} >= {*range(len(LAYERS)), None}
    assert "igmu_metrics.contract" in reached("igmu_metrics.metrics.frechet")


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("igmu_data", {"igmu_metrics", "builders", "torch", "torchvision", "transformers", "evaluate", "diffusers"}),
        ("igmu_metrics", {"builders"}),
    ],
)
def test_packages_import_downwards(package: str, forbidden: set[str]) -> None:
    wrong = [f"{m} imports {i}" for m, p in MODULES.items() if m.split(".")[0] == package
             for i in imported(p) if i.split(".")[0] in forbidden]  # fmt: skip
    assert wrong == []


@pytest.mark.parametrize("name", [m for m in MODULES if layer(m) is not None])
def test_layers_import_downwards(name: str) -> None:
    own = layer(name)
    assert own is not None
    above = {m: by for m, by in reached(name).items() if (other := layer(m)) is not None and other > own}
    assert above == {}, "module: imported by"


@pytest.mark.parametrize("name", [m for m in MODULES if m.startswith("igmu_metrics.metrics.")])
def test_metrics_are_handed_rows(name: str) -> None:
    """A metric imports no detector, backbone, engine or registry that would load one."""
    tops = {m.split(".")[1] for m in reached(name) if m.startswith("igmu_metrics.")}
    assert tops.isdisjoint({"detectors", "backbones", "engine", "registry", "pipelines", "images"})
    heavy = {i.split(".")[0] for i in imported(MODULES[name])} & {"torch", "torchvision", "transformers", "lpips"}
    assert heavy == set()


def test_nothing_but_its_documentation_imports_the_command_line() -> None:
    assert [m for m, p in MODULES.items() if "igmu_metrics.cli" in imported(p)] == ["builders.docs"]


def test_detectors_and_backbones_know_no_metric() -> None:
    for name in MODULES:
        if name.startswith(("igmu_metrics.detectors", "igmu_metrics.backbones")):
            assert [m for m in reached(name) if m.startswith("igmu_metrics.metrics")] == [], name


def loaded_after(code: str) -> set[str]:
    """The heavy modules that a fresh process has loaded after some code."""
    script = f"import sys\n{code}\nsys.stderr.write(repr(sorted(set({HEAVY!r}) & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.replace("'", '"')))


def test_the_check_of_heavy_modules_can_fail() -> None:
    assert "PIL" in loaded_after("import PIL")


@pytest.mark.parametrize(
    "name", ["igmu_metrics", "igmu_data", "igmu_data.taxonomy", "igmu_metrics.registry", "igmu_metrics.spaces"]
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
    """At module level only contracts of types may name them, so that no file makes another one slow."""
    heavy = {"torch", "torchvision", "transformers", "datasets", "evaluate", "diffusers", "scipy", "gradio"}
    wrong = []
    for name, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong += [f"{name}: {n}" for n in names if n.split(".")[0] in heavy]
    assert wrong == []


def test_no_file_is_too_long() -> None:
    lengths = {m: len(p.read_text(encoding="utf-8").splitlines()) for m, p in MODULES.items()}
    assert {m: n for m, n in lengths.items() if n > MAX_LINES} == {}


REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|pypi\.python\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|deb\.debian\.org|"
    r"(?:archive|security)\.ubuntu\.com|proxy\.golang\.org|crates\.io|conda\.anaconda\.org|"
    r"https?://[^\s/\"']*(?:pypi|npm|debian|mirror|artifactory|nexus|devpi)[^\s/\"']*[/:]|"
    r"(?:--index-url|--extra-index-url|index-url\s*=|PIP_INDEX_URL\s*=)",
    re.IGNORECASE,
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
    assert bool(REGISTRY.search(text)) is hit


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
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                if REGISTRY.search(line):
                    wrong.append(f"{name}:{number}")
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
