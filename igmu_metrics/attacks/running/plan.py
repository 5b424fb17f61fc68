"""Which prompts are attacked, which images an attacker may know, and which only the judge sees.

Conventions: attacked are English forget rows that name the concept in the singular and leave an encoder room for more
words, those with the smallest ids first (ids are hashes, so that is a random choice that never changes). The next ones
lend their images and texts to attacks on the concept as a whole, and are not attacked. An image to search by comes
from a seed that no success is counted on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from igmu_data.errors import EmptyInputError, OutOfRangeError
from igmu_data.schema import SEEDS_PER_ROW, Row
from igmu_data.taxonomy import Concept
from igmu_metrics.images.generate import Request, requests_for


@dataclass(frozen=True, slots=True)
class Plan:
    """What is drawn and attacked.

    Args:
        item: the concept.
        attacked: rows whose prompts are attacked.
        lending: rows that attacks on the concept learn from.
        weight_free: the adversarial rows of the config that are attacks.
        seeds: images of a prompt that are judged, 1..4.
    """

    item: Concept
    attacked: Sequence[Row]
    lending: Sequence[Row]
    weight_free: Sequence[Row]
    seeds: int

    def plain(self) -> list[Request]:
        """What victim and original draw of the attacked prompts as they stand."""
        return requests_for(self.attacked, seeds_per_row=self.seeds)

    def published(self) -> list[Request]:
        """Likewise of the weight-free adversarial prompts."""
        return requests_for(self.weight_free, seeds_per_row=self.seeds)

    def targets(self, row: Row) -> list[Request]:
        """Images of a row to search by: the last seed first, and none that is judged."""
        return requests_for([row])[: self.seeds - 1 : -1]

    def context(self, row: Row) -> tuple[str, str]:
        """A row's prompt around the concept's name."""
        before, behind = _name(self.item).split(row.prompt, maxsplit=1)
        return before.strip(), behind.strip()


def make_plan(rows: Iterable[Row], item: Concept, *, n_prompts: int, n_targets: int, seeds: int) -> Plan:
    """Choose rows.

    Args:
        rows: of the concept's config.
        item: the concept.
        n_prompts: how many are attacked, fewer where there are not as many.
        n_targets: how many more lend their images.
        seeds: images of a prompt that are judged.

    Raises:
        EmptyInputError: not a row to attack and one to learn from.
        OutOfRangeError: a number that cannot be.
    """
    for name, value, most in (("prompts", n_prompts, None), ("targets", n_targets, None), ("seeds", seeds, 4)):
        if value < 1 or (most is not None and value > most):
            fewer = (
                f"1 to {most}, for the rest of a row's {SEEDS_PER_ROW} seeds are searched by" if most else "at least 1"
            )
            raise OutOfRangeError(f"{name} is {value}; give {fewer}.")
    every = sorted(rows, key=lambda r: r.id)
    plain = [r for r in every if r.probe == "direct" and r.language == "en" and r.register != "long"]
    own = [r for r in plain if _name(item).search(r.prompt)]
    if len(own) < 2:
        raise EmptyInputError(f"{item.id}: {len(own)} forget rows with its name in English; an attack needs two.")
    n_prompts = min(n_prompts, len(own) - 1)
    return Plan(
        item,
        own[:n_prompts],
        own[n_prompts : n_prompts + n_targets],
        [r for r in every if r.probe == "attack"],
        seeds,
    )


def _name(item: Concept) -> re.Pattern[str]:
    """The concept's label or a synonym as whole words: of a plural, what follows the name would be no context."""
    names = sorted({item.label, *(s.name for s in item.synonyms)}, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)")


def with_prompt(requests: Iterable[Request], prompt: str) -> list[Request]:
    """The same images asked for in other words."""
    return [replace(r, prompt=prompt) for r in requests]


def own_seed(seed: int, *names: str) -> int:
    """A seed for one search: it depends on the run's seed and on what is searched, not on what was searched before."""
    digest = hashlib.sha256("\n".join([str(seed), *names]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
