"""Which prompts are attacked, which images an attacker may know, and which only the detector sees.

Conventions: the attacked rows are English forget rows that name the concept in the singular and leave room for more
words in the encoder, in the order of their ids (ids are hashes, so this is a fixed random choice). The rows after them
provide images and texts for attacks on the concept as a whole, and are not attacked. Images used for searching come
from seeds on which success is not measured.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from igmu_data.errors import EmptyInputError, OutOfRangeError
from igmu_data.schema import Row
from igmu_data.taxonomy import Concept
from igmu_metrics.images.generate import Request, requests_for


@dataclass(frozen=True, slots=True)
class Plan:
    """What is generated and attacked.

    Args:
        item: the concept.
        attacked: rows whose prompts are attacked.
        lending: rows from which attacks on the concept learn.
        weight_free: the adversarial rows of the config that are attacks.
        seeds: judged images per prompt, 1..4.
    """

    item: Concept
    attacked: Sequence[Row]
    lending: Sequence[Row]
    weight_free: Sequence[Row]
    seeds: int

    def plain(self) -> list[Request]:
        """Requests for the plain prompts of the attacked rows, for victim and original."""
        return requests_for(self.attacked, seeds_per_row=self.seeds)

    def published(self) -> list[Request]:
        """Requests for the weight-free adversarial prompts."""
        return requests_for(self.weight_free, seeds_per_row=self.seeds)

    def targets(self, row: Row) -> list[Request]:
        """Requests for images of a row used for searching: the last seed first, without the judged seeds."""
        return requests_for([row])[: self.seeds - 1 : -1]

    def context(self, row: Row) -> tuple[str, str]:
        """The parts of a row's prompt before and after the concept's name."""
        before, behind = _name(self.item).split(row.prompt, maxsplit=1)
        return before.strip(), behind.strip()


def make_plan(rows: Iterable[Row], item: Concept, *, n_prompts: int, n_targets: int, seeds: int) -> Plan:
    """Choose rows.

    Args:
        rows: of the concept's config.
        item: the concept.
        n_prompts: how many prompts are attacked, or fewer if there are not enough.
        n_targets: how many further prompts provide images.
        seeds: judged images per prompt.

    Raises:
        EmptyInputError: there is no row to attack or no row to learn from.
        OutOfRangeError: a number is out of range.
    """
    for name, value, most in (("prompts", n_prompts, None), ("targets", n_targets, None), ("seeds", seeds, 4)):
        if value < 1 or (most is not None and value > most):
            fewer = f"in 1..{most}, because the other seeds of a row are used for searching" if most else "at least 1"
            raise OutOfRangeError(f"the number of {name} is {value}; it must be {fewer}.")
    every = sorted(rows, key=lambda r: r.id)
    plain = [r for r in every if r.probe == "direct" and r.language == "en" and r.register != "long"]
    own = [r for r in plain if _name(item).search(r.prompt)]
    if len(own) < 2:
        raise EmptyInputError(
            f"{item.id}: an attack requires at least two English forget rows that name the concept, but the config "
            f"contains {len(own)}."
        )
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
    """Requests for the same images with a different prompt."""
    return [replace(r, prompt=prompt) for r in requests]


def own_seed(seed: int, *names: str) -> int:
    """A seed for one search, which depends on the run's seed and the search, but not on earlier searches."""
    digest = hashlib.sha256("\n".join([str(seed), *names]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
