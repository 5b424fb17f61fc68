"""How well each concept to retain was preserved: the share of images that show it, of the original and each model.

Conventions: a share counts generations that could be judged, of retain rows with their own concept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from igmu_data.schema import IN_PROMPT
from igmu_metrics.generations import ORIGINAL
from igmu_metrics.report.view import named
from igmu_metrics.scorecard import Scorecard


@dataclass(frozen=True, slots=True)
class Share:
    """The share of images that show a concept: n_shown of n."""

    n_shown: int
    n: int

    @property
    def share(self) -> str:
        """`3 of 5`."""
        return f"{self.n_shown:,} of {self.n:,}"

    @property
    def value(self) -> float | None:
        """The fraction, None if nothing could be judged."""
        return self.n_shown / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Kept:
    """One retained concept.

    Args:
        concept: id of the concept.
        name: its name.
        near: whether its rows belong to the near probe.
        within: whether prompts that name the target ask for it.
        before: share of the original's images.
        after: share of each model's images.
    """

    concept: str
    name: str
    near: bool
    within: bool
    before: Share
    after: tuple[Share, ...]

    def loss(self, at: int) -> float:
        """The original's share minus the model's, −1..1; 0 if one of them is unknown."""
        before, after = self.before.value, self.after[at].value
        return 0.0 if before is None or after is None else before - after


def retained(cards: Sequence[Scorecard]) -> list[Kept]:
    """All concepts to retain, for cards with the same rows: near, far, and in prompts that name the target."""
    names = ("own_concept", "own_name", "probe", "present", "present" + ORIGINAL)
    rows = [[g for g in card.generations.part("retain").records(*names) if g["own_concept"]] for card in cards]
    near = {g["own_concept"] for each in rows for g in each if g["probe"] == "near"}
    called = {g["own_concept"]: g["own_name"] for each in rows for g in each if g["own_name"]}

    def share(of: Iterable[Mapping[str, Any]], concept: str, within: bool, column: str) -> Share:
        chosen = (g for g in of if g["own_concept"] == concept and (g["probe"] == IN_PROMPT) is within)
        return _share(g[column] for g in chosen)

    found = [
        Kept(
            concept,
            called.get(concept) or named(concept),
            concept in near,
            within,
            share(rows[0], concept, within, "present" + ORIGINAL),
            tuple(share(each, concept, within, "present") for each in rows),
        )
        for concept, within in sorted({(str(g["own_concept"]), g["probe"] == IN_PROMPT) for each in rows for g in each})
    ]
    return sorted(found, key=lambda k: (k.within, not k.near, k.concept))


def _share(seen: Iterable[bool | None]) -> Share:
    judged = [s for s in seen if s is not None]
    return Share(sum(judged), len(judged))
