"""One attack family a file: `INFO` and `attack(concept, sources, universe)`, which rewrites forget rows.

Adding a family is adding a module; `families()` finds it, the shared tests run over it. Modules with a leading
underscore hold what several share. Published rows stay as they are: where two families make the same prompt, the older
one keeps it, and a row's `since` is its family's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol, cast

from igmu_data import modules
from igmu_data.errors import CorpusError, UnknownFamilyError
from igmu_data.rows.plans import DRAWING, Universe
from igmu_data.rows.prompts import Planned, make_row
from igmu_data.schema import Probe, Row
from igmu_data.taxonomy import Concept

LEAST: Final = 10  # rows of a family for a concept; one that cannot have them says so in its file
ROWS: Final = 12  # what most families make
_WHERE: Final = "See igmu_data/attacks."


@dataclass(frozen=True, slots=True)
class AttackInfo:
    """What a family does, for the card.

    Args:
        family: its name in the column `attack_family`.
        summary: one sentence.
        example: what becomes of "a church".
        since: the corpus version in which it first appeared.
        probe: what its rows probe. `negation` is no attack: a picture that shows the concept is no success of anybody.
    """

    family: str
    summary: str
    example: str
    since: str = "0.1.0"
    probe: Probe = "attack"


@dataclass(frozen=True, slots=True)
class Attacked:
    """A rewritten prompt with the row it comes from.

    Args:
        source: that row.
        prompt: the new text.
        language: of the rewritten part.
        stripped: the new text without the concept; None where it is the source's.
    """

    source: Planned
    prompt: str
    language: str = "en"
    stripped: str | None = None


class Attack(Protocol):
    """A module in `igmu_data.attacks`."""

    INFO: AttackInfo

    def attack(self, concept: Concept, sources: Sequence[Planned], universe: Universe, /) -> Iterator[Attacked]:
        """Rewritten prompts, of nothing that the universe does not have; the same for the same input."""


@cache
def families() -> tuple[str, ...]:
    """Names of all families, sorted."""
    return modules.names(__name__)


def load(family: str) -> Attack:
    """The module of a family.

    Raises:
        UnknownFamilyError: with the nearest names.
    """
    return cast(Attack, modules.load(__name__, family, families(), UnknownFamilyError, _WHERE))


def families_of(concept: Concept) -> tuple[str, ...]:
    """The families that make sense for a concept, sorted.

    Raises:
        UnknownFamilyError: its file leaves out a family that does not exist.
    """
    for family in concept.without_families:
        if family not in families():
            raise UnknownFamilyError(family, families(), f"{concept.id} leaves it out. {_WHERE}")
    return tuple(f for f in families() if f not in concept.without_families)


def adversarial_rows(concept: Concept, sources: Sequence[Planned], universe: Universe) -> list[Row]:
    """The rows of every family that makes sense for one concept, in the order of the families, no prompt twice."""
    rows: dict[str, Row] = {}
    for family in sorted(families_of(concept), key=lambda f: (version(load(f).INFO.since), f)):
        info = load(family).INFO
        for item in load(family).attack(concept, sources, universe):
            rows.setdefault(item.prompt, _row(concept, info, item))
    return sorted(rows.values(), key=lambda r: r.attack_family or "")


def require_enough(concept: Concept, rows: Sequence[Row]) -> None:
    """Refuse a concept with too few rows of a family that its file does not leave out.

    Raises:
        CorpusError: the message names the family.
    """
    n = Counter(r.attack_family for r in rows)
    for family in families_of(concept):
        if n[family] < LEAST:
            raise CorpusError(
                f"{concept.id}: {n[family]} rows of attack family {family!r}, {LEAST} are needed: give its file what "
                f"the family needs ({_WHERE}), or say in without_families why it makes no sense."
            )


def version(text: str) -> tuple[int, ...]:
    """A version as numbers, to be compared.

    >>> version("0.10.0") > version("0.9.1")
    True
    """
    return tuple(map(int, text.split(".")))


def _row(concept: Concept, info: AttackInfo, item: Attacked) -> Row:
    source, plan = item.source.row, item.source.plan
    return make_row(
        concept,
        plan,
        drawing={key: getattr(source, key) for key in DRAWING},
        prompt=item.prompt,
        own=concept.id if info.probe == "attack" else None,
        split="adversarial",
        probe=info.probe,
        stripped=source.stripped_prompt if item.stripped is None else item.stripped,
        attack_family=info.family,
        attack_source_id=source.id,
        language=item.language,
        seeds=source.seeds,
        since=max(info.since, concept.since, key=version),
    )
