"""One HTML page: verdict, ranking, figures, pictures side by side and a human audit, for one concept below the other.

Conventions: one file without network: style, scripts and pictures are in it, and its content security policy forbids
anything else. Words, tables and figures are there without scripts; scripts fill in pictures, filter them, and run the
audit.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from string import Template
from typing import Final

from igmu_metrics.report import parts, verdict
from igmu_metrics.report.grid import MOST_LINES
from igmu_metrics.report.pictures import Gallery
from igmu_metrics.report.view import Section, View, view

__all__ = ["Section", "render"]

SCRIPTS: Final = ("pictures.js", "grid.js", "audit.js")
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
    bodies, links = "", ""
    for number, (found, section) in enumerate(zip(views, sections, strict=True), 1):
        made = parts.parts(found, section.folders, gallery, most_lines)
        bodies += _section(found, number, made)
        links += _links(found, number, made, alone=len(views) == 1)
    total = len(gallery.paths)
    pictures = "".join(gallery.scripts(lambda n: advance("pictures of the report", n, total)))
    return filled(
        "page.html",
        title=html.escape(", ".join(v.first.config for v in views)),
        style=resource("page.css"),
        links=links,
        sections=bodies,
        pictures=pictures,
        scripts="".join(f"<script>\n{resource(name)}</script>\n" for name in SCRIPTS),
        version=html.escape(views[0].first.igmu_version),
    )


@cache
def resource(name: str) -> str:
    """A file that stands beside this one."""
    return files("igmu_metrics.report").joinpath(name).read_text(encoding="utf-8")


def filled(name: str, **values: str) -> str:
    """A template with its values."""
    return Template(resource(name)).substitute(values)


def _section(found: View, number: int, made: list[parts.Part]) -> str:
    first = found.first
    opening, rest = verdict.lead(found)
    return filled(
        "section.html",
        number=str(number),
        config=html.escape(first.config),
        target=html.escape(found.target),
        original=html.escape(first.original_model),
        opening=html.escape(opening),
        rest=html.escape(rest),
        answers="".join(map(_answer, verdict.answers(found))),
        parts="".join(_part(part, number) for part in made),
        signature=html.escape(str(first.scores["concept_accuracy"].signed())),
        restricted=" restricted" if found.restricted else "",
    )


def _part(part: parts.Part, number: int) -> str:
    body = filled(part.template, **part.values)
    return filled("part.html", number=str(number), slug=part.slug, title=part.title, body=body)


def _links(found: View, number: int, made: list[parts.Part], *, alone: bool) -> str:
    if not alone:
        return f'<a href="#concept-{number}">{html.escape(found.target)}</a>'
    return f'<a href="#verdict-{number}">Verdict</a>' + "".join(
        f'<a href="#{part.slug}-{number}">{part.link}</a>' for part in made
    )


def _answer(answer: verdict.Answer) -> str:
    items = "".join(map(_finding, answer.findings))
    return f'<section class="answer"><h3>{html.escape(answer.question)}</h3><ul>{items}</ul></section>'


def _finding(finding: verdict.Finding) -> str:
    about = ", ".join(f"<span>{html.escape(name)}</span>" for name in finding.about)
    word = f"<em{' class=open' if finding.open else ''}>{html.escape(finding.word)}</em>"
    return f"<li><b>{about}</b> {word} <span>{html.escape(finding.sentence)}</span></li>"
