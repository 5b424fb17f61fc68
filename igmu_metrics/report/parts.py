"""The parts of a section below the verdict: which there are, and what is shown in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from igmu_metrics.report import audit
from igmu_metrics.report.figures.aspects import aspects
from igmu_metrics.report.figures.families import families
from igmu_metrics.report.figures.forest import forest
from igmu_metrics.report.figures.interference import interference
from igmu_metrics.report.grid import grid
from igmu_metrics.report.pictures import Gallery
from igmu_metrics.report.ranking import before, ranking, shown
from igmu_metrics.report.view import View


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a section.

    Args:
        slug: its anchor, and the template that shows it.
        link: what the navigation calls it.
        title: its heading.
        shown: what the template shows; None leaves the part out.
    """

    slug: str
    link: str
    title: str
    shown: Any


def parts(found: View, folders: Mapping[str, Path], gallery: Gallery, most_lines: int) -> list[Part]:
    """The parts that there is something to show in; pictures they need go into the gallery."""
    every = (
        Part("ranking", "Ranking", "Ranking", ranking(found)),
        Part("intervals", "Intervals", "Aspects and intervals", _plots(found)),
        Part("attacks", "Attacks", "Which attacks bring it back?", families(found.cards, found.target)),
        Part("interference", "Interference", "What else changed?", interference(found.cards)),
        Part("pictures", "Pictures", "Picture by picture", grid(found, gallery, most_lines)),
        Part("audit", "Audit", "Is the detector right? Judge for yourself", audit.data(found, folders, gallery)),
    )
    return [part for part in every if part.shown is not None]


def _plots(found: View) -> dict[str, Any]:
    forests = []
    for column in shown(found.cards):
        figures = [(c.model, c.figure(column.score, column.figure)) for c in found.cards]
        plot = forest(column.title, figures, marked=found.first.model, before=before(found, column))
        forests.append((column, plot))
    return {"aspects": aspects(found.cards), "forests": forests}
