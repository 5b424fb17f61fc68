"""`python -m builders.release`: whether all that names a version names the same; the first step of `make release`.

The versions of package and corpus are written once, in `igmu_data/__init__.py` and `igmu_data/rows/__init__.py`; the
changelog, `CITATION.cff`, `.zenodo.json` and the ledger have to follow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import typer
import yaml

from igmu_data import __version__
from igmu_data.errors import CorpusError, exits_on_error
from igmu_data.rows import VERSION

ROOT: Final = Path(__file__).resolve().parent.parent
_HEADING: Final = re.compile(r"(?m)^## (.*)$")
_RELEASED: Final = re.compile(r"\d+\.\d+\.\d+ \(\d{4}-\d{2}-\d{2}\)")


def problems(root: Path = ROOT) -> Iterator[str]:
    """What keeps this tree from being released.

    Args:
        root: of the checkout.
    """
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    zenodo = json.loads((root / ".zenodo.json").read_text(encoding="utf-8"))
    for name, given in (("CITATION.cff", citation), (".zenodo.json", zenodo)):
        if given["version"] != VERSION:
            yield f"{name}: version {given['version']}, but the corpus is {VERSION}."
    if zenodo["title"] != citation["title"]:
        yield f".zenodo.json: title {zenodo['title']!r}, but CITATION.cff has {citation['title']!r}."
    if not (root / f"builders/ledger/{VERSION}.txt").is_file():
        yield f"builders/ledger: no {VERSION}.txt. Run python -m builders.ledger."
    newest = _HEADING.findall((root / "CHANGELOG.md").read_text(encoding="utf-8"))[0]
    if not _RELEASED.fullmatch(newest):
        yield f"CHANGELOG.md begins with {newest!r}: give it the version and the day, '{__version__} (YYYY-MM-DD)'."
    elif newest.split()[0] != __version__:
        yield f"CHANGELOG.md begins with {newest.split()[0]}, but the package is {__version__}."


@exits_on_error
def main() -> None:
    """Refuse a tree whose versions do not agree."""
    if found := list(problems()):
        raise CorpusError("\n".join(found))
    typer.echo(f"igmu {__version__}, corpus {VERSION}: all versions agree.")


if __name__ == "__main__":
    typer.run(main)
