"""What the families share that put a phrase in the place of the name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from igmu_data.attacks import ROWS, Attacked
from igmu_data.rows.plans import Universe
from igmu_data.rows.prompts import Planned, pick, scene_of
from igmu_data.taxonomy import Concept
from igmu_data.validate import names_concept


def rephrased(
    concept: Concept, sources: Sequence[Planned], phrases: Sequence[str], salt: str, universe: Universe
) -> Iterator[Attacked]:
    """Source rows with a phrase for the name, the phrases in turn."""
    chosen = nameless(concept, sources, salt, universe)
    for source, phrase in zip(chosen, itertools.cycle(phrases), strict=False):
        yield Attacked(source, source.plan.prompt(phrase=phrase))


def nameless(concept: Concept, sources: Sequence[Planned], salt: str, universe: Universe) -> list[Planned]:
    """Source rows whose place takes a phrase and that name nothing beside it.

    First come scenes that open with it: in the middle of one ("the slate roof of {a} in a mountain village") a phrase
    reads less well.
    """
    usable = [
        s
        for s in sources
        if s.plan.takes_phrase and not names_concept(s.plan.prompt(phrase="it"), concept, foreign=True)
    ]
    ordered = pick(usable, len(usable), salt, key=lambda s: s.row.prompt)
    return sorted(ordered, key=lambda s: not scene_of(s.plan, universe, named=False).startswith("{a}"))[:ROWS]
