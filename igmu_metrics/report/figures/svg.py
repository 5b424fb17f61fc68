"""SVG for all figures; text and attributes are escaped by the XML library.

Conventions: a figure in a page has no colors, which come from the page's style sheet. A figure in a separate file
contains its style but no script, font or background, so that it can be shown on light and dark pages.
"""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree

from igmu_data.media import visible

CHARACTER: Final = 7.2  # mean width of a 13 px sans-serif letter, for cutting names that do not fit
STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.small { font-size: 11px } .title { font-weight: 600 } .right { text-anchor: end } .middle { text-anchor: middle }
.grid { stroke: #8c959f; stroke-opacity: .45 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }
"""


class Svg:
    """An element of a figure, to which others can be added."""

    def __init__(self, element: ElementTree.Element) -> None:
        self._element = element

    def add(self, name: str, kind: str = "", *, said: str = "", hint: str = "", **attributes: str | float) -> Svg:
        """Add an element.

        Args:
            name: name of the element.
            kind: its CSS classes.
            said: its text.
            hint: its tooltip.
            attributes: further attributes, with `_` for `-`; pixels are rounded to tenths.
        """
        values = {key.replace("_", "-"): _attribute(value) for key, value in attributes.items()}
        element = ElementTree.SubElement(self._element, name, values | ({"class": kind} if kind else {}))
        said, hint = visible(said, lines=True), visible(hint, lines=True)
        if hint:
            title = ElementTree.SubElement(element, "title")
            title.text, title.tail = hint, said
        else:
            element.text = said
        return Svg(element)

    def text(self, x: float, y: float, said: str, kind: str = "", *, hint: str = "") -> None:
        """Add one line of text."""
        self.add("text", kind, said=said, hint=hint, x=x, y=y)

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """Add a straight line."""
        self.add("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)

    def dot(self, x: float, y: float, radius: float, kind: str, hint: str = "") -> None:
        """Add a dot."""
        self.add("circle", kind, hint=hint, cx=x, cy=y, r=f"{radius:g}")

    def box(self, x: float, y: float, width: float, height: float, kind: str = "", **attributes: str) -> None:
        """Add a rectangle."""
        self.add("rect", kind, x=x, y=y, width=width, height=height, **attributes)

    def lines(self) -> str:
        """The text of a file, with one element per line."""
        for child in self._element:
            child.tail = "\n"
        return f"{self}\n"

    def __str__(self) -> str:
        return ElementTree.tostring(self._element, encoding="unicode")

    def __html__(self) -> str:
        """For templates, which escape objects without this method."""
        return str(self)


def image(width: float, height: float, label: str, *, style: str = "", kind: str = "") -> Svg:
    """A whole figure.

    Args:
        width, height: size in pixels.
        label: text for screen readers.
        style: style sheet of a figure in a separate file; "" for a figure in a page.
        kind: its CSS classes.
    """
    box = {"viewBox": f"0 0 {width:g} {height:g}", "role": "img", "aria-label": visible(label)}
    if not style:
        return Svg(ElementTree.Element("svg", {**box, "width": f"{width:g}", "height": f"{height:g}"}))
    root = {"xmlns": "http://www.w3.org/2000/svg", **box} | ({"class": kind} if kind else {})
    made = Svg(ElementTree.Element("svg", root))
    made.add("title", said=label)
    made.add("style", said=style)
    return made


def fitted(name: str, width: float) -> str:
    """A name cut to a width in pixels."""
    most = int(width / CHARACTER)
    return name if len(name) <= most else f"{name[: max(1, most - 1)]}…"


def _attribute(value: str | float) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)
