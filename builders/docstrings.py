"""A Griffe extension for the documentation site: examples in docstrings become code.

Docstrings here put a worked example behind its own sentence, with no heading; Markdown would read `>>>` as a quotation.
"""

from __future__ import annotations

import re
from typing import Any, Final

import griffe

_EXAMPLE: Final = re.compile(r"^( *)>>> .*(?:\n *\S.*)*", re.MULTILINE)


def fenced(text: str) -> str:
    r"""Markdown with every doctest in a fence, up to the next empty line.

    >>> fenced("One:\n\n>>> 1\n1")
    'One:\n\n```pycon\n>>> 1\n1\n```'
    """
    return _EXAMPLE.sub(lambda m: f"{m[1]}```pycon\n{m[0]}\n{m[1]}```", text)


class FencedDoctests(griffe.Extension):
    """Applies `fenced` to every docstring that the site shows."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every module, class and function once it is loaded."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
