"""Circumventing concept erasure: new words, learned by textual inversion on images of the concept.

The result cannot be typed; only someone with access to the model can pass it to the text encoder. It shows what the
victim's UNet can still generate, and is reported as an embedding attack, separately from prompts. With enough words and
steps, even a model that never saw the concept can be taught the concept, so compare with such a model (`gold`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from igmu_metrics.attacks._contract import AttackInfo, Budget, Found, Goal, Tick

if TYPE_CHECKING:
    import torch

    from igmu_metrics.attacks._victim import Victim

INFO: Final = AttackInfo(
    name="cce",
    version=1,
    finds="embedding",
    searches="concept",
    knows="the victim's weights and images of the concept",
    summary="Embeddings that replace the concept's name, learned from images that the original generated.",
    budget=Budget(steps=500, candidates=8, tokens=2),
    references=(
        "Pham et al., Circumventing concept erasure methods for text-to-image generative models, ICLR 2024",
        "Gal et al., An image is worth one word: personalizing text-to-image generation using textual inversion, "
        "ICLR 2023",
    ),
)
LEARNING_RATE: Final = 0.03  # times the length of a usual word


def search(
    victim: Victim, original: Victim, goal: Goal, budget: Budget, generator: torch.Generator, tick: Tick
) -> Found:
    """See `_contract.Attack`; `candidates` is the number of noisy latents per step."""
    import torch

    latents = victim.latents(goal.images)
    texts = [(victim.ids(before), victim.ids(after)) for before, after in goal.contexts]
    width = max(1, min(budget.tokens, victim.room - max(len(b) + len(a) for b, a in texts)))
    usual = victim.words.float()
    length = float(usual.norm(dim=1).mean())
    # The mean word means nothing in particular; noise tells the new words apart.
    noise = torch.randn((width, usual.shape[1]), generator=generator).to(usual)
    soft = (usual.mean(dim=0) + 0.1 * usual.std(dim=0) * noise).requires_grad_()
    optimizer = torch.optim.Adam([soft], lr=LEARNING_RATE * length)
    losses: list[float] = []
    for _ in range(budget.steps):
        which, noisy, times, wanted = victim.noised(latents, budget.candidates, generator)
        hidden = torch.cat(
            [
                victim.hidden([[*before, *[0] * width, *after][: victim.room]], soft, at=len(before))
                for before, after in texts
            ]
        )
        loss = (victim.predict(noisy, times, hidden[which.to(hidden.device)]) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
        tick(1)
    return Found(tuple(losses), embedding=soft.detach().cpu())
