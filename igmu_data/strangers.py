"""JSON from unknown authors, read within limits: it may not take long, fill the memory, or be read in two ways.

Conventions: the limits are far above what igmu writes itself (a card of every prompt of a concept with ten seeds has
4 MB), and below what strains a machine.
"""

from __future__ import annotations

import hashlib
import json
import re
from math import isfinite
from pathlib import Path
from typing import Any, Final

MOST_BYTES: Final = 50_000_000
MOST_VALUES: Final = 2_000_000  # objects, lists and what is in them; each takes about a hundred bytes
MOST_DEPTH: Final = 16
HASH: Final = "content_sha256"
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_OPENS: Final = ("{", "[", ",")


def text_of(path: Path) -> str:
    """The text of a file.

    Raises:
        OSError: it cannot be read, or is not a file: a device or a pipe may never end.
        ValueError: not UTF-8, or more than `MOST_BYTES`.
    """
    if path.exists() and not path.is_file():
        raise OSError(0, "not a file")
    with path.open("rb") as handle:
        data = handle.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES:,} bytes")
    return data.decode("utf-8")


def parsed(text: str, *, as_printed: bool = False) -> Any:
    """The data of a JSON text.

    Args:
        text: from any source.
        as_printed: numbers as `["number", digits]`, as two different texts may be the same float.

    Raises:
        ValueError: not JSON, too large or too deep, a key twice in one object, or a text or number that igmu cannot
            have written.
    """
    if sum(map(text.count, _OPENS)) > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES:,} values")
    number: Any = _printed if as_printed else _float
    try:
        data = json.loads(
            text,
            parse_float=number,
            parse_int=_printed if as_printed else _int,
            parse_constant=number,
            object_pairs_hook=_object,
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    _require_flat(data)
    if _SURROGATE.search(text):  # only half of a pair is an error
        json.dumps(data, ensure_ascii=False).encode()
    return data


def fingerprint(text: str) -> str:
    """The hash of a file's JSON without the hash in it: every digit counts, white space and the order of keys do not.

    Left out as well is how long generating took, so that two runs of one command have the same hash.

    Raises:
        ValueError: not JSON within the limits, or not an object.

    >>> fingerprint('{"a": 0.50, "content_sha256": "x"}') == fingerprint('{ "a":0.50 }')
    True
    >>> fingerprint('{"a": 0.50}') == fingerprint('{"a": 0.5}')
    False
    """
    data = parsed(text, as_printed=True)
    if not isinstance(data, dict):
        raise ValueError("not an object")
    data.pop(HASH, None)
    if isinstance(cost := data.get("efficiency"), dict):
        cost.pop("times", None)  # the clock's
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # readers would differ in which of them counts
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {max(names, key=names.count)[:40]!r} appears twice in one object")
    return found


def _require_flat(data: Any) -> None:
    level = [data]
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise ValueError("nested too deeply")


def _printed(digits: str) -> list[str]:
    return ["number", digits]


def _float(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        raise ValueError(f"{digits[:40]} is not a JSON number, or it is too large")
    return value


def _int(digits: str) -> int:
    if len(digits) > 20:  # 64 bits with a sign
        raise ValueError(f"{digits[:40]}… is too large")
    return int(digits)
