"""The interface of attacks: an attack gets a victim and a goal, spends a budget, and returns a prompt or an embedding.

Conventions: an attack does not judge images. A detector decides later whether it succeeded, on images that the victim
generates from the row's own seeds, which no search sees. All random numbers come from the given generator, so that the
same seed gives the same result on a CPU.
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
    """The budget of a search.

    Args:
        steps: updates of a gradient search, or generations of a genetic search, ≥ 1.
        candidates: prompts tried per step (the population of a genetic search), or noisy latents per step of an
            embedding attack, ≥ 1.
        tokens: words in the found prompt or embedding, ≥ 1.
    """

    steps: int
    candidates: int
    tokens: int

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if (value := getattr(self, name)) < 1:
                raise OutOfRangeError(f"budget: {name} is {value}; it must be at least 1.")


@dataclass(frozen=True, slots=True)
class AttackInfo:
    """The description of an attack, for tables, records and documents.

    Args:
        name: name of the attack on the command line.
        version: integer, which increases with every change of the attack's results.
        finds: `prompt` for words that can be typed; `embedding` for vectors, which are reported separately.
        searches: whether the attack searches once per `prompt`, or once for the whole `concept`.
        knows: what the attacker must have access to.
        summary: one sentence.
        budget: the default budget, which is of the same order as in the papers on Stable Diffusion.
        references: papers.
        sees: whether the attack gets images that the original generated.
        white_box: whether the attack uses the victim's weights; otherwise, its result is the same for every victim.
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
    """What the victim should generate.

    Args:
        prompt: the plain prompt; for a search for the whole concept, the prompt of the first image.
        domain: domain of the concept, for the content policy.
        images: RGB images of the concept that the original generated, if the attack sees any.
        contexts: the prompt of each image around the name of the concept: (before, after).
        pairs: prompts with and without the concept, for attacks that need the difference.
    """

    prompt: str
    domain: str
    images: Sequence[object]
    contexts: Sequence[tuple[str, str]]
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search.

    Args:
        losses: loss of the best result so far after each step, on the data of this step.
        prompt: the whole prompt; None for an embedding.
        embedding: (tokens, d) input embeddings of the text encoder that replace the concept's name.
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
        """Search until the budget is used up, and call `tick(1)` after each step. Raises InputError if this attack does
        not work on the victim."""
