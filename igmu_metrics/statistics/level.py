"""The default confidence level of intervals: 95%, or higher if there are several interim looks.

Conventions: if data are checked several times, each single interval must be stricter (`looks`). Metrics do not know how
often data are checked and have no level argument, so the level is set around them, and every function that computes an
interval reads it here. It is separate for each thread and task.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from igmu_data.errors import OutOfRangeError

LEVEL: Final = 0.95
_LEVEL: ContextVar[float] = ContextVar("level", default=LEVEL)


def confidence(level: float | None = None) -> float:
    """The given level, or the one that is set around the caller.

    Raises:
        OutOfRangeError: a level outside 0..1.

    >>> confidence(), confidence(0.9)
    (0.95, 0.9)
    """
    found = _LEVEL.get() if level is None else level
    if not 0 < found < 1:
        raise OutOfRangeError(f"level is {found!r}; it must be a confidence level between 0 and 1, such as 0.95.")
    return found


def tails() -> tuple[float, float]:
    """The quantiles that bound an interval of the current level.

    >>> tails()
    (0.025, 0.975)
    """
    high = round((1 + confidence()) / 2, 12)
    return round(1 - high, 12), high


@contextmanager
def at_level(level: float) -> Iterator[None]:
    """Use this level for intervals until the block ends.

    Raises:
        OutOfRangeError: a level outside 0..1.

    >>> with at_level(0.99):
    ...     confidence()
    0.99
    """
    before = _LEVEL.set(confidence(level))
    try:
        yield
    finally:
        _LEVEL.reset(before)
