"""The name with digits and signs for letters, as players and spammers write it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.attacks._letters import disguised, replaced
from igmu_data.rows.plans import Universe
from igmu_data.rows.prompts import Planned
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo("leetspeak", "Digits and signs take the place of letters.", "a c#urch", since="0.2.0")
# All of them are undone by the content policy: what is written here is read there.
LEET: Final = dict(zip("aAbBeEgGiIoOsStT", "4488339911005577", strict=True))
RARE: Final = {"h": "#", "H": "#"}  # less usual, so only where a word has none of the others


def attack(concept: Concept, sources: Sequence[Planned], _: Universe) -> Iterator[Attacked]:
    """Source rows, each with another choice of letters."""
    return disguised(concept, sources, leet, f"{concept.id} {INFO.family}")


def leet(name: str, turn: int, n_words: int = 1) -> str:
    """The name with one, two or all letters that leetspeak knows replaced, in its longest words.

    >>> leet("castle", 2), leet("church", 2)
    ('c457l3', 'c#urc#')
    """
    return replaced(name, turn, n_words, LEET, RARE)
