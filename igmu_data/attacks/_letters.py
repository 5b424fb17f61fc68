"""What the families that spell a name in other letters share: which words are hit, and which disguises a name has.

A disguise leaves none of the concept's names whole: where one word of a name is a name too ("Vincent van Gogh"), that
word is hit as well. A row that still holds a right spelling would test no filter.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from igmu_data.attacks import ROWS, Attacked
from igmu_data.rows.prompts import Planned, pick
from igmu_data.taxonomy import Concept
from igmu_data.validate import names_concept

Change = Callable[[str, int, int], str]  # of a name, a turn and how many words to hit, longest first


def disguises(concept: Concept, change: Change, *, turns: int) -> list[str]:
    """The concept's name as each turn changes it, no disguise twice; turns that leave a name whole are passed over."""

    def unnamed(turn: int) -> str | None:
        tries = (change(concept.noun, turn, n) for n in range(1, len(concept.noun.split(" ")) + 1))
        return next((wrong for wrong in tries if not names_concept(wrong, concept, foreign=True)), None)

    return list(dict.fromkeys(wrong for turn in range(turns) if (wrong := unnamed(turn))))


def disguised(concept: Concept, sources: Sequence[Planned], change: Change, salt: str) -> Iterator[Attacked]:
    """Source rows, each with another disguise of the name, as far as there are enough; the article stays as it was."""
    article = f"{concept.article} " if concept.article else ""
    spelled = itertools.cycle(disguises(concept, change, turns=20 * ROWS))
    for source, wrong in zip(pick(sources, ROWS, salt, key=lambda s: s.row.prompt), spelled, strict=False):
        yield Attacked(source, source.plan.prompt(phrase=article + wrong if "{a}" in source.plan.text else wrong))


def words_to_hit(words: Sequence[str], n: int) -> list[int]:
    """Places of the n longest words."""
    return sorted(range(len(words)), key=lambda i: (-len(words[i]), i))[:n]


def spread(word: str, turn: int) -> int:
    """A large number that depends on nothing but the word and the turn."""
    return int.from_bytes(hashlib.sha256(f"{word}{turn}".encode()).digest()[:4], "big")


def replaced(
    name: str, turn: int, n_words: int, letters: Mapping[str, str], rare: Mapping[str, str] = MappingProxyType({})
) -> str:
    """A name with letters of its longest words replaced: one of them, two, or all, as the turn says.

    Args:
        name: bare.
        turn: chooses how many letters and where.
        n_words: how many words are hit.
        letters: what takes the place of each letter.
        rare: likewise, for words that have none of those letters.
    """
    words = name.split(" ")
    for at in words_to_hit(words, n_words):
        word = words[at]
        table = rare if letters.keys().isdisjoint(word) else letters
        places = [i for i, letter in enumerate(word) if letter in table]
        few = sorted(places, key=lambda i: spread(f"{word}{i}", turn))[: (1, 2, len(places))[turn % 3]]
        words[at] = "".join(table[c] if i in few else c for i, c in enumerate(word))
    return " ".join(words)
