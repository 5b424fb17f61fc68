"""Opens a labelled image dataset, determines which of its images show a concept, and reads each image once.

Conventions: a row without the concept is a negative, whatever else it shows. An image is named by its split and row.
Its digest is that of its decoded pixels, so that two files with the same image have the same digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from igmu_data.errors import ImageError, InputError, LabelError, MetadataError, MissingImageError, UnknownLabelError
from igmu_data.folding import fold
from igmu_data.sandbox.labelled import CONFIG
from igmu_data.taxonomy import SANDBOX
from igmu_metrics.contract import BoolArray, FloatArray, batches
from igmu_metrics.images.files import decode_image, read_image
from igmu_metrics.networks.instruments import Backbone
from igmu_metrics.training import renders

if TYPE_CHECKING:
    from PIL.Image import Image

    from igmu_data.taxonomy import Concept

LABEL: Final = "label"
CONCEPT: Final = "concept"
_REPOSITORY: Final = re.compile(r"(\w[\w.-]*/)?\w[\w.-]*")
_SHOWN: Final = 12  # labels that an error lists
Rows = Any  # datasets.Dataset; the library has no types


@dataclass(frozen=True, slots=True)
class Opened:
    """A dataset.

    Args:
        name: id on the Hub, or the folder's name (its path on this machine does not affect the images).
        revision: commit on the Hub, or the given revision if the Hub cannot be reached; None for a folder.
        splits: rows by split.
    """

    name: str
    revision: str | None
    splits: Mapping[str, Rows]

    def split(self, name: str, option: str) -> Rows:
        """The rows of a split.

        Raises:
            InputError: there is no such split; the message ends with `option`.
        """
        if name not in self.splits:
            raise InputError(f"{self.name} has no split {name!r}, only {', '.join(map(repr, self.splits))}. {option}")
        return self.splits[name]


@dataclass(frozen=True, slots=True)
class Rule:
    """Which rows show the concept: those with one of the `positive` labels in `column`."""

    column: str
    positive: tuple[str, ...]

    def shown(self, labels: Sequence[tuple[str, ...]]) -> BoolArray:
        """(n,) True where the concept is present."""
        return np.array([any(name in self.positive for name in own) for own in labels], dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Seen:
    """The observations on the images of a split.

    Args:
        ok: (rows,) False for unreadable images.
        features: (n, width) of the readable images.
        digests: of their pixels.
        failures: why images could not be read.
    """

    ok: BoolArray
    features: FloatArray
    digests: tuple[str, ...]
    failures: tuple[str, ...]


def open_dataset(data: str, config: str | None = None, revision: str | None = None) -> Opened:
    """Open a folder or a dataset on the Hub; code in it is never run.

    Args:
        data: a folder that `load_dataset` reads (Parquet, ImageFolder), an id on the Hub, or `sandbox` for labelled
            renders of the sandbox (`./sandbox` for a folder of that name).
        config: of a dataset with several.
        revision: commit, branch or tag on the Hub.

    Raises:
        InputError: the dataset does not exist, or `load_dataset` cannot read it.
    """
    import datasets

    if data == SANDBOX:
        if revision or config not in (None, CONFIG):
            raise InputError(
                f"{SANDBOX} has only config {CONFIG!r} and no revisions. Leave {config or revision!r} out."
            )
        return Opened(data, None, renders.splits())
    folder = Path(data).expanduser()
    local = folder.is_dir()
    if not local and not _REPOSITORY.fullmatch(data):
        raise InputError(
            f"there is no folder {data!r}. Specify a folder of labelled images, or an id on the Hub (owner/name)."
        )
    if local and revision:
        raise InputError(
            f"revision {revision!r} is specified for the folder {data!r}, but only datasets on the Hub have revisions. "
            "Leave the revision out."
        )
    commit = revision if local else _commit(data, revision)
    try:
        splits = datasets.load_dataset(str(folder) if local else data, config, revision=commit)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        what = "cannot be read" if local else "is neither a folder nor available on the Hub"
        raise InputError(
            f"dataset {data!r} {what} ({type(error).__name__}: {reason}). Check the path or id, --config and "
            "--revision. A folder must contain train/<label>/*.png and test/<label>/*.png, or Parquet files."
        ) from error
    return Opened(folder.resolve().name if local else data, commit, splits)


def _commit(repository: str, revision: str | None) -> str | None:
    """The commit that a revision is now; as it was given where the Hub cannot be asked (load_dataset then says why)."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return str(HfApi().dataset_info(repository, revision=revision).sha)
    except (OSError, ValueError, HfHubHTTPError):
        return revision


def find_rule(rows: Rows, where: str, item: Concept, column: str | None = None, positive: str | None = None) -> Rule:
    """Which rows show a concept.

    Args:
        rows: of the training split.
        where: their name in errors.
        item: the concept.
        column: of the labels; by default `concept` if it names the concept, else `label`.
        positive: the label that means the concept; by default, those that equal its id or name, ignoring case and
            punctuation, or else a synonym or the ImageNet class that it was taken from.

    Raises:
        MetadataError: the column does not exist, or does not contain labels.
        LabelError: a row has no label.
        UnknownLabelError: no label means the concept; with the nearest ones.
    """
    if column is None:
        by_concept = CONCEPT in rows.features and positive is None
        column = CONCEPT if by_concept and item.id in _names(labels(rows, CONCEPT, where)) else LABEL
    names = _names(labels(rows, column, where))
    found = (positive,) if positive in names else () if positive is not None else _meaning(item, names)
    if not found:
        listed = ", ".join(map(repr, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")
        raise UnknownLabelError(
            positive or item.id,
            names,
            f"Column {column!r} of {where} contains {listed}. Set --positive-label to the label that means {item.id}.",
        )
    return Rule(column, tuple(str(name) for name in found))


def labels(rows: Rows, column: str, where: str) -> list[tuple[str, ...]]:
    """The labels of each row: one, or several if the column contains lists; () for a null concept.

    Raises:
        MetadataError: the column does not exist, or does not contain labels.
        LabelError: a row has no label.
    """
    import datasets

    require_column(rows, column, where, "--label-column")
    feature = rows.features[column]
    several = isinstance(feature, datasets.List | datasets.LargeList)
    inner = feature.feature if several else feature
    if not isinstance(inner, datasets.ClassLabel | datasets.Value):
        raise MetadataError(
            f"{where}: column {column!r} contains {feature}, not labels. Choose another column with --label-column."
        )
    out = []
    for i, value in enumerate(rows[column]):
        if value is None and column == CONCEPT:
            value = []
        elif not isinstance(value, list):
            value = [value]
        if any(v is None or (v == -1 and isinstance(inner, datasets.ClassLabel)) for v in value):
            raise LabelError(
                f"{where}, row {i}: column {column!r} has no label. Label the image, or leave the row out."
            )
        out.append(tuple(inner.int2str(v) if isinstance(inner, datasets.ClassLabel) else str(v) for v in value))
    return out


def look(
    rows: Rows,
    column: str,
    where: str,
    backbone: Backbone,
    *,
    on_error: str,
    batch_size: int,
    tick: Callable[[int], None],
) -> Seen:
    """Read every image of a split once and compute its features.

    Args:
        rows: of the split.
        column: of the images.
        where: name of the split in errors.
        backbone: with image features.
        on_error: `raise` stops at the first unreadable image, `skip` leaves it out and reports it.
        batch_size: images in memory at once.
        tick: called with the number of images just finished.

    Raises:
        MetadataError: the column does not exist, or does not contain images.
        ImageError: an unreadable image, with `on_error="raise"`.
    """
    stored = require_images(rows, column, where)
    ok = np.zeros(len(rows), dtype=np.bool_)
    parts: list[FloatArray] = []
    digests: list[str] = []
    failures: list[str] = []
    for at in batches(range(len(rows)), batch_size):
        images: list[Image] = []
        for i, record in zip(at, stored[at[0] : at[-1] + 1][column], strict=True):
            try:
                images.append(decoded(record, f"{where}, row {i}"))
                ok[i] = True
            except ImageError as error:
                if on_error == "raise":
                    raise
                failures.append(str(error))
        if images:
            parts.append(backbone.image_features(images))
            digests += [hashlib.sha256(f"{x.size}".encode() + x.tobytes()).hexdigest() for x in images]
        tick(len(at))
    return Seen(ok, np.concatenate(parts) if parts else np.zeros((0, 0)), tuple(digests), tuple(failures))


def require_images(rows: Rows, column: str, where: str) -> Rows:
    """Only the column of images, as bytes or paths.

    Raises:
        MetadataError: the column does not exist, or does not contain images.
    """
    import datasets

    require_column(rows, column, where, "--image-column")
    if not isinstance(rows.features[column], datasets.Image):
        raise MetadataError(
            f"{where}: column {column!r} contains {rows.features[column]}, not images. Choose another column with "
            "--image-column."
        )
    return rows.select_columns([column]).cast_column(column, datasets.Image(decode=False))


def decoded(record: Mapping[str, Any] | None, name: str) -> Image:
    """A stored image, decoded; an ImageError names an image that cannot be decoded."""
    if not record or (record["bytes"] is None and not record["path"]):
        raise MissingImageError(f"{name} has no image. Leave the row out, or use --on-error skip.")
    if record["bytes"] is not None:
        return decode_image(record["bytes"], name=name)
    try:
        return read_image(record["path"])
    except ImageError as error:
        raise type(error)(f"{name}: {error}") from error


def require_column(rows: Rows, column: str, where: str, option: str) -> None:
    """Refuse rows without a column, and name the option that selects another one."""
    if column not in rows.features:
        raise MetadataError(
            f"{where}: there is no column {column!r}, only {', '.join(map(repr, rows.features))}. Choose one of them "
            f"with {option}."
        )


def _names(found: Iterable[tuple[str, ...]]) -> list[str]:
    return sorted({name for own in found for name in own})


def _meaning(item: Concept, names: Sequence[str]) -> tuple[str, ...]:
    """The labels that mean a concept: its own names before its synonyms, which may be classes beside it."""
    wordnet = re.findall(r"\bn\d{8}\b", item.source)
    for known in ((item.id, item.slug, *item.labels), (*item.names, *wordnet)):
        wanted = {_plain(name) for name in known}
        if found := tuple(n for n in names if wanted & {_plain(part) for part in (n, *n.split(","))}):
            return found
    return ()


def _plain(name: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", fold(name)))
