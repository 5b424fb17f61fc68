"""Near matches of names: a misspelled label would become a separate class, and count as forgotten.

Conventions: names count as nearly the same only if they are hardly ever two names: they differ in case, spaces,
punctuation or accents, or, in names of six letters or more, by one missing, added or transposed letter. A substituted
letter is not enough (a monkey is not a donkey).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from typing import Final

from igmu_data.errors import UnknownLabelError
from igmu_data.folding import fold

_LONG: Final = 6


def same_prompt(text: str) -> str:
    """What two prompts have in common that differ in case, white space or Unicode form only.

    >>> same_prompt("A  Church") == same_prompt("a church ")
    True
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(plain.split())


def require_spelled(where: str, names: Iterable[str], known: Collection[str]) -> None:
    """Refuse a label that is almost, but not quite, one that is known.

    Args:
        where: the labels come from, for messages.
        names: labels, `domain/concept`.
        known: labels that are right.

    Raises:
        UnknownLabelError: with the label that was probably meant.
    """
    given = {name for name in names if name and name not in known}
    if not given:
        return
    plain = {name: _plain(name) for name in sorted(known)}
    for name in sorted(given):
        own = _plain(name)
        meant = [other for other, theirs in plain.items() if own == theirs or _slip(own, theirs)]
        if meant:
            raise UnknownLabelError(name, meant, f"The unknown label appears in {where}; labels must match exactly.")


def _plain(name: str) -> str:
    return "".join(re.findall(r"[^\W_]+|/", fold(name)))


def _slip(a: str, b: str) -> bool:
    """Whether one letter of a long name is missing in the other, or two neighbours are exchanged."""
    short, long = sorted((a, b), key=len)
    if len(long.rpartition("/")[2]) < _LONG or short.rpartition("/")[0] != long.rpartition("/")[0]:
        return False
    at = next((i for i, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), len(short))
    if len(long) == len(short) + 1:
        return short[at:] == long[at + 1 :]
    exchanged = short[:at] + short[at : at + 2][::-1] + short[at + 2 :]
    return len(long) == len(short) and short != long and exchanged == long
