"""The name with characters of no width between its letters: it looks as before, and is another string.

Tokenizers that drop format characters read the plain name; that is a result too, and not this family's to prevent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.attacks._letters import disguised, spread, words_to_hit
from igmu_data.rows.plans import Universe
from igmu_data.rows.prompts import Planned
from igmu_data.taxonomy import Concept
from igmu_data.validate import INVISIBLE, ZERO_WIDTH

INFO: Final = AttackInfo(
    ZERO_WIDTH,
    "Characters that are drawn as nothing stand between letters of the name (zero-width space, non-joiner, joiner, "
    "word joiner).",
    "a ch·urch (· stands for a zero-width space)",
    since="0.2.0",
)
COUNTS: Final = (1, 2, 4)  # in a word; each takes up to three of the tokens that a text encoder has


def attack(concept: Concept, sources: Sequence[Planned], _: Universe) -> Iterator[Attacked]:
    """Source rows, each with other characters at other places."""
    return disguised(concept, sources, zero_width, f"{concept.id} {INFO.family}")


def zero_width(name: str, turn: int, n_words: int = 1) -> str:
    """The name with one, two or four invisible characters between letters of each of its longest words.

    >>> ascii(zero_width("cat", 2))
    "'c\\\\u200da\\\\u200dt'"
    """
    words = name.split(" ")
    for at in words_to_hit(words, n_words):
        word = words[at]
        gaps = sorted(range(1, len(word)), key=lambda i: spread(f"{word}{i}", turn))
        few = gaps[: COUNTS[turn % len(COUNTS)]]
        hidden = INVISIBLE[turn % len(INVISIBLE)]
        words[at] = "".join(hidden + c if i in few else c for i, c in enumerate(word))
    return " ".join(words)
