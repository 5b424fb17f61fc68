"""The confidence level of every interval that is made without one of its own: 95 %, unless it is one of several looks.

Conventions: who looks at data several times asks more of each single interval (`looks`). Metrics do not know how often
somebody looks, and take no level; so it is set around them, and whatever makes an interval asks here. It is kept for
each thread and task by itself.
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
    """A level as given, or the one that is set around the caller.

    Raises:
        OutOfRangeError: a level outside 0..1.

    >>> confidence(), confidence(0.9)
    (0.95, 0.9)
    """
    found = _LEVEL.get() if level is None else level
    if not 0 < found < 1:
        raise OutOfRangeError(f"level is {found!r}; give a confidence level between 0 and 1, such as 0.95.")
    return found


def tails() -> tuple[float, float]:
    """The quantiles that an interval of the level that is set lies between.

    >>> tails()
    (0.025, 0.975)
    """
    high = round((1 + confidence()) / 2, 12)
    return round(1 - high, 12), high


@contextmanager
def at_level(level: float) -> Iterator[None]:
    """Have intervals of this level until the block ends.

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
