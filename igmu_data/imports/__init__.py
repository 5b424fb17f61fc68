"""Formats of published prompt lists, one per module: `INFO` and `read(file)`, which yields the prompts of a list.

Conventions: nothing is downloaded, and nothing enters the corpus from here; the rows stay with the user. A reader knows
only the columns of its list: licence, policy, seeds and rows are handled in the same way for all
(`igmu_data.imports.rows`). To add a format, add a module; `names()` finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Protocol, cast

from igmu_data import modules
from igmu_data.errors import UnknownFormatError
from igmu_data.imports.table import ListFile
from igmu_data.schema import Language


@dataclass(frozen=True, slots=True)
class FormatInfo:
    """What a format is.

    Args:
        name: as in `--format`.
        title: the list it comes from.
        columns: what its header must have, for help and messages.
        citation: of the list.
        several: a column that distinguishes the concepts in a file; "" where a file has one concept.
        named: roles whose columns the caller may choose; () where the columns are fixed.
    """

    name: str
    title: str
    columns: str
    citation: str
    several: str = ""
    named: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of a list, as the list gives it.

    Args:
        text: the prompt.
        line: where it begins in the file, from 1.
        seed: the seed it was published with; None where the list has none.
        guidance_scale: the one it was published with, or None.
        width: in pixels, or None.
        height: in pixels, or None.
        language: of the text.
        family: of the attack, where the list says that the prompt rewrites another one.
        plain: the prompt that it rewrites.
    """

    text: str
    line: int
    seed: int | None = None
    guidance_scale: float | None = None
    width: int | None = None
    height: int | None = None
    language: Language = "en"
    family: str | None = None
    plain: str | None = None


class Format(Protocol):
    """A module in `igmu_data.imports`."""

    INFO: FormatInfo

    def read(self, file: ListFile) -> Iterator[Prompt]:
        """The prompts of a list in the order of its lines.

        Raises:
            MetadataError: a column or a cell that the format needs is missing or wrong; the message names the line.
        """


@cache
def names() -> tuple[str, ...]:
    """Names of all formats, sorted; imports none of them."""
    return modules.names(__name__, without=("folder", "rows", "table"))


def load(name: str) -> Format:
    """The module of a format.

    Raises:
        UnknownFormatError: with the nearest names.
    """
    hint = f"The formats are {', '.join(names())}."
    return cast(Format, modules.load(__name__, name, names(), UnknownFormatError, hint))
