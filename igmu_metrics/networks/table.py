"""What was seen in one model's pictures as a Parquet table, one row a generation: all that metrics are computed from.

Conventions: columns `id`, `seed`, `split`, `prompt`, `file`, `sha256`, `failure` (null where the picture was read),
`distance` (to the original's picture), `probability/<concept>`, null where nobody could say, and `features/<role>`.
Numbers come back to the last bit. What holds for the whole table is JSON in the file's metadata under `igmu`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from igmu_data.errors import MetadataError, OutputError
from igmu_data.files import beside
from igmu_metrics.contract import FloatArray
from igmu_metrics.networks.observe import Observed

_FACTS: Final = b"igmu"
_PROBABILITY: Final = "probability/"
_FEATURES: Final = "features/"


@dataclass(frozen=True, slots=True)
class Table:
    """Generations, what was seen in them, and the facts of the table.

    Args:
        keys: per generation `id`, `seed`, `split`, `prompt` and `file`.
        concepts: the columns of `seen.probabilities`.
        seen: what was seen, in the order of the keys.
        facts: whatever holds for all rows, plain JSON.
    """

    keys: Mapping[str, Sequence[Any]]
    concepts: Sequence[str]
    seen: Observed
    facts: Mapping[str, Any]


def write(table: Table, path: Path) -> None:
    """Write a table, whole or not at all.

    Raises:
        OutputError: the place cannot be written to.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    seen = table.seen
    n = len(seen.ok)
    failures = dict(seen.failures)
    columns: dict[str, Any] = {
        "id": pa.array(table.keys["id"], pa.string()),
        "seed": pa.array(table.keys["seed"], pa.int64()),
        "split": pa.array(table.keys["split"], pa.string()),
        "prompt": pa.array(table.keys["prompt"], pa.string()),
        "file": pa.array(table.keys["file"], pa.string()),
        "sha256": pa.array(seen.hashes, pa.string()),
        "failure": pa.array([failures.get(i) for i in range(n)], pa.string()),
    }
    if seen.distances is not None:
        columns["distance"] = pa.array(seen.distances)
    if seen.probabilities is not None:
        mask = np.ma.getmaskarray(seen.probabilities)
        for k, concept in enumerate(table.concepts):
            columns[_PROBABILITY + concept] = pa.array(seen.probabilities.data[:, k], mask=mask[:, k])
    for role, rows in seen.features.items():
        if not rows.shape[1]:
            continue  # nothing was readable
        columns[_FEATURES + role] = _vectors(rows)
    whole = pa.table(columns).replace_schema_metadata({_FACTS: json.dumps(table.facts)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as part:
            pq.write_table(whole, part, compression="zstd")
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}. Make room, or choose another --out."
        ) from error


def read(path: Path) -> Table:
    """Read a table.

    Raises:
        MetadataError: not there, or not a table that `write` wrote.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        whole = pq.read_table(path)
        facts = json.loads(whole.schema.metadata[_FACTS])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise MetadataError(f"{path}: not a table of igmu score --shard ({error}). Run that shard again.") from error
    data: dict[str, Any] = {name: whole.column(name).combine_chunks() for name in whole.column_names}
    failures = data["failure"].to_pylist()
    concepts = [name.removeprefix(_PROBABILITY) for name in data if name.startswith(_PROBABILITY)]
    probabilities = np.ma.MaskedArray(np.zeros((len(whole), len(concepts))), mask=True)
    for k, concept in enumerate(concepts):
        column = data[_PROBABILITY + concept]
        valid = np.asarray(column.is_valid())
        probabilities[valid, k] = np.asarray(column.drop_null())
    seen = Observed(
        np.array([f is None for f in failures], dtype=np.bool_),
        probabilities if concepts else None,
        {n.removeprefix(_FEATURES): _rows(c) for n, c in data.items() if n.startswith(_FEATURES)},
        tuple((i, reason) for i, reason in enumerate(failures) if reason is not None),
        tuple(data["sha256"].to_pylist()),
        np.asarray(data["distance"]) if "distance" in data else None,
    )
    keys = {name: data[name].to_pylist() for name in ("id", "seed", "split", "prompt", "file")}
    return Table(keys, concepts, seen, facts)


def _vectors(rows: FloatArray) -> Any:
    """A column of vectors: float32 where that loses nothing."""
    import pyarrow as pa

    with np.errstate(over="ignore", under="ignore"):
        short = rows.astype(np.float32)
    values = short if np.array_equal(short.astype(np.float64), rows, equal_nan=True) else rows
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), rows.shape[1])


def _rows(column: Any) -> FloatArray:
    values = np.asarray(column.flatten()).astype(np.float64)
    return values.reshape(len(column), column.type.list_size)
