"""One HTML page: verdict, ranking, figures, pictures side by side and a human audit, for one concept below the other.

Conventions: one file without network: style, scripts and pictures are in it, and its content security policy forbids
anything else. Words, tables and figures are there without scripts; scripts fill in pictures, filter them, and run the
audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from igmu_metrics.coverage import covering
from igmu_metrics.networks.progress import Advance
from igmu_metrics.report import audit, verdict
from igmu_metrics.report.figures.agreement import agreement
from igmu_metrics.report.figures.aside import aside
from igmu_metrics.report.figures.aspects import aspects
from igmu_metrics.report.figures.cost import cost
from igmu_metrics.report.figures.families import families
from igmu_metrics.report.figures.forest import forest
from igmu_metrics.report.figures.interference import interference
from igmu_metrics.report.grid import MOST_LINES, grid
from igmu_metrics.report.pictures import Gallery
from igmu_metrics.report.ranking import before, ranking, shown
from igmu_metrics.report.templates import filled
from igmu_metrics.report.view import Section, View, view
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.verdict.agreement import detector_of, judged_by

__all__ = ["Section", "render"]


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


def render(*sections: Section, most_lines: int = MOST_LINES, advance: Advance = lambda what, done, total: None) -> str:
    """The page as text, one section below the other.

    Args:
        sections: what to show.
        most_lines: prompts and seeds of each section that are shown with pictures, worst failures first.
        advance: told of every finished picture, as `(what, more, total)`.

    Raises:
        EmptyInputError: a section without an unlearned model.
        IncomparableError: cards of a section that were not scored alike.
        MetadataError, UnknownIdError: folders that do not fit their layout.
        ImageError: a picture that cannot be read.
        ChecksumError: one that is not the image that the card tells of.
    """
    gallery = Gallery()
    views = [view(section) for section in sections]
    made = [
        {
            "view": found,
            "judge": _judge(found, views),
            "coverage": covering(found.cards),
            "lead": verdict.lead(found),
            "answers": verdict.answers(found),
            "parts": _parts(found, section.folders, gallery, most_lines, _others(found, views)),
        }
        for found, section in zip(views, sections, strict=True)
    ]
    total = len(gallery.paths)
    return filled(
        "page.html",
        sections=made,
        pictures=gallery.chunks(lambda n: advance("pictures of the report", n, total)),
        version=views[0].first.igmu_version,
    )


def _others(found: View, views: Sequence[View]) -> list[Scorecard]:
    """The cards of every section on the same concept, of which the first one tells how far their detectors agree."""
    same = [one for one in views if one.first.config == found.first.config]
    return [card for one in same for card in one.cards] if found is same[0] else []


def _judge(found: View, views: Sequence[View]) -> str:
    """The detector of a section, where another section on the same concept has another; "" elsewhere."""
    judges = {judged_by(one.first) for one in views if one.first.config == found.first.config}
    return detector_of(found.first) if len(judges) > 1 else ""


def _parts(
    found: View, folders: Mapping[str, Path], gallery: Gallery, most_lines: int, every_judge: Sequence[Scorecard]
) -> list[Part]:
    """What there is to show below the verdict; pictures go into the gallery."""
    every = (
        Part("agreement", "Detectors", "Do the detectors agree?", agreement(every_judge)),
        Part("ranking", "Ranking", "Ranking", ranking(found)),
        Part("intervals", "Intervals", "Aspects and intervals", _plots(found)),
        Part("attacks", "Attacks", "Which attacks bring it back?", families(found.cards, found.target)),
        Part("interference", "Interference", "What else changed?", interference(found.cards)),
        Part("aside", "By itself", "What is counted by itself?", aside(found.cards, found.target)),
        Part("cost", "Cost", "What does it cost?", cost(found.cards)),
        Part("pictures", "Pictures", "Picture by picture", grid(found, gallery, most_lines)),
        Part("audit", "Audit", "Is the detector right? Judge for yourself", audit.data(found, folders, gallery)),
    )
    return [part for part in every if part.shown is not None]


def _plots(found: View) -> dict[str, Any]:
    forests, marked = [], found.winner.model if found.winner else ""
    for column in shown(found.cards):
        figures = [(c.model, c.figure(column.score, column.figure)) for c in found.cards]
        plot = forest(column.title, figures, marked=marked, before=before(found, column))
        forests.append((column, plot))
    return {"aspects": aspects(found.cards, marked=bool(marked)), "forests": forests}
