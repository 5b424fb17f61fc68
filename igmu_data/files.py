"""Files: written under a temporary name and renamed, named by their content, and written by one process at a time.

**Who owns a place.** The owner has a lock of the operating system (flock) on a small file in the folder, or next to
the file, that is written to; the small file says who the owner is. The kernel releases the lock when its owner ends,
for whatever reason, and on network drives that support it (NFS, CIFS, CephFS) it works across machines. Where there is
no lock (some cluster drives, Windows), the content of the file decides: an owner on this machine is dead if no process
has its number and start time; one on another machine counts as alive until somebody deletes the file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import socket
import stat
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

from igmu_data.errors import BusyError, ChecksumError, CorpusError, IgmuError, InputError, MetadataError, OutputError
from igmu_data.media import unnameable, visible

if sys.platform != "win32":
    import fcntl

MANIFEST: Final = "manifest.json"
# What JSON can write and no file's name can hold.
_NO_TEXT: Final = re.compile(r"\\u(0000|d[89a-f])", re.IGNORECASE)
_NO_FLOCK: Final = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_TRIES: Final = 5
_MOMENT: Final = 0.2  # seconds in which another process that saw the same dead owner has written its own name


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A place to write to that becomes `path` when the block ends well, and vanishes when it does not.

    What is in place is whole and on the disk: lists of finished files may name it.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        yield part
        with part.open("r+b") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        if part.is_file():
            part.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove the half-written files of killed processes from a folder; nobody else may be writing to it now."""
    for part in folder.glob(".*.new"):
        part.unlink()


def irregular(path: Path) -> str:
    """What a path leads to if not to a file, as reading a pipe or a device would never end; "" for a file.

    Raises:
        OSError: nothing is there, or links lead in a circle.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return ""
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for of, name in kinds if of(mode)), "a device")


def read_text(path: Path, advice: str = "Check the path and its permissions.") -> str:
    """The text of a file in UTF-8, without a byte order mark.

    Args:
        path: of the file.
        advice: what to do where it cannot be read.

    Raises:
        MetadataError: it does not exist, is not a file, or is not UTF-8.
    """
    try:
        if what := irregular(path):
            raise MetadataError(f"{path} cannot be read because it is {what}. {advice}")
        with path.open("rb") as file:
            require_text(path, file.read(8))
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise MetadataError(
            f"{path}, line {number}: this line cannot be decoded as UTF-8 ({error.reason}). Save the file as UTF-8."
        ) from error
    except OSError as error:
        raise MetadataError(f"{path} cannot be read ({error.strerror}). {advice}") from error


def require_text(path: Path, start: bytes) -> None:
    """Refuse what spreadsheets save instead of text in UTF-8.

    Args:
        path: of the file, for messages.
        start: its first bytes.

    Raises:
        MetadataError: a workbook (or another ZIP archive), or text in UTF-16.
    """
    known = {b"PK\x03\x04": "an Excel workbook or another ZIP archive", b"\xd0\xcf\x11\xe0": "an Excel workbook"}
    known |= dict.fromkeys((b"\xff\xfe", b"\xfe\xff"), "text in UTF-16")
    for magic, what in known.items():
        if start.startswith(magic):
            raise MetadataError(
                f"{path} is {what}, not UTF-8 text. Save the file as UTF-8; in a spreadsheet program, export it as CSV "
                "with UTF-8 encoding."
            )


def here(folder: Path, name: str) -> Path:
    """The path of a file that a table names relative to a folder, with separators of this system or of Windows."""
    place = folder / name
    return folder / name.replace("\\", "/") if "\\" in name and not place.exists() else place


def parse_json(text: str, where: str, advice: str) -> Any:
    """A JSON value out of text that anybody may have written.

    Args:
        text: the text.
        where: its source, for messages.
        advice: what to do if it is not JSON.

    Raises:
        MetadataError: not JSON, nested too deeply, a number of thousands of digits, or a text that is not Unicode.
    """
    try:
        value = json.loads(text)
        if _NO_TEXT.search(text):
            whole = json.dumps(value, ensure_ascii=False)
            whole.encode()
            if "\\u0000" in whole:
                raise ValueError("a text contains a null character")
    except (ValueError, RecursionError) as error:
        why = getattr(error, "msg", None) or getattr(error, "reason", None) or str(error).partition(";")[0]
        raise MetadataError(f"{where} cannot be read as JSON ({why}). {advice}") from error
    return value


def read_yaml(path: Path, keys: Iterable[str]) -> dict[str, Any]:
    """The keys and values of a YAML file that a user wrote; no code in it is run.

    Args:
        path: of the file.
        keys: that it may have, for messages.

    Raises:
        InputError: it cannot be read, has no keys, or has a key twice.
    """
    import yaml

    try:
        given = yaml.load(read_text(path, "Specify a YAML file."), Loader=_loader())
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path} is not valid YAML ({' '.join(str(error).split())[:200]}). Correct it.") from error
    if not isinstance(given, dict):
        raise InputError(f"{path} contains no keys. Possible keys are {', '.join(keys)}.")
    return given


@cache
def _loader() -> Any:
    """YAML's safe loader, without its habit of taking the last of two values that one key has."""
    import yaml

    class Once(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if twice := [name for name in names if names.count(name) > 1]:
                raise yaml.constructor.ConstructorError(None, None, f"the key {twice[0]!r} appears twice")
            return super().construct_mapping(node, deep)

    return Once


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """The manifest of a corpus folder: `name`, `version` and `files` with their SHA-256; None without a manifest.

    Raises:
        CorpusError: it cannot be read, or lacks one of these.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    advice = "Build or download the folder again."
    try:
        found = parse_json(read_text(path, advice), str(path), advice)
    except MetadataError as error:
        raise CorpusError(str(error)) from error
    if not (isinstance(found, dict) and {"name", "version"} <= found.keys() and isinstance(found.get("files"), dict)):
        raise CorpusError(
            f"{path} is not a valid manifest; a manifest must have the keys 'name', 'version' and 'files'. {advice}"
        )
    return found


def require_as_listed(folder: Path, paths: list[Path]) -> None:
    """Refuse files that are not those that their folder's manifest lists.

    Raises:
        ChecksumError: one was changed, or is not listed.
        CorpusError: the manifest cannot be read.
    """
    manifest = manifest_of(folder)
    for path in paths if manifest is not None else ():
        name = path.relative_to(folder).as_posix()
        if manifest is not None and manifest["files"].get(name) != sha256(path):
            why = "its content differs" if name in manifest["files"] else "it is not listed there"
            raise ChecksumError(
                f"{path} does not match {MANIFEST} ({why}), so its prompts may have changed. Build or download the "
                "folder again."
            )


def sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces.

    Raises:
        InputError: a pipe or a device, which would never end.
        OSError: it cannot be read.
    """
    if what := irregular(path):
        raise InputError(f"{path} is {what}, not a file. Specify the path of a file.")
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def require_writable(folder: Path) -> None:
    """Find out before any work whether files can be written to a folder, which need not be there yet.

    Raises:
        OutputError: what exists of it is not a folder, or not a writable one.
    """
    nearest = folder
    try:
        while not nearest.exists():
            nearest = nearest.parent
        if nearest.is_dir():
            with TemporaryFile(dir=nearest):  # permissions alone say nothing of root, or of what is mounted there
                return
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}. Choose another --out.") from error
    raise OutputError(f"cannot write to {nearest}: it is not a writable folder. Choose another --out.")


def require_own(path: Path, own: Callable[[Path], object]) -> None:
    """Refuse to replace a file that igmu did not write; an empty file contains nothing to lose.

    Args:
        path: of the output; there may be nothing yet.
        own: reads a file of this kind; returns False or raises an `IgmuError` if igmu did not write it.

    Raises:
        OutputError: there is another file.
    """
    try:
        if not path.exists() or path.is_dir() or (path.is_file() and not path.stat().st_size):
            return
        known = not irregular(path) and own(path) is not False
    except (IgmuError, OSError):
        known = False
    if not known:
        raise OutputError(
            f"{path} already exists, and it is not an earlier output of this kind that igmu wrote. Choose another "
            "--out, or move the file."
        )


def begins(start: re.Pattern[str]) -> Callable[[Path], bool]:
    """For `require_own`: whether a text file begins in a certain way."""
    return lambda path: start.match(read_text(path)) is not None


@contextmanager
def owned(folder: Path | None = None, *, files: Iterable[Path] = ()) -> Iterator[None]:
    """Be the only process that writes to a folder, or some files, until the block ends.

    Args:
        folder: made if it is not there.
        files: single files of folders that others may write other files to.

    Raises:
        BusyError: somebody else is writing there: who, and since when.
        OutputError: the place cannot be written to.
    """
    locks = {} if folder is None else {folder / ".igmu.lock": folder}
    locks |= {file.with_name(f".{file.name}.lock"): file for file in files}
    with ExitStack() as held:
        for path, place in locks.items():
            try:
                held.push(partial(_unmake, [at for at in (path.parent, *path.parent.parents) if not at.exists()]))
                path.parent.mkdir(parents=True, exist_ok=True)
                held.callback(_let_go, path, _taken(path, place))
            except BusyError:
                raise
            except OSError as error:
                raise OutputError(f"{place} cannot be written ({error.strerror}). Choose another --out.") from error
        yield


def _taken(path: Path, place: Path) -> int:
    """The lock's open file."""
    for _ in range(_TRIES):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            known, owner, me = _flock(handle), _owner(path), _me()
            if known is False or (known is None and _alive(owner)):
                if owner:
                    raise BusyError(place, owner, path)
            elif _is_at(handle, path):
                os.ftruncate(handle, 0)
                os.write(handle, json.dumps(me).encode())
                if known is None:
                    time.sleep(_MOMENT)
                    if (owner := _owner(path)) != me:
                        raise BusyError(place, owner, path)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        time.sleep(_MOMENT / _TRIES)  # its owner has not written its name yet, or has just let go
    raise BusyError(place, {}, path)


def _unmake(folders: Iterable[Path], kind: type[BaseException] | None, *_: object) -> None:
    """After an error, take away the folders that were made for what then did not come, innermost first."""
    with suppress(OSError):  # something came
        for folder in folders if kind is not None else ():
            folder.rmdir()


def _is_at(handle: int, path: Path) -> bool:
    """Whether the file is still in its place: its last owner may have removed it after we opened it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _let_go(path: Path, handle: int) -> None:
    if sys.platform == "win32":
        os.close(handle)  # Windows removes no open file
        path.unlink(missing_ok=True)
        return
    with suppress(OSError):  # the folder may be gone
        path.unlink()  # while the lock holds
    os.close(handle)


def _flock(handle: int) -> bool | None:
    """Whether the system gave us the lock; None where it has none to give."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
        return None
    return True


def _me() -> dict[str, Any]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"pid": os.getpid(), "host": socket.gethostname(), "started": _started(os.getpid()), "since": now}


def _owner(path: Path) -> dict[str, Any]:
    """What a lock's file says; nothing where it is empty or torn."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _alive(owner: dict[str, Any]) -> bool:
    pid = owner.get("pid")
    if sys.platform == "win32" or not isinstance(pid, int) or owner.get("host") != socket.gethostname():
        return bool(owner)  # on Windows, asking whether a process is there would end it
    return running(pid) and owner.get("started") == _started(pid)


def running(pid: int) -> bool:
    """Whether there is a process of this number on this machine (not on Windows, where asking would end it)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        pass
    return True


def _started(pid: int) -> str:
    """When a process of this machine began, in the kernel's count, as numbers are given out again; "" if unknown."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, ValueError, IndexError):
        return ""


def file_name(text: str) -> str:
    """A text as the name of a file or folder, where it is one.

    Raises:
        InputError: it names another place or nothing, or has what cannot be seen.

    >>> file_name("esd[lr=1e-5]")
    'esd[lr=1e-5]'
    """
    if text.startswith(".") or "/" in text or "\\" in text or unnameable(text):
        raise InputError(f"{visible(text)[:80]!r} cannot be used as a file name. Rename the folder.")
    return text


def require_nameable(model: str, where: Path) -> None:
    """Refuse what cannot be a model's name.

    Args:
        model: the last name of its folder, or what a table says.
        where: the folder or table.

    Raises:
        InputError: empty, too long, or with what cannot be seen.
    """
    if why := unnameable(model):
        raise InputError(
            f"{visible(where)}: {visible(model)[:80]!r} cannot be used as the name of a model, because {why}. Rename "
            "the model."
        )
