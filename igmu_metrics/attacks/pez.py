"""Search for prompts with projected gradients: the optimizer of PEZ with the goal of Prompting4Debugging.

Vectors move freely, and the gradient is computed at the words nearest to them (PEZ). The goal is that the victim
predicts for the found words what the original predicts for the plain prompt, on noisy latents of images of the concept
(Prompting4Debugging). The found words precede the plain prompt, which is unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from igmu_metrics.attacks._contract import AttackInfo, Budget, Found, Goal, Tick
from igmu_metrics.attacks._tokens import Loss, allowed, random_words

if TYPE_CHECKING:
    import torch

    from igmu_metrics.attacks._victim import Victim

INFO: Final = AttackInfo(
    name="pez",
    version=2,
    finds="prompt",
    searches="prompt",
    knows="the weights of the victim and of the original",
    summary="Words before the prompt that make the victim predict what the original predicts for the plain prompt.",
    budget=Budget(steps=200, candidates=12, tokens=8),
    references=(
        "Wen et al., Hard prompts made easy: gradient-based discrete optimization for prompt tuning and discovery, "
        "NeurIPS 2023",
        "Chin et al., Prompting4Debugging: red-teaming text-to-image diffusion models by finding problematic prompts, "
        "ICML 2024",
    ),
)
LEARNING_RATE: Final = 0.1
_FINALISTS: Final = 24  # projections of the lowest losses, which are compared once more on noise that they share
_NOISES: Final = 32


def search(
    victim: Victim, original: Victim, goal: Goal, budget: Budget, generator: torch.Generator, tick: Tick
) -> Found:
    """See `_contract.Attack`; `candidates` is the number of noisy latents per step."""
    import torch

    vocabulary = allowed(victim, goal.domain)
    table = victim.words[vocabulary.to(victim.words.device)].float()
    width = min(budget.tokens, victim.room)
    suffix = victim.ids(goal.prompt)[: victim.room - width]
    latents = victim.latents(goal.images)
    asked = original.hidden([original.ids(goal.prompt)]).detach()
    start = random_words(vocabulary, width, generator)
    free = victim.words[start].float().clone().requires_grad_()
    optimizer = torch.optim.AdamW([free], lr=LEARNING_RATE, weight_decay=0.1)
    seen: dict[tuple[int, ...], float] = {}
    losses: list[float] = []

    def noise(n: int) -> Loss:
        _, noisy, times, _ = victim.noised(latents, n, generator)
        with torch.no_grad():
            wanted = original.predict(noisy, times, asked.expand(n, -1, -1))
        return lambda hidden: victim.errors(noisy, times, hidden, wanted)

    for _ in range(budget.steps):
        with torch.no_grad():
            at = torch.cdist(free, table).argmin(dim=1).cpu()
        words = vocabulary[at].tolist()
        hard = table[at.to(table.device)].clone().requires_grad_()
        loss = noise(budget.candidates)(victim.hidden([[*words, *suffix]], hard)).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        free.grad = hard.grad
        optimizer.step()
        losses.append(loss.item())
        # A prompt that is read otherwise when it is typed is no result.
        if victim.survives([*words, *suffix]):
            seen[tuple(words)] = min(losses[-1], seen.get(tuple(words), losses[-1]))
        tick(1)
    # Steps are long beside the distances between words, so that the last projection is no better than others.
    finalists = sorted(seen, key=seen.__getitem__)[:_FINALISTS] or [tuple(start)]
    with torch.no_grad():
        best = finalists[int(noise(_NOISES)(victim.hidden([[*words, *suffix] for words in finalists])).argmin())]
    return Found(tuple(losses), prompt=victim.text([*best, *suffix]))
