"""Every row of one concept's benchmark."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from igmu_data import taxonomy
from igmu_data.attacks import attack_rows
from igmu_data.rows.kept import retain_rows
from igmu_data.rows.make import direct
from igmu_data.rows.probes import probe_rows
from igmu_data.rows.rounds import with_rounds
from igmu_data.rows.scenes import asked
from igmu_data.schema import Row
from igmu_data.taxonomy import Concept


def concept_rows(concept: Concept) -> list[Row]:
    """All rows of one concept, with rounds, no prompt twice: forget, retain, probes, attacks."""
    rows: dict[str, Row] = {}
    forget = list(forget_rows(concept))
    for row in itertools.chain(forget, retain_rows(concept), probe_rows(concept), attack_rows(concept, forget)):
        rows.setdefault(row.prompt.casefold(), row)
    return with_rounds(list(rows.values()))


def forget_rows(concept: Concept) -> Iterator[Row]:
    """The prompts that name the concept, none twice: attacks name the row that stays, also of a shared scene."""
    own = [(scene.register, scene.prompt(concept), scene.stripped) for scene in asked(concept)[0]]
    shared = [(s.register, s.en.replace("{a}", concept.phrase()), s.stripped) for s in taxonomy.translated(concept)]
    seen: set[str] = set()
    for register, prompt, stripped in own + shared:
        if prompt.casefold() not in seen:
            seen.add(prompt.casefold())
            yield direct(concept, register, prompt, stripped)
