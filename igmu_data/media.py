"""Texts of strangers (names of models, configs, messages) in every medium that igmu writes to: one function for each.

Conventions: a name stays what it is in memory and in cards; it is made safe where it is written. Names of files are
`igmu_data.files.file_name`'s business. HTML is Jinja's, which escapes every value (`igmu_metrics.report.templates`),
SVG the XML library's; both are handed `visible` texts.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable
from typing import Any, Final

MOST: Final = 255  # characters of a name: no folder's may be longer
_BREAKS: Final = ("\n", "\t")
# Cc controls, Cf what turns or hides text, Cs halves of letters, Zl and Zp line ends that few programs know. Joiners
# and soft hyphens are Cf, too, and are shown as what they are: nobody can see them.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # how spreadsheets begin one
_LATEX: Final = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # after a line's end LaTeX would take it for an argument
    "]": "{]}",
}


def visible(text: object, *, lines: bool = False) -> str:
    r"""For a terminal: what cannot be seen is written out, so that nothing moves the cursor or turns the text.

    Args:
        text: anything; what `str` makes of it.
        lines: leave line ends and tabs as they are, for texts of several lines.

    >>> visible("a\x1b[2Jb\u202ec\n")
    'a\\x1b[2Jb\\u202ec\\n'
    """
    found = str(text)
    if found.isascii() and found.isprintable():
        return found
    return "".join(
        c if (lines and c in _BREAKS) or unicodedata.category(c) not in _UNSEEN else _written(c) for c in found
    )


def _written(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def csv_cell(value: Any) -> Any:
    """For CSV: a text that a spreadsheet would take for a formula gets an apostrophe before it; numbers stay.

    >>> csv_cell("=1+1"), csv_cell(-1.5), csv_cell("esd")
    ("'=1+1", -1.5, 'esd')
    """
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if value.lstrip(" ").startswith(_FORMULA) else text


def latex(text: object) -> str:
    r"""For LaTeX: one line of plain text, also in a comment.

    >>> latex("a_b & 50% \\")
    'a\\_b \\& 50\\% \\textbackslash{}'
    """
    return "".join(_LATEX.get(c, c) for c in visible(text))


def shell(words: Iterable[object]) -> str:
    """For a shell: a command that can be pasted; what cannot be seen is written out.

    >>> shell(["igmu", "verify", "a b.json"])
    "igmu verify 'a b.json'"
    """
    return shlex.join(visible(word) for word in words)


def slug(text: str) -> str:
    """For a path on the Hub: the text with everything but letters, digits, `.`, `_` and `-` replaced.

    >>> slug("org/my model; rm")
    'org-my-model-rm'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip(".") or "model"


def unnameable(text: str) -> str:
    """Why a text cannot be a name of a model or config; "" where it can."""
    if not text:
        return "it is empty"
    if len(text) > MOST:
        return f"it is longer than {MOST} characters"
    hidden = next((c for c in text if unicodedata.category(c) in _UNSEEN), None)
    return f"it contains {_written(hidden)}, which is invisible" if hidden else ""
