"""Numbers in texts: read from the texts of others, and written with what they count."""

from __future__ import annotations

import re
import struct
from collections.abc import Collection
from typing import Final

_EXACT: Final = 2**53  # from here on, a float may be a rounded whole number
_WHOLE: Final = re.compile(r"\+?(\d{1,20})(\.0*)?")
_POWER: Final = re.compile(r"\+?(\d{1,20})(?:\.(\d{0,40}))?[eE]\+?(\d{1,2})")


def whole(value: object) -> int | None:
    """A whole number ≥ 0, also in the form `123.0`, as pandas writes columns with gaps; None for anything else.

    In scientific notation, all digits must be written, because a program that leaves out digits rounds the number.

    >>> whole("123.0"), whole(7.0), whole("1.5"), whole("9007199254740993.0")
    (123, 7, None, None)
    >>> whole("9.931986270e+08"), whole("9.93199e+08"), whole("9.9319862705e+08")
    (993198627, None, None)
    """
    text = str(value).strip()
    if (found := _WHOLE.fullmatch(text)) is not None:
        return None if found[2] and int(found[1]) >= _EXACT else int(found[1])
    if (power := _POWER.fullmatch(text)) is None:
        return None
    decimals, shift = power[2] or "", int(power[3])
    number = int(power[1] + decimals[:shift])
    return number if len(decimals) >= shift and not decimals[shift:].strip("0") and number < _EXACT else None


def no_whole(value: object) -> str:
    """Why `whole` gives None, after a colon.

    >>> no_whole("9.93199e+08")
    'only 6 of its 9 digits are written'
    """
    text = str(value).strip()
    if (power := _POWER.fullmatch(text)) is not None:
        digits, shift = len(power[1] + (power[2] or "")), int(power[3])
        if len(power[2] or "") < shift:
            return f"only {digits} of its {len(power[1]) + shift} digits are written"
    if re.fullmatch(r"\+?\d+\.0*", text) or (power is not None and not (power[2] or "")[int(power[3]) :].strip("0")):
        return "numbers of this size may be rounded if they are written with a decimal point"
    return "it is not a whole number"


def rounding(numbers: Collection[int], others: Collection[int]) -> str:
    """Why two lists of seeds differ, if one is the other in single precision, as some programs store numbers.

    >>> rounding([610491648], [610491643, 5])
    '610491648 is 610491643 rounded to single precision (float32)'
    >>> rounding([610491643, 6], [610491643, 5])
    ''
    """
    for some, known in ((numbers, others), (others, numbers)):
        unlike = [number for number in some if number not in known]
        found = [next((k for k in known if number in _singles(k)), None) for number in unlike]
        if unlike and None not in found:
            return f"{unlike[0]} is {found[0]} rounded to single precision (float32)"
    return ""


def _singles(number: int) -> set[int]:
    """A whole number as single precision stores it, and as programs write what is stored: with few digits."""
    if number >= 2**64:
        return set()
    stored = _single(number)
    short = next(text for digits in range(1, 18) if _single(float(text := f"{stored:.{digits}g}")) == stored)
    return {int(stored), int(float(short))}


def _single(number: float) -> float:
    return float(struct.unpack("f", struct.pack("f", number))[0])


def counted(n: int, what: str) -> str:
    """`1 prompt`, `1,200 prompts`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours.

    >>> duration(50), duration(400), duration(20000)
    ('50 s', '7 min', '5.6 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
