"""One HTML page: verdict, ranking, figures, pictures side by side and a human audit, for one concept below the other.

Conventions: one file without network: style, scripts and pictures are in it, and its content security policy forbids
anything else. Words, tables and figures are there without scripts; scripts fill in pictures, filter them, and run the
audit.
"""

from __future__ import annotations

from collections.abc import Callable

from igmu_metrics.report import parts, verdict
from igmu_metrics.report.grid import MOST_LINES
from igmu_metrics.report.pictures import Gallery
from igmu_metrics.report.templates import filled
from igmu_metrics.report.view import Section, view

__all__ = ["Section", "render"]

Advance = Callable[[str, int, int], None]


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
    """
    gallery = Gallery()
    views = [view(section) for section in sections]
    shown = [
        {
            "view": found,
            "lead": verdict.lead(found),
            "answers": verdict.answers(found),
            "parts": parts.parts(found, section.folders, gallery, most_lines),
        }
        for found, section in zip(views, sections, strict=True)
    ]
    total = len(gallery.paths)
    return filled(
        "page.html",
        sections=shown,
        pictures=gallery.chunks(lambda n: advance("pictures of the report", n, total)),
        version=views[0].first.igmu_version,
    )
