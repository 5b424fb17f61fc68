"""Where the images come from: one source a file, each with licence, citation and checksums.

Two kinds. A source of *row images* fills the `image` column: `images(rows, argument, work=…)`. A source of *labelled
images* feeds the training of content detectors: `labelled(argument, split=…)`. A module has one of the two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

from igmu_data import modules
from igmu_data.errors import InputError, UnknownSourceError
from igmu_data.schema import Row


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source is, for manifest and card.

    Args:
        name: as used on the command line (`folder`, `diffusers`, …).
        summary: one sentence.
        license: licence of its images, or how each image's licence is found.
        citation: whom to cite; "" where there is nobody.
    """

    name: str
    summary: str
    license: str
    citation: str = ""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One image of a row, as it will be stored.

    Args:
        row_id: the row it belongs to.
        data: encoded PNG, WebP or JPEG bytes without EXIF.
        extension: `.png`, `.webp` or `.jpg`.
        origin: goes into the column `image_source`.
        license: licence of the image, never empty.
    """

    row_id: str
    data: bytes
    extension: str
    origin: str
    license: str

    @property
    def sha256(self) -> str:
        """SHA-256 of the stored bytes."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Labelled:
    """One labelled image for training or measuring a content detector.

    Args:
        data: encoded bytes.
        extension: `.png`, `.webp` or `.jpg`.
        label: its class name in the source.
        concept: the benchmark concept of that class (`object/church`), or None.
        origin: goes into `image_source`.
        license: licence of the image.
        source: citation of the collection.
    """

    data: bytes
    extension: str
    label: str
    concept: str | None
    origin: str
    license: str
    source: str


class RowImages(Protocol):
    """A module that fills the `image` column."""

    INFO: SourceInfo

    def images(self, rows: Sequence[Row], argument: str, *, work: Path) -> Iterator[StoredImage]:
        """Images for some or all of the rows, in their order. `work` is a folder it may keep finished work in."""


class LabelledImages(Protocol):
    """A module that yields labelled images."""

    INFO: SourceInfo

    def labels(self, argument: str) -> tuple[str, ...]:
        """Class names in the order of their integers."""

    def labelled(self, argument: str, *, split: str) -> Iterator[Labelled]:
        """Every image of a split (`train` or `test`)."""


@cache
def names() -> tuple[str, ...]:
    """Names of all sources, sorted."""
    return modules.names(__name__)


def load(name: str) -> ModuleType:
    """The module of a source.

    Raises:
        UnknownSourceError: with the nearest names.
    """
    return modules.load(__name__, name, names(), UnknownSourceError, f"Known: {', '.join(names())}.")


def row_images(name: str) -> RowImages:
    """The module of a source of row images.

    Raises:
        UnknownSourceError: with the nearest names.
        InputError: a source of labelled images.
    """
    module = load(name)
    if not hasattr(module, "images"):
        raise InputError(f"image source {name!r} gives labelled images for detectors, and none for the rows.")
    return cast(RowImages, module)


def labelled_images(name: str) -> LabelledImages:
    """The module of a source of labelled images.

    Raises:
        UnknownSourceError: with the nearest names.
        InputError: a source of row images.
    """
    module = load(name)
    if not hasattr(module, "labelled"):
        raise InputError(f"image source {name!r} gives no labelled images; hub-dataset does.")
    return cast(LabelledImages, module)
