"""All mutations, room by room."""

from __future__ import annotations

from typing import Final

from builders.mutants import (
    comparisons,
    distances,
    intake,
    judges,
    looks,
    metrics,
    opening,
    plans,
    references,
    scores,
    signatures,
    statistics,
    verifying,
)
from builders.mutants.mutation import Mutation

MUTATIONS: Final[tuple[Mutation, ...]] = (
    *statistics.MUTATIONS,
    *metrics.MUTATIONS,
    *distances.MUTATIONS,
    *comparisons.MUTATIONS,
    *plans.MUTATIONS,
    *verifying.MUTATIONS,
    *scores.MUTATIONS,
    *signatures.MUTATIONS,
    *intake.MUTATIONS,
    *opening.MUTATIONS,
    *judges.MUTATIONS,
    *looks.MUTATIONS,
    *references.MUTATIONS,
)
