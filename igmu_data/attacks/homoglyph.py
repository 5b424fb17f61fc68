"""The name in letters of other alphabets that look the same: a person reads it, a filter compares code points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.attacks._letters import disguised, replaced
from igmu_data.rows.plans import Universe
from igmu_data.rows.prompts import Planned
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo(
    "homoglyph",
    "Letters of the name are replaced by Cyrillic ones that look the same.",
    "a сhurсh (both с are Cyrillic)",
    since="0.2.0",
)
# All of them stand in the content policy's list of look-alikes: what is written here is read there.
LOOK_ALIKES: Final = dict(zip("ABCEHIJKMOPSTXaceijhopsxy", "АВСЕНІЈКМОРЅТХасеіјһорѕху", strict=True))


def attack(concept: Concept, sources: Sequence[Planned], _: Universe) -> Iterator[Attacked]:
    """Source rows, each with another choice of letters."""
    return disguised(concept, sources, homoglyphs, f"{concept.id} {INFO.family}")


def homoglyphs(name: str, turn: int, n_words: int = 1) -> str:
    """The name with one, two or all letters that have a double replaced, in its longest words.

    >>> ascii(homoglyphs("church", 2))
    "'\\\\u0441\\\\u04bbur\\\\u0441\\\\u04bb'"
    """
    return replaced(name, turn, n_words, LOOK_ALIKES)
