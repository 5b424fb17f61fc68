"""Choices by a hash of what they are made for, never by a random state or by what else there is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, TypeVar

from igmu_data.schema import SEEDS_PER_ROW

_T = TypeVar("_T")
_LARGEST: Final = 2**31


def ordered(items: Iterable[_T], salt: str) -> list[_T]:
    """Items in an order that depends on nothing but each and the salt: one more comes somewhere between the others."""
    return sorted(items, key=lambda item: _hash(salt, str(item)))


def seeds(key: str) -> tuple[int, ...]:
    """Five different seeds below 2³¹, derived from a text."""
    out: list[int] = []
    counter = 0
    while len(out) < SEEDS_PER_ROW:
        value = _hash("seed", key, str(counter)) % _LARGEST
        counter += 1
        if value not in out:
            out.append(value)
    return tuple(out)


def _hash(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\x1f".join(parts).encode()).digest()[:8], "big")
