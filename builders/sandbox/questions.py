"""What every model is asked first: which object, which style, which setting? A linear head answers each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from igmu_data.sandbox.world import Scene, world

if TYPE_CHECKING:
    import torch


def _choices() -> tuple[tuple[str | None, ...], ...]:
    """Of each question, its possible answers."""
    return (None, *world().objects), (None, *world().styles), tuple(world().settings)


def heads(width: int) -> Any:
    """An untrained linear head a question, over features of so many values."""
    import torch

    return torch.nn.ModuleList([torch.nn.Linear(width, len(kind)) for kind in _choices()])


def answers(scenes: Sequence[Scene]) -> torch.Tensor:
    """(n, questions) place of the right answer among its choices."""
    import torch

    shown = [(s.object, s.style, s.setting) for s in scenes]
    return torch.tensor([[kind.index(x) for kind, x in zip(_choices(), s, strict=True)] for s in shown])


def loss(own: Any, features: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Cross entropy, summed over the questions.

    Args:
        own: from `heads`.
        features: (n, width).
        wanted: (n, questions), from `answers`.
    """
    import torch

    said = [torch.nn.functional.cross_entropy(head(features), wanted[:, i]) for i, head in enumerate(own)]
    return torch.stack(said).sum()
