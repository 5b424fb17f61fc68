"""Numbers in texts: read from the texts of others, and written with what they count."""

from __future__ import annotations

import re
from typing import Final

_EXACT: Final = 2**53  # from here on, a float may be a rounded whole number


def whole(value: object) -> int | None:
    """A whole number ≥ 0, also in the form `123.0`, as pandas writes columns with gaps; None for anything else.

    >>> whole("123.0"), whole(7.0), whole("1.5"), whole("2.01211E+09"), whole("9007199254740993.0")
    (123, 7, None, None, None)
    """
    found = re.fullmatch(r"\+?(\d{1,20})(\.0*)?", str(value).strip())
    if found is None or (found[2] and int(found[1]) >= _EXACT):
        return None
    return int(found[1])


def counted(n: int, what: str) -> str:
    """`1 prompt`, `1,200 prompts`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"
