"""The page on which a concept's rows are judged, as one HTML file that works from disk."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from builders.review.answers import QUESTIONS
from igmu_data.rows import VERSION
from igmu_data.schema import Row

_TEMPLATE: Final = Path(__file__).with_name("page.html")
_SHOWN: Final = ("id", "prompt", "stripped_prompt", "split", "probe", "attack_family", "language", "register")


def page(concept: str, rows: Sequence[Row]) -> str:
    """HTML that shows the rows one below the other, with the questions, and saves the answers as a file.

    Args:
        concept: id of what they are of.
        rows: to judge, in the order of the page.
    """
    told = [{**{k: getattr(r, k) for k in _SHOWN}, "asks": r.own_name or r.own_concept} for r in rows]
    data = {"concept": concept, "version": VERSION, "questions": QUESTIONS, "rows": told}
    text = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    return _TEMPLATE.read_text(encoding="utf-8").replace("{{title}}", html.escape(concept)).replace("{{data}}", text)
