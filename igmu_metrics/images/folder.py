"""The folder of generated images: what is finished, what failed, and nothing half-written.

Conventions: an image is finished when its line is in `metadata.jsonl`; a failure has a line in `failed.jsonl`. Lines
are appended during generation (an incomplete last line is ignored) and sorted by file name at the end, so that the
finished folder does not show whether it was interrupted. `times.jsonl` has a line per call with its time and memory,
and `model.json` what the model stores (`igmu_metrics.images.stored`). Only `times.jsonl` differs from run to run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from igmu_data.errors import ChecksumError, MetadataError, OutputError
from igmu_data.files import beside, parse_json, read_text, sweep
from igmu_metrics.images.files import content_hash
from igmu_metrics.images.layouts import METADATA

FAILED: Final = "failed.jsonl"
TIMES: Final = "times.jsonl"
MODEL: Final = "model.json"
Key = tuple[str, int]
Record = dict[str, Any]


class Folder:
    """Finished images and failures of one model; made by `Folder.open`.

    Args:
        path: the folder.
        wanted: the metadata of every requested generation, without its checksum.
        drawn: metadata of finished images, requested or not.
        failed: failures, requested or not.
    """

    def __init__(
        self, path: Path, wanted: Mapping[Key, Record], drawn: dict[Key, Record], failed: dict[Key, Record]
    ) -> None:
        self.path = path
        self._wanted, self._drawn, self._failed = wanted, drawn, failed

    @classmethod
    def open(cls, path: Path, facts: Mapping[str, str], wanted: Mapping[Key, Record]) -> Folder:
        """Read or create a folder.

        Args:
            path: the folder.
            facts: what every image in it must have in common (model, revision, dtype).
            wanted: the metadata of every requested generation, without its checksum.

        Raises:
            MetadataError: a line that is not metadata, or images of a different model or with different settings.
            ChecksumError: a finished image was changed.
            OutputError: the folder cannot be written.
        """
        wanted = {key: fields | dict(facts) for key, fields in wanted.items()}
        with _writing(path):
            path.mkdir(parents=True, exist_ok=True)
            sweep(path)
        drawn = _read(path / METADATA, facts, wanted)
        failed = _read(path / FAILED, facts, wanted)
        for key in [k for k, record in drawn.items() if not (path / record["file_name"]).is_file()]:
            del drawn[key]
        for key in wanted.keys() & drawn.keys():
            file = path / drawn[key]["file_name"]
            if content_hash(file) != drawn[key].get("sha256"):
                raise ChecksumError(f"{file} was changed after it was generated. Delete it to generate it again.")
        folder = cls(path, wanted, drawn, failed)
        folder.close()
        return folder

    def __contains__(self, key: Key) -> bool:
        return key in self._drawn or key in self._failed

    @property
    def files(self) -> dict[Key, Path]:
        """The finished images."""
        return {key: self.path / record["file_name"] for key, record in self._drawn.items()}

    @property
    def failures(self) -> dict[Key, str]:
        """Why a generation has no image."""
        return {key: str(record["reason"]) for key, record in self._failed.items()}

    def add(self, key: Key, data: bytes, drawn_with: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Store an image, then its line.

        Args:
            key: row and seed.
            data: the file.
            drawn_with: further entries of its line.
        """
        record = self._wanted[key] | dict(drawn_with) | {"sha256": hashlib.sha256(data).hexdigest()}
        _write(self.path / record["file_name"], data)
        self._append(METADATA, record)
        self._drawn[key] = record

    def fail(self, key: Key, reason: str) -> None:
        """Store that generating the image failed."""
        record = self._wanted[key] | {"reason": reason}
        self._append(FAILED, record)
        self._failed[key] = record

    def timed(self, record: Record) -> None:
        """Record the time and memory of a call; nothing else depends on it."""
        with _writing(self.path / TIMES), (self.path / TIMES).open("a", encoding="utf-8") as file:
            file.write(_line(record))

    def describe(self, text: str) -> None:
        """Write what the model stores, unless it is there already."""
        path = self.path / MODEL
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            _write(path, text.encode())

    def close(self) -> None:
        """Write both lists completely, sorted; a list without entries is removed."""
        for name, records in ((METADATA, self._drawn), (FAILED, self._failed)):
            lines = [_line(r) for r in sorted(records.values(), key=lambda r: str(r["file_name"]))]
            if lines:
                _write(self.path / name, "".join(lines).encode())
            else:
                with _writing(self.path / name):
                    (self.path / name).unlink(missing_ok=True)

    def _append(self, name: str, record: Record) -> None:
        with _writing(self.path / name), (self.path / name).open("a", encoding="utf-8") as file:
            file.write(_line(record))
            file.flush()
            os.fsync(file.fileno())


def records(path: Path) -> dict[Key, Record]:
    """All lines of one of the lists.

    Raises:
        MetadataError: a line that igmu generate did not write.
    """
    return _read(path, {}, {})


def _read(path: Path, facts: Mapping[str, str], wanted: Mapping[Key, Record]) -> dict[Key, Record]:
    if not path.is_file():
        return {}
    *lines, _torn = read_text(path, "Use another folder.").split("\n")
    out: dict[Key, Record] = {}
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        try:
            record = parse_json(line, where, "Use another folder.")
            key = (record["id"], record["seed"])
            file_name = Path(record["file_name"])
        except (ValueError, TypeError, KeyError) as error:
            raise MetadataError(
                f"{where}: this line was not written by 'igmu generate' ({error!r}). Use another folder."
            ) from error
        if file_name.name != str(file_name):
            raise MetadataError(f"{where}: {str(file_name)!r} is not directly in this folder. Use another folder.")
        for name, value in wanted.get(key, facts).items():
            if record.get(name) != value:
                raise MetadataError(
                    f"{where}: {file_name} was generated with {name}={record.get(name)!r}, not {value!r}. Use another "
                    "folder, or delete this one to generate its images again."
                )
        out[key] = record
    return out


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"  # ASCII: some readers take U+2028 in a prompt for the end of the line


def _write(path: Path, data: bytes) -> None:
    with _writing(path), beside(path) as part:
        part.write_bytes(data)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}). Choose another folder.") from error
