"""Writes one dataset repository as the Hub wants it: Parquet by concept and split, and a card whose YAML fits it.

Conventions: physical files are `<domain>/<family>/<slug>/<split>-00000-of-00001.parquet`, those of the miniature world
`sandbox/<slug>/…`; a config is a glob over them. Bytes depend only on the rows and images, never on time, machine or
order of work.

The card says of a config which files it gathers, and no more: clients take columns, classes and lists from the Parquet
files. Read by `python -m builders.clients` in November 2026, `datasets` 2.21.0, 3.6.0, 4.8.5 and 5.2.0 see the same
rows, columns, lists, images and classes in a concept, a domain, `all`, `general`, `sandbox` and `sandbox_detector`,
streamed or not, and load a concept in 0.2 to 0.6 s.

Globs in five lines a config (886 lines in all) were chosen over `data_dir` (405 lines), which all four versions load
with as many requests: there clients find the splits by themselves, and put them into the order of the alphabet, so that
the viewer would open every concept with its attacks; what gathers concepts needs globs all the same.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from igmu_data.configs import configs, sandbox_configs
from igmu_data.errors import OutputError
from igmu_data.files import running
from igmu_data.load import files_of
from igmu_data.sandbox.world import Known
from igmu_data.schema import SPLITS, Row, features, record
from igmu_data.stored import ROW_GROUP_BYTES, Stored, split_file, write_records
from igmu_data.taxonomy import ALL, RESTRICTED_DOMAIN, SANDBOX

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True, slots=True)
class Config:
    """One config of the repository.

    Args:
        name: what `load_dataset` is given.
        files: the glob of each split, relative to the repository.
        features: of all its files.
        default: whether it is what `load_dataset` gives when no config is named.
    """

    name: str
    files: Mapping[str, str]
    features: datasets.Features
    default: bool = False


def corpus_configs(restricted: bool, columns: Sequence[str]) -> list[Config]:
    """The configs of the corpus, or of its restricted part.

    Args:
        restricted: which.
        columns: of its rows.
    """
    default = RESTRICTED_DOMAIN if restricted else ALL
    return [_config(name, name == default, columns) for name in configs(restricted)]


def world_configs(columns: Sequence[str], default: str | None = None) -> list[Config]:
    """The configs of the miniature world's prompts.

    Args:
        columns: of its rows.
        default: which of them is the repository's default, if one is.
    """
    return [_config(name, name == default, columns) for name in sandbox_configs()]


def _config(name: str, default: bool, columns: Sequence[str]) -> Config:
    return Config(name, {split: files_of(name, split) for split in SPLITS}, features(columns), default)


def world_folder(item: Known) -> str:
    """Where its rows of the miniature world are."""
    return f"{SANDBOX}/{item.slug}"


def write_split(
    folder: Path, under: str, split: str, rows: Sequence[Row], images: Mapping[str, Any], columns: Sequence[str]
) -> Stored:
    """Write one split; images are embedded as bytes.

    Args:
        folder: the repository.
        under: where in it.
        split: the split.
        rows: its rows, in the order in which they are stored.
        images: `builders.sources.StoredImage` by row id; rows without one have a null image.
        columns: `schema.stored_columns` of all rows beside it.
    """
    records = []
    for row in rows:
        stored = record(row, columns)
        if image := images.get(row.id):
            # A bare base name: a path that exists where the file is read would make `datasets` drop the bytes.
            stored["image"] = {"bytes": image.data, "path": f"{row.id}{image.extension}"}
            stored |= {"image_source": image.origin, "image_sha256": image.sha256}
            stored["license"] = f"text: {row.license}; image: {image.license}"
        records.append(stored)
    biggest = max((len(p.data) for p in images.values()), default=1)
    return write_records(folder, split_file(under, split), records, features(columns), ROW_GROUP_BYTES // biggest)


def card_yaml(stored: Sequence[Stored], wanted: Sequence[Config], *, header: Mapping[str, Any]) -> str:
    """The YAML block of README.md: header and `configs`.

    Args:
        stored: every file.
        wanted: the configs; one without files is left out, and so is a split without.
        header: what else the block says.

    Raises:
        OutputError: no config has files.
    """
    import yaml

    entries: list[dict[str, Any]] = []
    for config in wanted:
        there = {s: glob for s, glob in config.files.items() if any(_matches(f.path, glob) for f in stored)}
        if there:
            places = [{"split": split, "path": glob} for split, glob in there.items()]
            entry: dict[str, Any] = {"config_name": config.name, "data_files": places}
            entries.append(entry | ({"default": True} if config.default else {}))
    if not entries:
        raise OutputError("no rows were built: nothing to describe in the card.")
    # Innermost lists and mappings in one line each.
    block = {**header, "configs": entries}
    return str(yaml.safe_dump(block, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None))


def _matches(path: str, glob: str) -> bool:
    return path.count("/") == glob.count("/") and PurePosixPath(path).match(glob)


@contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """A folder beside `target` that takes its place when the block ends well, and vanishes when it does not.

    What processes that were killed left beside it goes; what one had moved away and not replaced yet comes back.

    Raises:
        OutputError: the place cannot be written, or is a file; what was there is there still.
    """
    fresh, old = (target.parent / f".{target.name}.{os.getpid()}.{kind}" for kind in ("new", "old"))
    _swept(target)
    try:
        if target.exists() and not target.is_dir():
            raise OutputError(f"{target} is a file. Move it away, or choose another --out.")
        fresh.mkdir(parents=True)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to {target.parent}: {error.strerror}. Choose another --out.") from error
    try:
        yield fresh
        try:
            if target.exists():
                target.rename(old)
            fresh.rename(target)
        except OSError as error:
            if old.exists() and not target.exists():
                old.rename(target)
            raise OutputError(f"cannot replace {target}: {error.strerror}. Choose another --out.") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _swept(target: Path) -> None:
    for kind in ("old", "new"):
        for left in target.parent.glob(f".{glob.escape(target.name)}.*.{kind}"):
            pid = left.name.split(".")[-2]
            if not pid.isdigit() or running(int(pid)):
                continue
            if kind == "old" and not target.exists():
                left.rename(target)
            shutil.rmtree(left, ignore_errors=True)
