"""The table of generations: one row per generation, with everything known about it, from image folder to scorecard.

Conventions: a generation is one prompt and one seed, `(id, seed)`. Columns are named as in the corpus (`id`, `prompt`,
`split`, `own_concept`, …); columns of the original model have the suffix `_original`. Some columns come from the
corpus, some describe the file (`sha256`, `format`, `width` …), and others are measured (`probability`, features,
distances); `status` says what happened. `COLUMNS` defines all columns of evaluations; callers' tables may have more.

Missing values are "" for texts, masked for numbers and decisions, and rows of NaN for features. `failed` and `unclear`
differ from missing: a failed generation has a status that says why; an unclear or blank one has a masked decision.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from igmu_data.errors import (
    DuplicateIdError,
    InputError,
    LengthMismatchError,
    MetadataError,
    OutOfRangeError,
    OutputError,
)
from igmu_data.files import beside
from igmu_data.numerals import rounding
from igmu_data.schema import ASIDE
from igmu_metrics.contract import CROSS, Setting

Kind = Literal["text", "whole", "flag", "number", "vector", "object"]
Array = npt.NDArray[Any]
Key = tuple[str, int]
ORIGINAL: Final = "_original"
OK: Final = "ok"
UNCLEAR: Final = "unclear"
BLANK: Final = "blank"
FAILED: Final = "failed: "
SHA256: Final = "^[0-9a-f]{64}$"
MISSING: Final = "missing"  # fact: the images that were asked of the model and are not there (`Generations.lacking`)
_FACTS: Final = b"igmu"


@dataclass(frozen=True, slots=True)
class Column:
    """The definition of a column.

    Args:
        kind: text, whole number, decision (flag), number, vector of features, or any object.
        about: a short description.
        both: whether there is also a column for the original model, with the suffix `_original`.
        published: whether it is part of a scorecard's lines.
        low: smallest value allowed.
        high: largest value allowed.
        pattern: regular expression that a text must match.
    """

    kind: Kind
    about: str
    both: bool = False
    published: bool = True
    low: float | None = None
    high: float | None = None
    pattern: str = ""


COLUMNS: Final[Mapping[str, Column]] = MappingProxyType(
    {
        "id": Column("text", "id of the corpus row, which identifies the prompt"),
        "seed": Column("whole", "seed of the starting noise"),
        "split": Column("text", "forget, retain or adversarial"),
        "probe": Column(
            "text", "what the row tests: direct, near, far, in-prompt, attack, negation, composition or superclass"
        ),
        "concept": Column("text", "the concept to forget; the row is part of the benchmark for this concept"),
        "own_concept": Column("text", "the concept that the image should show and that the detector looks for"),
        "own_name": Column("text", "name of `own_concept` in retain rows; need not be a concept of the taxonomy"),
        "family": Column("text", "family of `concept` within its domain"),
        "attack_family": Column("text", "attack family, in adversarial rows"),
        "attack_source_id": Column("text", "id of the forget row from which the attack was made"),
        "budget": Column("text", "effort spent on searching for the prompt, in adversarial rows"),
        "prompt": Column("text", "the text given to the image generator", published=False),
        "stripped_prompt": Column("text", "the prompt without the concept", published=False),
        "path": Column("object", "the image: a file or a PIL image", both=True, published=False),
        "recorded_sha256": Column("text", "SHA-256 of the file according to the folder's metadata", published=False),
        "generated_with": Column("text", "steps, guidance, size, scheduler, dtype", both=True, published=False),
        "rounded_with": Column("text", "batch size and compilation from metadata", both=True, published=False),
        "looks": Column("text", "latest interim check of the run that generated the image", published=False),
        "seed_from": Column("text", "how an assumed seed was chosen", both=True, published=False),
        "status": Column("text", "ok, unclear, blank (a single color), or failed with the reason", both=True),
        "sha256": Column("text", "SHA-256 of the image file", both=True, pattern=SHA256),
        "format": Column("text", "file format: PNG, JPEG, WEBP, BMP, GIF or TIFF", both=True),
        "width": Column("whole", "width in pixels", both=True, low=1),
        "height": Column("whole", "height in pixels", both=True, low=1),
        "mode": Column("text", "stored pixel format: RGB, L, RGBA …", both=True),
        "probability": Column("number", "probability that the image shows `own_concept`", both=True, low=0, high=1),
        "present": Column("flag", "whether the probability reaches the detector's threshold", both=True),
        "alignment": Column("number", "CLIP cosine of image and prompt", both=True, low=-1, high=1),
        "stripped_alignment": Column(
            "number", "CLIP cosine of image and prompt without the concept", both=True, low=-1, high=1
        ),
        "reward": Column("number", "score that the --align model gives to the image and its prompt", both=True),
        "truncated": Column("flag", "whether CLIP read only the beginning of the prompt, which is too long"),
        "answered": Column("number", "share of the row's questions answered as intended", both=True, low=0, high=1),
        "lpips": Column("number", "LPIPS between the images of both models", low=0),
        "clip_features": Column("vector", "CLIP embedding of the image", both=True, published=False),
        "align_features": Column("vector", "embedding of the image for `reward`", both=True, published=False),
        "features": Column("vector", "features for distances", both=True, published=False),
    }
)


def column(name: str) -> Column | None:
    """The definition of a column, with or without the suffix; None for columns that evaluations do not have."""
    found = COLUMNS.get(base := name.removesuffix(ORIGINAL))
    return found if found is None or base == name or found.both else None


class Generations:
    """An immutable table of generations; methods that change it return a new table.

    Args:
        columns: (n,) or (n, d) arrays by name; lists become arrays of the column's kind.
        facts: values that apply to all rows (target, settings of the detector …), as plain JSON values.

    Raises:
        LengthMismatchError: columns have different lengths.
        InputError: values are not of the column's kind; values are never rounded, truncated or converted to booleans.

    >>> table = Generations({"id": ["a", "a"], "seed": [0, 1], "present": [True, None]})
    >>> len(table), table["present"].tolist(), table.keys
    (2, [True, None], [('a', 0), ('a', 1)])
    """

    def __init__(self, columns: Mapping[str, Any], facts: Mapping[str, Setting] | None = None) -> None:
        arrays = {name: _checked(name, values) for name, values in columns.items()}
        lengths = {name: len(values) for name, values in arrays.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} {n}" for name, n in lengths.items())
            raise LengthMismatchError(f"the lengths differ: {listed}. Pass one entry per generation in each.")
        self.columns: Mapping[str, Array] = MappingProxyType(arrays)
        self.facts: Mapping[str, Setting] = MappingProxyType(dict(facts or {}))
        self._n = next(iter(lengths.values()), 0)

    def __len__(self) -> int:
        return self._n

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def __repr__(self) -> str:
        return f"Generations({len(self)} rows: {', '.join(self.columns)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Generations):
            return NotImplemented
        return (
            self.facts == other.facts
            and self.columns.keys() == other.columns.keys()
            and all(_same(values, other[name]) for name, values in self.columns.items())
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def keys(self) -> list[Key]:
        """`(id, seed)` of every row, by which it is paired with the other model's."""
        return list(zip(self["id"].tolist(), self["seed"].tolist(), strict=True)) if len(self) else []

    def with_columns(self, **columns: Any) -> Generations:
        """The table with additional or replaced columns."""
        return Generations({**self.columns, **columns}, self.facts)

    def with_facts(self, **facts: Setting | None) -> Generations:
        """The table with additional or replaced facts; None removes a fact."""
        return Generations(self.columns, {k: v for k, v in {**self.facts, **facts}.items() if v is not None})

    def without(self, *names: str) -> Generations:
        """The table without some columns."""
        return Generations({k: v for k, v in self.columns.items() if k not in names}, self.facts)

    def where(self, chosen: npt.ArrayLike) -> Generations:
        """Selected rows, by a mask or by indices."""
        at = np.asarray(chosen)
        at = at if at.size else at.astype(np.intp)
        return Generations({name: values[at] for name, values in self.columns.items()}, self.facts)

    @property
    def parts(self) -> npt.NDArray[np.str_]:
        """(n,) the part of every row (`contract.PARTS`): its split, or a probe that is counted separately.

        An image of something that its prompt excluded is neither a successful attack nor a failure to forget.
        """
        if "probe" not in self:
            return np.asarray(self["split"])
        return np.where(np.isin(self["probe"], (*ASIDE, CROSS)), self["probe"], self["split"])

    def part(self, *names: str) -> Generations:
        """The rows of the given parts (`contract.PARTS`)."""
        return self.where(np.isin(self.parts, names)) if len(self) else self

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """(n,) whether neither model's generation failed."""
        good = np.ones(len(self), dtype=np.bool_)
        for name in ("status", "status" + ORIGINAL):
            if name in self:
                good &= ~np.char.startswith(self[name], FAILED)
        return good

    def paired(self, original: Generations, *, skip: bool = False) -> tuple[Generations, list[str]]:
        """Both models in one table, in the order of the original's rows.

        Args:
            original: the original model's generations.
            skip: leave out generations that only one of the models has, instead of raising an error.

        Returns:
            The table, and a reason for each generation that was left out.

        Raises:
            MetadataError: only one of the models has a generation.
            DuplicateIdError: a model has a generation twice.
        """
        for keys in (self.keys, original.keys):
            if len(set(keys)) < len(keys):
                row, seed = next(key for key, times in Counter(keys).items() if times > 1)
                raise DuplicateIdError(f"row {row!r} with seed {seed} appears twice. Keep each generation only once.")
        mine, theirs = ({key: at for at, key in enumerate(table.keys)} for table in (self, original))
        reasons = []
        both = (original, theirs, mine, "unlearned", self), (self, mine, theirs, "original", original)
        for table, one, other, name, incomplete in both:
            missing = incomplete.lacking(table)
            reasons += [f"row {row!r}, seed {seed}: no image of the {name} model" for row, seed in missing]
            if missing and not skip:
                row, seed = missing[0]
                partner = table["path"][one[row, seed]] if (row, seed) in one and "path" in table else "the pair"
                seeds, own = ([s for of, s in sorted(keys) if of == row] for keys in (other, one))
                told = f" ({why})" if (why := rounding(seeds, own)) else ""
                has = f"Its images of this row have seeds {', '.join(map(str, seeds[:5]))}{told}. Use the same for both"
                cure = has if seeds and not any((row, s) in one for s in seeds) else "Generate this image"
                raise MetadataError(
                    f"the {name} model has no image for row {row!r}, seed {seed}, so {partner} cannot be compared "
                    f"(missing in total: {len(missing):,}). {cure}, or leave unpaired images out with "
                    "'igmu score --on-error skip'."
                )
        common = [key for key in theirs if key in mine]
        before = original.where([theirs[key] for key in common])
        others = {n + ORIGINAL: v for n, v in before.columns.items() if (known := column(n)) is None or known.both}
        table = self.where([mine[key] for key in common]).with_columns(**others)
        return table.with_facts(**{MISSING: None}), reasons

    def lacking(self, partner: Generations) -> list[Key]:
        """What a partner has and was asked of this model too (all without the fact `MISSING`), and what is lost."""
        theirs = set(partner.keys).difference(self.keys)
        asked = json.loads(str(self.facts[MISSING])) if MISSING in self.facts else [(*key, True) for key in theirs]
        return sorted((row, seed) for row, seed, failed in asked if (row, seed) in theirs or not failed)

    def records(self, *names: str) -> Iterator[dict[str, Any]]:
        """Rows as dictionaries of plain Python values, with None for missing values.

        Args:
            names: names of columns, None in all rows if the table lacks one; by default all published columns.
        """
        wanted = names or tuple(n for n in self.columns if (known := column(n)) is None or known.published)
        plain = {n: _plain(n, self[n]) if n in self else [None] * len(self) for n in wanted}
        for values in zip(*plain.values(), strict=True):
            yield dict(zip(plain, values, strict=True))


def joined(tables: Sequence[Generations]) -> Generations:
    """Concatenate tables, with all columns that any of them has and the facts of the first.

    If a table lacks a column, the values are missing in its rows; features of tables without readable images are NaN.

    Raises:
        InputError: features have different widths, so they come from different networks.
    """
    names = dict.fromkeys(name for table in tables for name in table.columns)
    columns: dict[str, Any] = {}
    for name in names:
        parts = [table[name] if name in table else _array(name, [None] * len(table)) for table in tables]
        if any(part.ndim == 2 for part in parts):
            widths = sorted({part.shape[1] for part in parts if part.ndim == 2} - {0})
            if len(widths) > 1:
                listed = " and ".join(map(str, widths))
                raise InputError(f"{name}: the vectors have different lengths, {listed}. Use one network for all.")
            width = widths[0] if widths else 0
            parts = [p if p.ndim == 2 and p.shape[1] == width else np.full((len(p), width), np.nan) for p in parts]
        masked = any(isinstance(part, np.ma.MaskedArray) for part in parts)
        columns[name] = np.ma.concatenate(parts) if masked else np.concatenate(parts)  # type: ignore[no-untyped-call]
    return Generations(columns, tables[0].facts)


def of_records(records: Sequence[Mapping[str, Any]], facts: Mapping[str, Setting] | None = None) -> Generations:
    """A table from rows given as dictionaries; absent keys and None become missing values."""
    names = dict.fromkeys(name for record in records for name in record)
    return Generations({name: [record.get(name) for record in records] for name in names}, facts)


def write(table: Generations, path: Path, facts: Mapping[str, Any]) -> None:
    """Write a table as Parquet, atomically.

    Args:
        table: the table; images are written as their file names.
        path: path of the file.
        facts: further facts that apply to all rows, as plain JSON, in addition to the table's own.

    Raises:
        OutputError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {_FACTS: json.dumps({"table": dict(table.facts), **facts})}
    try:
        columns = {name: _arrow(name, values) for name, values in table.columns.items() if values.shape[1:] != (0,)}
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as part:
            pq.write_table(
                pa.table(columns).replace_schema_metadata(metadata), part, compression="zstd", write_page_checksum=True
            )
    except (OSError, UnicodeEncodeError) as error:
        raise OutputError(
            f"cannot write {path}: {getattr(error, 'strerror', None) or error}. Free some space, or change --out."
        ) from error


def read(path: Path) -> tuple[Generations, dict[str, Any]]:
    """Read a table and its further facts.

    Raises:
        MetadataError: the file cannot be read, or was not written by `write`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        whole = pq.read_table(path, page_checksum_verification=True)
        facts = json.loads(whole.schema.metadata[_FACTS])
        columns = {name: _numpy(name, whole.column(name).combine_chunks()) for name in whole.column_names}
        return Generations(columns, facts.pop("table")), facts
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, AttributeError) as error:
        raise MetadataError(f"{path} is not a valid table of 'igmu score --shard' ({error}). Score again.") from error


def line_schema() -> dict[str, Any]:
    """The JSON Schema of a scorecard's line: the published columns, of both models."""
    kinds = {"text": "string", "whole": "integer", "flag": "boolean", "number": "number"}
    properties = {}
    for base, known in COLUMNS.items():
        if not known.published:
            continue
        limits = {"minimum": known.low, "maximum": known.high, "pattern": known.pattern or None}
        given = {limit: value for limit, value in limits.items() if value is not None}
        for name in (base, base + ORIGINAL) if known.both else (base,):
            about = known.about + (", of the original model" if name != base else "")
            properties[name] = {"type": kinds[known.kind], "description": about, **given}
    # Other columns are allowed.
    return {"type": "object", "properties": properties, "required": ["id", "seed", "split"]}


def texts(values: Iterable[str | None]) -> npt.NDArray[np.str_]:
    """(n,) texts, "" for None."""
    return np.asarray(["" if v is None else str(v) for v in values], dtype=np.str_)


def _same(a: Array, b: Array) -> bool:
    if a.shape != b.shape or not np.array_equal(np.ma.getmaskarray(a), np.ma.getmaskarray(b)):
        return False
    return np.array_equal(np.ma.filled(a, 0), np.ma.filled(b, 0), equal_nan=a.dtype.kind == b.dtype.kind == "f")


def _kind(name: str, values: Array) -> Kind:
    """The kind of a column: as defined, or according to its array."""
    known = column(name)
    if known is not None:
        return known.kind
    kinds: dict[str, Kind] = {"U": "text", "b": "flag", "i": "whole", "u": "whole", "f": "number"}
    return "vector" if values.ndim == 2 else kinds.get(values.dtype.kind, "object")


def _checked(name: str, values: Any) -> Array:
    """`_array`, or an error that names the column."""
    try:
        return _array(name, values)
    except InputError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"{name}: the values are not all of the same type ({error}). Pass values of one type."
        ) from error


def _array(name: str, values: Any) -> Array:
    """A column as an array of its kind; arrays of undefined columns are unchanged."""
    known = column(name)
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values if known is None else _as_kind(name, known.kind, values)
    given = list(values)
    if known is None:
        some = next((v for v in given if v is not None), None)
        kind: Kind = (
            "text" if isinstance(some, str) else "flag" if isinstance(some, bool | np.bool_) else
            "number" if isinstance(some, int | float | np.number) else "object"
        )  # fmt: skip
    else:
        kind = known.kind
    if kind == "text":
        return texts(given)
    if kind == "object":
        return np.fromiter(given, object, len(given))
    if kind == "vector":
        none = [np.nan] * next((np.size(v) for v in given if v is not None), 0)
        rows = [none if v is None else v for v in given] or np.empty((0, 0))
        return _as_kind(name, kind, np.asarray(rows, dtype=np.float64))
    mask = [v is None or v is np.ma.masked for v in given]
    filled: list[Any] = [0 if m else v for v, m in zip(given, mask, strict=True)]
    # Whole numbers are kept as objects until `_whole` checks them, since numpy would convert large ones to floats.
    data = np.fromiter(filled, object, len(filled)) if kind == "whole" else np.asarray(filled)
    return _as_kind(name, kind, np.ma.MaskedArray(data, mask=mask) if data.ndim == 1 else data)


def _as_kind(name: str, kind: Kind, values: Array) -> Array:
    if values.ndim != (2 if kind == "vector" else 1) or np.iscomplexobj(values):
        told = f"the shape {values.shape} and the type {values.dtype}"
        raise InputError(f"{name} has {told}; pass one {'vector' if kind == 'vector' else 'value'} for each row.")
    if kind in ("flag", "number"):
        data, hidden = np.ma.getdata(values), np.ma.getmaskarray(values)
        if kind == "number":
            data = data.astype(np.float64)
            hidden = hidden | np.isnan(data)
            data = np.where(hidden, 0.0, data)
        elif data.dtype != np.bool_:
            wrong = np.flatnonzero(~hidden & (data != 0) & (data != 1))
            if wrong.size:
                raise InputError(f"{name}[{wrong[0]}] is {data[wrong[0]]}; it must be True, False or None.")
            data = np.where(hidden, 0, data).astype(np.bool_)
        return np.ma.MaskedArray(data, mask=hidden, copy=True)
    if kind == "whole":
        return _whole(name, np.ma.filled(values, 0))
    return texts(values.tolist()) if kind == "text" and values.dtype.kind != "U" else values


def _whole(name: str, values: Array) -> Array:
    """Whole numbers as 64-bit integers; larger ones are refused, since they would become other seeds."""
    if values.dtype.kind == "i":
        return values.astype(np.int64)
    for at, value in enumerate(given := values.tolist()):
        if not isinstance(value, int | np.integer) or not -(2**63) <= value < 2**63:
            shown = f"{value!r:.40}{'…' * (len(repr(value)) > 40)}"
            raise OutOfRangeError(f"{name}[{at}] is {shown}; it must be a whole number that fits in 64 bits.")
    return np.asarray(given, dtype=np.int64)


def _plain(name: str, values: Array) -> list[Any]:
    kind = _kind(name, values)
    found: list[Any] = values.tolist()
    optional = kind == "text" or (kind == "whole" and name != "seed")
    return [v or None for v in found] if optional else found


def _arrow(name: str, values: Array) -> Any:
    import pyarrow as pa

    kind = _kind(name, values)
    if kind == "vector":
        with np.errstate(over="ignore", under="ignore"):
            short = values.astype(np.float32)  # used if nothing is lost
        kept = short if np.array_equal(short.astype(np.float64), values, equal_nan=True) else values
        return pa.FixedSizeListArray.from_arrays(pa.array(kept.reshape(-1)), values.shape[1])
    if kind == "object":
        names = [Path(v).name if isinstance(v, str | Path) else None for v in values]
        return pa.array([n and n.encode("utf-8", "backslashreplace").decode() for n in names], pa.string())
    types = {"text": pa.string(), "whole": pa.int64(), "flag": pa.bool_(), "number": pa.float64()}
    return pa.array(_plain(name, values), types[kind])


def _numpy(name: str, values: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_fixed_size_list(values.type):
        return np.asarray(values.flatten(), np.float64).reshape(len(values), values.type.list_size)
    known = column(name)
    if known is not None and known.kind == "object":
        return [None if v is None else Path(v) for v in values.to_pylist()]
    return values.to_pylist()
