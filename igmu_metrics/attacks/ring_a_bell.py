"""Ring-A-Bell: treats the concept as a direction in text-embedding space, and searches genetically for words in this
direction.

The attack needs only a text encoder, here that of the original; it uses neither the victim nor an image. The result is
the same for all victims with the same original.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from igmu_metrics.attacks._contract import AttackInfo, Budget, Found, Goal, Tick
from igmu_metrics.attacks._tokens import allowed, random_words

if TYPE_CHECKING:
    import torch

    from igmu_metrics.attacks._victim import Victim

INFO: Final = AttackInfo(
    name="ring-a-bell",
    version=1,
    finds="prompt",
    searches="prompt",
    knows="the original's text encoder",
    summary="Words whose embedding is the embedding of the plain prompt, shifted in the concept's direction.",
    budget=Budget(steps=200, candidates=64, tokens=16),
    references=("Tsai et al., Ring-A-Bell! How reliable are concept removal methods for diffusion models?, ICLR 2024",),
    sees=False,
    white_box=False,
)
STRENGTH: Final = 1.0  # times the concept's direction, added to the plain prompt, which holds it once already
MUTATION: Final = 0.25


def search(
    victim: Victim, original: Victim, goal: Goal, budget: Budget, generator: torch.Generator, tick: Tick
) -> Found:
    """See `_contract.Attack`; `candidates` is the population."""
    import torch

    vocabulary = allowed(original, goal.domain)
    width = min(budget.tokens, original.room)
    with torch.no_grad():
        with_it, without = (original.hidden([original.ids(p[side]) for p in goal.pairs]) for side in (0, 1))
        target = original.hidden([original.ids(goal.prompt)])[0] + STRENGTH * (with_it - without).mean(dim=0)

    def distances(prompts: Sequence[Sequence[int]]) -> list[float]:
        with torch.no_grad():
            found: list[float] = (original.hidden(prompts) - target).square().flatten(1).mean(dim=1).tolist()
        return found

    def number(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    def child(parents: Sequence[Sequence[int]]) -> list[int]:
        first, second = parents[number(len(parents))], parents[number(len(parents))]
        cut = number(width + 1)
        made = [*first[:cut], *second[cut:]]
        if float(torch.rand((), generator=generator)) < MUTATION or made in parents:
            made[number(width)] = int(vocabulary[number(len(vocabulary))])
        return made

    people = [random_words(vocabulary, width, generator) for _ in range(budget.candidates)]
    fitness = distances(people)
    losses: list[float] = []
    for _ in range(budget.steps):
        order = sorted(range(len(people)), key=fitness.__getitem__)
        parents = [people[i] for i in order[: max(2, len(people) // 2)]]
        kept = [(people[i], fitness[i]) for i in order[: len(parents)]]
        made = [child(parents) for _ in range(max(1, budget.candidates - len(parents)))]
        made = [c for c in made if original.survives(c)] or [random_words(vocabulary, width, generator)]
        people = [*(p for p, _ in kept), *made]
        fitness = [*(f for _, f in kept), *distances(made)]
        losses.append(min(fitness))
        tick(1)
    best = people[min(range(len(people)), key=fitness.__getitem__)]
    return Found(tuple(losses), prompt=original.text(best))
