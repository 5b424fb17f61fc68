"""Distances between pictures of two models, pair by pair, kept by the content of both files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from igmu_metrics.contract import FloatArray
from igmu_metrics.engine.ahead import ahead, read_file
from igmu_metrics.engine.observe import BATCH_SIZE, Tick
from igmu_metrics.engine.store import Store
from igmu_metrics.instruments import Backbone, feature_key


def distances(
    images: Sequence[Any],
    others: Sequence[Any],
    backbone: Backbone,
    *,
    batch_size: int = BATCH_SIZE,
    store: Store | None = None,
    tick: Tick = lambda n: None,
) -> FloatArray:
    """(n,) distances between the images of two lists, pair by pair.

    Args:
        images: (n,) paths or PIL images.
        others: (n,) their partners.
        backbone: measures.
        batch_size: pairs read ahead at once; no influence on the results.
        store: keeps distances by the content of both files.
        tick: called with the number of pairs just read.

    Raises:
        ImageError: an unreadable image.
        InputError: a pair that the backbone cannot compare.
    """
    key = feature_key(backbone)
    prepare = getattr(backbone, "prepare", lambda image: image)
    compare = getattr(backbone, "compare", None) or (
        lambda pairs: backbone.image_distance([a for a, _ in pairs], [b for _, b in pairs])
    )
    size: int = getattr(backbone, "batch", batch_size)

    def read(i: int) -> tuple[str, FloatArray | None, Any]:
        one, other = _opened(images[i]), _opened(others[i])
        sha = hashlib.sha256(f"{one[1]} {other[1]}".encode()).hexdigest() if one[1] and other[1] else ""
        known = store.get(sha, [key]).get(key) if store is not None and sha else None
        return sha, known, None if known is not None else (prepare(_decoded(*one)), prepare(_decoded(*other)))

    out = np.full(len(images), np.nan)
    waiting: dict[int, tuple[str, Any]] = {}

    def run() -> None:
        if not waiting:
            return
        found = compare([pair for _, pair in waiting.values()])
        out[list(waiting)] = found
        if store is not None:
            rows = zip(waiting.values(), found, strict=True)
            store.put(key, [(sha, np.array([value])) for (sha, _), value in rows if sha])
        waiting.clear()

    for i, (sha, known, pair) in enumerate(ahead(range(len(images)), read, max(1, batch_size))):
        if known is not None:
            out[i] = known[0]
        else:
            waiting[i] = sha, pair
            if len(waiting) >= size:
                run()
        tick(1)
    run()
    return out


def _opened(image: Any) -> tuple[Any, str, str]:
    """The picture or its bytes, its content hash, its name."""
    if isinstance(image, str | Path):
        return *read_file(image), str(image)
    return image, "", ""


def _decoded(content: Any, _sha: str, name: str) -> Any:
    from igmu_metrics.images import as_rgb, decode_image

    return decode_image(content, name=name) if isinstance(content, bytes) else as_rgb(content)
