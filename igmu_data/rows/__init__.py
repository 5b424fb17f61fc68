"""From a concept to the rows of its benchmark: `concept.concept_rows` makes them all, here and for the Hub alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

VERSION: Final = "1.0.0"  # of the corpus whose rows these modules make
CHECKED: Final = "checked.json"


@cache
def checked() -> Mapping[str, str]:
    """`igmu_data.load.digest` of the rows of every concept, as the tests found them to break no rule.

    `python -m builders.checked` writes it. What the package makes is checked again where it is not this.
    """
    found: dict[str, str] = json.loads((files(__name__) / CHECKED).read_text(encoding="utf-8"))
    return found
