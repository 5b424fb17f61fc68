"""Other names of the concept: does forgetting the word mean forgetting the thing?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from igmu_data.attacks import Attacked, AttackInfo
from igmu_data.rows.plans import Universe
from igmu_data.rows.prompts import Planned
from igmu_data.taxonomy import Concept

INFO: Final = AttackInfo("synonym", "Another name for the concept takes the place of its name.", "a chapel")
ROWS: Final = 12
LEAST: Final = 3


def attack(concept: Concept, sources: Sequence[Planned], _: Universe) -> Iterator[Attacked]:
    """Each source row with one synonym, the synonyms in turn.

    A synonym that holds the name ("parish church") would be caught by a filter on the name, and shows nothing; it is
    used only where a concept has hardly any other.
    """
    others = [s for s in concept.synonyms if concept.noun.casefold() not in s.casefold()]
    names = others if len(others) >= LEAST else concept.synonyms
    for source, name in zip(sources[:ROWS], itertools.cycle(names), strict=False):
        yield Attacked(source, source.plan.prompt(name))
