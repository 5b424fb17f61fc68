"""Rows by their prompts: for images with a known prompt but no row id."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from igmu_data.numerals import rounding
from igmu_data.schema import Row
from igmu_data.spelling import same_prompt

EXACT: Final = "exact prompt"
NORMALIZED: Final = "normalized prompt"
NO_ROW: Final = "no row has its prompt"
_SHOWN: Final = 60  # characters of a prompt that a message quotes


class Prompts:
    """The rows of a config by their prompts.

    Args:
        rows: by id.
    """

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self._exact: dict[str, list[Row]] = defaultdict(list)
        self._loose: dict[str, list[Row]] = defaultdict(list)
        for row in rows.values():
            self._exact[row.prompt].append(row)
            self._loose[normalized(row.prompt)].append(row)

    def row(self, prompt: str, seed: int | None) -> tuple[Row | None, str]:
        """The row of a prompt and how it was found, or None and why.

        If several rows have the prompt, the one with the seed is returned.
        """
        for how, found in ((EXACT, self._exact.get(prompt)), (NORMALIZED, self._loose.get(normalized(prompt)))):
            if found:
                fitting = found if len(found) == 1 else [r for r in found if seed in r.seeds]
                if len(fitting) == 1:
                    return fitting[0], how
                told = rounding([seed], [s for r in found for s in r.seeds]) if seed is not None else ""
                why = f" ({told})" if told else ""
                return None, f"{len(found)} rows have its prompt, but its seed does not distinguish them{why}"
        return None, f"{NO_ROW}, {short(prompt)}"


def normalized(prompt: str) -> str:
    """The words of a prompt: one Unicode form, lower case, one space for every run of spaces and signs.

    >>> normalized("A  Church, at_dawn.")
    'a church at dawn'
    """
    return " ".join(re.findall(r"[^\W_]+", same_prompt(prompt)))


def short(text: str) -> str:
    """A text as a message quotes it."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
