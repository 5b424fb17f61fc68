"""The cache of features: the output of networks for images, by the image's content, kept between runs.

Conventions: a row is found by the SHA-256 of the file (or of a text, or of a pair) and the key of the network, which
consists of weights, preparation and settings (`instruments.feature_key`); names and paths of files do not matter.
Values are stored exactly. The cache is one SQLite file in write-ahead mode: several processes on a machine can use it
at once, and a process killed at any moment leaves only complete rows. It must be on a local disk: on a network file
system, write-ahead mode does not work, so give every machine a separate folder ($IGMU_CACHE).

No value is trusted just because of its place. A network's number is a hash of its key, so that pruning by one process
does not change the numbers of others; and every value ends with a checksum over itself, its key and its image. A row
with a wrong checksum is ignored, computed again and replaced.

The size of the file is bounded: when a run closes it, the least recently used rows are removed. In addition to values,
it keeps notes: short texts by a key, such as the description of a network (`networks.lazy`).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from igmu_data.errors import InputError, OutputError
from igmu_data.sandbox.packaged import CACHE_ENVIRONMENT, cache_folder
from igmu_metrics.contract import FloatArray

SEEN: Final = "whole (1: of one colour)"
"""Key of rows that record that a file was decoded without an error, and whether it is blank. Change it when `images`
refuses more files."""
FILE: Final = "features.sqlite"
SIZE_ENVIRONMENT: Final = "IGMU_CACHE_GB"
DEFAULT_GB: Final = 10.0
_OVERHEAD: Final = 120  # bytes of a row besides its value, about
_FRESH: Final = 3600  # seconds in which another use is not written down
_NOTES: Final = 1000  # at most, after the bound was kept
_FORMAT: Final = 2  # of the tables; what an igmu before it left behind is dropped
_CHECKSUM: Final = 16  # bytes
_SCHEMA: Final = (
    "CREATE TABLE sources (id INTEGER PRIMARY KEY, key TEXT NOT NULL)",
    "CREATE TABLE features (id INTEGER PRIMARY KEY, source INTEGER NOT NULL, sha BLOB NOT NULL, "
    "used INTEGER NOT NULL, value BLOB NOT NULL, UNIQUE (source, sha))",
    "CREATE TABLE notes (key TEXT PRIMARY KEY, used INTEGER NOT NULL, text BLOB NOT NULL)",
)


@dataclass(frozen=True, slots=True)
class Holding:
    """The content of the store for one network: its key, rows, bytes of their values, and when one was last used."""

    key: str
    n_rows: int
    n_bytes: int
    used: float


class Store:
    """An open cache; close it, so that uses are recorded and the bound is enforced.

    Args:
        path: of the SQLite file, which is created if necessary.
        max_bytes: bound of its size.

    Raises:
        OutputError: the file cannot be written, or is damaged.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path, self.max_bytes = path, max_bytes
        self._lock = threading.Lock()
        self._used: list[tuple[int, bytes]] = []
        with self._guarded():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            if not self._is_made():
                self._make()

    def _is_made(self) -> bool:
        return bool(self._db.execute("PRAGMA user_version").fetchone()[0] == _FORMAT)

    def _make(self) -> None:
        with self._transaction():
            if self._is_made():  # by another process meanwhile
                return
            for name in ("sources", "features", "notes"):
                self._db.execute(f"DROP TABLE IF EXISTS {name}")
            for table in _SCHEMA:
                self._db.execute(table)
            self._db.execute(f"PRAGMA user_version = {_FORMAT}")

    def get(self, sha256: str, keys: Iterable[str]) -> dict[str, FloatArray]:
        """The values of a content for those keys that are stored; called on many threads."""
        ids, sha = {_number(key): key for key in keys}, bytes.fromhex(sha256)
        marks = ",".join("?" * len(ids))
        with self._guarded(), self._lock:
            rows = self._db.execute(
                f"SELECT source, value, CAST(used AS INTEGER) < ? FROM features WHERE sha = ? AND source IN ({marks})",
                (int(time.time() - _FRESH), sha, *ids),
            ).fetchall()
            found = {}
            for source, blob, old in rows:
                key = ids.get(source, "")
                value = _checked(blob, key, sha)
                if value is not None:
                    found[key] = _decoded(value)
                    self._used += [(source, sha)] if old else []
        return found

    def put(self, key: str, rows: Sequence[tuple[str, FloatArray]]) -> None:
        """Store values by content, all of them or none, replacing earlier ones.

        Raises:
            OutputError: the disk is full. Earlier values are kept.
        """
        if not rows:
            return
        now = int(time.time())
        source, shas = _number(key), [bytes.fromhex(sha) for sha, _ in rows]
        values = [
            (source, sha, now, _signed(_encoded(value), key, sha)) for sha, (_, value) in zip(shas, rows, strict=True)
        ]
        with self._guarded(), self._lock, self._transaction():
            self._db.execute("INSERT OR REPLACE INTO sources VALUES (?, ?)", (source, key))
            self._db.executemany(
                "INSERT OR REPLACE INTO features (source, sha, used, value) VALUES (?, ?, ?, ?)", values
            )

    def note(self, key: str) -> str | None:
        """The note with this key, or None."""
        with self._guarded(), self._lock:
            now = int(time.time())
            row = self._db.execute(
                "SELECT text, CAST(used AS INTEGER) < ? FROM notes WHERE key = ?", (now - _FRESH, key)
            ).fetchone()
            text = None if row is None else _checked(row[0], key)
            if text is not None and row[1]:
                self._db.execute("UPDATE notes SET used = ? WHERE key = ?", (now, key))
        return None if text is None else text.decode()

    def keep_note(self, key: str, text: str) -> None:
        """Store a note, replacing an earlier one with the same key."""
        with self._guarded(), self._lock:
            signed = _signed(text.encode(), key)
            self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (key, int(time.time()), signed))

    def drop_note(self, key: str) -> None:
        """Delete a note."""
        with self._guarded(), self._lock:
            self._db.execute("DELETE FROM notes WHERE key = ?", (key,))

    def holdings(self) -> list[Holding]:
        """The content by network, the most recently used first."""
        with self._guarded(), self._lock:
            rows = self._db.execute(
                "SELECT sources.id, IFNULL(CAST(key AS BLOB), x''), COUNT(*), TOTAL(LENGTH(value)), "
                "IFNULL(MAX(CAST(used AS INTEGER)), 0) AS last FROM features JOIN sources ON source = sources.id "
                "GROUP BY source ORDER BY last DESC, key"
            ).fetchall()
        told = [(number, key.decode("utf-8", "replace"), n, int(size), last) for number, key, n, size, last in rows]
        return [Holding(key if _number(key) == number else "damaged", *rest) for number, key, *rest in told]

    def prune(self, max_bytes: int, *, older_than: float | None = None) -> tuple[int, int]:
        """Remove the least recently used rows until the rest fits.

        Args:
            max_bytes: maximum size.
            older_than: seconds; rows that were not used for this long are always removed.

        Returns:
            The numbers of removed and of kept rows.
        """
        self._write_uses()
        limit = time.time() - older_than if older_than is not None else float("-inf")
        with self._guarded(), self._lock:
            with self._transaction():
                rows = self._db.execute(
                    "SELECT id, IFNULL(LENGTH(value), 0), IFNULL(CAST(used AS INTEGER), 0) AS last FROM features "
                    "ORDER BY last DESC, id"
                ).fetchall()
                kept, total = 0, 0
                for _, size, used in rows:
                    total += size + _OVERHEAD
                    if total > max_bytes or used < limit:
                        break
                    kept += 1
                self._db.executemany("DELETE FROM features WHERE id = ?", [(row,) for row, _, _ in rows[kept:]])
                self._db.execute("DELETE FROM sources WHERE id NOT IN (SELECT source FROM features)")
                last = "SELECT key FROM notes WHERE used >= ? ORDER BY used DESC, key LIMIT ?"
                notes = (max(limit, 0), _NOTES if kept else 0)
                self._db.execute(f"DELETE FROM notes WHERE key NOT IN ({last})", notes)
            self._db.execute("PRAGMA incremental_vacuum").fetchall()
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return len(rows) - kept, kept

    def close(self) -> None:
        """Record uses, enforce the bound, and close the file."""
        self._write_uses()
        with self._guarded():
            size = self.path.stat().st_size if self.path.exists() else 0
        if size > self.max_bytes:
            self.prune(int(0.9 * self.max_bytes))  # not at every run again
        with self._guarded():
            self._db.close()

    def _write_uses(self) -> None:
        with self._lock:
            used, self._used = self._used, []
        if used:
            now = int(time.time())
            with self._guarded(), self._lock, self._transaction():
                self._db.executemany(
                    "UPDATE features SET used = ? WHERE source = ? AND sha = ?", [(now, *row) for row in used]
                )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite itself takes some failed ones back
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # the last of a damaged table's name
            reason = str(error)
            if isinstance(error, sqlite3.OperationalError | OSError) and "malformed" not in reason:
                step = f"Free some space, or set {CACHE_ENVIRONMENT} to another folder"
            else:
                step = "Delete the file, which is only a cache"
            raise OutputError(
                f"{self.path}: the cache cannot be used ({reason}). {step}; finished work is not lost."
            ) from error


def open_store() -> Store:
    """The cache of this machine: `features.sqlite` in $IGMU_CACHE, else $XDG_CACHE_HOME/igmu, else ~/.cache/igmu.

    Raises:
        OutputError: it cannot be written, or is damaged.
        InputError: $IGMU_CACHE_GB is not a size.
    """
    return Store(cache_folder() / FILE, bound())


def bound() -> int:
    """The maximum size of the cache after a run in bytes: $IGMU_CACHE_GB, 10 GB by default."""
    given = os.environ.get(SIZE_ENVIRONMENT) or DEFAULT_GB
    try:
        size = float(given)
    except ValueError:
        size = float("nan")
    if not 0 <= size < 1e9:
        raise InputError(f"{SIZE_ENVIRONMENT} is {given!r}. Set it to a number of gigabytes.")
    return int(size * 1e9)


def _encoded(value: FloatArray) -> bytes:
    """The numbers as float32 where that loses nothing (networks compute in it), else as float64."""
    with np.errstate(over="ignore", under="ignore"):
        short = value.astype("<f4")
    if np.array_equal(short.astype(np.float64), value):
        return b"f" + short.tobytes()
    return b"d" + value.astype("<f8").tobytes()


def _number(key: str) -> int:
    """What the rows of a network are numbered: a hash of its key, in SQLite's 64 bits."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True)


def _checksum(content: bytes, key: str, sha: bytes) -> bytes:
    return hashlib.blake2b(content + sha + key.encode(), digest_size=_CHECKSUM, person=b"igmu cache").digest()


def _signed(content: bytes, key: str, sha: bytes = b"") -> bytes:
    """What is stored: a content with its checksum behind it."""
    return content + _checksum(content, key, sha)


def _checked(blob: Any, key: str, sha: bytes = b"") -> bytes | None:
    """The content out of `_signed`; None if it is not what was stored there, of this key and image."""
    if not isinstance(blob, bytes):
        return None
    content, told = blob[:-_CHECKSUM], blob[-_CHECKSUM:]
    return content if told == _checksum(content, key, sha) else None


def _decoded(blob: bytes) -> FloatArray:
    kind: Any = {b"f": "<f4", b"d": "<f8"}[blob[:1]]
    return np.frombuffer(blob, kind, offset=1).astype(np.float64)
