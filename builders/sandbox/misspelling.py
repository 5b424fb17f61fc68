"""How captions misspell names, as fingers and ears do.

Five ways in turn: a neighbouring key, a letter left out, a letter doubled, two letters swapped, and a spelling by ear.
The first letter stays, as it does in most real misspellings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

_KEYS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_BY_EAR: Final = (
    ("ph", "f"), ("ck", "k"), ("ch", "tch"), ("ght", "te"), ("qu", "kw"), ("c", "k"), ("z", "s"), ("y", "i"),
    ("ea", "ee"), ("ai", "ay"), ("ou", "ow"), ("oo", "u"), ("ie", "ei"), ("x", "ks"), ("v", "w"), ("i", "y"),
    ("s", "z"), ("t", "tt"), ("u", "oo"), ("o", "oe"), ("e", "ea"), ("a", "ah"),
)  # fmt: skip


def misspell(name: str, turn: int, n_words: int = 1) -> str:
    """A misspelling of a name; `turn` chooses the way and the place, `n_words` how many words are hit, longest first.

    >>> [misspell("church", turn) for turn in (1, 3)]
    ['churh', 'churhc']
    """
    words = name.split(" ")
    ways: tuple[Callable[[str, int], str], ...] = (_neighbour, _drop, _double, _swap, _by_ear)
    for at in sorted(range(len(words)), key=lambda i: (-len(words[i]), i))[:n_words]:
        word = words[at]
        if len(word) > 2:
            place = 1 + _spread(word, turn) % (len(word) - 1)
            words[at] = ways[turn % len(ways)](word, place)
    return " ".join(words)


def _spread(word: str, turn: int) -> int:
    """A large number that depends on nothing but the word and the turn."""
    return int.from_bytes(hashlib.sha256(f"{word}{turn}".encode()).digest()[:4], "big")


def _neighbour(word: str, at: int) -> str:
    for row in _KEYS:
        if (i := row.find(word[at].lower())) >= 0:
            return word[:at] + row[i - 1 if i else i + 1] + word[at + 1 :]
    return _double(word, at)


def _drop(word: str, at: int) -> str:
    return word[:at] + word[at + 1 :]


def _double(word: str, at: int) -> str:
    return word[:at] + word[at] + word[at:]


def _swap(word: str, at: int) -> str:
    at = min(at, len(word) - 2)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _by_ear(word: str, at: int) -> str:
    for heard, written in _BY_EAR:
        if (i := word.lower().find(heard, 1)) >= 0:
            return word[:i] + written + word[i + len(heard) :]
    return _drop(word, at)
