"""What `pip install igmu` brings: everything that the package reads at run time, and nothing of the maintainers'."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_wheel_works_outside_of_the_repository(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tmp_path / "dist").glob("igmu-*.whl")
    assert wheel.stat().st_size < 30 * 2**20
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0] for n in names if not n.startswith("igmu-")} == {"igmu_data", "igmu_metrics"}
    sources = {p.relative_to(ROOT).as_posix() for d in ("igmu_data", "igmu_metrics") for p in (ROOT / d).rglob("*")}
    assert {n for n in sources if n.endswith((".py", ".toml", ".html", "py.typed"))} <= set(names)
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(tmp_path / "site"),
        str(wheel),
    ]
    subprocess.run(install, check=True, timeout=300)
    code = "import igmu_metrics.cli as c; print(c.__file__); import sys; sys.argv = ['igmu', 'concepts']; c.main()"
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert str(tmp_path) in ran.stdout
    assert "style.van-gogh" in ran.stdout
