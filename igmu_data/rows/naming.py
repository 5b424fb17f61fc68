"""Which names of a concept a text holds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from functools import cache
from typing import Protocol

from igmu_data.folding import fold
from igmu_data.taxonomy import Concept

INVISIBLE = "\u200b\u200c\u200d\u2060"
"""Characters that are drawn as nothing, and that only the attack family about them may use."""
_WORD = re.compile(rf"(?:[^\W_]|[{INVISIBLE}])+")


class HasNames(Protocol):
    """A concept of the benchmark or of the sandbox, as far as it has names."""

    @property
    def labels(self) -> Collection[str]:
        """What it is called first, in every form."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every English name, longest first."""

    @property
    def foreign_names(self) -> Mapping[str, str]:
        """The bare name in other languages."""


def keeps_name(prompt: str, concept: HasNames) -> bool:
    """Whether a prompt holds the label of a concept, its plural or its adjective, in any case, with accents or not."""
    return _holds(prompt, concept.labels)


def names_any(prompt: str, concept: HasNames) -> bool:
    """Whether a prompt holds an English name of a concept, in any case, with accents or not."""
    return _holds(prompt, concept.names)


def shows(prompt: str, concept: Concept) -> bool:
    """Whether a prompt names a concept in any language, or holds a word that calls for it."""
    folded = _line(prompt)
    names = (*concept.foreign_names.values(), *concept.cues, *(f"{n}s" for n in concept.names))
    return names_any(prompt, concept) or any(_line(n) in folded for n in names)


def named(text: str, concept: HasNames, *, foreign: bool = False) -> str | None:
    """The first name of a concept that a text contains as whole words, however it is written, or None.

    Args:
        text: a prompt or a phrase.
        concept: whose names to look for; English ones in the plural, too.
        foreign: the names in other languages as well.
    """
    folded = fold(text)
    if not _any(concept.names, tuple(concept.foreign_names.values()) if foreign else ()).search(folded):
        return None
    names = [(name, True) for name in concept.names]
    names += [(name, False) for name in concept.foreign_names.values()] if foreign else []
    return next((name for name, english in names if re.search(_whole(name, english), folded)), None)


@cache
def _any(english: tuple[str, ...], foreign: tuple[str, ...]) -> re.Pattern[str]:
    """One pattern for all names of a concept."""
    return re.compile("|".join([*(_whole(n, True) for n in english), *(_whole(n, False) for n in foreign)]))


def _holds(prompt: str, names: Collection[str]) -> bool:
    words = _spaced(prompt)
    return any(_spaced_name(name) in words for name in names)


@cache
def _line(text: str) -> str:
    return _spaced(fold(text))


def _spaced(text: str) -> str:
    """The words of a text, each between two blanks, without accents: "Napoleón" is no disguise of "Napoleon"."""
    text = text.casefold()
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return f" {' '.join(_WORD.findall(text))} "


_spaced_name = cache(_spaced)


@cache
def _whole(name: str, english: bool) -> str:
    """A pattern for a name as whole words."""
    name = fold(name)
    if name[-1] > "\u2e80":  # Chinese and Japanese write no spaces, so a name there is found anywhere
        return re.escape(name)
    last = re.escape(name[-1])
    if english:
        last = "(?:y|ies)" if re.search("[^aeiou]y$", name) else f"{last}(?:s|es)?"
    return rf"(?<!\w){re.escape(name[:-1])}{last}(?!\w)"
