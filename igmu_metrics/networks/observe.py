"""One pass over the pictures of one model: every asked detector and backbone sees each of them once.

Conventions: a generation that cannot be read is an error, or with `on_error="skip"` a failure that is counted and left
out; it never gets a value. Results do not depend on the batch size, to the last bit, nor on what the store knew before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np

from igmu_data.errors import LengthMismatchError
from igmu_metrics.contract import BoolArray, FloatArray
from igmu_metrics.networks.ahead import Loaded, ahead, load
from igmu_metrics.networks.extraction import filled
from igmu_metrics.networks.instruments import Backbone, Batch, Detector, Extractor, feature_key, features_of
from igmu_metrics.networks.pairs import Pairs
from igmu_metrics.networks.store import READABLE, Store

OnError = Literal["raise", "skip"]
BATCH_SIZE: Final = 16
Tick = Callable[[int], None]
_AT_ONCE: Final = 64  # images that a detector judges in one call, always as many: see `networks.extraction`


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen in the images of one model.

    Args:
        ok: (n,) False for a generation that could not be read.
        probabilities: (n, concepts) masked float64, or None without a detector; masked also where not `ok`.
        features: (n, d) per backbone role; NaN rows where not `ok` (never handed to a metric).
        failures: (index, reason) of every failed generation.
        hashes: (n,) SHA-256 of the files; "" where there is no file or it could not be read.
        distances: (n,) distance to the original model's picture of the same generation, NaN where there is none; None
            where they were not asked for.
    """

    ok: BoolArray
    probabilities: np.ma.MaskedArray[Any, Any] | None
    features: Mapping[str, FloatArray]
    failures: tuple[tuple[int, str], ...]
    hashes: tuple[str, ...] = ()
    distances: FloatArray | None = None


def observe(
    images: Sequence[Any],
    *,
    detector: Detector | None = None,
    concepts: Sequence[str] = (),
    backbones: Mapping[str, Backbone] | None = None,
    partners: Sequence[Any] | None = None,
    distance: Backbone | None = None,
    on_error: OnError = "raise",
    batch_size: int = BATCH_SIZE,
    tick: Tick = lambda n: None,
    store: Store | None = None,
) -> Observed:
    """Run images through a detector and backbones.

    Args:
        images: (n,) paths or PIL images.
        detector: says how probable each of `concepts` is.
        concepts: `domain/slug` ids to ask for.
        backbones: feature extractors by role (`clip`, `features`).
        partners: (n,) paths or PIL images of another model to compare each image with; None where there is none.
        distance: compares them.
        on_error: `raise` stops at the first unreadable image, `skip` counts it; so does an unreadable partner.
        batch_size: images read ahead at once; no influence on the results.
        tick: called with the number of images just looked at.
        store: keeps features by the content of the files; what it holds is not computed again.

    Raises:
        ImageError: an unreadable image, with `on_error="raise"`.
        InputError: a pair that `distance` cannot compare.
        LengthMismatchError: not one partner an image.
        OutputError: the store cannot be written.
    """
    if partners is not None and len(partners) != len(images):
        raise LengthMismatchError(f"{len(images)} images against {len(partners)} partners; a distance needs pairs.")
    pairs = Pairs(len(images), distance, store) if partners is not None and distance is not None else None
    roles = dict(backbones or {})
    reads: Sequence[Backbone | Extractor] | None = getattr(detector, "reads", None)
    looks = detector if reads is None else None  # a detector that wants the pictures themselves
    seen = _Pass(len(images), [*roles.values(), *(reads or ())], store)
    answers: dict[int, np.ma.MaskedArray[Any, Any]] = {}
    pending: list[tuple[int, Loaded]] = []

    def look() -> None:
        if looks is not None and pending:
            seen.flush()  # a detector without `reads` may still ask for features of the backbones
            at = [i for i, _ in pending]
            pictures = [cast(Any, one.image) for _, one in pending]
            batch = Batch([_path(images, i) for i in at], pictures, seen.rows(at))
            answers.update(zip(at, looks.probabilities(batch, concepts), strict=True))
            pending.clear()

    def read(i: int) -> Loaded:
        partner = None if partners is None else partners[i]
        wanted = seen.extractors
        return load(
            images[i], f"images[{i}]", wanted, store, keep_image=looks is not None, pairs=pairs, partner=partner
        )

    for i, one in enumerate(ahead(range(len(images)), read, max(1, batch_size))):
        if one.error is not None:
            if on_error == "raise":
                raise one.error
            seen.failures.append((i, str(one.error)))
        else:
            seen.add(i, one)
            if pairs is not None and one.pair is not None:
                pairs.add(i, one.pair)
            if looks is not None:
                pending.append((i, one))
                if len(pending) >= batch_size:
                    look()
        tick(1)
    look()
    seen.flush()
    if pairs is not None:
        pairs.flush()
    probabilities = None
    if detector is not None:
        probabilities = np.ma.MaskedArray(np.zeros((len(images), len(concepts))), mask=True)
        good = np.flatnonzero(seen.ok).tolist() if looks is None else []
        for at in (good[k : k + _AT_ONCE] for k in range(0, len(good), _AT_ONCE)):
            full = filled(at, _AT_ONCE)
            batch = Batch([_path(images, i) for i in full], known=seen.rows(full))
            probabilities[at] = detector.probabilities(batch, concepts)[: len(at)]
        for i, row in answers.items():
            probabilities[i] = row
    features = {role: seen.features(backbone) for role, backbone in roles.items()}
    distances = None if pairs is None else pairs.distances
    return Observed(seen.ok, probabilities, features, tuple(seen.failures), tuple(seen.hashes), distances)


class _Pass:
    """What has been found so far: a row of features a picture, and pictures waiting until they fill a call."""

    def __init__(self, n: int, sources: Sequence[Backbone | Extractor], store: Store | None) -> None:
        distinct = {feature_key(s): s for s in sources}
        self.extractors: list[Extractor] = [
            cast(Extractor, s) if hasattr(s, "extract") else _Whole(cast(Any, s)) for s in distinct.values()
        ]
        self.ok = np.zeros(n, dtype=np.bool_)
        self.hashes = [""] * n
        self.failures: list[tuple[int, str]] = []
        self._store = store
        self._arrays: dict[str, FloatArray] = {}
        self._waiting: dict[str, dict[int, Any]] = {feature_key(e): {} for e in self.extractors}
        self._same: dict[str, dict[str, int]] = {key: {} for key in self._waiting}

    def add(self, i: int, one: Loaded) -> None:
        """Take in one picture; run every network that has a full batch."""
        self.ok[i] = True
        self.hashes[i] = one.sha256
        if self._store is not None and not self.extractors and not one.known:
            self._store.put(READABLE, [(one.sha256, np.zeros(0))])
        for extractor in self.extractors:
            key = feature_key(extractor)
            if key in one.known:
                self._keep(key, i, one.known[key])
                continue
            waiting = self._waiting[key]
            waiting[i] = one.inputs[extractor.preparation]
            if len(waiting) >= extractor.batch:
                self._run(extractor)

    def flush(self) -> None:
        """Run the networks on what is left."""
        for extractor in self.extractors:
            self._run(extractor)

    def rows(self, at: Sequence[int]) -> dict[str, FloatArray]:
        """Features of some pictures by feature key."""
        return {key: array[at] for key, array in self._arrays.items()}

    def features(self, source: Backbone) -> FloatArray:
        """(n, d) features; NaN where there are none."""
        found = self._arrays.get(feature_key(source))
        return np.full((len(self.ok), 0), np.nan) if found is None else found

    def _run(self, extractor: Extractor) -> None:
        key = feature_key(extractor)
        waiting = self._waiting[key]
        if not waiting:
            return
        found = extractor.extract(list(waiting.values()))
        for i, row in zip(waiting, found, strict=True):
            self._keep(key, i, row)
        if self._store is not None:
            fresh = [(self.hashes[i], row) for i, row in zip(waiting, found, strict=True)]
            self._store.put(key, [(sha, row) for sha, row in fresh if sha])
        waiting.clear()

    def _keep(self, key: str, i: int, row: FloatArray) -> None:
        if key not in self._arrays:
            self._arrays[key] = np.full((len(self.ok), len(row)), np.nan)
        self._arrays[key][i] = row


class _Whole:
    """A backbone that takes pictures as they are, as an extractor."""

    batch = BATCH_SIZE

    def __init__(self, backbone: Backbone) -> None:
        self.info = backbone.info
        self.preparation = backbone.info.preparation
        self._backbone = backbone

    def prepare(self, image: Any) -> Any:
        return image

    def extract(self, inputs: Sequence[Any]) -> FloatArray:
        return features_of(self._backbone, inputs)


def _path(images: Sequence[Any], i: int) -> Path:
    return Path(images[i]) if isinstance(images[i], str | Path) else Path(f"[{i}]")
