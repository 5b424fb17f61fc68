"""Files: written beside their place and renamed into it, and named by their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from igmu_data.errors import OutputError


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A place to write to that becomes `path` when the block ends well, and vanishes when it does not.

    What is in place is whole and on the disk: lists of finished files may name it.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        yield part
        with part.open("r+b") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        if part.is_file():
            part.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed had half written to a folder; nobody else may be writing to it now."""
    for part in folder.glob(".*.new"):
        part.unlink()


def sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def require_writable(folder: Path) -> None:
    """Find out before any work whether files can be written to a folder, which need not be there yet.

    Raises:
        OutputError: what exists of it is not a folder, or not a writable one.
    """
    nearest = folder
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise OutputError(f"cannot write to {nearest}: not a writable folder. Choose another --out.")
