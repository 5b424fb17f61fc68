"""Files: written beside their place and renamed into it, and named by their content."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import ChecksumError, CorpusError, InputError, MetadataError, OutputError

MANIFEST: Final = "manifest.json"
# What JSON can write and no file's name can hold.
_NO_TEXT: Final = re.compile(r"\\u(0000|d[89a-f])", re.IGNORECASE)


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


def irregular(path: Path) -> str:
    """What stands in the place of a file, if it is none: reading a pipe or a device would never end; "" for a file.

    Raises:
        OSError: nothing is there, or links lead in a circle.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return ""
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for of, name in kinds if of(mode)), "a device")


def read_text(path: Path, advice: str = "Check the path and its permissions.") -> str:
    """The text of a file in UTF-8.

    Args:
        path: of the file.
        advice: what to do where it cannot be read.

    Raises:
        MetadataError: it is not there, no file, or in another encoding.
    """
    try:
        if what := irregular(path):
            raise MetadataError(f"{path}: cannot be read, it is {what}. {advice}")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise MetadataError(f"{path}, line {number}: not UTF-8 ({error.reason}). Write it again as UTF-8.") from error
    except OSError as error:
        raise MetadataError(f"{path}: cannot be read ({error.strerror}). {advice}") from error


def parse_json(text: str, where: str, advice: str) -> Any:
    """A JSON value out of text that anybody may have written.

    Args:
        text: the text.
        where: of it, for messages.
        advice: what to do if it is none.

    Raises:
        MetadataError: not JSON, nested without end, a number of thousands of digits, or a text that is no Unicode text.
    """
    try:
        value = json.loads(text)
        if _NO_TEXT.search(text):
            whole = json.dumps(value, ensure_ascii=False)
            whole.encode()
            if "\\u0000" in whole:
                raise ValueError("a text holds a character of value zero")
    except (ValueError, RecursionError) as error:
        why = getattr(error, "msg", None) or getattr(error, "reason", None) or str(error).partition(";")[0]
        raise MetadataError(f"{where}: not JSON that can be used ({why}). {advice}") from error
    return value


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """What a corpus's folder says of itself: `name`, `version` and `files` with their SHA-256; None without a manifest.

    Raises:
        CorpusError: it cannot be read, or lacks one of these.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    advice = "Build or download the folder again."
    try:
        found = parse_json(read_text(path, advice), str(path), advice)
    except MetadataError as error:
        raise CorpusError(str(error)) from error
    if not (isinstance(found, dict) and {"name", "version"} <= found.keys() and isinstance(found.get("files"), dict)):
        raise CorpusError(f"{path}: not a manifest with 'name', 'version' and 'files'. {advice}")
    return found


def require_as_listed(folder: Path, paths: list[Path]) -> None:
    """Refuse files that are not those that their folder's manifest lists.

    Raises:
        ChecksumError: one was changed, or is not listed.
        CorpusError: the manifest cannot be read.
    """
    manifest = manifest_of(folder)
    for path in paths if manifest is not None else ():
        name = path.relative_to(folder).as_posix()
        if manifest is not None and manifest["files"].get(name) != sha256(path):
            what = "not the file that" if name in manifest["files"] else "no file that"
            raise ChecksumError(
                f"{path}: {what} {MANIFEST} lists, so its prompts may be others. Build or download the folder again."
            )


def sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces.

    Raises:
        InputError: a pipe or a device, which would never end.
        OSError: it cannot be read.
    """
    if what := irregular(path):
        raise InputError(f"{path}: is {what}, not a file. Name a file.")
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
