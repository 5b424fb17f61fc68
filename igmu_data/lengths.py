"""How many tokens CLIP's text encoder needs for a prompt, at most.

CLIP's vocabulary is not part of this package, so the number is bounded from above. Its tokenizer splits a text into
runs of letters, single digits and runs of other signs, and joins bytes to pieces. A run is never more tokens than it
has bytes; one of ASCII letters is a word or close to one, and needs far fewer. The bounds for those were held against
CLIP's own vocabulary once, on every prompt of version 0.2.0: none needs more tokens than `tokens_at_most` says. For
Chinese, three bytes a character, the bound is too coarse to tell.
"""

from __future__ import annotations

import re
from typing import Final

LIMIT: Final = 77  # tokens that CLIP reads, start and end included
_RUN: Final = re.compile(r"[a-z]+|[^\W\d_]+|\d|(?:[^\w\s]|_)+")


def tokens_at_most(text: str, language: str = "en") -> int:
    """An upper bound of the tokens of a prompt, start and end included.

    Args:
        text: the prompt.
        language: its language; words of other languages than English are cut into more pieces.

    >>> tokens_at_most("a church at dawn"), tokens_at_most("c4t")
    (8, 5)
    """
    letters = 4 if language == "en" else 3
    runs = _RUN.findall(text.casefold())
    return 2 + sum(1 + len(r) // letters if r.isascii() and r.isalpha() else len(r.encode()) for r in runs)
