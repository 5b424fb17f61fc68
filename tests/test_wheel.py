"""What `pip install igmu` brings: everything that the package reads at run time, and nothing of the maintainers'."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Final

import pytest
from own_concept import SIBLING, replaced
from timeless import timeless

from igmu_data.sandbox.packaged import VERSIONS
from igmu_metrics.sandbox import demo
from igmu_metrics.scorecard import Figure, read

ROOT = Path(__file__).resolve().parents[1]
READ: Final = (".py", ".toml", ".html", ".css", ".js", ".safetensors", ".parquet", ".json", ".txt", "py.typed")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = out.glob("igmu-*.whl")
    return found


@pytest.fixture(scope="module")
def igmu(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment that holds the wheel, and sees what it depends on where the tests have it."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    place = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    # A path in a .pth file is searched, but its own .pth files are not read: the repository stays out of sight.
    (place / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True, timeout=300)
    return home / "bin" / "igmu"


def run(command: Path, *arguments: str, cwd: Path) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "IGMU"))}
    env |= {"HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(cwd / "cache")}
    done = subprocess.run(
        [command, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=560
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_what_is_read_and_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 30 * 2**20
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0] for n in names if not n.startswith("igmu-")} == {"igmu_data", "igmu_metrics"}
    sources = {p.relative_to(ROOT).as_posix() for d in ("igmu_data", "igmu_metrics") for p in (ROOT / d).rglob("*")}
    assert {n for n in sources if n.endswith(READ)} <= set(names)


def test_it_works_outside_of_the_repository(igmu: Path, tmp_path: Path) -> None:
    assert "style.van-gogh" in run(igmu, "concepts", cwd=tmp_path)
    where = [str(igmu.with_name("python")), "-c", "import igmu_metrics; print(igmu_metrics.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60).stdout
    assert found.startswith(str(igmu.parent.parent))


def test_a_concept_of_ones_own_needs_no_repository(igmu: Path, tmp_path: Path) -> None:
    run(igmu, "concept", "new", "object/zeppelin", cwd=tmp_path)
    file = tmp_path / "concepts" / "object" / "zeppelin.toml"
    file.write_text(replaced(file.read_text(encoding="utf-8")) + SIBLING, encoding="utf-8")
    told = run(igmu, "concept", "check", str(file), cwd=tmp_path)
    assert "no problems found; 194 rows" in " ".join(told.split())
    run(igmu, "build", "--concepts", "concepts", "--out", "bench", cwd=tmp_path)
    assert "no problems" in run(igmu, "validate", "bench", cwd=tmp_path)


@pytest.fixture(scope="module")
def shown(igmu: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A demo of both tasks by the packaged models, and what it printed."""
    cwd = tmp_path_factory.mktemp("elsewhere")
    return cwd / "shown", run(igmu, "demo", "--task", "both", "--out", "shown", cwd=cwd)


@pytest.mark.timeout(600)
def test_the_demo_needs_nothing_else(shown: tuple[Path, str]) -> None:
    out, printed = shown
    assert all(version in printed for version in VERSIONS)
    assert "igmu run --original MODEL" in printed
    assert len(printed.splitlines()) <= 15
    assert (out / "report.html").stat().st_size > 100_000


@pytest.mark.timeout(600)
@pytest.mark.parametrize("task", ["church", "van-gogh"])
def test_the_ideal_comes_first_and_the_useless_last(shown: tuple[Path, str], task: str) -> None:
    cards = {version: read(shown[0] / task / "cards" / f"{version}.json") for version in VERSIONS}

    def figure(version: str, name: str) -> Figure:
        found = cards[version].figure("forget_score", name)
        assert found is not None
        assert found.value is not None
        return found

    ranked = sorted(VERSIONS, key=lambda v: figure(v, "forget_score").value or 0.0, reverse=True)
    assert ranked[0] == "gold"
    assert set(ranked[-2:]) == {"collapsed", "original"}
    ends = {version: figure(version, "robustness").interval for version in ("gold", "filter")}
    assert ends["gold"] is not None
    assert ends["filter"] is not None
    assert ends["filter"][1] < ends["gold"][0]


@pytest.mark.timeout(600)
def test_another_run_gives_the_same_numbers(
    shown: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    demo.run(tmp_path, ["church"])
    for path in sorted((tmp_path / "church" / "cards").iterdir()):
        assert timeless(path) == timeless(shown[0] / "church" / "cards" / path.name)
