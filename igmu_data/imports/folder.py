"""Writes the user's rows as a folder for `--bench`: Parquet by split, a card for `load_dataset`, a manifest.

Conventions: the folder has the corpus's layout (`<domain>/<family>/<slug>/<split>-00000-of-00001.parquet`) and appears
whole or not at all. It contains only prompts, and stays with the user.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from igmu_data.errors import OutputError
from igmu_data.files import require_writable, sha256
from igmu_data.imports.rows import Imported
from igmu_data.schema import SPLITS, Row, features, record, stored_columns
from igmu_data.stored import split_file, write_manifest, write_records
from igmu_data.taxonomy import ALL, concept

_CARD = """\
# Prompts imported from a published list

{n} rows of {concept}, for `igmu generate --config {config} --bench {folder}` and `igmu score` with the same options.

- list: {title}, read from `{file}` (SHA-256 {digest})
- licence: {license}
- source: {source}
- cite: {citation}

The content policy of igmu was applied to every prompt; {refused}. Rows are forget rows or attacks of a family. Each row
has five seeds, beginning with those that the list published.
"""


def write_folder(out: Path, found: Imported, *, path: Path, format_name: str) -> list[Path]:
    """Write the rows of one list.

    Args:
        out: the folder; must not be there, or be empty.
        found: the rows.
        path: the list.
        format_name: its format.

    Returns:
        The Parquet files.

    Raises:
        OutputError: it cannot be written there, or there is something.
    """
    from igmu_data import imports

    info, first, digest = imports.load(format_name).INFO, found.rows[0], sha256(path)
    counts = ", ".join(f"{reason}: {n}" for reason, n in found.refused.items())
    card = _CARD.format(
        n=len(found.rows),
        concept=first.concept,
        config=concept(first.concept).config,
        folder=out.name,
        title=info.title,
        file=path.name,
        digest=digest,
        license=first.license,
        source=first.source,
        citation=info.citation,
        refused=f"{found.n_refused} of {found.n_read} were left out{f' ({counts})' if counts else ''}",
    )
    facts = {
        "name": f"list/{info.name}",
        "version": digest[:12],
        "license": first.license,
        "source": first.source,
        "n_read": found.n_read,
        "n_refused": found.n_refused,
        "refused": dict(found.refused),
    }
    return write_corpus(out, found.rows, card=card, facts=facts)


def write_corpus(
    out: Path, rows: Sequence[Row], *, card: str, facts: Mapping[str, Any], beside: Mapping[str, str] | None = None
) -> list[Path]:
    """Write rows of one or several concepts as a corpus.

    Args:
        out: the folder; must not be there, or be empty.
        rows: all of it.
        card: what README.md says below its block.
        facts: what the manifest says beside the files: `name`, `version`.
        beside: further files, path in the folder → text.

    Returns:
        The Parquet files.

    Raises:
        OutputError: it cannot be written there, or there is something.
    """
    with _new(out) as folder:
        stored = _write_rows(folder, rows)
        (folder / "README.md").write_text(f"---\n{_front(stored, rows)}---\n\n{card}", encoding="utf-8")
        for name, text in (beside or {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        write_manifest(folder, facts)
    return [out / path for files in stored.values() for path in files.values()]


def require_vacant(out: Path) -> None:
    """Find out before any work whether the folder can be made.

    Raises:
        OutputError: see `write_folder`.
    """
    require_writable(out.parent)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(
            f"{out} already exists and is not an empty folder. Choose another --out, or move the existing one."
        )


@contextmanager
def _new(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` when the block ends well."""
    require_vacant(out)
    fresh = out.parent / f".{out.name}.{os.getpid()}.new"
    try:
        fresh.mkdir(parents=True)
        yield fresh
        if out.is_dir():
            out.rmdir()
        fresh.rename(out)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror}. Choose another --out.") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _write_rows(folder: Path, rows: Sequence[Row]) -> dict[str, dict[str, str]]:
    """By config of a concept and split, the path of its file."""
    columns = stored_columns(rows)
    kinds, stored = features(columns), {}
    for name in dict.fromkeys(row.concept for row in rows):
        item, own = concept(name), [row for row in rows if row.concept == name]
        there = [split for split in SPLITS if any(row.split == split for row in own)]
        stored[item.config] = {split: split_file(item.folder, split) for split in there}
        for split, path in stored[item.config].items():
            write_records(folder, path, [record(r, columns) for r in own if r.split == split], kinds)
    return stored


def _front(stored: Mapping[str, Mapping[str, str]], rows: Sequence[Row]) -> str:
    """The block of README.md: a config a concept, and one of all where there are several."""
    import yaml

    configs = dict(stored)
    if len(stored) > 1:
        splits = [split for split in SPLITS if any(split in files for files in stored.values())]
        configs = {ALL: {split: f"*/*/*/{split}-*" for split in splits}, **configs}
    entries: list[dict[str, Any]] = [
        {"config_name": name, "data_files": [{"split": split, "path": path} for split, path in files.items()]}
        for name, files in configs.items()
    ]
    entries[0]["default"] = True
    licenses = "; ".join(sorted({row.license for row in rows}))
    front = {"configs": entries, "license": "other", "license_name": licenses}
    return str(yaml.safe_dump(front, sort_keys=False, allow_unicode=True))
