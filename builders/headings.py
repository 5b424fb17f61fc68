"""A Markdown extension: each cell of a table knows its column's heading, so that a phone can show a row as a list."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor

_NARROW = 2  # columns that a phone has room for side by side


class _Headings(Treeprocessor):  # type: ignore[misc] # Markdown has no types
    def run(self, root: Element) -> None:
        for table in root.iter("table"):
            headings = ["".join(cell.itertext()) for cell in table.iter("th")]
            if len(headings) <= _NARROW:
                continue
            table.set("data-stacks", "")
            for row in table.iter("tr"):
                for heading, cell in zip(headings, row.findall("td"), strict=False):
                    cell.set("data-heading", heading)


class Headings(Extension):  # type: ignore[misc]
    """Registers it, after inline Markdown is parsed."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - Python-Markdown's name
        """Add the step.

        Args:
            md: the parser.
        """
        md.treeprocessors.register(_Headings(md), "headings", 0)


def makeExtension(**options: Any) -> Headings:  # noqa: N802 - Python-Markdown's name
    """What `markdown_extensions` of mkdocs.yml asks for.

    Args:
        **options: none are known.

    Returns:
        The extension.
    """
    return Headings(**options)
