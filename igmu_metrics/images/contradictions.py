"""Sources that contradict each other about the prompts and seeds of images, and prompts that lost invisible signs.

A table takes precedence over what the images record themselves, and may be there to correct it. But a table whose
columns were sorted separately is wrong about nearly every image, so it must not override all of them without a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from igmu_data.errors import InputError, MetadataError
from igmu_data.numerals import counted
from igmu_data.schema import Row
from igmu_metrics.images import programs
from igmu_metrics.images.programs import Told
from igmu_metrics.images.prompts import normalized, short

_MOST: Final = 0.1  # share of the images with records of their own that a table may correct
# A number at the end of a name is a seed if the name says so; others may count the images.
_NAMED: Final = re.compile(r".*seed[\s_=-]*(\d{1,19})", re.IGNORECASE)
_LAST: Final = re.compile(r".*?(?<!\d)(\d{7,19})")  # too long to count images; a seed if the corpus has it
_ATTACKS: Final = "adversarial"


@dataclass(frozen=True, slots=True)
class Contradicted:
    """What the images record themselves, against the table that overrides it.

    Args:
        n: images that contradict the table.
        of: images with a record of their own, which can be compared with the table.
        example: the first that contradicts it, with both values; "" if none does.
    """

    n: int = 0
    of: int = 0
    example: str = ""

    def sentence(self) -> str:
        """The number of images that contradict the table, with the example; "" if there are none."""
        if not self.n:
            return ""
        of = f"{self.n} of the {counted(self.of, 'image')} that can be compared with it"
        return f"the table contradicts {of}; for example, {self.example}"


def compared(table: Path, listed: Mapping[Path, Told], folder: Path, rows: Iterable[Row]) -> Contradicted:
    """Compare a table with the prompt and seed in the files of its images, and with the seed in their names.

    Prompts are compared after normalization. Records that cannot be used, such as those of edited images, do not count.

    Args:
        table: for messages.
        listed: what it says of the images that exist.
        folder: of the images.
        rows: of the config.
    """
    seeds = {seed for row in rows for seed in row.seeds}
    by_id = {row.id: row.prompt for row in rows}
    n, of, example = 0, 0, ""
    for path, told in listed.items():
        given = normalized(by_id.get(told.prompt, told.prompt))
        unlike = ""
        own = _own(path, seeds)
        for other in own:
            if not unlike and other.prompt and normalized(other.prompt) != given:
                unlike = f"the prompt {short(told.prompt)}, but {other.by} {short(other.prompt)}"
            if not unlike and None not in (other.seed, told.seed) and other.seed != told.seed:
                unlike = f"the seed {told.seed}, but {other.by} {other.seed}"
        of += bool(own)
        n += bool(unlike)
        if unlike and not example:
            name = path.relative_to(folder) if path.is_relative_to(folder) else path
            example = f"{table.name} gives {str(name)!r} {unlike}"
    return Contradicted(n, of, example)


def require_few(table: Path, found: Contradicted, *, chosen: bool) -> None:
    """Refuse a table that contradicts many of its images.

    Args:
        table: for the message.
        found: what contradicts it.
        chosen: whether the table was named by the user, not found in the folder.

    Raises:
        MetadataError: with an example and what to do.
    """
    if found.n > _MOST * found.of:
        without = "omit --table" if chosen else "remove it"
        raise MetadataError(
            f"{table}: {found.sentence()}. Correct the table, or {without} to use what the images record, or confirm "
            "that the table is right with --trust-table."
        )


def _own(path: Path, seeds: set[int]) -> list[Told]:
    """What an image itself records: in its file, and the seed in its name."""
    try:
        told = programs.read(path)
    except InputError:
        told = None
    own = [] if told is None else [Told(told.prompt, told.seed, by=f"{told.by} recorded")]
    spelled = _NAMED.fullmatch(path.stem)
    if spelled is None and (last := _LAST.fullmatch(path.stem)) and int(last[1]) in seeds:
        spelled = last
    return own + ([Told("", int(spelled[1]), by="its name says")] if spelled else [])


class Invisible:
    """Attacks whose prompts become plain prompts if they lose their zero-width characters.

    Args:
        rows: by id.
    """

    def __init__(self, rows: Mapping[str, Row]) -> None:
        plain: dict[str, list[Row]] = defaultdict(list)
        for row in rows.values():
            if row.split != _ATTACKS:
                plain[normalized(row.prompt)].append(row)
        self._attacks: dict[str, list[str]] = defaultdict(list)
        for row in rows.values():
            if row.split == _ATTACKS and (text := visible(row.prompt)) != row.prompt:
                for source in plain.get(normalized(text), ()):
                    self._attacks[source.id].append(row.id)
        self.ids: frozenset[str] = frozenset(attack for of in self._attacks.values() for attack in of)

    def attacks(self, row: str) -> list[str]:
        """The attacks that look like a plain row."""
        return self._attacks.get(row, [])


def visible(text: str) -> str:
    r"""A text without zero-width characters.

    >>> visible("a c\u200bhurch")
    'a church'
    """
    return "".join(c for c in text if unicodedata.category(c) != "Cf")


def fits_both(attack: str) -> str:
    """Why an image is neither counted as plain nor as an attack."""
    return f"the prompt fits the plain row and attack {attack}; zero-width characters may have been lost"
