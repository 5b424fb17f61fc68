"""Searches whole words by gradient: the gradient suggests replacements of words, which are then tried.

Conventions: a search starts from random words and uses new noise in every step. Words come from a vocabulary without
policy violations, and candidates whose text would be tokenized differently are discarded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from igmu_data.errors import InputError

if TYPE_CHECKING:
    import torch

    from igmu_metrics.attacks._contract import Budget, Tick
    from igmu_metrics.attacks._victim import Victim

# (hidden states of n prompts) → (n,) losses, all on the same noise
Loss = Callable[["torch.Tensor"], "torch.Tensor"]


def allowed(victim: Victim, domain: str) -> torch.Tensor:
    """The tokens that a search may use.

    Raises:
        InputError: there are no such tokens.
    """
    import torch

    found = victim.vocabulary(domain)
    if not found:
        raise InputError(
            f"the vocabulary of {victim.pipeline.name} contains no usable words. Attack a different model."
        )
    return torch.tensor(found)


def random_words(vocabulary: torch.Tensor, n: int, generator: torch.Generator) -> list[int]:
    """n tokens, each equally likely."""
    import torch

    picked: list[int] = vocabulary[torch.randint(len(vocabulary), (n,), generator=generator)].tolist()
    return picked


def greedy(
    victim: Victim,
    suffix: Sequence[int],
    vocabulary: torch.Tensor,
    budget: Budget,
    generator: torch.Generator,
    fresh: Callable[[], Loss],
    tick: Tick,
) -> tuple[list[int], list[float]]:
    """Greedy coordinate search: of the replacements with the best gradients, keep the one that lowers the loss most.

    Args:
        victim: whose text encoder reads the words.
        suffix: unchanged tokens that follow the words.
        vocabulary: from `allowed`.
        budget: steps, replacements tried per step, and words.
        generator: for the first words and the replacements.
        fresh: returns the loss of the next step.
        tick: called after each step.

    Returns:
        The words' tokens, and the loss at the end of each step.
    """
    import torch

    width = min(budget.tokens, victim.room)
    suffix = list(suffix)[: victim.room - width]
    words = random_words(vocabulary, width, generator)
    place = {token: at for at, token in enumerate(vocabulary.tolist())}
    table = victim.words[vocabulary.to(victim.words.device)]
    n_best = min(32, len(vocabulary))
    losses: list[float] = []
    for _ in range(budget.steps):
        loss = fresh()
        chosen = torch.zeros(width, len(vocabulary), device=table.device, dtype=table.dtype)
        chosen[torch.arange(width), torch.tensor([place[w] for w in words])] = 1
        chosen.requires_grad_()
        loss(victim.hidden([[*words, *suffix]], chosen @ table)).sum().backward()  # type: ignore[no-untyped-call]
        assert chosen.grad is not None
        best = vocabulary[chosen.grad.neg().topk(n_best, dim=1).indices.cpu()]
        tried = [words]
        for _ in range(budget.candidates):
            at, rank = (int(torch.randint(n, (), generator=generator)) for n in (width, n_best))
            tried.append([*words[:at], int(best[at, rank]), *words[at + 1 :]])
        # The words that stand may not survive themselves before the first exchange; then anything that does is better.
        readable = [t for t in tried if victim.survives([*t, *suffix])] or [words]
        with torch.no_grad():
            found = loss(victim.hidden([[*t, *suffix] for t in readable]))
        at = int(found.argmin())
        words = readable[at]
        losses.append(found[at].item())
        tick(1)
    return words, losses
