"""Every row of one concept's benchmark."""

from __future__ import annotations

from igmu_data.attacks import adversarial_rows, require_enough
from igmu_data.rows.plans import CORPUS, Universe
from igmu_data.rows.prompts import forget_rows, retain_rows
from igmu_data.schema import Row
from igmu_data.taxonomy import Concept


def concept_rows(item: Concept, universe: Universe = CORPUS) -> list[Row]:
    """All rows of one concept: forget, retain, adversarial.

    Raises:
        CorpusError: too few scenes, siblings or attacked rows.
    """
    planned = forget_rows(item, universe)
    attacked = adversarial_rows(item, planned, universe)
    require_enough(item, attacked)
    return [p.row for p in planned] + retain_rows(item, universe) + attacked
