"""A folder of images that is made in n parts: by array jobs, by Ray's workers, or one after the other.

Conventions: part i of n (from 1) has all seeds of the prompts that hash to it, for every model and on every machine. It
is a separate folder inside the whole, `part-00002-of-00008`, with images and lists like any other folder of images, so
that no process waits for another. Merging puts the images where a single run would have put them, by links if the disk
supports them, and writes the same lists. If merging is interrupted, run it again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from igmu_data.errors import IgmuError, InputError, MetadataError, OutputError
from igmu_data.files import beside, owned
from igmu_metrics.images import sequential
from igmu_metrics.images.files import content_hash
from igmu_metrics.images.folder import FAILED, MODEL, TIMES, Folder, Key, Record, records
from igmu_metrics.images.layouts import METADATA, PART, part_folders

_SPEC: Final = re.compile(r"(\d+)/(\d+)")
_OF_MODEL: Final = ("model", "revision", "dtype", "compiled")
_DONE: Final = ".done"


def parsed(shard: str) -> tuple[int, int]:
    """`i/n` as numbers, 1 ≤ i ≤ n.

    >>> parsed("2/8")
    (2, 8)

    Raises:
        InputError: anything else.
    """
    match = _SPEC.fullmatch(shard)
    i, n = map(int, match.groups()) if match else (0, 0)
    if not 1 <= i <= n:
        raise InputError(f"shard is {shard!r}; it must have the form i/n with 1 <= i <= n, such as 2/8.")
    return i, n


def home(row: str, n: int) -> int:
    """Which of n parts, from 1, a prompt belongs to, with all its seeds.

    >>> home("object/church/forget/1", 1)
    1
    """
    return 1 + int.from_bytes(hashlib.sha256(row.encode()).digest()[:8], "big") % n


def place(folder: Path, i: int, n: int) -> Path:
    """The folder of part i of n."""
    return folder / f"part-{i:05d}-of-{n:05d}"


@contextmanager
def making(part: Path) -> Iterator[None]:
    """Make a part: it counts as finished only when the block ends without an error, even if it was finished before.

    A part without prompts is a folder, too.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        part.mkdir(parents=True, exist_ok=True)
        (part / _DONE).unlink(missing_ok=True)
        yield
        (part / _DONE).touch()
    except OSError as error:
        if isinstance(error, IgmuError):
            raise
        raise OutputError(f"{part} cannot be written ({error.strerror}). Choose another --out.") from error


def finished(folder: Path) -> set[Key]:
    """The generations that a folder has or that failed there, not counting its parts."""
    return {*records(folder / METADATA), *records(folder / FAILED)}


def join(out: Path, folders: Sequence[Path] = ()) -> int:
    """Merge parts; the sources stay in place, except parts of `out` itself.

    Args:
        out: folder of the whole; may be one of the others, or contain parts.
        folders: parts, or folders with parts, elsewhere.

    Returns:
        The number of images in `out`.

    Raises:
        MetadataError: a part that is missing, not finished, or of a different model, or two images of one generation.
        BusyError: another process is writing to one of them.
        OutputError: `out` cannot be written.
    """
    with owned(out):
        gather(out, folders)
        return len(records(out / METADATA))


def gather(out: Path, folders: Sequence[Path] = (), *, whole: bool = True) -> None:
    """Like `join`, for the owner of `out`.

    Args:
        out: folder of the whole.
        folders: of the other parts.
        whole: refuse to leave a part out; otherwise use whatever exists.
    """
    own = part_folders(out)
    others = [f for f in folders if f.resolve() != out.resolve()]
    homes = [*own, *(p for f in others for p in (part_folders(f) or [f]))]
    if not homes:
        return
    if whole:
        _require_whole([h for h in homes if PART.fullmatch(h.name)], out)
    with ExitStack() as held:
        for one in homes:
            held.enter_context(owned(one))
        lists = {name: _together([out, *homes], name) for name in (METADATA, FAILED)}
        _require_one_model([r for found in lists.values() for r, _ in found.values()], out)
        try:
            for record, at in lists[METADATA].values():
                _put(at / record["file_name"], out / record["file_name"], record)
            for one in homes:
                for name in (TIMES, MODEL):
                    _keep(one / name, out / name)
                if (look := sequential.recorded(one)) is not None:
                    sequential.record(out, look, sequential.asked(one) or ())
        except OSError as error:
            raise OutputError(f"{out} cannot be written ({error.strerror}). Choose another --out.") from error
        drawn, failed = ({key: record for key, (record, _) in lists[name].items()} for name in (METADATA, FAILED))
        Folder(out, {}, drawn, failed).close()
    for one in own:
        shutil.rmtree(one, ignore_errors=True)


def _require_whole(homes: Sequence[Path], out: Path) -> None:
    names = {home.name for home in homes}
    counts = {int(name.rpartition("-")[2]) for name in names}
    if len(counts) > 1:
        each = " and ".join(map(str, sorted(counts)))
        raise MetadataError(
            f"{out} contains parts from runs that were divided differently (into {each} parts). Merge only parts of "
            "the same run."
        )
    n = max(counts, default=0)
    if missing := [f"{i}/{n}" for i in range(1, n + 1) if place(out, i, n).name not in names]:
        raise MetadataError(
            f"{out}: some parts are missing ({', '.join(missing)}). Generate them with 'igmu generate --shard' or "
            "'igmu run --shard'."
        )
    for home in homes:
        if not (home / _DONE).is_file():
            raise MetadataError(f"{home} is not finished. Run this part again; it will resume where it left off.")


def _together(homes: Sequence[Path], name: str) -> dict[Key, tuple[Record, Path]]:
    """Every line of a list, and the folder that has it; the first one where several say the same."""
    found: dict[Key, tuple[Record, Path]] = {}
    for one in homes:
        for key, record in records(one / name).items():
            before, at = found.setdefault(key, (record, one))
            if before != record:
                raise MetadataError(
                    f"{one / name}: row {key[0]!r} with seed {key[1]} differs from the same row and seed in {at}. Keep "
                    "only one of them."
                )
    return found


def _require_one_model(found: Sequence[Record], out: Path) -> None:
    made = {tuple(str(record.get(name, "")) for name in _OF_MODEL) for record in found}
    if len(made) > 1:
        told = " and ".join(sorted("@".join(filter(None, m)) for m in made))
        raise MetadataError(
            f"{out} contains parts of more than one model ({told}). Keep the parts of each model in a separate folder."
        )


def _put(source: Path, target: Path, record: Record) -> None:
    """An image in its place, once."""
    if source == target or (target.is_file() and content_hash(target) == record.get("sha256")):
        return
    if not source.is_file():
        raise MetadataError(f"{source} is listed in the metadata, but is missing. Run this part again.")
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        with beside(target) as new:
            shutil.copyfile(source, new)


def _keep(source: Path, target: Path) -> None:
    """What a part says of its model, and of the time that it took."""
    if not source.is_file():
        return
    if target.name == MODEL and target.is_file():
        return
    lines = source.read_bytes()
    before = target.read_bytes() if target.is_file() else b""
    if lines not in before:  # whoever was killed while joining has kept them
        with beside(target) as new:
            new.write_bytes(before + lines)
