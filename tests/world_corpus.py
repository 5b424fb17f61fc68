"""Stand-ins for the sandbox world's corpus: images of one colour, and few renders."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from builders.sources import StoredImage
from igmu_data.sandbox import labelled
from igmu_data.schema import Row

RENDERS = {"train": 36, "test": 18}
ORIGIN = "diffusers:sandbox:original@sha256:0123456789abcdef"


def image_of(row: Row) -> StoredImage:
    """An image whose colour is the beginning of the row's id."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), f"#{row.id[:6]}").save(buffer, "PNG")
    return StoredImage(row.id, buffer.getvalue(), ".png", ORIGIN, "CC-BY-4.0")


@contextmanager
def in_place(folder: Path | None) -> Iterator[None]:
    """Put a folder in the place of the package's own, and draw few renders."""
    with pytest.MonkeyPatch.context() as patch:
        if folder is not None:
            patch.setenv("IGMU_SANDBOX", str(folder.parent))
        patch.setattr(labelled, "COUNTS", RENDERS)
        yield
