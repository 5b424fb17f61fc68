"""Packed layers: the same numbers, and nothing exchanged where they would not be."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from transformers.activations import ACT2FN

from igmu_metrics.networks import packed


def network() -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Linear(300, 300), torch.nn.GELU(), torch.nn.Sequential(torch.nn.Linear(300, 400, bias=False)),
            torch.nn.Linear(400, 3),
        ).eval()  # fmt: skip


def test_large_layers_are_exchanged_and_agree_with_float64() -> None:
    plain, fast = network(), network()
    if not packed._has_kernels():
        pytest.skip("torch without oneDNN")
    assert packed.pack(fast, 64) == 2  # the last one is too small to be worth it
    x = torch.randn(50, 300, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        exact = plain.double()[:3](x.double())
        for rows in (50, 7, 1):
            found = fast[:3](x[:rows]).double()  # three outputs alone would cancel
            assert float((found - exact[:rows]).norm() / exact[:rows].norm()) < 1e-6
            assert torch.equal(fast(x[:rows]), fast(x[:rows]))


def test_layers_that_disagree_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    rounding: Any = torch.ops.mkldnn._reorder_linear_weight
    monkeypatch.setattr(
        torch.ops.mkldnn, "_reorder_linear_weight", lambda w, n: rounding(w.bfloat16().float(), n)
    )  # what a silent bfloat16 path would do
    assert packed.pack(network(), 64) == 0


def test_single_layers_in_other_precisions_stay() -> None:
    assert packed.pack(network().bfloat16(), 64) == 0


class Mlp(torch.nn.Module):
    """Two layers with an activation, as transformers names them."""

    def __init__(self, activation: str, *, bias: bool = True) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.fc1 = torch.nn.Linear(300, 900, bias=bias)
            self.fc2 = torch.nn.Linear(900, 300, bias=bias)
        self.activation_fn = ACT2FN[activation]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc2(self.activation_fn(self.fc1(x)))
        return out


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
def test_mlps_are_fused_and_agree_with_float64(activation: str, bias: bool, dtype: torch.dtype, bound: float) -> None:
    if not packed._has_kernels():
        pytest.skip("torch without oneDNN")
    plain = torch.nn.Sequential(Mlp(activation, bias=bias)).eval()
    fast = torch.nn.Sequential(Mlp(activation, bias=bias)).eval().to(dtype)
    assert packed.pack(fast, 64) == 2
    assert not isinstance(fast[0], Mlp)
    x = 3 * torch.randn(50, 300, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        exact = plain.double()(x.double())
        found = fast(x.to(dtype)).double()
    assert float((found - exact).norm() / exact.norm()) < bound


@pytest.mark.parametrize("activation", ["relu", "gelu_new"])
def test_an_unknown_activation_keeps_its_block(activation: str) -> None:
    fast = torch.nn.Sequential(Mlp(activation)).eval()
    packed.pack(fast, 64)
    assert isinstance(fast[0], Mlp)


def test_ordinary_weights_are_let_go() -> None:
    """Both in memory at once would double what a network takes."""
    fast = torch.nn.Sequential(network(), Mlp("quick_gelu")).eval()
    before = [weakref.ref(p) for p in fast.parameters() if p.numel() >= packed._SMALL]
    if not packed.pack(fast, 64):
        pytest.skip("torch without oneDNN")
    gc.collect()
    assert [r() for r in before] == [None] * len(before)
