"""No pictures: the `image` column stays null."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from builders.sources import Picture, SourceInfo
from igmu_data.schema import Row

INFO: Final = SourceInfo("none", "No pictures: the corpus is published as prompts only.", "none")


def images(rows: Sequence[Row], argument: str, *, work: Path) -> Iterator[Picture]:
    """No picture for any row."""
    return iter(())
