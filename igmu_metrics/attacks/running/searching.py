"""The searches of an attack, one per prompt or one for the concept, each stored when it is finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from igmu_data.errors import EmptyInputError
from igmu_data.policy import violations
from igmu_data.progress import Advance
from igmu_data.schema import Row
from igmu_metrics.attacks._contract import Attack, Budget, Goal
from igmu_metrics.attacks.running.plan import Plan, own_seed
from igmu_metrics.attacks.running.records import RunFolder, Search
from igmu_metrics.attacks.running.sight import Sight
from igmu_metrics.images.files import read_image
from igmu_metrics.images.pipelines import Pipeline

if TYPE_CHECKING:
    from igmu_metrics.attacks._victim import Victim

CONCEPT = "concept"  # name of the one search of an attack on the concept


@dataclass
class Searches:
    """The searches of one run; models are loaded when the first unfinished search needs them.

    Args:
        attack: the module.
        budget: of each search.
        seed: of the run.
        plan: the rows to attack.
        folder: of finished searches.
        original: generates the images used for searching.
        victim: the attacked model.
    """

    attack: Attack
    budget: Budget
    seed: int
    plan: Plan
    folder: RunFolder
    original: Sight
    victim: Pipeline

    @cached_property
    def _models(self) -> tuple[Victim, Victim]:
        from igmu_metrics.attacks._victim import Victim

        return Victim(self.victim.load(), self.victim), Victim(self.original.pipeline.load(), self.original.pipeline)

    def all(self, advance: Advance) -> dict[str, Search]:
        """The search for each attacked row."""
        rows = self.plan.attacked
        if self.attack.INFO.searches == "concept":
            shared = self._search(CONCEPT, self.plan.lending or rows, advance, 1)
            return {r.id: shared for r in rows}
        return {r.id: self._search(r.id, [r], advance, len(rows)) for r in rows}

    def _search(self, name: str, rows: Sequence[Row], advance: Advance, n: int) -> Search:
        found = self.folder.search(name)
        what = f"{self.attack.INFO.name} on {self.victim.name}"
        if found is not None:
            advance(what, self.budget.steps, n * self.budget.steps)
            return found
        sees = self.attack.INFO.sees
        images = {r.id: p for r in rows if (p := self._target(r)) is not None} if sees else {}
        if sees and not images:
            if name == CONCEPT:
                raise EmptyInputError(
                    f"{self.original.pipeline.name} did not generate {self.plan.item.id} for any of {len(rows)} "
                    "prompts, so there is nothing to learn from. Check --original, and check that the detector can "
                    "detect the concept."
                )
            advance(what, self.budget.steps, n * self.budget.steps)
            return self.folder.keep(name, Search(status="no target"))
        import torch

        shown = [r for r in rows if r.id in images]
        goal = Goal(
            prompt=(shown or rows)[0].prompt,
            domain=self.plan.item.domain,
            images=[images[r.id] for r in shown],
            contexts=[self.plan.context(r) for r in shown],
            pairs=[(r.prompt, r.stripped_prompt) for r in self.plan.lending],
        )
        generator = torch.Generator().manual_seed(own_seed(self.seed, self.attack.INFO.name, name))
        got = self.attack.search(
            *self._models, goal, self.budget, generator, lambda done: advance(what, done, n * self.budget.steps)
        )
        if got.embedding is not None:
            file, digest = self.folder.keep_embedding(name, got.embedding)
            return self.folder.keep(
                name,
                Search(
                    status="found",
                    losses=got.losses,
                    embedding=file,
                    embedding_sha256=digest,
                    embedding_words=len(got.embedding),
                ),
            )
        broken = violations(got.prompt or "", domain=self.plan.item.domain)
        if broken:  # the text goes nowhere
            rules = tuple(sorted({v.rule for v in broken}))
            return self.folder.keep(name, Search(status="refused", losses=got.losses, rules=rules))
        return self.folder.keep(name, Search(status="found", losses=got.losses, prompt=got.prompt))

    def _target(self, row: Row) -> object | None:
        """An image of a row for which the original generated the concept, from a seed that is not judged."""
        for request in self.plan.targets(row):
            self.original.look([request], progress=False)
            if (path := self.original.path(request.key)) is not None:
                return read_image(path)
        return None
