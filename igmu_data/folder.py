"""Checks a built dataset folder as a whole: what `load_dataset` would take silently and get wrong.

Conventions: problems are collected, not raised, so that one run shows everything. The folder is judged by what is in
it: YAML, Parquet and manifest must tell the same story as `igmu_data.schema`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from igmu_data.errors import CorpusError
from igmu_data.files import sha256
from igmu_data.load import read_records
from igmu_data.schema import SPLITS, Row, features
from igmu_data.validate import Problem, problems

MAX_ROW_GROUP_BYTES: Final = 100 * 2**20


def check_folder(folder: Path) -> list[Problem]:
    """Every problem of a built dataset folder.

    Args:
        folder: what `python -m builders.bench` wrote, or a snapshot of the Hub repository.

    Raises:
        CorpusError: not a dataset folder at all.
    """
    card = folder / "README.md"
    if not card.is_file():
        raise CorpusError(f"{folder}: no README.md, so not a dataset folder. Give the folder that holds it.")
    block = _front_matter(card)
    found = list(_manifest(folder))
    if broken := list(_unreadable(folder)):
        return found + broken
    found += [*_configs(folder, block), *_schema(folder, block)]
    rows, refused = _rows(folder)
    return [*found, *refused, *problems(rows)]


def parquet_files(folder: Path) -> list[Path]:
    """The Parquet files of a dataset folder, sorted."""
    return sorted(folder.rglob("*.parquet"))


def _front_matter(card: Path) -> dict[str, Any]:
    import yaml

    match = re.match(r"---\n(.*?)\n---\n", card.read_text(encoding="utf-8"), re.DOTALL)
    try:
        block: Any = yaml.safe_load(match[1]) if match else None
        known = {c["config_name"] for c in block["configs"] for e in c["data_files"] if {"split", "path"} <= e.keys()}
    except (yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise CorpusError(f"{card}: no YAML block with configs and data_files. Build the folder again.") from error
    if not known:
        raise CorpusError(f"{card}: no config has files. Build the folder again.")
    return dict(block)


def _manifest(folder: Path) -> Iterator[Problem]:
    path = folder / "manifest.json"
    if not path.is_file():
        yield Problem("manifest.json", "the manifest is there", "it is not")
        return
    try:
        listed: dict[str, str] = dict(json.loads(path.read_text(encoding="utf-8"))["files"])
    except (ValueError, TypeError, KeyError) as error:
        yield Problem("manifest.json", "the manifest is JSON with 'files'", repr(error))
        return
    present = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file() and p != path}
    # A download keeps Git's and the Hub client's own files beside the repository's.
    present = {k: p for k, p in present.items() if not k.startswith((".git", ".cache"))}
    for name in sorted(listed.keys() | present.keys()):
        if name not in present:
            yield Problem(name, "every listed file is there", "missing")
        elif name not in listed:
            yield Problem(name, "every file is listed in the manifest", "not listed")
        elif sha256(present[name]) != listed[name]:
            yield Problem(name, "the SHA-256 is the manifest's", "another content")


def _unreadable(folder: Path) -> Iterator[Problem]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in parquet_files(folder):
        try:
            pq.ParquetFile(path).read()
        except (pa.ArrowException, OSError) as error:
            yield Problem(path.relative_to(folder).as_posix(), "every Parquet file can be read", str(error))


def _configs(folder: Path, block: dict[str, Any]) -> Iterator[Problem]:
    import pyarrow.parquet as pq

    names = Counter(c["config_name"] for c in block["configs"])
    for name, n in names.items():
        if n > 1:
            yield Problem(name, "config names are unique", f"{n} configs have it")
    if sum(bool(c.get("default")) for c in block["configs"]) != 1:
        yield Problem("README.md", "one default config", "none or several")
    counts = {p: pq.ParquetFile(p).metadata.num_rows for p in parquet_files(folder)}
    infos = {i["config_name"]: i for i in block.get("dataset_info", [])}
    for config in block["configs"]:
        name = config["config_name"]
        promised = {s["name"]: s["num_examples"] for s in infos.get(name, {}).get("splits", [])}
        for entry in config["data_files"]:
            files = sorted(folder.glob(entry["path"]))
            have = sum(counts.get(p, 0) for p in files)
            if not files:
                yield Problem(name, "every glob finds files", entry["path"])
            elif any(p not in counts or not p.name.startswith(f"{entry['split']}-") for p in files):
                yield Problem(name, "a glob finds only its split", entry["path"])
            elif promised.get(entry["split"]) != have:
                yield Problem(name, f"num_examples of {entry['split']}", f"{promised.get(entry['split'])}, is {have}")
    gathered = {p for c in block["configs"] for e in c["data_files"] for p in folder.glob(e["path"])}
    for path in sorted(counts.keys() - gathered):
        yield Problem(path.relative_to(folder).as_posix(), "every file belongs to a config", "no glob finds it")


def _schema(folder: Path, block: dict[str, Any]) -> Iterator[Problem]:
    import pyarrow.parquet as pq
    from datasets import DatasetInfo, Features

    for info in block.get("dataset_info", []):
        if _ordered(DatasetInfo._from_yaml_dict(info).features) != _ordered(features()):
            yield Problem(info["config_name"], "YAML features are the schema's", "other names, types or order")
    for path in parquet_files(folder):
        name = path.relative_to(folder).as_posix()
        file = pq.ParquetFile(path)
        if _ordered(Features.from_arrow_schema(file.schema_arrow)) != _ordered(features()):
            yield Problem(name, "Parquet features are the schema's", "other names, types or order")
        groups = [file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)]
        if max(groups, default=0) > MAX_ROW_GROUP_BYTES:
            yield Problem(name, "row groups of at most 100 MB", f"{max(groups):,} bytes")
        for image in file.read(["image"])["image"].to_pylist() if "image" in file.schema_arrow.names else ():
            if image is not None and not image["bytes"]:
                yield Problem(name, "pictures are embedded", f"only a path: {image['path']!r}")


def _ordered(kinds: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(kinds.items())  # two dicts are equal in any order


def _rows(folder: Path) -> tuple[list[Row], list[Problem]]:
    """The rows, and what is no row."""
    rows: list[Row] = []
    refused: list[Problem] = []
    for path in parquet_files(folder):
        if path.name.split("-")[0] not in SPLITS:
            continue
        for record in read_records(path):
            try:
                rows.append(Row(**record))
            except ValidationError as error:
                first = error.errors()[0]
                what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
                refused.append(Problem(str(record.get("id", path.name)), "a row follows the schema", what))
    return rows, refused
