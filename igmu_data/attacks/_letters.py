"""A name in other letters: by look-alikes of other alphabets, or with characters of no width between."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

from igmu_data.rows.naming import INVISIBLE

# Drawn alike in most typefaces, and on the content policy's list.
LOOK_ALIKES: Final = {
    "a": "аα", "b": "Ь", "c": "с", "d": "ԁ", "e": "е", "g": "ց", "h": "һհ", "i": "іι", "j": "јϳ", "k": "κк",
    "l": "ӏ", "m": "м", "n": "ո", "o": "оοօ", "p": "рρ", "q": "ԛ", "r": "г", "s": "ѕ", "t": "тτ", "u": "սυ",
    "v": "ѵν", "w": "ԝ", "x": "хχ", "y": "уү", "z": "ᴢ", "A": "АΑ", "B": "ВΒ", "C": "С", "E": "ЕΕ", "G": "Ԍ",
    "H": "НΗ", "I": "ІΙ", "J": "ЈͿ", "K": "КΚ", "M": "МΜ", "N": "Ν", "O": "ОΟ", "P": "РΡ", "Q": "Ԛ",
    "S": "ЅՏ", "T": "ТΤ", "V": "Ѵ", "W": "Ԝ", "X": "ХΧ", "Y": "УΥ", "Z": "Ζ",
}  # fmt: skip


def _order(key: str, turn: str) -> bytes:
    return sha256(f"{key}\x1f{turn}".encode()).digest()


def homoglyphs(name: str) -> list[str]:
    """Up to 60 spellings of a name, every word of it hit, with one or more letters replaced in each word."""
    options = [sorted(set(_swapped(word)), key=lambda w: _order(w, name))[:200] for word in name.split(" ")]
    return _combined(options, name)


def _swapped(word: str) -> Iterator[str]:
    places = [i for i, c in enumerate(word) if c in LOOK_ALIKES]
    for n in (1, 2, 3, len(places)):
        for few in itertools.islice(itertools.combinations(places, n), 40) if 0 < n <= len(places) else ():
            for letters in itertools.islice(itertools.product(*(LOOK_ALIKES[word[i]] for i in few)), 8):
                changed = dict(zip(few, letters, strict=True))
                yield "".join(changed.get(i, c) for i, c in enumerate(word))


def zero_width(name: str) -> list[str]:
    """Up to 60 spellings of a name with one to three characters of no width within each of its words."""
    options = [sorted(set(_opened(word)), key=lambda w: _order(w, name))[:200] for word in name.split(" ")]
    return _combined(options, name)


def _opened(word: str) -> Iterator[str]:
    gaps = range(1, len(word))
    if not gaps:
        yield from (word + c for c in INVISIBLE)
    for n in (1, 2, 3):
        for few in itertools.islice(itertools.combinations(gaps, n), 30):
            for hidden in itertools.islice(itertools.product(INVISIBLE, repeat=n), 16):
                put = dict(zip(few, hidden, strict=True))
                yield "".join(put.get(i, "") + c for i, c in enumerate(word))


def _combined(options: Sequence[Sequence[str]], name: str) -> list[str]:
    """One option a word, all words changed; every option is used about as often."""
    if not all(options):
        return []
    most = max(60, *(len(o) for o in options))
    joined = [" ".join(o[(turn * (2 * at + 1)) % len(o)] for at, o in enumerate(options)) for turn in range(most)]
    return list(dict.fromkeys(joined))[:60]
