"""The HTML report: for each concept the verdict, its basis, images side by side, tables and a human audit.

Conventions: the page is one file that needs no network: style, scripts and images are in it, and its content security
policy forbids anything else. If there are many images, they are in one folder next to it. Text, tables and figures work
without scripts; scripts fill in images, filter them, show definitions and run the audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from igmu_data.errors import InputError
from igmu_data.numerals import counted
from igmu_data.progress import Advance
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.report import audit, raters, verdict
from igmu_metrics.report.definitions import ANSWERED_BY, definitions
from igmu_metrics.report.figures.agreement import Judges, agreement
from igmu_metrics.report.figures.aside import aside
from igmu_metrics.report.figures.aspects import aspects
from igmu_metrics.report.figures.cost import cost
from igmu_metrics.report.figures.families import families
from igmu_metrics.report.figures.forest import forest
from igmu_metrics.report.figures.interference import interference
from igmu_metrics.report.figures.plugins import plugins
from igmu_metrics.report.grid import MOST_LINES, grid
from igmu_metrics.report.ground import ground
from igmu_metrics.report.ranking import before, ranking, shown
from igmu_metrics.report.templates import filled
from igmu_metrics.report.thumbnails import MOST_INSIDE, Gallery, Tick
from igmu_metrics.report.view import Section, View, anchors, view
from igmu_metrics.scorecard import Scorecard, write_text
from igmu_metrics.verdict.agreement import detector_of, judged_by

__all__ = ["Section", "render", "write"]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a section.

    Args:
        slug: its anchor, and the template that shows it.
        link: its name in the navigation.
        title: its heading.
        shown: the data for the template; None if the part is left out.
    """

    slug: str
    link: str
    title: str
    shown: Any


def render(*sections: Section, most_lines: int = MOST_LINES, advance: Advance = lambda what, done, total: None) -> str:
    """The page as text, with one section after the other and the images in it.

    Args:
        sections: the sections to show.
        most_lines: maximum number of prompts and seeds per section to show with images, worst failures first.
        advance: called for every finished image, as `(what, more, total)`.

    Raises:
        EmptyInputError: a section without an unlearned model.
        IncomparableError: cards of a section were scored differently.
        MetadataError, UnknownIdError: folders that do not match their layout.
        ImageError: an image cannot be read.
        ChecksumError: an image is not the one that the card describes.
    """
    gallery = Gallery()
    values = _values(sections, gallery, most_lines)
    return filled("page.html", **values, folder="", images=gallery.chunks(_tick(gallery, advance)))


def write(
    out: Path,
    *sections: Section,
    most_lines: int = MOST_LINES,
    beside: bool | None = None,
    advance: Advance = lambda what, done, total: None,
) -> str:
    """Write the page; if it shows many images, they are written to a folder next to it.

    Args:
        out: HTML file; the folder is named after it (`report.html`, `report-images`).
        sections: the sections to show.
        most_lines: see `render`.
        beside: whether images go into the folder; None to decide by their number (`thumbnails.MOST_INSIDE`).
        advance: see `render`.

    Returns:
        A message that says what was written, and how large it is.

    Raises:
        OutputError: the page cannot be written.
        IgmuError: see `render`.
    """
    gallery = Gallery()
    values = _values(sections, gallery, most_lines)
    n, tick = len(gallery.paths), _tick(gallery, advance)
    if beside if beside is not None else n > MOST_INSIDE:
        folder = out.with_name(f"{out.stem}-images")
        n_bytes = gallery.write(folder, tick)
        text = filled("page.html", **values, folder=folder.name, key=gallery.key, images=())
        told = f", with {counted(n, 'image')} in {folder} ({_megabytes(n_bytes)}). Keep both in the same folder"
    else:
        text = filled("page.html", **values, folder="", images=gallery.chunks(tick))
        told = ""
    write_text(out, text)
    return f"{out}: {_megabytes(len(text.encode()))}{told}"


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.2g} MB" if n_bytes < 1e8 else f"{n_bytes / 1e6:.0f} MB"


def _tick(gallery: Gallery, advance: Advance) -> Tick:
    return lambda n: advance("images of the report", n, len(gallery.paths))


def _values(sections: Sequence[Section], gallery: Gallery, most_lines: int) -> dict[str, Any]:
    """The values for the template, except the images, which the gallery has afterwards."""
    views = [view(section) for section in sections]
    people = [
        raters.read(v, section.labels) if section.labels else None for v, section in zip(views, sections, strict=True)
    ]
    if any(section.labels for section in sections) and not any(people):
        named = ", ".join(str(file) for file in sections[0].labels)
        raise InputError(
            f"{named}: the labels do not refer to any of the images shown. Specify the folders of the labelled images "
            "with --images."
        )
    made = []
    for at, (found, section, place) in enumerate(zip(views, sections, anchors(views), strict=True)):
        judges = agreement(_others(found, views))
        made.append(
            {
                "view": found,
                "judge": _judge(found, views),
                "anchor": place,
                "ground": ground(found, people[at], judges.lead if judges else ()),
                "lead": verdict.lead(found),
                "answers": verdict.answers(found),
                "parts": _parts(found, section.folders, gallery, most_lines, judges, people[at]),
            }
        )
    return {"sections": made, "definitions": definitions(), "keys": ANSWERED_BY, "version": views[0].first.igmu_version}


def _others(found: View, views: Sequence[View]) -> list[Scorecard]:
    """The cards of all sections on the same concept; only the first section shows how far their detectors agree."""
    same = [one for one in views if one.first.config == found.first.config]
    return [card for one in same for card in one.cards] if found is same[0] else []


def _judge(found: View, views: Sequence[View]) -> str:
    """The detector of a section, if other sections on the same concept have different ones; otherwise ""."""
    judges = {judged_by(one.first) for one in views if one.first.config == found.first.config}
    return detector_of(found.first) if len(judges) > 1 else ""


def _parts(
    found: View,
    folders: Mapping[str, Path],
    gallery: Gallery,
    most_lines: int,
    judges: Judges | None,
    people: raters.Raters | None,
) -> list[Part]:
    """The parts to show below the verdict; images are added to the gallery."""
    every = (
        Part("images", "Images", "Image by image", grid(found, gallery, most_lines)),
        Part("agreement", "Detectors", "Do the detectors agree?", judges),
        Part("ranking", "Ranking", "Ranking", ranking(found)),
        Part("intervals", "Intervals", "Aspects and intervals", _plots(found)),
        Part("attacks", "Attacks", "Which attacks bring it back?", families(found.cards, found.target)),
        Part("interference", "Interference", "What else changed?", interference(found.cards)),
        Part("aside", "Separate probes", "Which probes are counted separately?", aside(found.cards, found.target)),
        Part("plugins", "Plugins", "What do plugins measure?", plugins(found.cards)),
        Part("cost", "Cost", "What does it cost?", cost(found.cards)),
        Part(
            "raters",
            "Raters",
            "On which images do the two raters disagree?",
            raters.data(found, people, folders, gallery) if people else None,
        ),
        Part("audit", "Audit", "Is the detector right? Judge for yourself", audit.data(found, folders, gallery)),
    )
    return [part for part in every if part.shown is not None]


def _plots(found: View) -> dict[str, Any]:
    forests, marked = [], found.leaders[0].model if len(found.leaders) == 1 else ""
    columns = shown(found.cards)
    for column, original in zip(columns, before(found, columns), strict=True):
        figures = [(c.model, c.figure(column.score, column.figure)) for c in found.cards]
        plot = forest(column.title, figures, marked=marked, before=original)
        forests.append((column, plot))
    return {"aspects": aspects(found.cards, marked=bool(marked)), "names": ASPECTS, "forests": forests}
