"""The images: one line a prompt and seed, the original's image and each model's, with what the detector saw.

Conventions: a mark says what was seen and a sign what it is worth: ✕ a failure, ✓ as it should be, ? unclear. Failures
are told by sign, words and frame, never by colour alone. Images are filled in by `images.js` when they come into
sight.
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
    """What one model generated.

    Args:
        model: its name.
        kind: class of the mark, `empty` where there is no such generation.
        sign: of the mark.
        said: what the detector saw, in words.
        sure: how sure it is, None where it does not say.
        image: number in the gallery, None where there is no image.
        absent: why there is none.
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
    """One prompt and seed: what is said of it (see `grid.js`), each model's failure, the original's tile and theirs."""

    line: Line
    verdicts: tuple[str, ...]
    failures: tuple[float, ...]
    tiles: tuple[Tile, ...]


def grid(view: View, gallery: Gallery, most: int = MOST_LINES) -> dict[str, Any] | None:
    """What `images.html` shows: at most so many lines that have an image, worst failures first, of how many there
    are, and the choices of the filters; None where there is no image at all.
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
    """Class, sign and words for what the detector saw."""
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
