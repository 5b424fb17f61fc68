"""In which settings scorecards agree and differ, according to the signatures of their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from igmu_metrics.images import ways
from igmu_metrics.scorecard import Scorecard

_GENERATED: Final = "generated"  # compared setting by setting, as far as both cards record it (`ways`)
# Fields of a signature that depend on which prompts and seeds were generated.
OF_COVERAGE: Final = ("rows", "k")
OF_ROUNDS: Final = ("rows",)  # those of them that differ between rounds of one protocol
# Fields that a reader must know to be the same in all cards, with what they are called.
_CONSTANT: Final[Mapping[str, str]] = {
    "detector": "detector",
    "detector.threshold": "threshold",
    "original": "original",
    "k": "k",
    "dataset": "corpus",
    "clip": "CLIP",
    _GENERATED: "generated with",
}


def differing(first: Scorecard, other: Scorecard, name: str, but: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """The fields in which two cards' signatures of a score differ, with both values; not how images were generated."""
    found = first.scores[name].signed().differences(other.scores[name].signed())
    return {k: both for k, both in found.items() if k not in (*but, _GENERATED)}


def unlike(cards: Sequence[Scorecard]) -> dict[str, dict[str, list[Any]]]:
    """Scores whose settings differ between cards, with the differing fields and their values (None if absent).

    Cards that `require_comparable` accepts for pairwise comparison may differ in scores that do not depend on the
    detector, such as those of CLIP. Their values must not be ranked.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    for first, other in combinations(cards, 2):
        made = ways.differing(first, other)
        for name in sorted(first.scores.keys() & other.scores.keys()):
            for field, both in (differing(first, other, name, OF_COVERAGE) | made).items():
                values = found.setdefault(name, {}).setdefault(field, [])
                values += [value for value in both if value not in values]
    return found


def not_compared(cards: Sequence[Scorecard]) -> str:
    """Which scores cannot be compared, and in which settings they differ; "" if all can be."""
    told: dict[str, list[str]] = {}
    for name, fields in unlike(cards).items():
        # The revision and preparation of a network follow from its name, so they are named only if it is the same.
        why = "; ".join(
            f"{field}: {' and '.join('none' if value is None else str(value) for value in values)}"
            for field, values in fields.items()
            if "." not in field or field.partition(".")[0] not in fields
        )
        told.setdefault(why, []).append(name)
    return " ".join(
        f"Not compared, because the settings differ ({why}): {', '.join(names)}." for why, names in told.items()
    )


def agreed(cards: Sequence[Scorecard]) -> dict[str, Any]:
    """The fields of signatures that all cards have, and in which all scores agree, except model, metric and version."""
    fields: list[dict[str, Any]] = []
    for card in cards:
        found: dict[str, Any] = {}
        for entry in card.scores.values():
            found |= entry.signature
        unsure = {k for e in card.scores.values() for k, v in e.signature.items() if found[k] != v}
        fields.append({k: v for k, v in found.items() if k not in unsure | {"model", "metric", "v"}})
    first, *others = fields
    return {k: v for k, v in sorted(first.items()) if all(k in other and other[k] == v for other in others)}


def same(cards: Sequence[Scorecard]) -> dict[str, Any]:
    """What a comparison holds constant: detector, original, k, corpus, CLIP and generation settings, if they agree."""
    found = agreed(cards)
    return {name: found[name] for name in _CONSTANT if name in found}


def same_in_all(found: Mapping[str, Any]) -> str:
    """What is the same in all cards (see `same`), as a sentence; "" if nothing is."""
    values = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in found.items()}
    if "original" in found:
        values["original"] = repr(found["original"])  # it is often called "original"
    told = ", ".join(f"{_CONSTANT[name]} {value}" for name, value in values.items())
    return f"The same in all scorecards: {told}." if told else ""
