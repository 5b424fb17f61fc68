"""Images → every asked detector and backbone, in one pass: each image is read, checked and decoded once.

Conventions: a generation that cannot be read is an error, or with `on_error="skip"` a failure that is counted and left
out; it never gets a value. Results do not depend on the batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from igmu_data.errors import ImageError
from igmu_metrics.contract import BoolArray, FloatArray, batches
from igmu_metrics.instruments import Backbone, Batch, Detector

if TYPE_CHECKING:
    from PIL.Image import Image

OnError = Literal["raise", "skip"]
BATCH_SIZE: Final = 16
Tick = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen in the images of one model.

    Args:
        ok: (n,) False for a generation that could not be read.
        probabilities: (n, concepts) masked float64, or None without a detector; masked also where not `ok`.
        features: (n, d) per backbone role; NaN rows where not `ok` (never handed to a metric).
        failures: (index, reason) of every failed generation.
    """

    ok: BoolArray
    probabilities: np.ma.MaskedArray[Any, Any] | None
    features: Mapping[str, FloatArray]
    failures: tuple[tuple[int, str], ...]


def observe(
    images: Sequence[Any],
    *,
    detector: Detector | None = None,
    concepts: Sequence[str] = (),
    backbones: Mapping[str, Backbone] | None = None,
    on_error: OnError = "raise",
    batch_size: int = BATCH_SIZE,
    tick: Tick = lambda n: None,
) -> Observed:
    """Run images through a detector and backbones.

    Args:
        images: (n,) paths or PIL images.
        detector: says how probable each of `concepts` is.
        concepts: `domain/slug` ids to ask for.
        backbones: feature extractors by role (`clip`, `features`).
        on_error: `raise` stops at the first unreadable image, `skip` counts it.
        batch_size: images in memory at once.
        tick: called with the number of images just finished.

    Raises:
        ImageError: an unreadable image, with `on_error="raise"`.
    """
    from igmu_metrics.images import as_rgb, read_image

    n = len(images)
    ok = np.zeros(n, dtype=np.bool_)
    failures: list[tuple[int, str]] = []
    values: dict[int, np.ma.MaskedArray[Any, Any]] = {}
    features: dict[str, dict[int, FloatArray]] = {role: {} for role in backbones or {}}
    for indices in batches(range(n), batch_size):
        read, good = [], []
        for i in indices:
            try:
                image = images[i]
                read.append(read_image(image) if isinstance(image, str | Path) else as_rgb(image, name=f"images[{i}]"))
                good.append(i)
            except ImageError as error:
                if on_error == "raise":
                    raise
                failures.append((i, str(error)))
        if good:
            batch = Batch(
                [Path(images[i]) if isinstance(images[i], str | Path) else Path(f"[{i}]") for i in good], read
            )
            ok[good] = True
            if detector is not None:
                values.update(zip(good, detector.probabilities(batch, concepts), strict=True))
            for role, backbone in (backbones or {}).items():
                features[role].update(zip(good, batch.features(backbone), strict=True))
        tick(len(indices))
    probabilities = None
    if detector is not None:
        probabilities = np.ma.MaskedArray(np.zeros((n, len(concepts))), mask=True)
        for i, row in values.items():
            probabilities[i] = row
    return Observed(ok, probabilities, {r: _stack(n, rows) for r, rows in features.items()}, tuple(failures))


def _stack(n: int, rows: Mapping[int, FloatArray]) -> FloatArray:
    width = len(next(iter(rows.values()))) if rows else 0
    out = np.full((n, width), np.nan)
    for i, row in rows.items():
        out[i] = row
    return out


def distances(
    images: Sequence[Any], others: Sequence[Any], backbone: Backbone, *, batch_size: int = BATCH_SIZE
) -> FloatArray:
    """(n,) distances between the images of two lists, pair by pair."""
    from igmu_metrics.images import as_rgb, read_image

    def load(image: Any) -> Image:
        return read_image(image) if isinstance(image, str | Path) else as_rgb(image)

    parts = [
        backbone.image_distance([load(images[i]) for i in indices], [load(others[i]) for i in indices])
        for indices in batches(range(len(images)), batch_size)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)
