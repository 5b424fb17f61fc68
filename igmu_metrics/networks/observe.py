"""One pass over the images of one model: every detector and backbone sees each of them once.

Conventions: a generation that cannot be read is an error, or with `on_error="skip"` a failure that is counted and left
out; it never gets a value. Results do not depend, to the last bit, on the batch size or the content of the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np

from igmu_data.errors import LengthMismatchError, NonFiniteError, OutOfRangeError
from igmu_metrics.contract import FloatArray
from igmu_metrics.generations import BLANK, FAILED, OK, UNCLEAR, Array, Generations, texts
from igmu_metrics.networks.ahead import Loaded, ahead, load
from igmu_metrics.networks.extraction import filled
from igmu_metrics.networks.instruments import (
    Backbone,
    Batch,
    Detector,
    Extractor,
    answer_key,
    feature_key,
    features_of,
)
from igmu_metrics.networks.pairs import Pairs
from igmu_metrics.networks.store import SEEN, Store

OnError = Literal["raise", "skip"]
Blank = Literal["apart", "keep"]
BATCH_SIZE: Final = 16
Tick = Callable[[int], None]
_CHECK: Final = "Check the weights and the precision (float16 can overflow)."
_AT_ONCE: Final = 64  # images that a detector judges in one call, always as many: see `networks.extraction`


def observe(
    images: Sequence[Any],
    *,
    detector: Detector | None = None,
    others: Sequence[Detector] = (),
    concepts: Sequence[str] = (),
    backbones: Mapping[str, Backbone] | None = None,
    partners: Sequence[Any] | None = None,
    distance: Backbone | None = None,
    on_error: OnError = "raise",
    blank: Blank = "keep",
    batch_size: int = BATCH_SIZE,
    tick: Tick = lambda n: None,
    store: Store | None = None,
) -> dict[str, Array]:
    """Run images through a detector and backbones.

    Args:
        images: (n,) paths or PIL images.
        detector: gives the probability that an image shows its concept.
        others: further detectors for the same images and concepts.
        concepts: (n,) `domain/slug` of the concept to detect in each image; "" for none.
        backbones: feature extractors by the column of their features.
        partners: (n,) paths or PIL images of another model to compare each image with; None for no comparison.
        distance: compares them.
        on_error: `raise` stops at the first unreadable image or partner, `skip` counts it.
        blank: images of a single colour: `apart` gives them a separate status and no answer, `keep` judges them.
        batch_size: images read ahead at once; has no effect on the results.
        tick: called with the number of images just processed.
        store: keeps features and answers by the content of the files, so that they are not computed again.

    Returns:
        Columns of `igmu_metrics.generations`: `status`, `sha256` ("" where there is no file), `format`, `width`,
        `height`, `mode`; with a detector `probability`, for each of the others `status` and `probability` under the
        name that `of_judge` gives; the features (rows of NaN where an image could not be read);
        with partners `lpips`.

    Raises:
        ImageError: an unreadable image, with `on_error="raise"`.
        NonFiniteError, OutOfRangeError: a network returned a value that is not finite, or a detector one that is not a
            probability.
        InputError: a pair that `distance` cannot compare.
        LengthMismatchError: the number of partners or concepts differs from the number of images.
        OutputError: the store cannot be written.
    """
    n = len(images)
    if partners is not None and len(partners) != n:
        raise LengthMismatchError(
            f"the number of images is {n}, but the number of images to compare them with is {len(partners)}. Pass one "
            "for each image."
        )
    judges = [*([] if detector is None else [detector]), *others]
    if judges and len(concepts) != n:
        raise LengthMismatchError(
            f"there are {n} images, but {len(concepts)} concepts. Pass one concept for each image."
        )
    pairs = Pairs(n, distance, store) if partners is not None and distance is not None else None
    roles = dict(backbones or {})
    seen = _Pass(images, [*roles.values(), *(source for one in judges for source in _reads(one) or ())], store)
    answers = [_Answers(one, concepts, seen, store) for one in judges]
    looking = [a for a in answers if a.looks]  # at the images themselves
    at_once = _AT_ONCE if any(a.kept for a in looking) else batch_size
    everybodys = {feature_key(b) for b in roles.values()}
    pending: list[tuple[int, Loaded]] = []

    def look() -> None:
        if looking and pending:
            seen.flush()  # a detector without `reads` may still ask for features of the backbones
            for judge in looking:
                own = [(i, one) for i, one in pending if not judge.known[i]]
                at = [i for i, _ in own]
                judge.judge(at, Batch([_path(images, i) for i in at], [cast(Any, one.image) for _, one in own]))
            pending.clear()

    def read(i: int) -> Loaded:
        return load(
            images[i],
            f"images[{i}]",
            seen.extractors,
            store,
            answers=[(a.key(i), a.features - everybodys) for a in answers if a.kept],
            looks=[a.key(i) for a in looking if a.kept],
            keep_image=any(not a.kept for a in looking),
            pairs=pairs,
            partner=None if partners is None else partners[i],
        )

    for i, one in enumerate(ahead(range(n), read, max(1, batch_size))):
        if one.error is not None:
            if on_error == "raise":
                raise one.error
            # The name of a file may be no Unicode text, which neither tables nor cards can hold.
            seen.status[i] = f"{FAILED}{one.error}".encode("utf-8", "backslashreplace").decode()
        else:
            seen.add(i, one)
            for judge in answers:
                judge.take(i, one)
            if pairs is not None and one.pair is not None:
                pairs.add(i, one.pair)
            if one.image is not None and looking:
                pending.append((i, one))
                if len(pending) >= at_once:
                    look()
        tick(1)
    look()
    seen.flush()
    if pairs is not None:
        pairs.flush()
    out = seen.columns()
    aside = seen.blank if blank == "apart" else np.zeros(n, dtype=np.bool_)
    asked = np.asarray([bool(c) for c in concepts], dtype=np.bool_)
    status = out["status"]
    for k, judge in enumerate(answers):
        if not judge.looks:
            open_ = [i for i in np.flatnonzero(seen.ok).tolist() if not judge.known[i]]
            for at in (open_[j : j + _AT_ONCE] for j in range(0, len(open_), _AT_ONCE)):
                full = filled(at, _AT_ONCE)
                judge.judge(at, Batch([_path(images, i) for i in full]), full)
        masked = np.ma.getmaskarray(judge.values)
        told = np.where(seen.ok & asked & masked, UNCLEAR, status)
        out[of_judge("probability", k)] = np.ma.MaskedArray(judge.values, mask=masked | aside)
        out[of_judge("status", k)] = np.where(aside, BLANK, told)
    if not answers:
        out["status"] = np.where(aside, BLANK, status)
    out |= {name: seen.features(backbone) for name, backbone in roles.items()}
    return out if pairs is None else out | {"lpips": pairs.distances}


def of_judge(column: str, k: int) -> str:
    """The column of the k-th detector; those of the first one have the plain names.

    >>> of_judge("probability", 0), of_judge("probability", 1)
    ('probability', 'probability@1')
    """
    return f"{column}@{k}" if k else column


def judged(table: Generations, k: int) -> Generations:
    """A table as if the k-th detector were the only one."""
    own = {n: table[of_judge(n, k)] for n in ("status", "probability", "present")}
    return table.without(*(name for name in table.columns if "@" in name)).with_columns(**own)


def _reads(detector: Detector) -> Sequence[Backbone | Extractor] | None:
    """What a detector looks at instead of the images; None for one that wants these."""
    return getattr(detector, "reads", None)


class _Answers:
    """A detector's answers, each about the image's own concept."""

    def __init__(self, detector: Detector, concepts: Sequence[str], seen: _Pass, store: Store | None) -> None:
        self.values = np.ma.MaskedArray(np.zeros(len(concepts)), mask=True)
        self.known = np.zeros(len(concepts), dtype=np.bool_)
        self._detector, self._concepts, self._seen = detector, concepts, seen
        reads = _reads(detector)
        self.looks, self.features = reads is None, frozenset(map(feature_key, reads or ()))
        # Answers that follow from an image's content alone are kept; a person's label follows from its name.
        self.kept = bool(reads) or hasattr(detector, "answers")
        self._store = store if self.kept else None
        self._keys = {c: answer_key(detector, c) for c in set(concepts) if c}

    def key(self, i: int) -> str:
        """Where the store keeps the answer about an image; "" where nothing is asked."""
        return self._keys.get(self._concepts[i], "")

    def take(self, i: int, one: Loaded) -> None:
        """Take in an answer that the store had."""
        found = one.known.get(self.key(i))
        if found is not None:
            self.known[i] = True
            if not np.isnan(found[0]):
                self.values[i] = found[0]

    def judge(self, at: Sequence[int], batch: Batch, full: Sequence[int] | None = None) -> None:
        """Ask the detector about some images; `full` holds copies that fill the call up."""
        distinct = sorted({self._concepts[i] for i in at} - {""})
        if not distinct:
            return
        batch = Batch(batch.paths, batch.images, self._seen.rows(full or at))
        alone: Callable[..., Array] | None = getattr(self._detector, "answers", None)
        if alone is not None:
            own: Any = alone(batch, [self._concepts[i] for i in at])
        else:
            column = {concept: k for k, concept in enumerate(distinct)}
            found = self._detector.probabilities(batch, distinct)
            own = [found[row, column.get(self._concepts[i], 0)] for row, i in enumerate(at)]
        fresh: dict[str, list[tuple[str, FloatArray]]] = {}
        for row, i in enumerate(at):
            concept = self._concepts[i]
            if not concept:
                continue
            value = own[row]
            if value is not np.ma.masked and not 0 <= value <= 1:  # false for NaN, too
                error = OutOfRangeError if np.isfinite(value) else NonFiniteError
                raise error(
                    f"{self._detector.info.name}: {value} for {batch.paths[row]} is not a probability. {_CHECK}"
                )
            self.values[i] = value
            answer = np.array([np.nan if value is np.ma.masked else float(value)])
            fresh.setdefault(self._keys[concept], []).append((self._seen.hashes[i], answer))
        if self._store is not None:
            for key, rows in fresh.items():
                self._store.put(key, [(sha, answer) for sha, answer in rows if sha])


class _Pass:
    """What has been found so far: a row of features an image, and images waiting until they fill a call."""

    def __init__(self, images: Sequence[Any], sources: Sequence[Backbone | Extractor], store: Store | None) -> None:
        n, self._images = len(images), images
        distinct = {feature_key(s): s for s in sources}
        self.extractors: list[Extractor] = [
            cast(Extractor, s) if hasattr(s, "extract") else _Whole(cast(Any, s)) for s in distinct.values()
        ]
        self.ok = np.zeros(n, dtype=np.bool_)
        self.hashes = [""] * n
        self.status = [OK] * n
        self.blank = np.zeros(n, dtype=np.bool_)
        self._fresh: list[tuple[str, FloatArray]] = []
        self._stored: list[tuple[str, int, int, str]] = [("", 0, 0, "")] * n
        self._store = store
        self._arrays: dict[str, FloatArray] = {}
        self._waiting: dict[str, dict[int, Any]] = {feature_key(e): {} for e in self.extractors}

    def add(self, i: int, one: Loaded) -> None:
        """Take in one image; run every network that has a full batch."""
        self.ok[i] = True
        self.hashes[i], self._stored[i] = one.sha256, one.stored
        self.blank[i] = one.blank
        if one.sha256 and SEEN not in one.known:
            self._fresh.append((one.sha256, np.array([float(one.blank)])))
            if len(self._fresh) >= _AT_ONCE:
                self._note()
        for extractor in self.extractors:
            key = feature_key(extractor)
            if key in one.known:
                self._keep(key, i, one.known[key])
                continue
            if key not in one.inputs:
                continue  # only the detector wanted it, and has answered before
            waiting = self._waiting[key]
            waiting[i] = one.inputs[key]
            if len(waiting) >= extractor.batch:
                self._run(extractor)

    def columns(self) -> dict[str, Array]:
        """What became of every image, and what its file is."""
        formats, widths, heights, modes = zip(*self._stored, strict=True) if self._stored else ((),) * 4
        return {
            "status": texts(self.status),
            "sha256": texts(self.hashes),
            "format": texts(formats),
            "width": np.asarray(widths, dtype=np.int64),
            "height": np.asarray(heights, dtype=np.int64),
            "mode": texts(modes),
        }

    def flush(self) -> None:
        """Run the networks on what is left."""
        self._note()
        for extractor in self.extractors:
            self._run(extractor)

    def _note(self) -> None:
        """Keep what was seen of files whatever the networks are."""
        if self._store is not None:
            self._store.put(SEEN, self._fresh)
        self._fresh.clear()

    def rows(self, at: Sequence[int]) -> dict[str, FloatArray]:
        """Features of some images by feature key."""
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
        if not np.isfinite(row).all():
            # Not a row of NaN, which says that there is no image: the set that distances are of would lack it.
            name = next(e.info.name for e in self.extractors if feature_key(e) == key)
            raise NonFiniteError(f"{name}: the features of {_path(self._images, i)} are not finite. {_CHECK}")
        if key not in self._arrays:
            self._arrays[key] = np.full((len(self.ok), len(row)), np.nan)
        self._arrays[key][i] = row


class _Whole:
    """A backbone that takes images as they are, as an extractor."""

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
