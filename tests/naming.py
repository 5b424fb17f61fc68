"""Whether a text names something, found out word by word and on its own: it shares no code with the package."""

from __future__ import annotations

import re
import unicodedata
from functools import cache


@cache
def words(text: str) -> tuple[str, ...]:
    """Words in lower case, marks and punctuation gone: "Cézanne's" gives cezanne, s."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return tuple(re.findall(r"[^\W_]+", "".join(c for c in plain if not unicodedata.combining(c))))


@cache
def plurals(word: str) -> set[str]:
    """The word and its plurals in English and, roughly, in the Romance languages."""
    return {word, word + "s", word + "es"} | ({word[:-1] + "ies"} if word.endswith("y") else set())


def mentions(text: str, name: str) -> bool:
    """Whether the text holds the name as whole words in a row, in any case, the last one perhaps in plural."""
    if any("\u3400" <= c <= "\u9fff" for c in name):
        return name in text
    *first, last = words(name)
    head = tuple(first)
    line = words(text)
    n = len(head)
    return any(line[i : i + n] == head and line[i + n] in plurals(last) for i in range(len(line) - n))


def mentioned(text: str, names: tuple[str, ...]) -> list[str]:
    """The names that the text mentions."""
    return [n for n in names if mentions(text, n)]
