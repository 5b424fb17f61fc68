"""A small concept of one's own, for tests: the file that `igmu concept new` writes, with other texts and a sibling."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from igmu_data.template import template

SIBLING: Final = """
[[siblings]]
id = "object/kite"
name = "kite"
article = "a"
prompts = ["a kite above the beach", "a red kite in a strong wind over the dunes", "a kite, tangled string, noon, 50mm"]
"""


def replaced(text: str) -> str:
    """A template with other examples: scenes at noon, and a blimp."""
    return re.sub(r'(?m)^(    \["[^"]*)", "', r'\1, at noon", "', text).replace("lookalike", "blimp")


def written(folder: Path, name: str = "object/zeppelin", edit: tuple[str, str] | None = None, more: str = "") -> Path:
    """The file of a concept.

    Args:
        folder: of all concepts.
        name: its id.
        edit: a text to replace once, and what by.
        more: what comes before everything else.
    """
    path = folder / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = replaced(template(name, path)) + SIBLING
    if edit is not None:
        assert edit[0] in text
        text = text.replace(*edit, 1)
    path.write_text(more + text, encoding="utf-8")
    return path
