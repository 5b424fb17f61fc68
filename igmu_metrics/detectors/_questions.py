"""The yes/no question for every concept, for detectors that answer questions.

Conventions: one question per concept, from its words in the taxonomy; no question depends on which others are asked.
Siblings that are not concepts (a mosque, a sibling of church) have a question, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from igmu_metrics.detectors._common import known_concepts, worded_like

_SHOWS: Final = "Does this image show {a}?"  # right of one and of many, with an article and without
QUESTIONS: Final[Mapping[str, str]] = {
    "style": "Is this image in the style of {name}?",
    "artwork": 'Does this image show the artwork "{name}"?',
}
"""Question of each domain: {name} is the concept's label, {a} the label with its article. All others ask `_SHOWS`."""
ADJECTIVE: Final = "Does this image show an adult who is {name}?"
"""Question for concepts whose label is an adjective, and for their siblings that are named by one."""


def questions(own: str | None = None) -> dict[str, str]:
    """By id, the question for every concept of the taxonomy and every sibling.

    Args:
        own: comma-separated ids of the user's own concepts to include; None for all.

    >>> asked = questions(own="")
    >>> for name in ("object/church", "style/van-gogh", "attribute/smiling", "object/mosque"):
    ...     print(asked[name])
    Does this image show a church?
    Is this image in the style of Vincent van Gogh?
    Does this image show an adult who is smiling?
    Does this image show a mosque?
    """
    concepts = known_concepts(own)
    domains = {item.domain for item in concepts.values()}
    out = {i: _question(c.domain, c.label, c.phrase(), adjective=c.pos == "adjective") for i, c in concepts.items()}
    for item in concepts.values():
        for near in item.siblings:
            domain, adjective = worded_like(near, item, domains)
            out.setdefault(near.id, _question(domain, near.name, near.phrase, adjective=adjective))
    return out


def digest(asked: Mapping[str, str]) -> str:
    """Twelve digits that change with any question."""
    return hashlib.sha256(json.dumps(sorted(asked.items()), ensure_ascii=False).encode()).hexdigest()[:12]


def _question(domain: str, name: str, phrase: str, *, adjective: bool) -> str:
    template = ADJECTIVE if adjective and domain not in QUESTIONS else QUESTIONS.get(domain, _SHOWS)
    return template.format(name=name, a=phrase)
