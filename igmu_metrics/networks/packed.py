"""Linear layers for a CPU, with weights in the layout of its kernels: still fp32, but about 1.6 times as fast.

Conventions: oneDNN multiplies in true fp32 here; `torch.set_float32_matmul_precision("medium")` uses the same kernels
for some shapes, but would silently let another CPU or version round to bfloat16. The two layers of an MLP become one
block whose activation is computed on the product while it is in the cache, instead of in three more passes over memory.
A layer is replaced only if the new one agrees with it up to rounding errors of its precision, and if torch has these
kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

_AGREE: Final = {"torch.float32": 2e-6, "torch.bfloat16": 2e-2}  # largest difference, relative to the largest output
_SMALL: Final = 1 << 16  # weights below which a layer is not worth it
# Activations by the class that transformers gives them: the kernels' name, its algorithm, and the factor s with which
# the activation of x is that of the kernel for s·x, divided by s.
_ACTIVATIONS: Final = {
    "QuickGELUActivation": ("swish", "", 1.702),
    "GELUActivation": ("gelu", "none", 1.0),
}

_PLAIN: Final[tuple[str, list[float], str]] = ("none", [], "")


def pack(network: torch.nn.Module, rows: int) -> int:
    """Replace the linear layers of a network on a CPU in place.

    Args:
        network: in eval mode, in fp32 or bf16 (in bf16, only MLPs become faster).
        rows: typical number of rows of a layer's input (images × tokens); other numbers work, too.

    Returns:
        The number of replaced layers.
    """
    import torch

    weight = next(network.parameters(), None)
    if weight is None or weight.device.type != "cpu" or str(weight.dtype) not in _AGREE or not _has_kernels():
        return 0
    n = 0
    for name, layer in list(network.named_children()):
        if (block := _mlp(layer, rows)) is not None:
            setattr(network, name, block)
            n += 2
        elif type(layer) is not torch.nn.Linear:  # subclasses are read by others as they are
            n += pack(layer, rows)
        elif weight.dtype == torch.float32 and (packed := _single(layer, rows)) is not None:
            setattr(network, name, packed)
            n += 1
    return n


def _has_kernels() -> bool:
    import torch

    own: Any = torch.ops.mkldnn
    return bool(torch.backends.mkldnn.is_available()) and all(  # type: ignore[no-untyped-call]
        hasattr(own, name) for name in ("_reorder_linear_weight", "_linear_pointwise")
    )


def _single(layer: torch.nn.Linear, rows: int) -> torch.nn.Module | None:
    """One layer, packed, if that is worth it."""
    if layer.weight.numel() < _SMALL:
        return None
    return _agreeing(layer, layer, lambda: _layer()(layer.weight, layer.bias, rows))


def _mlp(block: torch.nn.Module, rows: int) -> torch.nn.Module | None:
    """A block of two layers with an activation between them, packed and fused, if it is one."""
    import torch

    first, second = getattr(block, "fc1", None), getattr(block, "fc2", None)
    known = _ACTIVATIONS.get(type(getattr(block, "activation_fn", None)).__name__)
    if not isinstance(first, torch.nn.Linear) or not isinstance(second, torch.nn.Linear) or known is None:
        return None
    if min(first.weight.numel(), second.weight.numel()) < _SMALL:
        return None
    name, algorithm, scale = known

    def fused() -> torch.nn.Module:
        bias = None if first.bias is None else first.bias * scale
        return torch.nn.Sequential(
            _layer()(first.weight * scale, bias, rows, (name, [], algorithm)),
            _layer()(second.weight / scale, second.bias, rows),
        )

    return _agreeing(block, first, fused)


@cache
def _layer() -> type[torch.nn.Module]:
    """The class of packed layers; no name of this function's may stand in it that would keep ordinary weights."""
    import torch

    class Packed(torch.nn.Module):
        def __init__(
            self,
            weight: torch.Tensor,
            bias: torch.Tensor | None,
            rows: int,
            after: tuple[str, list[float], str] = _PLAIN,
        ) -> None:
            super().__init__()
            self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)
            self.bias = None if bias is None else bias.detach().clone()
            self.after = after

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, *self.after)
            return out

    return Packed


def _agreeing(
    ordinary: torch.nn.Module, first: torch.nn.Linear, make: Callable[[], torch.nn.Module]
) -> torch.nn.Module | None:
    """What `make` gives, if it does as the ordinary module; `first` is the layer that its input goes to."""
    import torch

    with torch.inference_mode():
        probe = torch.linspace(-1, 1, 7 * first.in_features).reshape(7, -1).cos().to(first.weight.dtype)
        expected = ordinary(probe)
        try:
            packed = make()
            found = packed(probe)
        except RuntimeError:  # the operators are internal to torch, and this version's take other arguments
            return None
        error = (found - expected).abs().max() / expected.abs().max().clamp_min(1e-30)
    return packed.eval() if bool(error <= _AGREE[str(first.weight.dtype)]) else None
