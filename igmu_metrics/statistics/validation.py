"""Checks of a metric's arguments: each error names the argument, the position and the value that cannot be scored.

Conventions: every function takes the argument's name first and returns a clean array. A value that a detector or
network could not give is `None` in a list or masked in a masked array; NaN and infinities are always errors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, KeysView, Mapping, Sequence, Set, ValuesView
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import (
    DuplicateIdError,
    EmptyInputError,
    InputError,
    LabelError,
    LengthMismatchError,
    NonFiniteError,
    OutOfRangeError,
)
from igmu_metrics.contract import FloatArray

Masked = np.ma.MaskedArray[Any, Any]
_SHOWN = 60  # characters of a wrong value that a message quotes


def same_length(**arguments: Any) -> int:
    """The common length of arguments that belong together; those that are None are left out.

    Raises:
        EmptyInputError: they have no entries.
        LengthMismatchError: their lengths differ.
    """
    lengths = {name: len(values) for name, values in arguments.items() if values is not None}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise LengthMismatchError(
            f"these arguments have different lengths: {listed}. Pass one entry per generation in each of them."
        )
    n = next(iter(lengths.values()))
    if n == 0:
        raise EmptyInputError(f"{', '.join(lengths)}: there are no entries, so there is nothing to score.")
    return n


def as_list(name: str, values: Any, *, ordered: bool = True) -> Any:
    """A list-like argument as something that has a length and an order, can be read twice and contains plain values.

    Args:
        name: name of the argument.
        values: a list or tuple, an array (also masked), a tensor, a column of a table (pandas, datasets, pyarrow) …
        ordered: False if the order does not matter, so that a set is accepted.

    Returns:
        None and arrays unchanged, everything else as a list or an array.

    Raises:
        InputError: a string, a set or a mapping, an iterator, or something that is not a list.
    """
    kind, array = type(values), isinstance(values, np.ndarray)
    if values is None or isinstance(values, list | tuple) or (array and values.ndim):
        return values
    if isinstance(values, str | bytes | Path):
        raise InputError(f"{name} is the string {_quote(values)}; pass a list with one entry per generation.")
    if isinstance(values, Set | Mapping | KeysView | ValuesView) and ordered:
        raise InputError(f"{name} has type {kind.__name__}, which is not ordered. Pass a list.")
    if kind.__module__.partition(".")[0] == "torch" and hasattr(values, "detach"):
        tensor = values.detach().cpu()
        return as_list(name, (tensor.double() if tensor.is_floating_point() else tensor).numpy())
    if hasattr(values, "to_numpy") and getattr(values, "ndim", 1) != 1:  # a table is read by columns, not by rows
        return as_list(name, values.to_numpy())
    if array or isinstance(values, Iterator) or not (hasattr(values, "__len__") and hasattr(values, "__iter__")):
        how = ", which can be read only once; pass list(…)" if isinstance(values, Iterator) else "; pass a list"
        raise InputError(f"{name} has type {kind.__name__}{how} with one entry per generation.")
    found = values.to_pylist() if hasattr(values, "to_pylist") else list(values)
    return [None if type(value).__name__ in ("NAType", "NaTType") else value for value in found]


def texts(name: str, values: Sequence[Any] | npt.NDArray[Any], *, optional: bool = False) -> npt.NDArray[np.str_]:
    """(n,) ids as strings: non-empty strings or whole numbers; if `optional`, "" for None.

    Raises:
        InputError: an entry that is empty or neither a string nor a whole number.
    """
    for at, value in enumerate(values):
        if optional and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int | np.integer) or value == "":
            raise InputError(f"{name}[{at}] is {_quote(value)}; it must be a non-empty string or a whole number.")
    return np.asarray(["" if value is None else str(value) for value in values], dtype=np.str_)


def whole_numbers(name: str, values: Sequence[Any] | npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """(n,) whole numbers, such as seeds.

    Raises:
        NonFiniteError: NaN or an infinity.
        InputError: an entry that is not a whole number.
    """
    for at, value in enumerate(values):
        if isinstance(value, float | np.floating) and not np.isfinite(value):
            raise NonFiniteError(f"{name}[{at}] is {value}; it must be a whole number.")
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
            raise InputError(f"{name}[{at}] is {_quote(value)}; it must be a whole number.")
    return np.asarray([int(value) for value in values], dtype=np.int64)


def numbers(
    name: str,
    values: Any,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    ndim: int = 1,
) -> Masked:
    """Finite numbers in low..high, as a float64 masked array; masked entries are ignored.

    Args:
        name: name of the argument, for messages.
        values: array, masked array or (nested) list; None in a flat list counts as masked.
        low: smallest value allowed.
        high: largest value allowed.
        ndim: 1 for one number per generation, 2 for one vector per generation.

    Raises:
        InputError: not numbers, or not of `ndim` dimensions.
        NonFiniteError: NaN or an infinity that is not masked.
        OutOfRangeError: a number outside low..high.
    """
    out = np.ma.masked_array(*_split(name, values))
    if out.ndim != ndim:
        raise InputError(f"{name} has shape {out.shape}; pass {'one number' if ndim == 1 else 'one vector'} per entry.")
    hidden = np.ma.getmaskarray(out)
    for wrong, error, wanted in (
        (~np.isfinite(out.data) & ~hidden, NonFiniteError, "a finite number, and mask values that were not measured"),
        (((out.data < low) | (out.data > high)) & ~hidden, OutOfRangeError, f"a number in {low:g}..{high:g}"),
    ):
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise error(f"{name}[{', '.join(map(str, at))}] is {out.data[at]:g}; give {wanted}.")
    return out


def decisions(name: str, values: Any, threshold: float | None = None) -> Masked:
    """(n,) decisions "the concept is present", as a boolean masked array with False under the mask.

    Args:
        name: name of the argument, for messages.
        values: booleans, zeros and ones, or probabilities 0..1; None or masked if nothing was decided.
        threshold: p ≥ threshold counts as present; required for probabilities.

    Raises:
        InputError: probabilities without a threshold.
        NonFiniteError: NaN or an infinity.
        OutOfRangeError: a value or a threshold outside 0..1.

    >>> decisions("present", [0.2, None, 0.9], threshold=0.5).tolist()
    [False, None, True]
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise OutOfRangeError(f"threshold is {threshold!r}; it must be a probability in 0..1.")
    p = numbers(name, values, low=0.0, high=1.0)
    mask = np.ma.getmaskarray(p)
    binary = np.isin(p.data, (0.0, 1.0)) | mask
    if threshold is None and not binary.all():
        at = int(np.flatnonzero(~binary)[0])
        raise InputError(
            f"{name}[{at}] is {p.data[at]:g}, which is a probability; also pass threshold=, or pass decisions (True or "
            "False) instead."
        )
    cut = 0.5 if threshold is None else threshold
    return np.ma.masked_array((p.data >= cut) & ~mask, mask)


def labels(name: str, values: Sequence[Any] | npt.NDArray[Any], *, optional: bool = False) -> npt.NDArray[np.str_]:
    """(n,) labels of the form `domain/concept`; with `optional`, None becomes the empty string.

    Raises:
        LabelError: an entry that is not of this form.
    """
    good: set[str] = set()
    for at, value in enumerate(values):
        if not ((value is None and optional) or (isinstance(value, str) and value in good)):
            good.add(label(f"{name}[{at}]", value, optional=optional))
    return np.asarray(["" if value is None else value for value in values], dtype=np.str_)


def label(name: str, value: Any, *, optional: bool = False) -> str:
    """One label of the form `domain/concept`.

    Args:
        name: name of the argument, with its position if it is one of several.
        value: the label.
        optional: whether the message mentions None.

    Raises:
        LabelError: the value does not have this form.
    """
    if isinstance(value, str):
        domain, _, concept = value.partition("/")
        if domain and concept and "/" not in concept and value == "".join(value.split()):
            return str(value)
    hint = " or None" if optional else ""
    raise LabelError(
        f"{name} is {_quote(value)}; it must have the form 'domain/concept', such as 'object/church'{hint}."
    )


def unique_keys(**columns: Sequence[Any] | npt.NDArray[Any]) -> None:
    """Refuse two entries with the same key, which consists of all columns together, such as id and seed.

    Raises:
        DuplicateIdError: two entries have the same key; the message gives both positions.
    """
    seen: dict[tuple[Any, ...], int] = {}
    for at, key in enumerate(zip(*(np.asarray(c).tolist() for c in columns.values()), strict=True)):
        first = seen.setdefault(key, at)
        if first != at:
            shown = ", ".join(f"{name} {value!r}" for name, value in zip(columns, key, strict=True))
            raise DuplicateIdError(
                f"entries {first} and {at} are the same generation ({shown}). Pass each generation only once."
            )


def constant_within(ids: npt.NDArray[Any], **columns: npt.NDArray[Any]) -> None:
    """Refuse a property of a prompt that changes between its generations.

    Args:
        ids: (n,) prompt of each generation.
        columns: (n,) properties, by the name of their argument.

    Raises:
        InputError: a property changes; the message gives both positions and values.
    """
    first, of = np.unique(ids, return_index=True, return_inverse=True)[1:]
    for name, column in columns.items():
        wrong = np.flatnonzero(column != column[first][of])
        if wrong.size:
            at, other = int(wrong[0]), int(first[of[wrong[0]]])
            raise InputError(
                f"{name}[{other}] is {column[other].item()!r} and {name}[{at}] is {column[at].item()!r}, but both "
                f"belong to prompt {ids[at].item()!r}. All generations of a prompt must have the same value."
            )


def one_of(name: str, values: Sequence[Any] | npt.NDArray[Any], allowed: Collection[str]) -> None:
    """Refuse a word that is not one of the allowed ones.

    Raises:
        InputError: a word is not allowed; the message gives its position and the allowed words.
    """
    for at, value in enumerate(values):
        if value not in allowed:
            raise InputError(f"{name}[{at}] is {_quote(value)}; it must be one of {', '.join(map(repr, allowed))}.")


def _split(name: str, values: Any) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Numbers (0 under the mask) and mask of a masked array, an array, or a list with None for missing values."""
    if isinstance(values, np.ma.MaskedArray):
        raw, mask = np.asarray(values.data), np.ma.getmaskarray(values)
    else:
        raw = np.asarray(values if isinstance(values, np.ndarray) else list(values))
        mask = np.zeros(raw.shape, dtype=np.bool_)
        if raw.dtype == object:
            mask = np.asarray([value is None for value in raw.ravel()], dtype=np.bool_).reshape(raw.shape)
    for at, value in enumerate(raw.ravel()) if raw.dtype.kind not in "biuf" else ():
        if value is not None and not isinstance(value, bool | int | float | np.number | np.bool_):
            raise InputError(f"{name}, entry {at}, is {_quote(value)}; it must be a number.")
    return np.where(mask, 0.0, raw).astype(np.float64), mask


def _quote(value: Any) -> str:
    shown = repr(value.item() if isinstance(value, np.generic) else value)
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"
