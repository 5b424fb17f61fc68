"""Scores again from the lines of a card: what follows from them is computed a second time, by the metrics themselves.

A metric is scored on the lines if these hold every column that it reads. The forget score is the exception: of it, the
aspects that need no features of images are computed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from igmu_data.errors import IgmuError, InputError
from igmu_metrics import registry
from igmu_metrics.contract import Estimate, Metric, Score, one_line, scored
from igmu_metrics.evaluation import parts
from igmu_metrics.generations import Generations, column
from igmu_metrics.metrics._aspect_sums import PROBES, preservation_of
from igmu_metrics.scorecard import Scorecard, ScoreEntry
from igmu_metrics.statistics.level import LEVEL, at_level
from igmu_metrics.statistics.looks import Looks

# As many resamples as anybody waits for: what a card says is not trusted. Evaluations take 2,000.
_BOOTSTRAP: Final = re.compile(r"([1-9][0-9]{0,3}|10000)@([0-9]{1,19})")
FORGET: Final = "forget_score"
_DECIDED: Final = ("forgetting", "robustness", "preservation", *map(preservation_of, PROBES))


def figures(card: Scorecard) -> dict[str, dict[str, Estimate]]:
    """By score, every figure that follows from the lines of the card; raises as `scores`."""
    return {name: dict(score.figures) for name, score in scores(card).items()}


def scores(card: Scorecard) -> dict[str, Score]:
    """Every score that follows from the lines of the card; of the forget score, those figures that do.

    Raises:
        InputError: lines or signatures that no evaluation can have written.
    """
    out: dict[str, Score] = {}
    for name, metric in registry.metrics().items():
        if name != FORGET and not _published(metric):
            continue
        for part, table in parts(metric, _restored(metric, card.generations)):
            key = f"{name}/{part}" if part else name
            if (entry := card.scores.get(key)) is None or _other(entry):
                continue
            # What was decided when the score was made stands in its signature.
            decided = {k: v for k, v in entry.signature.items() if "." not in k}
            bootstrap = _BOOTSTRAP.fullmatch(str(decided.get("bootstrap", "2000@0")))
            if bootstrap is None:
                told = str(decided["bootstrap"])[:40]
                raise InputError(f"{key}: its signature has the bootstrap {told!r}, which cannot be repeated")
            resamples, seed = map(int, bootstrap.groups())
            known = table.with_facts(**{**decided, "target": card.target})
            look = Looks.signed(entry.signature)
            try:
                with at_level(look.level if look else LEVEL):
                    found = scored(metric, known, {}, seed=seed, resamples=resamples)
            except (LookupError, ValueError, TypeError, OverflowError) as error:  # a metric trusts its own signature
                if isinstance(error, IgmuError):
                    raise
                raise InputError(f"{key}: signature and lines do not match ({one_line(error)})") from error
            if found is not None:
                out[key] = found
    if (forget := out.get(FORGET)) is not None:
        aligned = "stripped_alignment" in card.generations
        out[FORGET] = replace(forget, figures=_without_features(forget.figures, aligned=aligned))
    return out


def follows(entry: ScoreEntry) -> bool:
    """Whether a score of igmu's own follows from a card's lines, at least in part."""
    if entry.package or _other(entry):
        return False
    return entry.name == FORGET or _published(registry.metric(entry.name))


def notes(card: Scorecard) -> list[str]:
    """Which scores cannot be computed again here, as their metrics are not here or others, or columns are not there."""
    told = {name: _other(entry) or _lacking(entry, card.generations) for name, entry in card.scores.items()}
    return [f"score {name} cannot be recomputed: {why}" for name, why in told.items() if why]


def _other(entry: ScoreEntry) -> str:
    """Why the metric of a score is not the one that is here; "" if it is."""
    if why := registry.absent(entry.name, entry.package):
        return why
    told, here = entry.signature.get("v"), registry.metric(entry.name).INFO.version
    return "" if told == here else f"scored by version {told} of its metric, and here is version {here}"


def _lacking(entry: ScoreEntry, table: Generations) -> str:
    """Why a score that follows from lines does not follow from these; "" if it does."""
    metric = registry.metric(entry.name)
    lost = [n for n in metric.NEEDS if n not in _restored(metric, table)] if follows(entry) else []
    return f"the generations have no {', no '.join(lost)}" if lost else ""


def _restored(metric: Metric, table: Generations) -> Generations:
    """The table with what a metric needs and nobody knew of any generation: a card has no column of that."""
    lost = [
        name
        for name in registry.columns(metric)
        if name not in table
        and (known := column(name))
        # Every evaluation has decisions; what else a metric only uses may not have been measured.
        and (known.kind == "flag" or (known.published and name in metric.NEEDS))
    ]
    return table.with_columns(**{name: [None] * len(table) for name in lost})


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
