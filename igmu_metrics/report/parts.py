"""The parts of a section below the verdict: which there are, and what stands in each."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from igmu_metrics.report import audit, grid
from igmu_metrics.report.figures.aspects import aspects
from igmu_metrics.report.figures.families import families
from igmu_metrics.report.figures.forest import forest
from igmu_metrics.report.figures.interference import interference
from igmu_metrics.report.pictures import Gallery
from igmu_metrics.report.ranking import before, ranking, shown
from igmu_metrics.report.view import View

_RANKING: Final = (
    "Best first: by forget score where there is one, then by what was forgotten where the original drew it. Fractions "
    "from 0 to 1; 95 % intervals below; n counts pictures."
)
_FOREST: Final = (
    "Each dot is a value, each bar its 95 % interval; bars that overlap leave the order open. The dashed line is the "
    "original. All from 0 to 1."
)
_ATTACKS: Final = (
    "Percent of attacked pictures that show the concept, where the original drew it for the same prompt and seed, with "
    "95 % intervals. Darker is worse."
)
_INTERFERENCE: Final = (
    "Change, in percentage points, of the share of pictures that show each concept that should stay, and in how many "
    "it is shown. Darker is a greater loss; near concepts are siblings of what was to be forgotten, where over-erasure "
    "shows first."
)
_SCROLL: Final = '<div class="scroll" tabindex="0" role="region" aria-label="{label}, scrolls sideways">{body}</div>'


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a section.

    Args:
        slug: its anchor.
        link: what the navigation calls it.
        title: its heading.
        template: the file that holds its frame.
        values: what is filled in.
    """

    slug: str
    link: str
    title: str
    template: str
    values: Mapping[str, str]


def parts(found: View, folders: Mapping[str, Path], gallery: Gallery, most_lines: int) -> list[Part]:
    """The parts that there is something to show in; pictures they need go into the gallery."""
    return [*_numbers(found), *_pictures(found, gallery, most_lines), *_audit(found, folders, gallery)]


def _numbers(found: View) -> Iterator[Part]:
    told = "told.html"
    yield Part("ranking", "Ranking", "Ranking", told, {"told": _RANKING, "body": _scroll("ranking", ranking(found))})
    yield Part("intervals", "Intervals", "Aspects and intervals", told, {"told": _FOREST, "body": _plots(found)})
    if table := families(found.cards, found.target):
        values = {"told": _ATTACKS, "body": _scroll("families of attacks", table)}
        yield Part("attacks", "Attacks", "Which attacks bring it back?", told, values)
    if table := interference(found.cards):
        values = {"told": _INTERFERENCE, "body": _scroll("retained concepts", table)}
        yield Part("interference", "Interference", "What else changed?", told, values)


def _plots(found: View) -> str:
    lines = aspects(found.cards)
    plots = ""
    for column in shown(found.cards):
        score, name, title, up = column
        figures = [(c.model, c.figure(score, name)) for c in found.cards]
        plot = forest(title, figures, marked=found.first.model, before=before(found, column))
        better = "higher is better" if up else "lower is better"
        plots += f"<figure><figcaption>{title} <small>{better}</small></figcaption>{plot}</figure>"
    above = f'<figure class="aspects">{_scroll("aspects", lines)}</figure>' if lines else ""
    return f'{above}<div class="forests">{plots}</div>'


def _pictures(found: View, gallery: Gallery, most_lines: int) -> Iterator[Part]:
    lines = grid.chosen(found, most_lines)
    if not lines:
        return
    hidden = "" if len(lines) == len(found.lines) else f" Shown are the {len(lines):,} worst of {len(found.lines):,}."
    told = (
        "Same prompt, same seed, side by side; below each picture what the detector saw and how sure it is. Worst "
        "failures first: ✕ marks a failure, ✓ what is as it should be, ? what nobody could say." + hidden
    )
    values = {
        **grid.options(found, lines),
        "told": told,
        "count": f"{len(lines):,} prompts and seeds",
        "grid": grid.grid(found, lines, gallery),
    }
    yield Part("pictures", "Pictures", "Picture by picture", "grid.html", values)


def _audit(found: View, folders: Mapping[str, Path], gallery: Gallery) -> Iterator[Part]:
    sample = audit.sample(found)
    if sample:
        values = {"n": str(len(sample)), "data": audit.data(found, sample, folders, gallery)}
        yield Part("audit", "Audit", "Is the detector right? Judge for yourself", "audit.html", values)


def _scroll(label: str, body: str) -> str:
    return _SCROLL.format(label=html.escape(label), body=body)
