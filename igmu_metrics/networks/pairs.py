"""Distances between images of two models, pair by pair, kept by the content of both files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from igmu_data.errors import NonFiniteError
from igmu_metrics.contract import FloatArray
from igmu_metrics.networks.instruments import Backbone, feature_key
from igmu_metrics.networks.store import Store

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its partner while they are processed.

    Args:
        sha256: of the hashes of both files; "" if one of them is not a file.
        known: their distance, if it is in the store.
        inputs: the network's inputs for both, if not.
    """

    sha256: str = ""
    known: float | None = None
    inputs: tuple[Any, Any] | None = None


class Pairs:
    """The pairs of one pass: their distances, and the pairs that wait until they fill a call.

    Args:
        n: number of images, with a partner or without.
        backbone: measures distances.
        store: keeps them.
    """

    def __init__(self, n: int, backbone: Backbone, store: Store | None) -> None:
        self.distances: FloatArray = np.full(n, np.nan)
        self._backbone, self._store = backbone, store
        self._key = feature_key(backbone)
        self._size: int = getattr(backbone, "batch", 1)
        self._waiting: dict[int, Pair] = {}

    def known(self, sha256: str, other: str) -> Pair:
        """The pair of two contents, with its distance if that is kept; on any thread."""
        sha = hashlib.sha256(f"{sha256} {other}".encode()).hexdigest() if sha256 and other else ""
        found = self._store.get(sha, [self._key]).get(self._key) if self._store is not None and sha else None
        return Pair(sha, None if found is None else float(found[0]))

    def prepared(self, image: Image) -> Any:
        """What the network is given of one image; on any thread."""
        prepare = getattr(self._backbone, "prepare", None)
        return image if prepare is None else prepare(image)

    def add(self, i: int, pair: Pair) -> None:
        """Take in one pair; run the network if it has a full batch.

        Raises:
            InputError: a pair that the backbone cannot compare, or a distance that is not a number.
        """
        if pair.known is not None:
            self.distances[i] = pair.known
            return
        self._waiting[i] = pair
        if len(self._waiting) >= self._size:
            self.flush()

    def flush(self) -> None:
        """Run the network on what is left."""
        if not self._waiting:
            return
        pairs = list(self._waiting.values())
        found = self._compare([pair.inputs for pair in pairs if pair.inputs is not None])
        if not (np.isfinite(found) & (np.asarray(found) >= 0)).all():
            raise NonFiniteError(
                f"{self._backbone.info.name}: the distance of a pair of images is not finite. Check the weights and "
                "the precision (float16 can overflow)."
            )
        self.distances[list(self._waiting)] = found
        if self._store is not None:
            rows = zip(pairs, found, strict=True)
            self._store.put(self._key, [(pair.sha256, np.array([value])) for pair, value in rows if pair.sha256])
        self._waiting.clear()

    def _compare(self, inputs: Sequence[tuple[Any, Any]]) -> FloatArray:
        compare = getattr(self._backbone, "compare", None)
        found: FloatArray = (
            compare(inputs)
            if compare is not None
            else self._backbone.image_distance([one for one, _ in inputs], [other for _, other in inputs])
        )
        return found
