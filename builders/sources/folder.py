"""Images from a folder with a manifest: `folder:DIR`.

`DIR/manifest.jsonl` has one JSON object a line:

- `file_name`: the image, relative to DIR and inside it, with `/` between folders;
- `id`: the row that it belongs to, at most one image a row;
- `license`: licence of the image;
- `sha256`: of the file as it lies there;
- `source` (may be left out): where it comes from, for the column `image_source`; else `folder:<DIR>/<file_name>`.

The whole manifest is checked before the first image; each file is checked against its checksum and decoded when its
turn comes. A file with metadata (EXIF, XMP, comments, text chunks), with several frames, or in another format than PNG,
WebP and JPEG is stored as a new PNG with the same pixels. The manifest's `sha256` is then that of the file, and the
corpus's `image_sha256` that of what is stored; all other files are stored to the byte, and the two agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from builders.images import known_license, require_unrestricted, stored
from builders.sources import SourceInfo, StoredImage
from igmu_data.errors import (
    ChecksumError,
    DuplicateIdError,
    EmptyInputError,
    InputError,
    MetadataError,
    MissingImageError,
    UnknownIdError,
)
from igmu_data.schema import Digest, Row, Text

MANIFEST: Final = "manifest.jsonl"
INFO = SourceInfo(
    name="folder",
    summary="Images from a folder with a manifest of row ids, licences and checksums.",
    license="each image's own, from the manifest",
)


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    file_name: Text
    id: Text
    license: str | None = None
    sha256: Digest
    source: Text | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    row_id: str
    license: str
    sha256: str
    origin: str


def images(rows: Sequence[Row], argument: str, *, work: Path) -> Iterator[StoredImage]:
    """The images that the manifest lists, in the order of the rows.

    Args:
        rows: every row that an image may belong to: an id outside of them is an error.
        argument: the folder.
        work: not used.

    Raises:
        InputError: no folder is named.
        MetadataError: no manifest, or a line that does not follow the format; the message has its number.
        EmptyInputError: the manifest lists nothing.
        LicenseError, UnknownIdError, DuplicateIdError: a line without a licence, with an unknown id, with an id or file
            that another line has.
        PolicyError: an image for a row of the restricted domain.
        ImageError, ChecksumError: a file that is missing, damaged, or not the one listed.
    """
    if not argument:
        raise InputError("image source 'folder' needs a folder: folder:DIR")
    known = {row.id: row for row in rows}
    entries = _manifest(Path(argument).expanduser(), known)
    require_unrestricted(known[row_id] for row_id in entries)
    return (_image(entries[row.id]) for row in rows if row.id in entries)


def _manifest(folder: Path, known: dict[str, Row]) -> dict[str, _Entry]:
    path = folder / MANIFEST
    if not path.is_file():
        raise MetadataError(f"{folder}: no {MANIFEST}. Write one object {{file_name, id, license, sha256}} a line.")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise MetadataError(f"{path}: not UTF-8 at byte {error.start}. Save it as UTF-8.") from error
    entries: dict[str, _Entry] = {}
    taken: dict[str | Path, int] = {}
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        entry = _entry(folder, text, f"{path}, line {number}")
        if entry.row_id not in known:
            raise UnknownIdError(f"{path}, line {number}: id {entry.row_id!r} is none of the {len(known)} rows.")
        for what in (entry.row_id, entry.path):
            if what in taken:
                raise DuplicateIdError(f"{path}, line {number}: {str(what)!r} is in line {taken[what]} already.")
            taken[what] = number
        entries[entry.row_id] = entry
    if not entries:
        raise EmptyInputError(f"{path}: lists no images. Use the source 'none' for a corpus without.")
    return entries


def _entry(folder: Path, text: str, where: str) -> _Entry:
    try:
        line = _Line.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise MetadataError(f"{where}: {f'{field}: ' if field else ''}{first['msg']}.") from error
    name = PurePosixPath(line.file_name)
    path = (folder / name).resolve()
    inside = not name.is_absolute() and ".." not in name.parts and "\\" not in line.file_name
    # A link that leads out of the folder is outside of it, too.
    if not (inside and path.is_relative_to(folder.resolve())):
        raise MetadataError(f"{where}: {line.file_name!r} is outside of the folder. Give a path below {folder.name}.")
    license_ = known_license(line.license, f"{where}: {line.file_name}")
    origin = line.source or f"folder:{folder.resolve().name}/{name}"
    return _Entry(path, line.id, license_, line.sha256, origin)


def _image(entry: _Entry) -> StoredImage:
    try:
        data = entry.path.read_bytes()
    except OSError as error:
        raise MissingImageError(f"{entry.path}: in the manifest, but cannot be read ({error.strerror}).") from error
    found = hashlib.sha256(data).hexdigest()
    if found != entry.sha256:
        raise ChecksumError(
            f"{entry.path}: its SHA-256 is {found}, the manifest says {entry.sha256}. Copy the file again, or correct "
            "the manifest if the change was meant."
        )
    data, extension = stored(entry.path, data)
    return StoredImage(entry.row_id, data, extension, entry.origin, entry.license)
