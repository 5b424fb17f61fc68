"""Scores again from the lines of a card: what follows from them is computed a second time, by the metrics themselves.

A metric is scored on the lines if these hold every column that it reads. The forget score is the exception: of it, the
aspects that need no features of images are computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from igmu_metrics import registry
from igmu_metrics.contract import Estimate, Metric, scored
from igmu_metrics.evaluation import parts
from igmu_metrics.generations import column
from igmu_metrics.metrics._aspect_sums import PROBES, preservation_of
from igmu_metrics.scorecard import Scorecard, ScoreEntry

FORGET: Final = "forget_score"
_DECIDED: Final = ("forgetting", "robustness", "preservation", *map(preservation_of, PROBES))


def figures(card: Scorecard) -> dict[str, dict[str, Estimate]]:
    """By score, every figure that follows from the lines of the card.

    Raises:
        InputError: lines that no evaluation can have written.
    """
    out: dict[str, dict[str, Estimate]] = {}
    for name, metric in registry.metrics().items():
        if name != FORGET and not _published(metric):
            continue
        for part, table in parts(metric, card.generations):
            key = f"{name}/{part}" if part else name
            if (entry := card.scores.get(key)) is None or _elsewhere(entry):
                continue
            # What was decided when the score was made stands in its signature.
            decided = {k: v for k, v in entry.signature.items() if "." not in k}
            resamples, _, seed = str(decided.get("bootstrap", "2000@0")).partition("@")
            known = table.with_facts(**{**decided, "target": card.target})
            found = scored(metric, known, {}, seed=int(seed), resamples=int(resamples))
            if found is not None:
                out[key] = dict(found.figures)
    if FORGET in out:
        out[FORGET] = _without_features(out[FORGET], aligned="stripped_alignment" in card.generations)
    return out


def notes(card: Scorecard) -> list[str]:
    """Which scores cannot be computed again here, as their metrics are not here, or of another version."""
    absent = {name: _elsewhere(entry) for name, entry in card.scores.items()}
    return [f"score {name} cannot be recomputed: {why}" for name, why in absent.items() if why]


def _elsewhere(entry: ScoreEntry) -> str:
    """Why a score cannot be computed again here; "" if it can."""
    if why := registry.absent(entry.name, entry.package):
        return why
    here, made = registry.metric(entry.name).INFO.version, entry.signature.get("v", 0)
    return "" if made == here else f"it was made by version {made} of {entry.name}, this is {here}"


def _published(metric: Metric) -> bool:
    """Whether a card's lines hold all that a metric reads."""
    return all((known := column(name)) is None or known.published for name in registry.columns(metric))


def _without_features(figures: Mapping[str, Estimate], *, aligned: bool) -> dict[str, Estimate]:
    """The aspects that need no features; of preservation the value, as its resamples draw the other aspects' rows."""
    wanted = (*_DECIDED, *(("alignment",) if aligned else ()))
    return {
        name: replace(figure, interval=None) if name.startswith("preservation") else figure
        for name, figure in figures.items()
        if name.removeprefix("unconditional_") in wanted
    }
