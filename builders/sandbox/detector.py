"""The sandbox's detector: a small residual network with one sigmoid a concept, calibrated on held-out renders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from builders.sandbox.data import Renders
from builders.sandbox.loop import Curve, Fit, fit
from igmu_data.sandbox.world import SIDE, world

if TYPE_CHECKING:
    import torch

BATCH: Final = 128
_JUNK: Final = 0.08  # of each batch is nothing at all: noise must not be taken for a concept


def concepts() -> tuple[str, ...]:
    """What it can tell, in the order of its outputs."""
    return (*world().objects, *world().styles)


def make() -> Any:
    """The untrained network."""
    from transformers import ResNetConfig, ResNetForImageClassification

    labels = {i: world().known[c].label for i, c in enumerate(concepts())}
    return ResNetForImageClassification(
        ResNetConfig(
            embedding_size=32,
            hidden_sizes=[32, 64, 128, 192],
            depths=[1, 1, 1, 1],
            layer_type="basic",
            id2label=labels,
            label2id={name: i for i, name in labels.items()},
            problem_type="multi_label_classification",
        )
    )


def to_input(pixels: npt.NDArray[np.uint8] | Sequence[npt.NDArray[np.uint8]]) -> torch.Tensor:
    """(n, 3, 64, 64) in -1..1, as every model of the sandbox reads images."""
    import torch

    return torch.from_numpy(np.asarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1


@dataclass(frozen=True)
class Absent:
    """Images of which it is known what they do not show.

    Args:
        pixels: (n, 64, 64, 3) uint8.
        sure: (n, len(concepts())) 1 for a concept that is not there, 0 for one of which nobody knows.
    """

    pixels: npt.NDArray[np.uint8]
    sure: npt.NDArray[np.float32]


def train(model: Any, data: Renders, plan: Fit, work: Path, *, absent: Absent | None = None) -> Curve:
    """Train on renders, shifted, dimmed, blurred and with noise, among them images of nothing.

    Args:
        model: from `make`, or one that has learned already.
        data: renders.
        plan: how.
        work: folder of the checkpoints.
        absent: a quarter of each batch.
    """
    import torch
    from torch.nn import functional

    targets = torch.from_numpy(data.targets(concepts()))
    n_junk, n_absent = int(BATCH * _JUNK), BATCH // 4 if absent else 0

    def loss(rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
        chosen = rng.integers(len(data), size=BATCH)
        pixels, wanted = to_input(data.pixels[chosen]), targets[chosen].clone()
        pixels[:n_junk] = junk(n_junk, rng, generator)
        wanted[:n_junk] = 0
        known = torch.ones_like(wanted)
        if absent is not None:
            some = rng.integers(len(absent.pixels), size=n_absent)
            pixels[-n_absent:] = to_input(absent.pixels[some])
            wanted[-n_absent:] = 0
            known[-n_absent:] = torch.from_numpy(absent.sure[some])
        logits = model(disturbed(pixels, rng, generator)).logits
        each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return (each * known).sum() / known.sum()

    return fit(model, loss, plan, work)


def junk(n: int, rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
    """(n, 3, 64, 64) noise of every grain, from single pixels to a plain colour."""
    import torch
    from torch.nn import functional

    out = torch.empty(n, 3, SIDE, SIDE)
    for i in range(n):
        side = int(rng.choice([1, 2, 4, 8, 16, 32, 64]))
        coarse = torch.randn(1, 3, side, side, generator=generator) * rng.uniform(0.2, 1.0) + rng.uniform(-0.6, 0.6)
        out[i] = functional.interpolate(coarse, SIDE, mode="bilinear" if rng.random() < 0.7 else "nearest")[0]
    return out.clamp(-1, 1)


def disturbed(pixels: torch.Tensor, rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
    """What happens to images between a renderer and a generator: shift, light, blur, noise."""
    import torch
    from torch.nn import functional

    shift = rng.integers(-4, 5, size=2)
    pixels = torch.roll(functional.pad(pixels, (4, 4, 4, 4), mode="replicate"), tuple(shift.tolist()), (2, 3))
    pixels = pixels[..., 4:-4, 4:-4]
    n = len(pixels)
    gain = 1 + 0.2 * (torch.rand(n, 3, 1, 1, generator=generator) - 0.5)
    soft = functional.avg_pool2d(functional.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)
    part = 0.7 * torch.rand(n, 1, 1, 1, generator=generator) * (torch.rand(n, 1, 1, 1, generator=generator) < 0.5)
    pixels = (pixels + (soft - pixels) * part) * gain + 0.2 * (torch.rand(n, 3, 1, 1, generator=generator) - 0.5)
    grain = 0.12 * torch.rand(n, 1, 1, 1, generator=generator)
    return (pixels + grain * torch.randn(pixels.shape, generator=generator)).clamp(-1, 1)


def _logits(model: Any, pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """(n, len(concepts())) in double precision."""
    import torch

    with torch.inference_mode():
        return torch.cat([model(to_input(pixels[i : i + 250])).logits for i in range(0, len(pixels), 250)]).double()


def probabilities(model: Any, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(n, len(concepts())) probabilities."""
    return np.asarray(_logits(model, pixels).sigmoid().numpy())


def calibrate(model: Any, data: Renders) -> None:
    """Divide the logits by the temperature that fits held-out renders best; it is folded into the last layer."""
    import torch
    from torch.nn import functional

    logits = _logits(model, data.pixels)
    targets = torch.from_numpy(data.targets(concepts())).double()
    grid = np.geomspace(0.2, 8, 200)
    fits = [float(functional.binary_cross_entropy_with_logits(logits / t, targets)) for t in grid]
    best = float(grid[int(np.argmin(fits))])
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter /= best


def found(
    answers: npt.NDArray[np.float64], scenes: Sequence[Any], threshold: float = 0.5
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """For each scene, whether its object is the likeliest one and seen, and whether its style is.

    A scene without object (or in the plain style) is right where none is seen.
    """
    n = len(world().objects)
    right = []
    for part, names, key in ((answers[:, :n], world().objects, "object"), (answers[:, n:], world().styles, "style")):
        wanted = [getattr(s, key) for s in scenes]
        index = np.array([names.index(w) if w else -1 for w in wanted])
        best = np.where(part.max(axis=1) >= threshold, part.argmax(axis=1), -1)
        right.append(best == index)
    return right[0], right[1]
