"""Misspelled names, as fingers and ears make them: does a filter on the right spelling hold?

Five ways in turn: a neighbouring key, a letter left out, a letter doubled, two letters swapped, and a spelling by ear.
The first letter stays, as it does in most real misspellings. Where one word of a name is a name too ("Vincent van
Gogh"), that word is hit as well: a row that still holds a right spelling would test no filter.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.attacks._letters import disguises, spread, words_to_hit
from igmu_data.rows.plans import Universe
from igmu_data.rows.prompts import Planned
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo("misspelling", "The name with a typing or hearing mistake.", "a chuch")
ROWS: Final = 14
_KEYS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
# Words of their own: who reads "a car" draws a car.
_OTHER_WORDS: Final = frozenset(
    "car can cap cut bid caste cattle gold gulf chin chai char pup tech teach trench".split()
)
_BY_EAR: Final = (
    ("ph", "f"), ("ck", "k"), ("ch", "tch"), ("ght", "te"), ("qu", "kw"), ("c", "k"), ("z", "s"), ("y", "i"),
    ("ea", "ee"), ("ai", "ay"), ("ou", "ow"), ("oo", "u"), ("ie", "ei"), ("x", "ks"), ("v", "w"), ("i", "y"),
    ("s", "z"), ("t", "tt"), ("u", "oo"), ("o", "oe"), ("e", "ea"), ("a", "ah"),
)  # fmt: skip


def attack(concept: Concept, sources: Sequence[Planned], _: Universe) -> Iterator[Attacked]:
    """Source rows from the first third on, each with another misspelling of the name, as far as there are enough."""
    spelled = [w for w in disguises(concept, misspell, turns=20 * ROWS) if _OTHER_WORDS.isdisjoint(w.split(" "))]
    start = len(sources) // 3
    for source, wrong in zip(sources[start : start + ROWS], itertools.cycle(spelled), strict=False):
        yield Attacked(source, source.plan.prompt(wrong))


def misspell(name: str, turn: int, n_words: int = 1) -> str:
    """A misspelling of a name; `turn` chooses the way and the place, `n_words` how many words are hit, longest first.

    >>> [misspell("church", turn) for turn in (1, 3)]
    ['churh', 'churhc']
    """
    words = name.split(" ")
    ways: tuple[Callable[[str, int], str], ...] = (_neighbour, _drop, _double, _swap, _by_ear)
    for at in words_to_hit(words, n_words):
        word = words[at]
        if len(word) > 2:
            place = 1 + spread(word, turn) % (len(word) - 1)
            words[at] = ways[turn % len(ways)](word, place)
    return " ".join(words)


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
