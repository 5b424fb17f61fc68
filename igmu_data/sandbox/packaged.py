"""The packaged models of the sandbox: shared parts, put together into folders that `from_pretrained` loads.

Conventions: a *version* is `original` or one way of having forgotten, a *task* the concept it forgot (`object/church`,
or `church` for short). `models/versions.json` says which parts a version has for which task; the task `""` stands for
all. Versions share most parts, so the package holds each part once, and a folder is put together when it is asked for.
A part `unet-original+unet-esd-church` is the first one with those tensors that the second holds in its CHANGES.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from igmu_data import __version__
from igmu_data.errors import OutputError, UnknownTaskError, UnknownVersionError, WeightsError
from igmu_data.files import sha256
from igmu_data.sandbox.world import world
from igmu_data.taxonomy import SANDBOX

VERSIONS: Final = ("original", "gold", "esd", "uce", "filter", "collapsed")
ROOT_ENVIRONMENT: Final = "IGMU_SANDBOX"
CACHE_ENVIRONMENT: Final = "IGMU_CACHE"
CHANGES: Final = "changes.safetensors"
_INDEX: Final = "model_index.json"
_LISTED: Final = "versions.json"
_TOKENIZER: Final = "tokenizer_config.json"
_ALL_TASKS: Final = ""
_MAKE: Final = "python -m builders.sandbox"


def root() -> Path:
    """The folder of `models/` and `bench/`: the package's own, or the one that IGMU_SANDBOX names."""
    return Path(elsewhere() or Path(__file__).parent)


def elsewhere() -> str | None:
    """The folder that IGMU_SANDBOX puts in the package's place, if it names one."""
    return os.environ.get(ROOT_ENVIRONMENT) or None


@contextmanager
def using(folder: Path) -> Iterator[None]:
    """Put another folder of `models/` and `bench/` in the package's place until the block ends."""
    before = os.environ.get(ROOT_ENVIRONMENT)
    try:
        os.environ[ROOT_ENVIRONMENT] = os.path.abspath(folder)
        yield
    finally:
        os.environ.pop(ROOT_ENVIRONMENT, None)
        os.environ |= {} if before is None else {ROOT_ENVIRONMENT: before}


def tasks() -> tuple[str, ...]:
    """The concepts that the models in `root()` have forgotten: those of the package, then what another root adds."""
    given = world().tasks
    if elsewhere() is None:
        return given
    try:
        listed = json.loads((root() / "models" / _LISTED).read_text(encoding="utf-8"))["gold"]
        return (*given, *(name for name in world().known if name in listed and name not in given))
    except (OSError, ValueError, LookupError, TypeError):
        return given  # whoever needs the models is told what is wrong with them


def bench_folder() -> Path:
    """The embedded dataset repository: the prompts of the sandbox with images that `original` generated."""
    return root() / "bench"


def part(name: str) -> Path:
    """The folder of one part inside the package, such as `clip` or `detector`.

    Raises:
        WeightsError: the package has no models, or not this part.
    """
    found = _models() / name
    if not found.is_dir():
        raise WeightsError(f"{found} is missing, so the packaged models are incomplete. Run: {_MAKE}")
    return found


def model_folder(version: str, task: str | None = None) -> Path:
    """A complete `StableDiffusionPipeline` folder of one version, put together in the cache (`cache_folder`).

    Args:
        version: one of VERSIONS.
        task: the forgotten concept, as id or slug; None for a version that is the same for every task.

    Returns:
        The folder. Its name holds a hash of its parts, so that other weights never meet an old folder.

    Raises:
        UnknownVersionError, UnknownTaskError: with the nearest names.
        WeightsError: the package has no models, or not all parts.
        OutputError: the cache cannot be written.
    """
    name, parts = _resolved(version, task)
    files = _files(parts)
    content = {place: [sha256(source) for source in sources] for place, sources in sorted(files.items())}
    digest = hashlib.sha256(json.dumps([__version__, content]).encode()).hexdigest()[:16]
    folder = cache_folder() / SANDBOX / f"{name.replace('/', '-')}-{digest}"
    if not _complete(folder, files):
        _assemble(folder, files)
    return folder


def cache_folder() -> Path:
    """Where folders are put together unless told otherwise."""
    if given := os.environ.get(CACHE_ENVIRONMENT):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "igmu"


def version_name(version: str, task: str | None = None) -> str:
    """What a version is called in specs and scorecards: `original`, `esd/church`.

    Raises:
        UnknownVersionError, UnknownTaskError: with the nearest names.
        WeightsError: the package has no models.
    """
    return _resolved(version, task)[0]


def _models() -> Path:
    folder = root() / "models"
    if not folder.is_dir():
        raise WeightsError(
            f"{folder} is missing, so this copy of igmu has no sandbox models, like a source checkout before training. "
            f"Run: {_MAKE} (or install the wheel)."
        )
    return folder


def _resolved(version: str, task: str | None) -> tuple[str, dict[str, str]]:
    """A version's name, and the part for each place of its folder."""
    if version not in VERSIONS:
        raise UnknownVersionError(version, VERSIONS, f"Use {SANDBOX}:original or {SANDBOX}:esd/church.")
    slug = (task or "").rpartition("/")[2]
    known = [*tasks(), *(name.partition("/")[2] for name in tasks())]
    if task is not None and task not in known:
        raise UnknownTaskError(task, known, f"Use {SANDBOX}:{version}/church.")
    path = _models() / _LISTED
    try:
        listed: Any = json.loads(path.read_text(encoding="utf-8"))[version]
        if _ALL_TASKS in listed:
            return version, dict(listed[_ALL_TASKS])
        by_slug = {name.partition("/")[2]: dict(parts) for name, parts in listed.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} contains no valid entry for {version!r} ({error!r}). Run: {_MAKE}") from error
    if slug not in by_slug:
        wanted = " or ".join(f"{SANDBOX}:{version}/{name}" for name in by_slug)
        raise UnknownTaskError(task or "", by_slug, f"Specify what {version} forgot, as in {wanted}.")
    return f"{version}/{slug}", by_slug[slug]


def _files(parts: Mapping[str, str]) -> dict[str, list[Path]]:
    """For every file of a version's folder, by its place in it: where it comes from, and what changes its tensors."""
    index = _models() / _INDEX
    if not index.is_file():
        raise WeightsError(f"{index} is missing. Run: {_MAKE}")
    files = {_INDEX: [index]}
    for place, names in parts.items():
        base, *changes = (part(name) for name in names.split("+"))
        for path in (p for p in base.rglob("*") if p.is_file()):
            changed = [c / CHANGES for c in changes] if path.suffix == ".safetensors" else []
            files[f"{place}/{path.relative_to(base).as_posix()}"] = [path, *changed]
    return files


def _complete(folder: Path, files: Mapping[str, Sequence[Path]]) -> bool:
    """Whether a folder holds what it should, byte for byte: a cleaner of old files, or a disk, may have been at it.

    Asked at every call: reading both sides takes some hundredths of a second for a version.
    """
    try:
        return all((folder / name).read_bytes() == _content(name, files) for name in files)
    except OSError:
        return False


def _content(name: str, files: Mapping[str, Sequence[Path]]) -> bytes:
    """What a file of a version's folder holds."""
    source, *changes = files[name]
    if name == _INDEX:
        return _index(source, *files.get(f"tokenizer/{_TOKENIZER}", ()))
    return _exchanged(source, changes) if changes else source.read_bytes()


def _assemble(folder: Path, files: Mapping[str, Sequence[Path]]) -> None:
    """Copy the files beside the folder and rename; of two processes at once the first wins."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as work:
            fresh = Path(work, "new")
            for name, (source, *changes) in files.items():
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                if changes or name == _INDEX:
                    (fresh / name).write_bytes(_content(name, files))
                else:
                    shutil.copyfile(source, fresh / name)
            try:
                fresh.rename(folder)
            except OSError:
                if _complete(folder, files):  # another process was faster
                    return
                folder.rename(Path(work, "old"))
                fresh.rename(folder)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror}). Set {CACHE_ENVIRONMENT} to a folder with room for 30 MB."
        ) from error


def _exchanged(source: Path, changes: Sequence[Path]) -> bytes:
    """The weights of one file with those tensors that others hold instead."""
    from safetensors.numpy import load_file, save

    tensors = load_file(source)
    for change in changes:
        tensors |= load_file(change)
    return bytes(save(tensors, metadata={"format": "pt"}))


def _index(source: Path, tokenizer: Path | None = None) -> bytes:
    """The index with the tokenizer's own class: CLIPTokenizer would pass a filter in its files over."""
    if tokenizer is None:
        return source.read_bytes()
    name = json.loads(tokenizer.read_text(encoding="utf-8")).get("tokenizer_class", "CLIPTokenizer")
    index = json.loads(source.read_text(encoding="utf-8"))
    index["tokenizer"] = ["transformers", "CLIPTokenizer" if name.startswith("CLIP") else "PreTrainedTokenizerFast"]
    return (json.dumps(index, indent=1) + "\n").encode()
