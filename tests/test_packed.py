"""Packed layers: the same numbers, and nothing exchanged where they would not be."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from igmu_metrics import packed


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


def test_other_precisions_stay() -> None:
    assert packed.pack(network().bfloat16(), 64) == 0
