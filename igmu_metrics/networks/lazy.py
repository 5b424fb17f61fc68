"""Networks that are described without being loaded: a run with only known images needs no network.

Conventions: the description of a loaded network (`Known`) is a note in the cache, under a key of everything that it
depends on: the spec and its options, the content of every file that is read, and the versions of igmu and of the
libraries. The network is loaded when the first unknown image or text needs it, and must match the note. Only the *hash*
of a weight file is trusted without reading the file, as long as its inode, size and times are unchanged. Without a
cache, nothing is trusted.

This works for modules that have `files(argument, **options)`: it returns the files that `load` reads for these
arguments, or None if they are unknown (then the network is loaded at once). `files` imports nothing heavy and needs no
connection.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from glob import glob
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import igmu_data
from igmu_data.errors import IgmuError, WeightsError
from igmu_data.files import sha256
from igmu_data.taxonomy import own_files
from igmu_metrics.contract import one_line
from igmu_metrics.networks.instruments import ErrorRates, InstrumentInfo
from igmu_metrics.networks.store import Store

# What code asks of an instrument. Whether it has a method is known without opening it; so are the values.
_METHODS: Final = frozenset(
    (
        *("prepare", "extract", "compare", "image_features", "text_features", "cut_texts", "image_distance"),
        *("probabilities", "answers"),
    )
)
_VALUES: Final = frozenset(("preparation", "batch", "logit_scale", "logit_bias"))
_ROUNDING: Final = frozenset({"batch"})  # may differ between machines, and changes no number
_LIBRARIES: Final = ("torch", "torchvision", "transformers", "tokenizers", "safetensors", "numpy", "pillow")
_OPTIONAL: Final = ("lpips", "torch-fidelity", "nudenet", "onnxruntime")
_SETTLED: Final = 2 * 10**9  # nanoseconds: a file may change again within one tick of its clock, unseen
# Images are prepared on several threads, and libraries are not made to be imported on two at once.
_OPENING: Final = threading.RLock()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about a detector or backbone before it is loaded.

    Args:
        info: its description.
        methods: the optional methods that it has.
        values: its other attributes.
        reads: the backbones and extractors that a detector reads; None if it reads images.
    """

    info: InstrumentInfo
    methods: frozenset[str]
    values: Mapping[str, str | int | float]
    reads: tuple[Known, ...] | None = None

    @classmethod
    def of(cls, one: Any) -> Known:
        """The description of a loaded detector or backbone."""
        values = {name: getattr(one, name) for name in sorted(_VALUES) if hasattr(one, name)}
        reads = getattr(one, "reads", None)
        methods = frozenset(name for name in _METHODS if hasattr(one, name))
        return cls(one.info, methods, values, None if reads is None else tuple(map(cls.of, reads)))

    def same(self, other: Known) -> bool:
        """Whether both give the same numbers."""
        return self._numbers() == other._numbers()

    def _numbers(self) -> tuple[Any, ...]:
        values = {name: value for name, value in self.values.items() if name not in _ROUNDING}
        reads = None if self.reads is None else tuple(one._numbers() for one in self.reads)
        return self.info, self.methods, values, reads

    def text(self) -> str:
        """As JSON; raises a TypeError if something in it cannot be converted."""
        return json.dumps(self, default=_plain, ensure_ascii=False)

    @classmethod
    def parsed(cls, text: str) -> Known:
        """The inverse of `text`."""
        return cls._from(json.loads(text))

    @classmethod
    def _from(cls, given: Mapping[str, Any]) -> Known:
        told = dict(given["info"])
        told["concepts"] = None if told["concepts"] is None else frozenset(told["concepts"])
        told["error_rates"] = {concept: ErrorRates(**rates) for concept, rates in told["error_rates"].items()}
        reads = None if given["reads"] is None else tuple(map(cls._from, given["reads"]))
        return cls(InstrumentInfo(**told), frozenset(given["methods"]), given["values"], reads)


class Lazy:
    """A detector or backbone that is loaded when something is needed that only the network can give.

    Args:
        known: its description.
        open_one: loads it.
    """

    def __init__(self, known: Known, open_one: Callable[[], Any]) -> None:
        self.info = known.info
        self.reads = (
            None if known.reads is None else tuple(Lazy(k, partial(self._read, i)) for i, k in enumerate(known.reads))
        )
        self._known, self._open_one = known, open_one
        self._one: Any = None

    def opened(self) -> Any:
        """The detector or backbone itself."""
        with _OPENING:
            if self._one is None:
                self._one = self._open_one()
            return self._one

    def __getattr__(self, name: str) -> Any:
        if name in _VALUES and name in self._known.values:
            return self._known.values[name]
        if name in _METHODS and name in self._known.methods:
            return partial(self._call, name)
        if name in _VALUES | _METHODS or name.startswith("__"):
            raise AttributeError(f"{self.info.name} has no {name!r}")
        return getattr(self.opened(), name)

    def _call(self, name: str, *given: Any, **named: Any) -> Any:
        return getattr(self.opened(), name)(*given, **named)

    def _read(self, i: int) -> Any:
        return self.opened().reads[i]


def instrument(module: ModuleType, argument: str | None, options: Mapping[str, Any], store: Store | None) -> Any:
    """The detector or backbone of a module, not loaded yet if the store has a note of it.

    Args:
        module: of a detector or backbone.
        argument: of its spec.
        options: of its `load`.
        store: contains the notes; None to load it now.
    """
    load = partial(_load, module, argument, options)
    key = None if store is None else _key(module, argument, options, store)
    if store is None or key is None:
        return load()
    if (text := store.note(key)) is not None:
        known = Known.parsed(text)
        return Lazy(known, partial(_open_again, load, known, key, store))
    one = load()
    known = Known.of(one)
    # Not of files that changed while they were read.
    if (text := _noted(known)) is not None and _key(module, argument, options, store) == key:
        store.keep_note(key, text)
    return one


def _load(module: ModuleType, argument: str | None, options: Mapping[str, Any]) -> Any:
    """What a module loads; whatever the libraries that read its files raise on damaged ones becomes a typed error."""
    try:
        return module.load(argument, **options)
    except (IgmuError, MemoryError):
        raise
    except Exception as error:
        name = module.__name__.rsplit(".", 1)[-1]
        raise WeightsError(
            f"{name}{f':{argument}' if argument else ''} cannot be loaded ({one_line(error)}). Download or save its "
            "files again."
        ) from error


def _open_again(load: Callable[[], Any], known: Known, key: str, store: Store) -> Any:
    one = load()
    if not known.same(Known.of(one)):
        store.drop_note(key)
        raise WeightsError(
            f"{known.info.name} is not the network in the cache (revision {one.info.revision} instead of "
            f"{known.info.revision}). Its files may have just changed, so score again. If this happens again, clear "
            "the cache with 'igmu cache prune --max-gb 0'."
        )
    return one


def _noted(known: Known) -> str | None:
    """As a note that gives the same again; None where there is no such note."""
    try:
        text = known.text()
        return text if Known.parsed(text).same(known) else None
    except (TypeError, ValueError):
        return None


def _key(module: ModuleType, argument: str | None, options: Mapping[str, Any], store: Store) -> str | None:
    """Of everything that an instrument's description follows from; None where that is not known."""
    files: Callable[..., Sequence[Path] | None] | None = getattr(module, "files", None)
    plain = all(value is None or isinstance(value, str | int | float | bool) for value in options.values())
    if files is None or not plain or not sys.platform.startswith(("linux", "darwin")):
        return None
    try:
        paths = files(argument, **options)
        if not paths:
            return None
        own = [] if module.__file__ is None else [Path(module.__file__)]
        own += own_files().values()  # of concepts that it may know
        contents = [(os.path.abspath(path), _content(path, store)) for path in (*own, *paths)]
    except (IgmuError, OSError):
        return None  # opening it says what is wrong
    told = [module.__name__, argument, sorted(options.items()), contents, _software(), _machine()]
    return f"instrument:{hashlib.sha256(json.dumps(told).encode()).hexdigest()}"


def _content(path: Path, store: Store) -> str:
    """SHA-256 of a file, from a note if its state is the same as when that was written."""
    key, state = f"file:{os.path.abspath(path)}", _state(path)
    if (text := store.note(key)) is not None:
        *before, found = json.loads(text)
        if before == state:
            return str(found)
    now, found = time.time_ns(), sha256(path)
    if _state(path) == state and now - max(state[-2:]) > _SETTLED:
        store.keep_note(key, json.dumps([*state, found]))
    return found


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


@cache
def _software() -> list[Any]:
    """Versions of what describes and runs networks, and igmu's own files, which change between versions too."""
    versions: list[Any] = []
    for name in ("igmu", *_LIBRARIES, *_OPTIONAL):
        try:
            versions.append((name, version(name)))
        except PackageNotFoundError:
            versions.append((name, igmu_data.__version__ if name == "igmu" else None))
    sources = []
    for package in (Path(igmu_data.__file__).parent, Path(__file__).parents[1]):
        for path in sorted(p for p in package.rglob("*") if p.suffix in (".py", ".toml")):
            found = path.stat()
            sources.append((str(path), found.st_size, found.st_mtime_ns))
    return [versions, hashlib.sha256(json.dumps(sources).encode()).hexdigest()]


def _machine() -> list[Any]:
    """What decides where a network runs if nothing is asked for, without torch."""
    devices = sorted(path for kind in ("nvidia[0-9]*", "kfd", "dxg") for path in glob(f"/dev/{kind}"))
    seen = [os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")]
    return [sys.platform, devices, seen]


def _plain(value: Any) -> Any:
    if isinstance(value, Known):
        info = asdict(replace(value.info, settings=dict(value.info.settings), error_rates=dict(value.info.error_rates)))
        return {"info": info, "methods": value.methods, "values": value.values, "reads": value.reads}
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be stored in a note")
