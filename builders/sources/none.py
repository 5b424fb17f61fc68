"""No images: the `image` column stays empty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from builders.sources import SourceInfo, StoredImage
from igmu_data.errors import InputError
from igmu_data.schema import Row

INFO = SourceInfo(name="none", summary="No images; the corpus is its prompts.", license="none needed")


def images(rows: Sequence[Row], argument: str, *, work: Path) -> Iterator[StoredImage]:
    """Nothing, for any rows.

    Raises:
        InputError: an argument, which this source has no use for.
    """
    if argument:
        raise InputError(
            f"image source 'none' takes no argument, found {argument!r}. Did you mean 'folder:{argument}'?"
        )
    return iter(())
