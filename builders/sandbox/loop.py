"""One training loop for every model of the sandbox: seeded by step, so that a resumed run repeats an unbroken one."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from builders.sandbox.muon import make, split
from igmu_data.files import beside

if TYPE_CHECKING:
    import torch

_EVERY: Final = 250  # steps between checkpoints
_WARM_UP: Final = 100
Loss = Callable[[np.random.Generator, "torch.Generator"], "torch.Tensor"]


@dataclass(frozen=True)
class Fit:
    """How a model is trained.

    Args:
        name: of its checkpoint.
        steps: optimiser steps.
        learning_rate: the highest; warmed up, then decayed along a cosine.
        seed: of data order and noise.
        average: decay of the running mean of the weights that is kept in the end; 0 keeps the last weights.
        muon: learning rate of the hidden layers' matrices under Muon; 0 leaves them to AdamW.
    """

    name: str
    steps: int
    learning_rate: float
    seed: int = 0
    average: float = 0.0
    muon: float = 0.0


@dataclass(frozen=True)
class Curve:
    """What a training left behind, for the card: mean losses of each stretch of 250 steps, and the time it took."""

    losses: tuple[float, ...]
    seconds: float


def fit(model: torch.nn.Module, loss: Loss, plan: Fit, work: Path) -> Curve:
    """Train in place, from the last checkpoint if there is one.

    Args:
        model: holds every trained parameter.
        loss: of one batch; draws all its randomness from the two generators it is given.
        plan: how.
        work: folder of the checkpoints.
    """
    import torch
    from rich.console import Console
    from rich.progress import track

    parameters = [p for p in model.parameters() if p.requires_grad]
    matrices, others = split(model) if plan.muon else ([], parameters)
    optimizers: list[Any] = [
        torch.optim.AdamW(others, plan.learning_rate, betas=(0.9, 0.99), weight_decay=1e-2, fused=True)
    ]
    optimizers += [make(matrices, plan.muon)] if matrices else []
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: _rate(step, plan.steps)) for o in optimizers]
    moving: list[Any] = [*optimizers, *schedules]
    mean = copy.deepcopy(model.state_dict())
    done, seconds, losses = 0, 0.0, list[float]()
    place = work / f"{plan.name}.checkpoint"
    if place.exists():
        kept = torch.load(place, weights_only=True)
        model.load_state_dict(kept["model"])
        for part, state in zip(moving, kept["state"], strict=True):
            part.load_state_dict(state)
        mean, done, seconds, losses = kept["mean"], kept["done"], kept["seconds"], kept["losses"]
    model.train()
    total, since = 0.0, time.monotonic()
    steps = range(done, plan.steps)
    for step in track(steps, plan.name, total=plan.steps, completed=done, console=Console(stderr=True)):
        value = loss(np.random.default_rng([plan.seed, step]), torch.Generator().manual_seed(plan.seed * 10**6 + step))
        model.zero_grad()
        value.backward()  # type: ignore[no-untyped-call] # upstream has no annotation
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for part in moving:
            part.step()
        _average(mean, model, min(plan.average, (1 + step) / (10 + step)))
        total += value.item()
        if (step + 1) % _EVERY == 0 or step + 1 == plan.steps:
            losses.append(total / ((step % _EVERY) + 1))
            seconds, total, since = seconds + time.monotonic() - since, 0.0, time.monotonic()
            kept = {"model": model.state_dict(), "mean": mean, "done": step + 1, "seconds": seconds, "losses": losses}
            kept["state"] = [part.state_dict() for part in moving]
            with beside(place) as fresh:
                torch.save(kept, fresh)
            print(f"{plan.name} {step + 1}/{plan.steps}: loss {losses[-1]:.4f}, {seconds:.0f} s", flush=True)
    model.load_state_dict(mean)
    model.eval()
    return Curve(tuple(losses), seconds)


def _rate(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / _WARM_UP)
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0))))


def _average(mean: dict[str, torch.Tensor], model: torch.nn.Module, decay: float) -> None:
    for name, value in model.state_dict().items():
        if value.dtype.is_floating_point:
            mean[name].lerp_(value, 1 - decay)
        else:
            mean[name].copy_(value)
