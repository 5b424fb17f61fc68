"""Muon: momentum whose every matrix is orthogonalised before the step; on small generators worth twice AdamW's steps.

Convolutions count as matrices of output channels × everything else. Vectors, embeddings and the first and last layers
stay with AdamW.

References:
    Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

_NEWTON_SCHULZ: Final = (3.4445, -4.7750, 2.0315)  # coefficients of the reference, fitted for five iterations
_OTHERS: Final = ("embedding", "conv_in", "conv_out")


def split(model: torch.nn.Module) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """The trained parameters that are matrices of hidden layers, and the others."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    hidden = {name for name, p in trained if p.ndim >= 2 and not any(word in name for word in _OTHERS)}
    return [p for name, p in trained if name in hidden], [p for name, p in trained if name not in hidden]


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """(n, rows, columns) with singular values brought near 1, by five Newton–Schulz iterations."""
    a, b, c = _NEWTON_SCHULZ
    x: torch.Tensor = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(5):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


def make(parameters: list[torch.nn.Parameter], rate: float) -> Any:
    """The optimiser, with Nesterov momentum 0.95 and decoupled weight decay 0.01."""
    import torch

    class Muon(torch.optim.Optimizer):
        def __init__(self) -> None:
            super().__init__(parameters, {"lr": rate})

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:  # type: ignore[override] # without the closure of upstream's
            for group in self.param_groups:
                # Matrices of one shape are orthogonalised together: many small products would cost more.
                alike: dict[torch.Size, list[tuple[torch.nn.Parameter, torch.Tensor]]] = {}
                for p in (p for p in group["params"] if p.grad is not None):
                    momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                    momentum.lerp_(p.grad, 0.05)
                    update = p.grad.lerp(momentum, 0.95).flatten(1)
                    alike.setdefault(update.shape, []).append((p, update))
                for (rows, columns), members in alike.items():
                    steps = orthogonal(torch.stack([update for _, update in members]))
                    for (p, _), update in zip(members, steps, strict=True):
                        p.mul_(1 - 0.01 * group["lr"])
                        p.add_(update.view_as(p), alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)

    return Muon()
