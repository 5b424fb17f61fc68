"""Rounds 1..10 of a concept's rows: every prefix of rounds is a small benchmark, balanced like the whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, Self, TypeVar

from igmu_data.errors import OutOfRangeError
from igmu_data.schema import ROUNDS, version

PROTOCOLS: Final = {"lite": 2, "full": ROUNDS}
_BALANCED: Final = ("split", "probe", "attack_family", "own_concept", "language", "register")


def rounds_of(protocol: str) -> int:
    """How many rounds a protocol takes: `lite`, `full` or a number.

    Raises:
        OutOfRangeError: there is no such protocol.

    >>> rounds_of("lite"), rounds_of("full"), rounds_of("5")
    (2, 10, 5)
    """
    if protocol in PROTOCOLS:
        return PROTOCOLS[protocol]
    if protocol.isascii() and protocol.isdecimal() and 1 <= int(protocol) <= ROUNDS:
        return int(protocol)
    raise OutOfRangeError(
        f"protocol {protocol!r} does not exist. Use lite, full, or a number of rounds from 1 to {ROUNDS}."
    )


def named(rounds: int) -> str:
    """The part of a protocol that consists of some rounds, in words.

    >>> named(3), named(10)
    ('protocol 3', 'the full protocol')
    """
    return "the full protocol" if rounds == ROUNDS else f"protocol {rounds}"


class _InRound(Protocol):
    @property
    def round(self) -> int: ...


_I = TypeVar("_I", bound=_InRound)


def rows_of(protocol: str, rows: Iterable[_I]) -> list[_I]:
    """The rows that a protocol takes.

    Raises:
        OutOfRangeError: there is no such protocol.
    """
    rounds = rounds_of(protocol)
    return [row for row in rows if row.round <= rounds]


class _Published(Protocol):
    """A row of a concept, or a general prompt."""

    @property
    def id(self) -> str: ...

    @property
    def since(self) -> str: ...

    def model_copy(self, *, update: Mapping[str, Any]) -> Self: ...


_R = TypeVar("_R", bound=_Published)


def with_rounds(
    rows: Iterable[_R], *, balanced: Sequence[str] = _BALANCED, by: Sequence[str] = ("split", "probe")
) -> list[_R]:
    """Rows with rounds 1..10: split, probe, attack family, own concept, language and register are spread evenly.

    They are taken version by version, so that those of a later one find their places beside the published ones.

    Args:
        rows: all of one concept.
        balanced: the columns whose values are spread.
        by: the columns that rows of a version are taken in the order of.
    """
    rows = list(rows)
    order = sorted(rows, key=lambda r: (version(r.since), *(getattr(r, name) for name in by), r.id))
    found = spread([[str(getattr(row, name)) for name in balanced] for row in order])
    of = {row.id: n for row, n in zip(order, found, strict=True)}
    return [row.model_copy(update={"round": of[row.id]}) for row in rows]


def spread(rows: Iterable[Sequence[str]]) -> list[int]:
    """The round of each row, so that every value of every column is spread as evenly as it can be.

    Each row takes the round in which its values, and all of them together, are rarest so far: what comes later changes
    nothing of what came before.

    Args:
        rows: the values of each, in equal columns.

    >>> spread([["forget"], ["forget"], ["retain"]])
    [1, 4, 7]
    """
    counts: dict[tuple[int, tuple[str, ...]], list[int]] = defaultdict(lambda: [0] * ROUNDS)
    found = []
    for turn, values in enumerate(rows):
        single = [(column, (value,)) for column, value in enumerate(values)]
        own = [counts[key] for key in [(-2, ()), (-1, tuple(values)), *single]]
        lows = [min(n) for n in own]
        costs = [sum((n[r] - low) ** 2 for n, low in zip(own, lows, strict=True)) for r in range(ROUNDS)]
        best = min(range(ROUNDS), key=lambda r: (costs[r], (r - 3 * turn) % ROUNDS))
        for n in own:
            n[best] += 1
        found.append(best + 1)
    return found
