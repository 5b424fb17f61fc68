"""Labelled images of public datasets: `hub-dataset:imagenette`, `hub-dataset:wikiart`, `hub-dataset:wikiart-style`.

Another copy of the same collection is named behind a colon, as a Hub id with or without a revision, or as a folder:
`hub-dataset:wikiart:owner/name@<commit>`. Parquet is streamed, nothing is kept; code in a dataset is never run.

- **imagenette**: the ten classes, all of them concepts. `frgfm/imagenette` itself is a loading script, which datasets
  no longer runs; read is the Hub's own Parquet conversion of it.
- **wikiart**: labelled by painter; **wikiart-style**: the same images labelled by movement.

A class belongs to the concept of that name: its label, a synonym, or the ImageNet class that its source names.

**Licences.** Where the data has a column `license`, it counts. `huggan/wikiart` says `license: unknown`, so only works
of painters are given of whom we know that they died long enough ago (`builders.hub_collections`). All others are
refused and counted in the log, and so are images of the genre `nude_painting` (content policy; WikiArt's genre
`Unknown Genre` may hold more of them, which nothing in the data tells).

**Splits.** `train` and `test`; without a `test` split, `validation` is it. A collection with `train` alone is divided
by the hash of the bytes, about one tenth for `test`, so that equal files never lie on both sides.
"""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from builders.hub_collections import COLLECTIONS, Collection, licenses
from builders.images import known_license, stored
from builders.sources import Labelled, SourceInfo
from igmu_data.errors import ImageError, InputError, LicenseError, MetadataError, UnknownSourceError
from igmu_data.taxonomy import all_concepts
from igmu_metrics.networks.loading import weights_hash

INFO = SourceInfo(
    name="hub-dataset",
    summary="Labelled images of Imagenette and WikiArt, for training and measuring detectors.",
    license="each image's own: the collection's, or the public domain by its painter's death",
)
KINDS: Final = {"Analytical Cubism": "style/cubism", "Synthetic Cubism": "style/cubism"}  # classes of WikiArt
SPLITS: Final = ("train", "test")
_REFUSED_GENRES: Final = frozenset({"nude_painting"})
_TEST_SHARE: Final = 10
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Opened:
    collection: Collection
    origin: str
    splits: Mapping[str, Any]
    classes: Mapping[str, tuple[str, ...]]


def labels(argument: str) -> tuple[str, ...]:
    """Class names in the order of their integers, as the data itself has them.

    Raises:
        UnknownSourceError: no such collection.
        InputError: the dataset cannot be opened.
        MetadataError: it does not have the columns of the collection.
    """
    opened = _open(argument)
    return opened.classes[opened.collection.label]


def labelled(argument: str, *, split: str) -> Iterator[Labelled]:
    """The images of a split that may be used, in the order of the data.

    Args:
        argument: collection, or `collection:copy`, see above.
        split: `train` or `test`.

    Raises:
        UnknownSourceError, InputError, MetadataError: as `labels`; a split that does not exist; a row without image.
        LicenseError: an image's `license` column is empty, or no licence of any image is known.
        ImageError: an image that cannot be decoded; the message names the row.
    """
    if split not in SPLITS:
        raise InputError(f"split {split!r}: give {' or '.join(SPLITS)}.")
    opened = _open(argument)
    names = opened.classes[opened.collection.label]
    mapping = concepts(opened.collection.domain, names)
    refused: Counter[str] = Counter()
    given = 0
    for where, row in _rows(opened, split):
        label, license_ = _class(opened, opened.collection.label, row), _license(opened, row, where)
        if reason := _refusal(opened, row, label, license_):
            refused[reason] += 1
            continue
        data, extension = _stored(row["image"]["bytes"], where)
        given += 1
        yield Labelled(data, extension, label, mapping[label], opened.origin, license_, opened.collection.citation)
    if refused:
        counts = ", ".join(f"{n} ({reason})" for reason, n in sorted(refused.items()))
        _log.warning("%s, split %s: %d images given; refused: %s", opened.origin, split, given, counts)
    if not given and refused["unknown licence"]:
        raise LicenseError(f"{opened.origin}: no image of split {split!r} has a known licence.")


def concepts(domain: str, names: Sequence[str]) -> dict[str, str | None]:
    """The concept of each class, or None.

    Args:
        domain: only concepts of this domain.
        names: class names, or WordNet ids of ImageNet classes.

    >>> concepts("object", ["English springer", "n03028079", "goldfish"])
    {'English springer': 'object/english-springer', 'n03028079': 'object/church', 'goldfish': None}
    """
    known: dict[str, str] = {}
    own = [c for c in all_concepts().values() if c.domain == domain]
    for item in own:
        for name in (*item.names, *re.findall(r"\bn\d{8}\b", item.source)):
            known.setdefault(_folded(name), item.id)
    known |= {_folded(item.label): item.id for item in own}  # a label counts more than another's synonym
    known |= {_folded(kind): name for kind, name in KINDS.items() if name.startswith(domain)}
    return {name: known.get(_folded(name)) for name in names}


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.casefold())
    return " ".join(re.findall(r"[a-z0-9]+", "".join(c for c in plain if not unicodedata.combining(c))))


def _open(argument: str) -> _Opened:
    import datasets

    name, _, copy = argument.partition(":")
    if name not in COLLECTIONS:
        raise UnknownSourceError(name, COLLECTIONS, f"Collections of hub-dataset: {', '.join(COLLECTIONS)}.")
    collection = COLLECTIONS[name]
    path, data_files, revision, origin = _place(collection, copy)
    try:
        splits = datasets.load_dataset(path, data_files=data_files, revision=revision, streaming=True)
        features = next(iter(splits.values())).features
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise InputError(
            f"{origin}: cannot be opened ({type(error).__name__}: {error}). Check the id, the revision and the "
            f"connection, or name a copy: hub-dataset:{name}:FOLDER."
        ) from error
    needed = {collection.label, collection.license_by} - {""}
    classes = {c: tuple(f.names) for c, f in features.items() if isinstance(f, datasets.ClassLabel)}
    if not (needed <= classes.keys() and isinstance(features.get("image"), datasets.Image)):
        raise MetadataError(
            f"{origin}: its columns are {', '.join(features)}; {name} needs an image 'image' and classes "
            f"{', '.join(repr(c) for c in sorted(needed))}."
        )
    raw = {k: v.cast_column("image", datasets.Image(decode=False)) for k, v in splits.items()}
    return _Opened(collection, origin, raw, classes)


def _place(collection: Collection, copy: str) -> tuple[str, dict[str, str] | None, str | None, str]:
    """Path or id, Parquet files, revision, and the origin that names them all."""
    repo, _, revision = (copy or collection.repo).partition("@")
    revision = revision or (collection.revision if repo == collection.repo else "")
    patterns = dict(collection.data_files) or None
    folder = Path(repo).expanduser()
    if copy and folder.is_dir():
        found = weights_hash(list(folder.rglob("*.parquet")))
        if revision and revision != found:
            raise InputError(f"{repo}: its files are {found}, not {revision}.")
        there = patterns and all(any(folder.glob(p)) for p in patterns.values())
        return str(folder), patterns if there else None, None, f"hub-dataset:{folder.resolve().name}@{found}"
    if folder.is_dir():
        raise InputError(
            f"the folder {repo!r} here would be read instead of the Hub's dataset. Run in another folder, or name it "
            "as the copy to read."
        )
    if repo.count("/") != 1 or repo.startswith((".", "~", "/")):
        raise InputError(f"no folder {repo!r}. Name a folder with Parquet files, or a Hub id (owner/name).")
    commit = revision if re.fullmatch(r"[0-9a-f]{40}", revision) else _commit(repo, revision)
    return repo, patterns if repo == collection.repo else None, commit, f"hub-dataset:{repo}@{commit}"


def _commit(repo: str, revision: str) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return str(HfApi().dataset_info(repo, revision=revision or None).sha)
    except (OSError, HfHubHTTPError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{repo}: no revision {revision or 'main'!r} to be had from the Hub ({reason}).") from error


def _rows(opened: _Opened, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a split with their place in the data."""
    own = next((s for s in ((split, "validation", "val") if split == "test" else (split,)) if s in opened.splits), None)
    divide = set(opened.splits) == {"train"}
    source = "train" if divide else own
    if source is None:
        raise InputError(f"{opened.origin}: no split {split!r}, only {', '.join(opened.splits)}.")
    for at, row in enumerate(opened.splits[source]):
        where = f"{opened.origin}, {source}, row {at}"
        if not (row["image"] and row["image"]["bytes"]):
            raise MetadataError(f"{where}: holds no image bytes. Embed the images in the Parquet files.")
        is_test = hashlib.sha256(row["image"]["bytes"]).digest()[0] % _TEST_SHARE == 0
        if not divide or is_test is (split == "test"):
            yield where, row


def _license(opened: _Opened, row: Mapping[str, Any], where: str) -> str:
    """The image's licence, or "" where it is unknown."""
    if "license" in row:
        return known_license(row["license"], where)
    by = opened.collection.license_by
    if not by:
        return known_license(opened.collection.license, where)
    return licenses().get(_class(opened, by, row), "")


def _refusal(opened: _Opened, row: Mapping[str, Any], label: str, license_: str) -> str:
    """Why an image is refused, or ""."""
    if not license_:
        return "unknown licence"
    if "genre" in opened.classes and (genre := _class(opened, "genre", row)) in _REFUSED_GENRES:
        return f"genre {genre}"
    return "" if label else "no label"


def _class(opened: _Opened, column: str, row: Mapping[str, Any]) -> str:
    """The name of a row's class, or "" where it has none."""
    value = row[column]
    return "" if value is None or value < 0 else opened.classes[column][value]


def _stored(data: bytes, where: str) -> tuple[bytes, str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(data)
        try:
            return stored(path, data)
        except ImageError as error:
            raise type(error)(f"{where}: {error}") from error
