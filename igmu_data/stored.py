"""How a corpus is stored: Parquet files whose schema tells every client the columns, and a manifest of all files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from igmu_data.files import MANIFEST, sha256

if TYPE_CHECKING:
    import datasets

ROW_GROUP_BYTES: Final = 50 * 2**20  # half of what the viewer can scan, so that one odd image does no harm
ROW_GROUP_ROWS: Final = 100


@dataclass(frozen=True, slots=True)
class Stored:
    """One Parquet file of the repository.

    Args:
        split: which split.
        path: relative to the repository.
        n_rows: rows in it.
        file_bytes: size of the file.
    """

    split: str
    path: str
    n_rows: int
    file_bytes: int


def split_file(under: str, split: str) -> str:
    """Where the rows of a split are in a folder of the repository."""
    return f"{under}/{split}-00000-of-00001.parquet"


def write_records(
    folder: Path, path: str, records: Sequence[Mapping[str, Any]], kinds: datasets.Features, group: int = ROW_GROUP_ROWS
) -> Stored:
    """Write one Parquet file whose schema tells every client what its columns are.

    Args:
        folder: the repository.
        path: relative to it, `…/<split>-…`.
        records: the rows.
        kinds: of their columns.
        group: rows of a group, at most; never more than ROW_GROUP_ROWS.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    told = {"info": {"features": _for_all_clients(kinds.to_dict())}}
    schema = kinds.arrow_schema.with_metadata({"huggingface": json.dumps(told)})
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.Table.from_pylist([dict(r) for r in records], schema=schema),
        place,
        row_group_size=max(1, min(ROW_GROUP_ROWS, group)),
        write_page_index=True,  # the viewer's
    )
    return Stored(place.name.split("-")[0], path, len(records), place.stat().st_size)


def _for_all_clients(kinds: Any) -> Any:
    """Features as they are written into a schema, lists under the name that `datasets` before 4.0 knows, too."""
    if isinstance(kinds, Mapping):
        told = {name: _for_all_clients(value) for name, value in kinds.items()}
        return told | {"_type": "Sequence"} if told.get("_type") == "List" else told
    return kinds


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """`manifest.json`: the SHA-256 of every other file, and what the build was made from."""
    files = {
        p.relative_to(folder).as_posix(): sha256(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != MANIFEST
    }
    text = json.dumps({**facts, "files": files}, indent=1, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
