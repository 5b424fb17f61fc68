"""Undo the ways of disguising a word: what the content policy does to a text before it looks for a term.

Conventions: functions from text to text, for comparing only, never for publishing. The look-alike letters are data,
in `policy_terms.toml`. Folding is case-insensitive and drops accents, so word lists are folded before use too.
"""

from __future__ import annotations

import functools
import itertools
import re
import tomllib
import unicodedata
from importlib import resources
from typing import Any, Final

# Not of category Cf or Mn, yet drawn as nothing: Hangul fillers and the empty braille pattern.
_BLANKS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")
_LEET: Final = str.maketrans({**dict(zip("03456789@$+€#", "oeasgtbgasteh", strict=True)), "2": "z"})
_EITHER: Final = re.compile(r"[1!|]")


def fold(text: str) -> str:
    """Undo the ways of writing the same letters differently.

    Compatibility forms (fullwidth, circled), case, accents, invisible and control characters, and look-alike letters
    of other scripts. Line breaks become blanks. Folding twice changes nothing more.

    Args:
        text: any text.

    Returns:
        The folded text, for comparing only, never for publishing.

    >>> fold("Ｃａｆｅ\\u0301 \\u0441\\u043e\\u200bld")
    'cafe cold'
    """
    if text.isascii():  # has no accents, other forms or look-alikes, and is most of what is folded
        return visible(text, "").lower()
    looks = _homoglyphs()
    while True:
        plain = visible(text, "").translate(looks).casefold()
        plain = unicodedata.normalize("NFKD", plain).translate(looks)
        plain = "".join(c for c in plain if unicodedata.category(c) not in ("Mn", "Me"))
        plain = unicodedata.normalize("NFKC", plain).casefold()
        if plain == text:
            return plain
        text = plain


def fold_leet(text: str) -> tuple[str, ...]:
    """Read digits and signs as the letters that leetspeak writes with them.

    Args:
        text: a folded text.

    Returns:
        Every reading: "1", "!" and "|" stand for i or for l, each on its own while there are at most five of them,
        else all for i or all for l.

    >>> fold_leet("c0ff33"), fold_leet("m1lk")
    (('coffee',), ('milk', 'mllk'))
    """
    text = text.translate(_LEET)
    n = len(_EITHER.findall(text))
    choices = itertools.product("il", repeat=n) if n <= 5 else [("i",) * n, ("l",) * n]
    parts = _EITHER.split(text)
    return tuple("".join(p + c for p, c in zip(parts, [*chosen, ""], strict=True)) for chosen in choices)


def visible(text: str, instead: str) -> str:
    """Replace what is drawn as nothing.

    Args:
        text: any text.
        instead: what every control, format or otherwise invisible character becomes: "" or a blank.

    Returns:
        The text, compatibility forms resolved (NFKC), with a plain blank for every kind of white space.

    >>> visible("a\\u200bb\\tc", "")
    'ab c'
    """
    if text.isascii():
        return text.translate(_ascii(instead))
    return "".join(_seen(c, instead) for c in unicodedata.normalize("NFKC", text))


def _seen(character: str, instead: str) -> str:
    if character.isspace():
        return " "
    hidden = character in _BLANKS or unicodedata.category(character) in ("Cc", "Cf", "Co", "Cn")
    return instead if hidden else character


@functools.cache
def _ascii(instead: str) -> dict[int, str]:
    return {code: _seen(chr(code), instead) for code in range(128)}


@functools.cache
def terms() -> dict[str, Any]:
    """The parsed `policy_terms.toml`, read once."""
    return tomllib.loads(resources.files("igmu_data").joinpath("policy_terms.toml").read_text(encoding="utf-8"))


@functools.cache
def _homoglyphs() -> dict[int, str]:
    table: dict[int, str] = {}
    for pair in terms()["homoglyphs"]:
        table.update({ord(a): b for a, b in zip(pair["look"], pair["latin"], strict=True)})
    for base in (0x1F150, 0x1F170):  # white letters on black discs and squares, which NFKC leaves alone
        table.update({base + i: chr(ord("a") + i) for i in range(26)})
    table.update({0x1F1E6 + i: chr(ord("a") + i) for i in range(26)})  # the letters that flags are written with
    return table
