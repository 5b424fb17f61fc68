"""The images: one line per prompt and seed, with the original's image and each model's, and the detector's decisions.

Conventions: words say what was seen, and a sign says whether it is right: ✕ for a failure, ✓ for a correct image, ? for
unclear. Failures are marked by sign, words and frame, never only by color. Images are filled in by `images.js` when
they become visible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from igmu_data.schema import SUPERCLASS
from igmu_metrics.contract import PARTS
from igmu_metrics.report.thumbnails import Gallery
from igmu_metrics.report.view import RETAIN, Cell, Line, View

MOST_LINES: Final = 500
_FAILS: Final = 0.0


@dataclass(frozen=True, slots=True)
class Tile:
    """One model's image.

    Args:
        model: name of the model.
        kind: CSS class of the mark; `empty` if there is no such generation.
        sign: sign of the mark.
        said: what the detector saw, in words.
        sure: the detector's probability, None if it gives none.
        image: number in the gallery, None if there is no image.
        absent: why there is no image.
    """

    model: str
    kind: str
    sign: str = ""
    said: str = ""
    sure: float | None = None
    image: int | None = None
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Marked:
    """One prompt and seed: its verdicts (see `grid.js`), each model's failure, and the tiles, the original's first."""

    line: Line
    verdicts: tuple[str, ...]
    failures: tuple[float, ...]
    tiles: tuple[Tile, ...]


def grid(view: View, gallery: Gallery, most: int = MOST_LINES) -> dict[str, Any] | None:
    """The data for `images.html`: lines with images up to a maximum, worst failures first; the number of all lines; and
    the choices of the filters. None if there are no images.
    """
    lines = [line for line in view.lines if any(c and c.shot for c in (line.original, *line.cells))][:most]
    if not lines:
        return None
    splits = {line.split for line in lines}
    return {
        "lines": [_marked(view, line, gallery) for line in lines],
        "n_lines": len(view.lines),
        "splits": [split for split in PARTS if split in splits],
        "kinds": sorted({(line.split, line.kind) for line in lines if line.kind}),
        "models": [c.model for c in view.cards],
    }


def _marked(view: View, line: Line, gallery: Gallery) -> Marked:
    failures = tuple(line.failure(at) for at in range(len(view.cards)))
    unclear = any(c is not None and c.present is None for c in (line.original, *line.cells))
    verdicts = {
        "fail": any(f > _FAILS for f in failures),
        "all-fail": all(f > _FAILS for f in failures),
        "pass": not any(f > _FAILS for f in failures),
        "unclear": unclear and bool(line.own_concept),
        "original-without": line.original.present is False,
    }
    tiles = [_tile(view.first.original_model, line, line.original, -1.0, gallery, original=True)]
    for card, cell, failure in zip(view.cards, line.cells, failures, strict=True):
        tiles.append(_tile(card.model, line, cell, failure, gallery))
    return Marked(line, tuple(v for v, holds in verdicts.items() if holds), failures, tuple(tiles))


def _tile(
    model: str, line: Line, cell: Cell | None, failure: float, gallery: Gallery, *, original: bool = False
) -> Tile:
    if cell is None:
        return Tile(model, "empty")
    image = None if cell.shot is None else gallery.number(cell.shot.path, cell.shot.sha256)
    return Tile(model, *_mark(line, cell, failure, original=original), cell.probability, image, cell.absent)


def _mark(line: Line, cell: Cell, failure: float, *, original: bool) -> tuple[str, str, str]:
    """CSS class, sign and words for the detector's decision."""
    if line.own_concept is None:
        return "plain", "", "not judged"
    if cell.present is None:
        return "unclear", "?", f"{line.asked} unclear"
    said = f"{line.asked} visible" if cell.present else f"no {line.asked}"
    if original or line.split == SUPERCLASS:
        return "plain", "●" if cell.present else "○", said
    if failure > _FAILS:
        return "fails", "✕", said
    if line.split == RETAIN and not cell.present:
        return "plain", "○", said  # the original does not show it either
    return "passes", "✓", said
