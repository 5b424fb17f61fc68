"""What the figures share: text, scales and the frame, as SVG without colours (the page's style sheet has them)."""

from __future__ import annotations

import html
from typing import Final

CHARACTER: Final = 7.2  # mean width of a 13 px sans-serif letter, for cutting names that do not fit


def text(x: float, y: float, said: str, kind: str = "") -> str:
    """One line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{html.escape(said)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def dot(x: float, y: float, radius: float, kind: str, title: str = "") -> str:
    """A dot that says more when pointed at."""
    told = f"<title>{html.escape(title)}</title>" if title else ""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{kind}">{told}</circle>'


def fitted(name: str, width: float) -> str:
    """A name cut to a width in pixels."""
    most = int(width / CHARACTER)
    return name if len(name) <= most else f"{name[: max(1, most - 1)]}…"


def frame(width: float, height: float, label: str, body: str) -> str:
    """The whole picture; `label` is what a screen reader says instead of it."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{html.escape(label)}">{body}</svg>'
    )
