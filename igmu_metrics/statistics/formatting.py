"""Formatting of numbers: the value, then the interval, and a dash for what is missing.

Conventions: a figure is anything with a `value` and an `interval` (a scorecard's figure, an estimate). A missing value
is None or NaN; a missing interval is None or a pair that contains None. Zero is never written with a minus sign.
"""

from __future__ import annotations

from typing import Final, Protocol

from igmu_metrics.contract import Interval

DASH: Final = "–"
_MOST_DIGITS: Final = 17


class HasInterval(Protocol):
    """A value and its 95% interval."""

    @property
    def value(self) -> float | None:
        """The number, None or NaN if there is none."""

    @property
    def interval(self) -> tuple[float | None, float | None] | None:
        """Its ends."""


def value_of(figure: HasInterval | None) -> float | None:
    """The number of a figure, None if there is none."""
    value = None if figure is None else figure.value
    return None if value is None or value != value else value


def bounds(figure: HasInterval | None) -> Interval | None:
    """The interval for a figure, None if an end is missing."""
    low, high = (figure.interval if figure else None) or (None, None)
    return None if low is None or high is None else (low, high)


def number(value: float, spec: str = ".2f") -> str:
    """A number; `spec` is as for `format`.

    >>> number(-0.001), number(1234.5, ".3g"), number(float("nan"))
    ('0.00', '1.23e+03', '–')
    """
    return DASH if value != value else format(float(format(value, spec)) or 0.0, spec)


def p_value(p: float, spec: str = ".3g") -> str:
    """A p value, which is never 0; `spec` is as for `format`.

    >>> p_value(0.0213), p_value(0.0)
    ('p = 0.0213', 'p < 1e-300')
    """
    return f"p = {format(p, spec)}" if p >= 1e-300 else "p < 1e-300"


def between(
    figure: HasInterval | None, form: str = "{}–{}", spec: str = ".2f", *, scale: float = 1.0, missing: str = ""
) -> str:
    """The interval for a figure.

    >>> from igmu_metrics.contract import Estimate
    >>> between(Estimate(0.6, (0.23, 0.88))), between(Estimate(0.6), missing="no interval")
    ('0.23–0.88', 'no interval')
    """
    ends = bounds(figure)
    return form.format(*(number(scale * end, spec) for end in ends)) if ends else missing


def beside(figure: HasInterval | None, bound: float | None, form: str = "[{}, {}]") -> str:
    """The interval for a figure, with enough digits to show on which side of a bound each end is.

    >>> from igmu_metrics.contract import Estimate
    >>> beside(Estimate(0.0, (0.0, 0.1034)), 0.1), beside(Estimate(0.0, (0.0, 0.1034)), 0.2)
    ('[0.000, 0.103]', '[0.00, 0.10]')
    """

    def told(end: float, spec: str) -> bool:
        shown = float(number(end, spec))
        return bound is None or (shown > bound, shown < bound) == (end > bound, end < bound)

    ends = bounds(figure) or ()
    specs = (f".{digits}f" for digits in range(2, _MOST_DIGITS))
    spec = next((spec for spec in specs if all(told(end, spec) for end in ends)), f".{_MOST_DIGITS}f")
    return between(figure, form, spec)


def formatted(
    figure: HasInterval | None, spec: str = ".2f", *, ends: str = "", interval: str = " [{}, {}]", missing: str = DASH
) -> str:
    """A figure with its interval.

    Args:
        figure: what to write.
        spec: format of the value, as for `format`.
        ends: format of both ends of the interval; by default `spec`.
        interval: template for the ends; nothing is written if there is no interval.
        missing: what to write for a figure without a value.

    >>> from igmu_metrics.contract import Estimate
    >>> formatted(Estimate(0.6, (0.23, 0.88))), formatted(Estimate(0.6), ".3f"), formatted(None)
    ('0.60 [0.23, 0.88]', '0.600', '–')
    """
    value = value_of(figure)
    return missing if value is None else number(value, spec) + between(figure, interval, ends or spec)
