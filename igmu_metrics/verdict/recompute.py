"""Recomputes scores from the lines of a card, as far as the lines determine them, using the metrics themselves.

A metric is computed from the lines if they have every column that it reads. The forget score is an exception: only the
aspects that do not need image features are computed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from igmu_data.errors import IgmuError, InputError
from igmu_metrics import registry
from igmu_metrics.contract import Estimate, Metric, Score, Setting, one_line, scored
from igmu_metrics.generations import ORIGINAL, Generations, column
from igmu_metrics.metrics._aspect_sums import PROBES, preservation_of
from igmu_metrics.metrics._contract import columns, lacking, parts
from igmu_metrics.scorecard import Scorecard, ScoreEntry
from igmu_metrics.statistics.level import LEVEL, at_level
from igmu_metrics.statistics.looks import Looks

# A limit on the number of resamples, because a card is not trusted. Evaluations use 2,000.
_BOOTSTRAP: Final = re.compile(r"([1-9][0-9]{0,3}|10000)@([0-9]{1,19})")
FORGET: Final = "forget_score"
_DECIDED: Final = ("forgetting", "robustness", "preservation", *map(preservation_of, PROBES))


def figures(card: Scorecard) -> dict[str, dict[str, Estimate]]:
    """By score, all metrics that the lines of the card determine. Raises the same errors as `scores`."""
    return {name: dict(score.figures) for name, score in scores(card).items()}


def of_original(card: Scorecard) -> dict[str, dict[str, Estimate]]:
    """The original's accuracy and attack success on the card's prompts, which its lines determine, too.

    Only metrics that do not compare both models are meaningful here. Raises the same errors as `scores`.
    """
    name = "present" + ORIGINAL
    if name not in card.generations:
        return {}
    entries = {key: card.scores[key] for key in ("concept_accuracy", "attack_success_rate") if key in card.scores}
    swapped = card.generations.with_columns(present=card.generations[name])
    return figures(card.model_copy(update={"generations": swapped, "scores": entries}))


def scores(card: Scorecard) -> dict[str, Score]:
    """All scores that the lines of the card determine; for the forget score, the aspects that they determine.

    Raises:
        InputError: lines or signatures that no evaluation can have written.
    """
    out: dict[str, Score] = {}
    for name, metric in registry.metrics().items():
        if name != FORGET and not _published(metric):
            continue
        for part, table in parts(metric, restored(metric, card.generations)):
            key = f"{name}/{part}" if part else name
            if (entry := card.scores.get(key)) is None or metric_differs(entry):
                continue
            # Decisions made during scoring are recorded in the signature.
            decided = {k: v for k, v in entry.signature.items() if "." not in k}
            resamples, seed = bootstrap(key, decided)
            known = table.with_facts(**{**decided, "target": card.target})
            look = Looks.signed(entry.signature)
            try:
                with at_level(look.level if look else LEVEL):
                    found = scored(metric, known, {}, seed=seed, resamples=resamples)
            except (LookupError, ValueError, TypeError, OverflowError) as error:  # metrics trust their own signatures
                if isinstance(error, IgmuError):
                    raise
                raise InputError(f"{key}: the signature and the lines do not match ({one_line(error)})") from error
            if found is not None:
                out[key] = found
    if (forget := out.get(FORGET)) is not None:
        aligned = "stripped_alignment" in card.generations
        out[FORGET] = replace(forget, figures=_without_features(forget.figures, aligned=aligned))
    return out


def bootstrap(name: str, signature: Mapping[str, Setting]) -> tuple[int, int]:
    """The number of resamples of a score, and the seed, according to its signature.

    Raises:
        InputError: a bootstrap that no evaluation can have used.

    >>> bootstrap("forget_score", {"bootstrap": "2000@0"})
    (2000, 0)
    """
    told = str(signature.get("bootstrap", "2000@0"))
    if (found := _BOOTSTRAP.fullmatch(told)) is None:
        raise InputError(f"{name}: the bootstrap in the signature is {told[:40]!r}, which cannot be repeated")
    return int(found[1]), int(found[2])


def determined(card: Scorecard, found: Mapping[str, Score]) -> tuple[list[str], list[str]]:
    """The scores that the lines of the card determine, and the rest, which needs the images.

    A score of which only some metrics are determined is in both lists, followed by the metrics in parentheses.

    Args:
        card: the card.
        found: its `scores`.
    """
    known, rest = [], []
    for name, entry in card.scores.items():
        again = found[name].figures if name in found else {}
        told = [key for key in entry.figures if key in again]
        lost = [key for key in entry.figures if key not in again]
        lost += [
            f"interval for {k}" for k in told if again[k].interval is None and entry.figures[k].interval is not None
        ]
        known += [f"{name} ({', '.join(told)})" if lost else name] * bool(told)
        rest += [f"{name} ({', '.join(lost)})" if told else name] * bool(lost or not told)
    return known, rest


def shortly(names: Sequence[str], others: Sequence[str]) -> str:
    """Names of `determined` in a line: a metric once, if none of its parts is among the others."""
    split = {name.partition("/")[0] for name in others}
    own = (head if (head := name.partition("/")[0]) not in split and "(" not in name else name for name in names)
    return ", ".join(dict.fromkeys(own))


def follows(entry: ScoreEntry) -> bool:
    """Whether a score is one of igmu's own and determined by a card's lines, at least in part."""
    if entry.package or metric_differs(entry):
        return False
    return entry.name == FORGET or _published(registry.metric(entry.name))


def notes(card: Scorecard) -> list[str]:
    """Which scores cannot be recomputed here, because their metrics or columns are missing or different."""
    told = {name: metric_differs(entry) or _lacking(entry, card.generations) for name, entry in card.scores.items()}
    return [f"the score {name} cannot be recomputed: {why}" for name, why in told.items() if why]


def metric_differs(entry: ScoreEntry) -> str:
    """Why the metric of a score differs from the installed one; "" if it does not."""
    if why := registry.absent(entry.name, entry.package):
        return why
    told, here = entry.signature.get("v"), registry.metric(entry.name).INFO.version
    return "" if told == here else f"it was scored by version {told} of its metric, but version {here} is installed"


def _lacking(entry: ScoreEntry, table: Generations) -> str:
    """Why a score that lines determine is not determined by these; "" if it is."""
    metric = registry.metric(entry.name)
    lost = lacking(metric, restored(metric, table)) if follows(entry) else []
    return f"the generations do not contain the columns {', '.join(lost)}" if lost else ""


def restored(metric: Metric, table: Generations) -> Generations:
    """The table with empty columns added that a metric needs; a card omits columns without any value."""
    lost = [
        name
        for name in columns(metric)
        if name not in table
        and (known := column(name))
        # Every evaluation has decisions; other columns that a metric merely uses may not have been measured.
        and (known.kind == "flag" or (known.published and name in metric.NEEDS))
    ]
    return table.with_columns(**{name: [None] * len(table) for name in lost})


def _published(metric: Metric) -> bool:
    """Whether a card's lines contain all columns that a metric reads."""
    return all((known := column(name)) is None or known.published for name in columns(metric))


def _without_features(figures: Mapping[str, Estimate], *, aligned: bool) -> dict[str, Estimate]:
    """The aspects that need no features; preservation without interval, since its resamples depend on other aspects."""
    wanted = (*_DECIDED, *(("alignment",) if aligned else ()))
    return {
        name: replace(figure, interval=None) if name.startswith("preservation") else figure
        for name, figure in figures.items()
        if name.removeprefix("unconditional_") in wanted
    }
