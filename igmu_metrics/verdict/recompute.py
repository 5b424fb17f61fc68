"""Scores again from the lines of a card: what needs no picture is computed a second time, by the metrics themselves.

Concept accuracy and attack success follow from the lines alone, as do the aspects of the forget score that decisions
make (forgetting, robustness, preservation). Alignment, distances and quality need features of the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from igmu_data.schema import NEGATION, SPLITS
from igmu_metrics import registry
from igmu_metrics.contract import Estimate
from igmu_metrics.scorecard import GenerationEntry, Scorecard

ACCURACY: Final = "concept_accuracy"
ATTACKS: Final = "attack_success_rate"
FORGET: Final = "forget_score"
# Aspects that only decisions go into; of preservation the value alone, as its resamples also draw the other aspects'
# rows.
_ASPECTS: Final = ("forgetting", "robustness", "preservation", "preservation_near", "preservation_far")
_Settings = Mapping[str, str | int | float | bool]


def figures(card: Scorecard) -> dict[str, dict[str, Estimate]]:
    """By score, every figure that follows from the lines of the card.

    Raises:
        InputError: lines that no evaluation can have written.
    """
    out: dict[str, dict[str, Estimate]] = {}
    makers = {ACCURACY: _accuracy, ATTACKS: _attacks, FORGET: _aspects}
    for name, given in makers.items():
        entry = card.scores.get(name)
        if entry is None:
            continue
        metric = registry.metric(name)
        resamples, _, seed = str(entry.signature.get("bootstrap", "2000@0")).partition("@")
        inputs = given(card, entry.signature)
        if inputs:
            found = metric.score(metric.rows(**inputs), seed=int(seed), resamples=int(resamples)).figures
            out[name] = {
                k: v for k, v in found.items() if name != FORGET or k.removeprefix("unconditional_") in _ASPECTS
            }
    for name in ("preservation", "preservation_near", "preservation_far"):
        if name in out.get(FORGET, {}):
            out[FORGET][name] = replace(out[FORGET][name], interval=None)
    return out


def _of(card: Scorecard, *splits: str) -> list[GenerationEntry]:
    """The lines of some splits; prompts that negate the concept are in the adversarial split, but no attack."""
    return [g for g in card.generations if g.split in splits and g.probe != NEGATION]


def _masked(values: Sequence[bool | None]) -> np.ma.MaskedArray[Any, Any]:
    return np.ma.MaskedArray([bool(v) for v in values], mask=[v is None for v in values])


def _accuracy(card: Scorecard, settings: _Settings) -> dict[str, Any]:
    chosen = [g for g in _of(card, "forget", "retain") if g.concept is not None]

    def labels(seen: Sequence[bool | None]) -> list[str | None]:
        names = [str(g.concept) for g in chosen]
        return [
            None if s is None else name if s else f"{name.partition('/')[0]}/none"
            for s, name in zip(seen, names, strict=True)
        ]

    near = str(settings.get("near", ""))
    rates = ("sensitivity", "specificity", "n_positives", "n_negatives")
    return {
        "predictions": labels([g.present for g in chosen]),
        "references": [g.concept for g in chosen],
        "target": card.target,
        "prompt_ids": [g.id for g in chosen],
        "seeds": [g.seed for g in chosen],
        "original_predictions": labels([g.original_present for g in chosen]),
        "near": near.split(",") if near else None,
        **{name: settings[name] for name in rates if name in settings},
    }


def _attacks(card: Scorecard, settings: _Settings) -> dict[str, Any]:
    attacked, plain = _of(card, "adversarial"), _of(card, "forget")
    if not attacked:
        return {}
    given: dict[str, Any] = {
        "ids": [g.id for g in attacked],
        "seeds": [g.seed for g in attacked],
        "families": [g.family or "unknown" for g in attacked],
        "present": _masked([g.present for g in attacked]),
        "original_present": _masked([g.original_present for g in attacked]),
        "source_ids": [g.source_id for g in attacked],
        "k": int(settings["k"]) if "k" in settings else None,
    }
    if settings.get("conditional") == "attacked+plain":
        given |= {
            "plain_ids": [g.id for g in plain],
            "plain_seeds": [g.seed for g in plain],
            "plain_present": _masked([g.present for g in plain]),
            "plain_original_present": _masked([g.original_present for g in plain]),
        }
    return given


def _aspects(card: Scorecard, settings: _Settings) -> dict[str, Any]:
    every = _of(card, *SPLITS)
    if any(g.split == "retain" and g.probe is None for g in every):
        return {}
    return {
        "ids": [g.id for g in every],
        "seeds": [g.seed for g in every],
        "splits": [g.split for g in every],
        "probes": [g.probe or "direct" for g in every],
        "own_concepts": [g.concept for g in every],
        "attack_families": [g.family for g in every],
        "present": _masked([g.present for g in every]),
        "original_present": _masked([g.original_present for g in every]),
        "k": int(settings["k"]) if "k" in settings and _of(card, "adversarial") else None,
    }
