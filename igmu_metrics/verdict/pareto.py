"""Forgetting against preservation: which models are beaten in both by another?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from igmu_metrics.scorecard import Figure, Scorecard
from igmu_metrics.statistics import overlap
from igmu_metrics.statistics.formatting import bounds


@dataclass(frozen=True, slots=True)
class Point:
    """One model in the plane of forgetting and preservation.

    Args:
        model: its name.
        forgetting: how often the concept is gone, counting only images where the original generated it.
        preservation: retain accuracy relative to the original's.
        beaten_by: models that are at least as good in both and better in at least one; empty on the front.
        clearly_by: those of them whose interval is entirely above in at least one of the two.
    """

    model: str
    forgetting: Figure
    preservation: Figure
    beaten_by: tuple[str, ...]
    clearly_by: tuple[str, ...]

    def sentence(self) -> str:
        """The position of the model in words."""
        if not self.beaten_by:
            return "on the front"
        if self.clearly_by:
            return f"beaten by {', '.join(self.clearly_by)}"
        return f"behind {', '.join(self.beaten_by)}, but the intervals overlap"


def front(cards: Sequence[Scorecard]) -> list[Point]:
    """All models that have both values and a detector that is better than chance, in the order of the cards."""
    known = {}
    for card in cards:
        pair = [card.figure("forget_score", name) for name in ("forgetting", "preservation")]
        if all(f is not None and f.value is not None for f in pair) and not card.unfounded:
            known[card.model] = [f for f in pair if f is not None]
    points = []
    for model, (forgetting, preservation) in known.items():
        mine = (forgetting, preservation)
        better = [other for other, theirs in known.items() if _beats(theirs, mine)]
        points.append(Point(model, *mine, tuple(better), tuple(o for o in better if _clearly(known[o], mine))))
    return points


def _beats(theirs: Sequence[Figure], mine: Sequence[Figure]) -> bool:
    pairs = [(t.value or 0.0, m.value or 0.0) for t, m in zip(theirs, mine, strict=True)]
    return all(t >= m for t, m in pairs) and any(t > m for t, m in pairs)


def _clearly(theirs: Sequence[Figure], mine: Sequence[Figure]) -> bool:
    ends = [(bounds(t), bounds(m)) for t, m in zip(theirs, mine, strict=True)]
    return any(t is not None and m is not None and not overlap(t, m) for t, m in ends)
