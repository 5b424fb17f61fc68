"""Counts in texts have thousands separators: 279,791 prompts, not 279791 prompts.

The places are found in the code itself: a number that is inserted without a format, and that is a count by its name or
by the word after it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from test_architecture import MODULES

_READ = re.compile(r"igmu_metrics\.(cli|verdict|report|coverage)\b")
# Expressions that are counts, and words that are counted where the number before them may be large.
_COUNT = re.compile(r"len\(.*\)|(?:.*\.)?n|dropped|spent|prompts|images")
_ALWAYS = re.compile(r"(?:.*\.)?(?:n_(?!clusters|groups|gpus)[a-z_]+|needed|offered|with_seeds)|.*\.more")
_COUNTED = re.compile(
    r" (?:of |(?:[a-z-]+ )?(?:prompts?|images?|generations?|rows?|lines?|files?|pairs?|entries|trials?)\b)"
)
_FEW = re.compile(
    r"len\((?:cards|files|folders|models|members|wrong|refused|names|configs_?|given|of|view\.cards|found\.people)\)|seeds"
)


def bare(source: str) -> Iterator[tuple[int, str]]:
    """The lines of a module with a count that has no thousands separator, and its expression."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, after in zip(node.values, [*node.values[1:], ast.Constant("")], strict=True):
            if not isinstance(value, ast.FormattedValue) or value.format_spec is not None or value.conversion != -1:
                continue
            text, told = ast.unparse(value.value), after.value if isinstance(after, ast.Constant) else ""
            counts = _COUNT.fullmatch(text) and not _FEW.fullmatch(text) and _COUNTED.match(str(told))
            if counts or _ALWAYS.fullmatch(text):
                yield node.lineno, f"{{{text}}}{told}"


def test_counts_have_separators() -> None:
    found = [
        f"{name}:{line}: {text}"
        for name, path in MODULES.items()
        if _READ.match(name)
        for line, text in bare(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "n"),
    [
        ("f'about {self.more} more prompts'", 1),
        ("f'{len(lines)} lines'", 1),
        ("f'{n} of {counted(all, \"image\")}'", 1),
        ("f'{n:,} prompts'", 0),
        ("f'{model} prompts'", 0),
        ("f'{len(cards)} files'", 0),
    ],
)
def test_what_is_found(source: str, n: int) -> None:
    assert len(list(bare(source))) == n
