"""Reads images ahead of the networks: threads open, check, decode and prepare the next images in the meantime.

Conventions: each file is opened once, and its bytes give both the content hash and the image. Only the inputs of
networks are passed on, not the image, so that memory contains a window of small arrays for images of any size.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from igmu_data.errors import ImageError
from igmu_metrics.contract import FloatArray
from igmu_metrics.networks.instruments import Extractor, feature_key
from igmu_metrics.networks.pairs import Pair, Pairs
from igmu_metrics.networks.store import SEEN, Store

if TYPE_CHECKING:
    from PIL.Image import Image

# Decoding is a small part of the work: more threads would only take the cores from the networks.
THREADS = min(4, os.cpu_count() or 1)
_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


def ahead(items: Iterable[_Item], work: Callable[[_Item], _Done], window: int) -> Iterator[_Done]:
    """The results of `work` for every item, in order, with at most `window` of them running or waiting."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="igmu-decode")
    waiting: deque[Future[_Done]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= window:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Loaded:
    """One image while it is processed.

    Args:
        sha256: of the file's bytes; "" for an image that was passed in decoded.
        stored: format, width, height and mode as stored; the format is "" for an image that was passed in decoded.
        blank: whether it is a single colour.
        known: values from the store, by key.
        inputs: inputs of the networks whose features are missing, by feature key.
        image: the image itself, if it is needed.
        pair: the image and its partner, if they are compared.
        error: why the image or its partner could not be read.
    """

    sha256: str = ""
    stored: tuple[str, int, int, str] = ("", 0, 0, "")
    blank: bool = False
    known: Mapping[str, FloatArray] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    image: Image | None = None
    pair: Pair | None = None
    error: ImageError | None = None


def load(
    image: Any,
    name: str,
    extractors: Sequence[Extractor],
    store: Store | None,
    *,
    answers: Sequence[tuple[str, Collection[str]]] = (),
    looks: Sequence[str] = (),
    keep_image: bool = False,
    pairs: Pairs | None = None,
    partner: Any = None,
) -> Loaded:
    """Read one image and prepare it once for every preparation that is still needed.

    Args:
        image: a path, or a PIL image.
        name: of an image that has no path, for messages.
        extractors: whose features are wanted.
        store: may contain values already.
        answers: for each detector whose answers depend only on the image: the answer's key ("" for none), and the keys
            of the features that only detectors need, and this one only if it has not answered yet.
        looks: keys of those answers for which the image itself is passed on, unless they are known.
        keep_image: always pass the image on; it is then read even if all features are known.
        pairs: measures the distance to the partner.
        partner: a path, or a PIL image; None if there is none.
    """
    try:
        one = _Opened.of(image, name)
        wanted = {feature_key(e): e for e in extractors}
        asked = [*wanted, *(key for key, _ in answers if key), SEEN]
        known = store.get(one.sha256, asked) if store is not None and one.sha256 else {}
        of_detectors = {feature for _, features in answers for feature in features}
        needed = {feature for key, features in answers if key and key not in known for feature in features}
        needless = of_detectors - needed
        missing = [e for key, e in wanted.items() if key not in known and key not in needless]
        keep_image |= any(key not in known for key in looks)
        other = _Opened.of(partner, f"partner of {name}") if pairs is not None and partner is not None else None
        pair = pairs.known(one.sha256, other.sha256) if pairs is not None and other is not None else None
        measured = pair is None or pair.known is not None
        if SEEN in known and not missing and not keep_image and measured:
            return Loaded(one.sha256, one.stored(), bool(known[SEEN][0]), known, pair=pair)
        pixels = one.decoded()
        extrema: Any = pixels.getextrema()  # of each channel
        blank = all(low == high for low, high in extrema)
        prepared = {e.preparation: e for e in missing}
        ready = {preparation: e.prepare(pixels) for preparation, e in prepared.items()}
        inputs = {feature_key(e): ready[e.preparation] for e in missing}
        if pairs is not None and other is not None and pair is not None and not measured:
            pair = replace(pair, inputs=(pairs.prepared(pixels), pairs.prepared(other.decoded())))
        return Loaded(one.sha256, one.stored(), blank, known, inputs, pixels if keep_image else None, pair)
    except ImageError as error:
        return Loaded(error=error)


@dataclass(frozen=True, slots=True)
class _Opened:
    """The bytes of a file with their SHA-256, or an image that was given decoded, and its name."""

    content: Any
    sha256: str
    name: str

    @classmethod
    def of(cls, image: Any, name: str) -> _Opened:
        if not isinstance(image, str | Path):
            return cls(image, "", name)
        from igmu_metrics.images.files import read_bytes

        data = read_bytes(image)
        return cls(data, hashlib.sha256(data).hexdigest(), os.fspath(image))

    def stored(self) -> tuple[str, int, int, str]:
        from igmu_metrics.images.files import stored_as

        if isinstance(self.content, bytes):
            return stored_as(self.content, name=self.name)
        return "", self.content.width, self.content.height, self.content.mode

    def decoded(self) -> Image:
        from igmu_metrics.images.files import as_rgb, decode_image

        whole = isinstance(self.content, bytes)
        return decode_image(self.content, name=self.name) if whole else as_rgb(self.content, name=self.name)
