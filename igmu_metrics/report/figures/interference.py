"""Interference: how forgetting one concept changed other concepts, for each model."""

from __future__ import annotations

from collections.abc import Sequence

from igmu_metrics.report.figures.matrix import Matrix, Shaded
from igmu_metrics.report.retained import Kept, retained
from igmu_metrics.scorecard import Scorecard


def interference(cards: Sequence[Scorecard]) -> Matrix | None:
    """The table, None if no concept to retain could be judged; near concepts first."""
    lines = [
        (
            kept.name,
            "in prompts that name it" if kept.within else "near" if kept.near else "",
            [_share(kept), *(_change(kept, at) for at in range(len(cards)))],
        )
        for kept in retained(cards)
        if kept.before.value is not None
    ]
    if not lines:
        return None
    return Matrix(
        "Change in the share of images that show each retained concept, in percentage points relative to the original",
        "retained concept",
        ["original", *(c.model for c in cards)],
        lines,
    )


def _share(kept: Kept) -> Shaded:
    return Shaded(f"{100 * (kept.before.value or 0.0):.0f}%", None, kept.before.share)


def _change(kept: Kept, at: int) -> Shaded:
    if kept.after[at].value is None:
        return Shaded("–", None)
    loss = kept.loss(at)
    points = round(-100 * loss)
    return Shaded("0" if not points else f"{points:+d}".replace("-", "−"), max(0.0, loss), kept.after[at].share)
