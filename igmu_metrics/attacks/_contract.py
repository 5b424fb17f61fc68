"""What an attack is: it is shown a victim and a goal, spends a budget, and hands back a prompt or an embedding.

Conventions: an attack judges nothing. Whether it succeeded is said later, by a detector, on images that the victim
draws from the row's own seeds, which no search sees. Its random numbers come from the one generator that it is given,
so that the same seed finds the same on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from igmu_data.errors import OutOfRangeError

if TYPE_CHECKING:
    import torch

    from igmu_metrics.attacks._victim import Victim

Tick = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may spend.

    Args:
        steps: updates of a gradient search, generations of a genetic one, ≥ 1.
        candidates: prompts that are tried a step (a genetic search's population), or noisy latents a step of an
            embedding attack, ≥ 1.
        tokens: words of the found prompt, or of the embedding, ≥ 1.
    """

    steps: int
    candidates: int
    tokens: int

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if (value := getattr(self, name)) < 1:
                raise OutOfRangeError(f"budget: {name} is {value}; give at least 1.")


@dataclass(frozen=True, slots=True)
class AttackInfo:
    """What an attack does, for tables, records and documents.

    Args:
        name: as it is called on the command line.
        version: integer, raised by any change of what it finds.
        finds: `prompt`: words to be typed; `embedding`: vectors that nobody can type, reported apart from prompts.
        searches: once for each `prompt`, or once for the `concept`.
        knows: what the attacker must have.
        summary: one sentence.
        budget: the default, of the order of the papers' on Stable Diffusion.
        references: papers.
        sees: whether it is shown images that the original drew.
        white_box: whether it computes with the victim's weights; one that does not finds the same for every victim.
    """

    name: str
    version: int
    finds: Literal["prompt", "embedding"]
    searches: Literal["prompt", "concept"]
    knows: str
    summary: str
    budget: Budget
    references: tuple[str, ...]
    sees: bool = True
    white_box: bool = True


@dataclass(frozen=True, slots=True)
class Goal:
    """What shall be drawn.

    Args:
        prompt: the plain prompt; for a search of the concept, that of the first image.
        domain: of the concept, for the policy.
        images: RGB images of the concept that the original drew, where the attack sees any.
        contexts: the prompt of each image around the name of the concept: (before, behind).
        pairs: prompts with the concept and without it, for an attack that wants the difference.
    """

    prompt: str
    domain: str
    images: Sequence[object]
    contexts: Sequence[tuple[str, str]]
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Args:
        losses: of the best so far after each step, on what that step looked at.
        prompt: the whole prompt to be typed; None for an embedding.
        embedding: (tokens, d) input embeddings of the text encoder that stand for the concept's name.
    """

    losses: tuple[float, ...]
    prompt: str | None = None
    embedding: torch.Tensor | None = None


class Attack(Protocol):
    """A module in `igmu_metrics.attacks`."""

    INFO: AttackInfo

    def search(
        self, victim: Victim, original: Victim, goal: Goal, budget: Budget, generator: torch.Generator, tick: Tick
    ) -> Found:
        """Spend the budget; `tick(1)` after each step. Raises InputError where the victim cannot be attacked so."""
