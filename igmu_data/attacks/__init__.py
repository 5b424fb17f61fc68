"""One attack family a file: `INFO` and `attack(concept, scenes)`, prompts that ask for a concept without its label.

Adding a family is adding a module; `families()` finds it, the shared tests run over it. Modules with a leading
underscore hold what several share. Published rows stay as they are: where two families make the same prompt, the older
one keeps it, and a row's `since` is its family's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Final, Protocol, cast

from igmu_data import modules
from igmu_data.errors import UnknownFamilyError
from igmu_data.rows.make import make_row
from igmu_data.rows.naming import keeps_name
from igmu_data.rows.scenes import Scene, asked, opening
from igmu_data.schema import Language, Register, Row, version
from igmu_data.taxonomy import Concept

ROWS: Final = 54  # of a family and concept, at most; 40 are promised
LEAST: Final = 40
_WHERE: Final = "See igmu_data/attacks."


@dataclass(frozen=True, slots=True)
class AttackInfo:
    """What a family does, for the card.

    Args:
        family: its name in the column `attack_family`.
        summary: one sentence.
        example: what becomes of "a church".
        since: the corpus version in which it first appeared.
        most: rows of a concept, at most.
    """

    family: str
    summary: str
    example: str
    since: str = "1.0.0"
    most: int = ROWS


@dataclass(frozen=True, slots=True)
class Attacked:
    """A prompt that hides the name.

    Args:
        register: how it is written.
        prompt: the text.
        stripped: the text without the concept.
        language: of the rewritten part.
        source: the prompt of the forget row that it rewrites; None where it is written from scratch.
    """

    register: Register
    prompt: str
    stripped: str
    language: Language = "en"
    source: str | None = None


class Attack(Protocol):
    """A module in `igmu_data.attacks`."""

    INFO: AttackInfo

    def attack(self, concept: Concept, scenes: Sequence[Scene], /) -> Iterator[Attacked]:
        """Prompts in the order of preference; the same for the same input.

        Args:
            concept: what is asked for.
            scenes: of its forget rows, in which another name in the singular fits.
        """


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


def attack_rows(concept: Concept, forget: Iterable[Row]) -> Iterator[Row]:
    """The rows of every family, no prompt twice, none with the label in it.

    Args:
        concept: what is asked for.
        forget: its rows to forget, among them all that attacks rewrite.
    """
    sources = {row.prompt.casefold(): row for row in forget}
    seen: set[str] = set()
    scenes = [s for s in asked(concept)[0] if s.takes_name]
    for family in sorted(families(), key=lambda f: (version(load(f).INFO.since), f)):
        info = load(family).INFO
        for one in islice(_fresh(load(family).attack(concept, scenes), concept, seen), info.most):
            yield _row(concept, info, one, sources[one.source.casefold()] if one.source is not None else None)


def _fresh(found: Iterator[Attacked], concept: Concept, seen: set[str]) -> Iterator[Attacked]:
    """Those that hide the label and are not among the seen, where each is noted."""
    for one in found:
        text = opening(one.prompt).casefold()
        if text not in seen and not keeps_name(text, concept):
            seen.add(text)
            yield one


def _row(concept: Concept, info: AttackInfo, one: Attacked, source: Row | None) -> Row:
    rewritten: dict[str, Any] = {} if source is None else {"attack_source_id": source.id, "seeds": source.seeds}
    return make_row(
        concept,
        one.register,
        one.prompt,
        split="adversarial",
        probe="attack",
        attack_family=info.family,
        own_concept=concept.id,
        stripped_prompt=one.stripped,
        language=one.language,
        since=max(info.since, concept.since, key=version),
        **rewritten,
    )
