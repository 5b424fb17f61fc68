"""Checks a built dataset folder as a whole, including what `load_dataset` would silently misread.

Conventions: problems are collected, not raised, so that one run shows everything. The folder is judged by what is in
it: YAML, Parquet and manifest must agree with `igmu_data.schema`. Files of the splits forget, retain and adversarial
contain rows; those of other splits (`train`, `test`) contain labelled images, except for the general prompts, which
have a separate folder. The rows of the sandbox are a separate corpus: its concepts have a different benchmark, and
different names, in the main one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from igmu_data import general
from igmu_data.configs import GENERAL
from igmu_data.errors import CorpusError
from igmu_data.files import sha256
from igmu_data.images import image_problems, label_problems
from igmu_data.load import read_records
from igmu_data.sandbox.world import world
from igmu_data.schema import ALL_COLUMNS, COLUMNS, SPLITS, Row, detector_features, features
from igmu_data.taxonomy import CONCEPTS, SANDBOX, all_concepts, own_concept
from igmu_data.validate import Judged, Problem, problems

if TYPE_CHECKING:
    import datasets

_M = TypeVar("_M", bound=BaseModel)
MAX_ROW_GROUP_BYTES: Final = 100 * 2**20


def check_folder(folder: Path) -> list[Problem]:
    """Every problem of a built dataset folder.

    Args:
        folder: what `python -m builders.bench` or `builders.detector` wrote, or a snapshot of the Hub repository.

    Raises:
        CorpusError: not a dataset folder at all.
    """
    card = folder / "README.md"
    if not card.is_file():
        raise CorpusError(
            f"{folder} contains no README.md, so it is not a dataset folder. Specify the folder that contains "
            "README.md."
        )
    block = _front_matter(card)
    found = list(_manifest(folder))
    if broken := list(_unreadable(folder)):
        return found + broken
    found += [*_configs(folder, block), *_schema(folder, block)]
    ids: Counter[str] = Counter()
    mine = [own_concept(path) for path in sorted((folder / CONCEPTS).glob("*/*.toml"))]
    known: Mapping[str, Judged] = {**all_concepts(), **{item.id: item for item in mine}}
    for small, concepts in ((False, known), (True, world().known)):
        files = [p for p in parquet_files(folder) if (p.relative_to(folder).parts[0] == SANDBOX) is small]
        rows, refused = _rows([p for p in files if p.name.split("-")[0] in SPLITS], Row)
        found += [*refused, *problems(rows, concepts)]
        ids.update({r.id for r in rows})
    prompts, refused = _rows([p for p in parquet_files(folder) if _is_general(folder, p)], general.GeneralRow)
    found += [*refused, *general.problems(prompts)]
    return [
        *found,
        *(Problem(name, "ids must be unique", "this one occurs in both corpora") for name, n in ids.items() if n > 1),
    ]


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
        raise CorpusError(
            f"{card} contains no YAML block with configs and data_files. Build the folder again."
        ) from error
    if not known:
        raise CorpusError(f"{card} lists no files for any config. Build the folder again.")
    whole: dict[str, Any] = block
    return whole


def _manifest(folder: Path) -> Iterator[Problem]:
    path = folder / "manifest.json"
    if not path.is_file():
        yield Problem("manifest.json", "the folder must contain a manifest", "there is none")
        return
    try:
        listed: dict[str, str] = dict(json.loads(path.read_text(encoding="utf-8"))["files"])
    except (ValueError, TypeError, KeyError) as error:
        yield Problem(
            "manifest.json",
            "the manifest must be a JSON object with the key 'files'",
            f"reading it failed with {error!r}",
        )
        return
    present = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file() and p != path}
    # A download keeps Git's and the Hub client's own files beside the repository's.
    present = {k: p for k, p in present.items() if not k.startswith((".git", ".cache"))}
    for name in sorted(listed.keys() | present.keys()):
        if name not in present:
            yield Problem(name, "every listed file must exist", "this one is missing")
        elif name not in listed:
            yield Problem(name, "every file must be listed in the manifest", "this one is not")
        elif sha256(present[name]) != listed[name]:
            yield Problem(name, "the SHA-256 must match the manifest", "the content differs")


def _unreadable(folder: Path) -> Iterator[Problem]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in parquet_files(folder):
        try:
            pq.ParquetFile(path).read()
        except (pa.ArrowException, OSError) as error:
            found = f"this one cannot be read ({error})"
            yield Problem(path.relative_to(folder).as_posix(), "every Parquet file must be readable", found)


def _configs(folder: Path, block: dict[str, Any]) -> Iterator[Problem]:
    import pyarrow.parquet as pq

    names = Counter(c["config_name"] for c in block["configs"])
    for name, n in names.items():
        if n > 1:
            yield Problem(name, "config names must be unique", f"{n} configs have this name")
    if sum(bool(c.get("default")) for c in block["configs"]) != 1:
        yield Problem("README.md", "exactly one config must be marked as the default", "none or several are")
    counts = {p: pq.ParquetFile(p).metadata.num_rows for p in parquet_files(folder)}
    for config in block["configs"]:
        name = config["config_name"]
        for entry in config["data_files"]:
            files = sorted(folder.glob(entry["path"]))
            if not files:
                yield Problem(name, "every glob must match at least one file", f"{entry['path']} matches none")
            elif any(p not in counts or not p.name.startswith(f"{entry['split']}-") for p in files):
                yield Problem(name, "a glob must match only files of its split", f"{entry['path']} matches other files")
    gathered = {p for c in block["configs"] for e in c["data_files"] for p in folder.glob(e["path"])}
    for path in sorted(counts.keys() - gathered):
        yield Problem(
            path.relative_to(folder).as_posix(), "every file must belong to a config", "no glob matches this file"
        )


def _schema(folder: Path, block: dict[str, Any]) -> Iterator[Problem]:
    import pyarrow.parquet as pq
    from datasets import Features

    stored: dict[Path, datasets.Features] = {}
    for path in parquet_files(folder):
        name = path.relative_to(folder).as_posix()
        file = pq.ParquetFile(path)
        stored[path] = Features.from_arrow_schema(file.schema_arrow)
        if _ordered(stored[path]) != _ordered(
            _wanted(stored[path], path.name.split("-")[0], _is_general(folder, path))
        ):
            yield Problem(name, "Parquet features must match the schema", "their names, types or order differ")
        if '"_type": "List"' in (file.schema_arrow.metadata or {}).get(b"huggingface", b"").decode():
            yield Problem(
                name,
                "older clients must be able to read all lists",
                "versions of the datasets library before 4.0 do not support the type List",
            )
        groups = [file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)]
        if max(groups, default=0) > MAX_ROW_GROUP_BYTES:
            yield Problem(name, "row groups must be at most 100 MB", f"the largest has {max(groups):,} bytes")
        yield from image_problems(name, path)
    for config in block["configs"]:
        yield from _alike(folder, config, stored)


def _alike(folder: Path, config: dict[str, Any], stored: Mapping[Path, datasets.Features]) -> Iterator[Problem]:
    """What is wrong with the files of a config together: their features, and labelled images, if it has any."""
    paths = sorted({p for entry in config["data_files"] for p in folder.glob(entry["path"]) if p in stored})
    if any(_ordered(stored[p]) != _ordered(stored[paths[0]]) for p in paths):
        found = "names, types, order or classes differ"
        yield Problem(config["config_name"], "the files of a config must have the same features", found)
    elif files := {p.relative_to(folder).as_posix(): p for p in paths if "label" in stored[p]}:
        yield from label_problems(files, stored[paths[0]]["label"].names)


def _is_general(folder: Path, path: Path) -> bool:
    return path.relative_to(folder).parts[0] == GENERAL


def _wanted(found: datasets.Features, split: str, is_general: bool) -> datasets.Features:
    """The schema's features for a file of a split; which classes labelled images have, they say themselves."""
    if is_general:
        return general.features((*general.COLUMNS, "since") if "since" in found else general.COLUMNS)
    names = getattr(found.get("label"), "names", None)
    if names is not None and split not in SPLITS:
        return detector_features(names)
    return features(tuple(n for n in ALL_COLUMNS if n in found or n in COLUMNS))


def _ordered(kinds: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(kinds.items())  # two dicts are equal in any order


def _rows(files: Sequence[Path], model: type[_M]) -> tuple[list[_M], list[Problem]]:
    """The rows of some files, and a problem for each record that is not a row."""
    rows: list[_M] = []
    refused: list[Problem] = []
    for path in files:
        for record in read_records(path):
            try:
                rows.append(model(**record))
            except ValidationError as error:
                first = error.errors()[0]
                what = f"'{'.'.join(map(str, first['loc']))}' is invalid in this one: {first['msg']}"
                refused.append(Problem(str(record.get("id", path.name)), "every row must match the schema", what))
    return rows, refused
