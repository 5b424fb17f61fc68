"""Looks at what two models drew, and says for every pair of generations whether the concept in question is there.

Conventions: in forget and adversarial rows the concept asked about is the target, in retain rows the row's own concept.
A generation that failed for either model is left out for both, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from igmu_data.errors import InputError
from igmu_data.schema import NEGATION
from igmu_metrics.contract import FloatArray
from igmu_metrics.images.layouts import Generation
from igmu_metrics.networks.instruments import Backbone, Detector
from igmu_metrics.networks.observe import BATCH_SIZE, Observed, OnError, Tick, observe
from igmu_metrics.networks.store import Store

# Roles that a backbone can have in one evaluation, and what they bring.
CLIP: Final = "clip"
FEATURES: Final = "features"
STRIPS: Final = ("corpus", "reference")


@dataclass(frozen=True, slots=True)
class Instruments:
    """What judges the pictures.

    Args:
        detector: says whether the concept is there.
        clip: image and text features, for alignment and CSDR.
        features: image features for distribution distances.
        lpips: distances of pairs.
        strip: what CSDR compares with: `corpus`, the row's stripped prompt, or `reference`, the IGMU reference's glued
            copies, for comparing with published numbers only.
        store: keeps what was seen, by content; None not to keep it.
    """

    detector: Detector
    clip: Backbone | None = None
    features: Backbone | None = None
    lpips: Backbone | None = None
    strip: str = "corpus"
    store: Store | None = None

    @property
    def extractors(self) -> dict[str, Backbone]:
        """The backbones that see every picture."""
        return {r: b for r, b in ((CLIP, self.clip), (FEATURES, self.features)) if b is not None}


@dataclass(frozen=True, slots=True)
class Judged:
    """The generations that both models have and could be read, with what was seen in them; arrays share their order.

    Args:
        target: the concept to forget.
        generations: of the unlearned model.
        own: the concept each is judged for, None where there is none.
        present: masked bool: the concept is visible in the unlearned model's picture.
        original_present: likewise in the original model's.
        probabilities: (n, 2) unlearned and original probability of the judged concept, NaN where not judged.
        features: per role, unlearned and original features.
        failures: a reason for every generation that was left out.
        hashes: SHA-256 of the unlearned model's picture and of the original's.
        distances: (n,) LPIPS between the two pictures, or None without LPIPS.
    """

    target: str
    generations: Sequence[Generation]
    originals: Sequence[Generation]
    own: Sequence[str | None]
    present: np.ma.MaskedArray[Any, Any]
    original_present: np.ma.MaskedArray[Any, Any]
    probabilities: FloatArray
    features: Mapping[str, tuple[FloatArray, FloatArray]]
    failures: Sequence[str]
    hashes: Sequence[tuple[str, str]]
    distances: FloatArray | None = None

    def where(self, *parts: str) -> list[int]:
        """Indices of the generations of some parts: the splits, and `negation`, which is no part of `adversarial` here.

        A picture that shows what the prompt excluded is no success of an attack, so it is scored by itself.
        """
        return [i for i, g in enumerate(self.generations) if _part(g) in parts]


def _part(generation: Generation) -> str:
    row = generation.row
    return NEGATION if row is not None and row.probe == NEGATION else generation.split


def own_concepts(generations: Sequence[Generation], target: str) -> list[str | None]:
    """What each generation is judged for; a retain picture without a known row is not judged."""
    return [target if g.split != "retain" else g.row.own_concept if g.row is not None else None for g in generations]


def look(
    generations: Sequence[Generation],
    target: str,
    tools: Instruments,
    *,
    original: tuple[Sequence[Generation], Observed] | None = None,
    on_error: OnError = "raise",
    batch_size: int = BATCH_SIZE,
    tick: Tick = lambda n: None,
) -> Observed:
    """Run one model's generations through the instruments.

    Args:
        generations: of the model.
        target: the concept to forget.
        tools: the instruments.
        original: the original model's generations and what was seen in them, for distances between pictures.
        on_error: what an unreadable picture means: `raise`, or `skip` and count it.
        batch_size: pictures read ahead at once; no influence on the results.
        tick: called with the number of pictures just looked at.
    """
    partners: dict[tuple[str, int], Path] = {}
    if original is not None:
        partners = {g.key: g.path for g, ok in zip(original[0], original[1].ok, strict=True) if ok}
    return observe(
        [g.path for g in generations],
        detector=tools.detector,
        concepts=asked(generations, target),
        backbones=tools.extractors,
        partners=None if original is None else [partners.get(g.key) for g in generations],
        distance=tools.lpips,
        on_error=on_error,
        batch_size=batch_size,
        tick=tick,
        store=tools.store,
    )


def asked(generations: Sequence[Generation], target: str) -> list[str]:
    """The concepts that a detector is asked about, sorted: the columns of what it answers."""
    return sorted({target, *(c for c in own_concepts(generations, target) if c)})


def judge(
    target: str,
    tools: Instruments,
    original: tuple[Sequence[Generation], Observed],
    unlearned: tuple[Sequence[Generation], Observed],
    failures: Sequence[str] = (),
) -> Judged:
    """Bring what was seen in both models together, pair by pair.

    Args:
        target: the concept to forget.
        tools: what judged them.
        original: the original model's generations and what was seen in them.
        unlearned: the unlearned model's, in the same order.
        failures: reasons for pairs that are missing already.
    """
    pictures, seen = unlearned
    others, before = original
    reasons = [*failures]
    for who, observed in (("unlearned", seen), ("original", before)):
        reasons += [f"{who} model: {reason}" for _, reason in observed.failures]
    good: list[int] = np.flatnonzero(seen.ok & before.ok).tolist()
    own = own_concepts(pictures, target)
    columns = {name: i for i, name in enumerate(asked(pictures, target))}
    p, q = (_own_column(o, own, columns)[good] for o in (seen, before))
    threshold = tools.detector.info.threshold
    if threshold is None:
        raise InputError(f"detector {tools.detector.info.name} names no threshold; a decision needs one.")
    return Judged(
        target=target,
        generations=[pictures[i] for i in good],
        originals=[others[i] for i in good],
        own=[own[i] for i in good],
        present=p >= threshold,
        original_present=q >= threshold,
        probabilities=np.stack([p.filled(np.nan), q.filled(np.nan)], axis=1),
        features={role: (seen.features[role][good], before.features[role][good]) for role in seen.features},
        failures=reasons,
        hashes=[(seen.hashes[i], before.hashes[i]) for i in good],
        distances=None if seen.distances is None else seen.distances[good],
    )


def _own_column(
    observed: Observed, own: Sequence[str | None], columns: Mapping[str, int]
) -> np.ma.MaskedArray[Any, Any]:
    """(n,) probability of the concept that each generation is judged for, masked where there is none."""
    assert observed.probabilities is not None
    out = np.ma.MaskedArray(np.zeros(len(own)), mask=True)
    for i, name in enumerate(own):
        if name is not None:
            out[i] = observed.probabilities[i, columns[name]]
    return out
