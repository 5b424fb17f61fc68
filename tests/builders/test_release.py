from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import release
from igmu_data import __version__
from igmu_data.rows import VERSION

NAMED = ("CITATION.cff", ".zenodo.json", "CHANGELOG.md", f"builders/ledger/{VERSION}.txt")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What the check reads, with a changelog as at a release."""
    for name in NAMED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(release.ROOT / name, tmp_path / name)
    log = tmp_path / "CHANGELOG.md"
    text = log.read_text(encoding="utf-8").replace("## Unreleased", f"## {__version__} (2026-11-30)", 1)
    log.write_text(text, encoding="utf-8")
    return tmp_path


def test_versions_that_agree(tree: Path) -> None:
    assert list(release.problems(tree)) == []


def test_what_was_not_released_says_so() -> None:
    found = list(release.problems())
    assert not found or "CHANGELOG.md begins with 'Unreleased'" in found[0]


def _edited(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(tree: Path) -> None:
        text = (tree / name).read_text(encoding="utf-8")
        assert old in text
        (tree / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return edit


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (_edited("CITATION.cff", f"version: {VERSION}", "version: 0.9.0"), "CITATION.cff: version 0.9.0"),
        (_edited(".zenodo.json", VERSION, "2.0.0"), ".zenodo.json: version 2.0.0"),
        (_edited(".zenodo.json", "igmu:", "another:"), "but CITATION.cff has"),
        (_edited("CHANGELOG.md", f"## {__version__}", "## 9.9.9"), "begins with 9.9.9"),
        (_edited("CHANGELOG.md", "## ", "## soon, "), "give it the version and the day"),
        (lambda tree: (tree / NAMED[-1]).unlink(), "Run python -m builders.ledger"),
    ],
)
def test_one_that_differs_is_named(tree: Path, edit: Callable[[Path], None], says: str) -> None:
    edit(tree)
    (found,) = release.problems(tree)
    assert says in found


def test_zenodos_file_is_json() -> None:
    assert json.loads((release.ROOT / ".zenodo.json").read_text(encoding="utf-8"))["creators"]
