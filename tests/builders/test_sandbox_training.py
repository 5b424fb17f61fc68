"""The training loop of the sandbox: resumed runs repeat unbroken ones, and the optimiser does what its paper says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from builders.sandbox import loop, muon
from builders.sandbox.loop import Fit, fit

PLAN = Fit("toy", steps=12, learning_rate=1e-2, seed=3, average=0.9)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(2, 6, 3), torch.nn.Flatten(), torch.nn.Linear(24, 2))


def loss_of(model: torch.nn.Module) -> loop.Loss:
    def loss(rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
        x = torch.randn(4, 2, 4, 4, generator=generator) + float(rng.normal())
        return ((model(x) - x.mean((2, 3))) ** 2).mean()

    return loss


@pytest.mark.parametrize("rate", [0.0, 0.02])
def test_a_resumed_training_repeats_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    monkeypatch.setattr(loop, "_EVERY", 4)
    plan = dataclasses.replace(PLAN, muon=rate)
    whole, broken = network(), network()
    curve = fit(whole, loss_of(whole), plan, tmp_path)
    assert len(curve.losses) == 3
    assert curve.losses[-1] < curve.losses[0]

    class KilledError(Exception):
        pass

    real, calls = loss_of(broken), 0

    def killed(rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise KilledError
        return real(rng, generator)

    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(KilledError):
        fit(broken, killed, plan, other)
    again = network()
    resumed = fit(again, loss_of(again), plan, other)
    assert resumed.losses == pytest.approx(curve.losses, rel=1e-6)
    for one, two in zip(whole.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    model = network()
    fit(model, loss_of(model), PLAN, tmp_path)

    def never(rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
        raise AssertionError

    again = network()
    fit(again, never, PLAN, tmp_path)
    for one, two in zip(model.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("shape", [(3, 8, 20), (2, 20, 8), (1, 5, 5)])
def test_orthogonalised_matrices_keep_their_directions_and_lose_their_sizes(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, _, vt = np.linalg.svd(matrices.numpy(), full_matrices=False)
    found = muon.orthogonal(matrices).numpy()
    assert (np.linalg.svd(found)[1] > 0.5).all()
    assert (np.linalg.svd(found)[1] < 1.3).all()
    # u · something near 1 · v: what it turns is what the matrix turned.
    core = np.swapaxes(u, 1, 2) @ found @ np.swapaxes(vt, 1, 2)
    diagonal = np.einsum("nii->ni", core)
    assert np.abs(core - np.einsum("ni,ij->nij", diagonal, np.eye(core.shape[1]))).max() < 1e-3
    assert (diagonal > 0.5).all()


def test_matrices_of_hidden_layers_are_told_from_the_rest() -> None:
    names = torch.nn.ModuleDict({"conv_in": torch.nn.Linear(2, 2), "hidden": torch.nn.Linear(2, 2)})
    matrices, others = muon.split(names)
    assert [p is names["hidden"].weight for p in matrices] == [True]
    assert len(others) == 3
