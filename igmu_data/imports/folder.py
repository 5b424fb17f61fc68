"""Writes imported rows as a folder that `--bench` takes: Parquet by split, a card for `load_dataset`, a manifest.

Conventions: the folder has the corpus's shape (`<domain>/<family>/<slug>/<split>-00000-of-00001.parquet`) and appears
whole or not at all. It holds prompts only, and stays with the user.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from igmu_data.errors import OutputError
from igmu_data.files import require_writable, sha256
from igmu_data.imports.rows import Imported
from igmu_data.schema import SPLITS, Row, features, record, stored_columns
from igmu_data.taxonomy import concept

_CARD = """---
{front}---

# Prompts imported from a published list

{n} rows of {concept}, for `igmu generate --config {config} --bench {folder}` and `igmu score` with the same options.

- list: {title}, read from `{file}` (SHA-256 {digest})
- licence: {license}
- source: {source}
- cite: {citation}

The content policy of igmu was applied to every prompt; {refused}. Rows are forget rows, or attacks of a family. The
first of a row's five seeds are those that the list published.
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
    require_vacant(out)
    fresh = out.parent / f".{out.name}.{os.getpid()}.new"
    try:
        fresh.mkdir(parents=True)
        files = _write(fresh, out, found, path, format_name)
        if out.is_dir():
            out.rmdir()
        fresh.rename(out)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror}. Choose another --out.") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [out / f for f in files]


def require_vacant(out: Path) -> None:
    """Find out before any work whether the folder can be made.

    Raises:
        OutputError: see `write_folder`.
    """
    require_writable(out.parent)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} is there already. Choose another --out, or move it away.")


def _write(folder: Path, out: Path, found: Imported, path: Path, format_name: str) -> list[Path]:
    import yaml

    from igmu_data import imports

    rows, info = found.rows, imports.load(format_name).INFO
    first = rows[0]
    item = concept(first.concept)
    place = Path(item.domain, item.family, item.slug)
    written = []
    for split in SPLITS:
        if own := [r for r in rows if r.split == split]:
            written.append(place / f"{split}-00000-of-00001.parquet")
            _write_rows(folder / written[-1], own, stored_columns(rows))
    digest = sha256(path)
    splits = [{"split": f.name.split("-")[0], "path": f.as_posix()} for f in written]
    front: dict[str, Any] = {
        "configs": [{"config_name": item.config, "data_files": splits, "default": True}],
        "license": "other",
        "license_name": first.license,
    }
    counts = ", ".join(f"{reason}: {n}" for reason, n in found.refused.items())
    card = _CARD.format(
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True),
        n=len(rows),
        concept=item.id,
        config=item.config,
        folder=out.name,
        title=info.title,
        file=path.name,
        digest=digest,
        license=first.license,
        source=first.source,
        citation=info.citation,
        refused=f"{found.n_refused} of {found.n_read} were left out{f' ({counts})' if counts else ''}",
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    manifest = {
        "name": f"list/{info.name}",
        "version": digest[:12],
        "license": first.license,
        "source": first.source,
        "n_read": found.n_read,
        "n_refused": found.n_refused,
        "refused": dict(found.refused),
        "files": {p.relative_to(folder).as_posix(): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return written


def _write_rows(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    import datasets

    bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        records = [record(r, columns) for r in rows]
        path.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list(records, features=features(columns)).to_parquet(str(path))
    finally:
        if bars:
            datasets.enable_progress_bars()
