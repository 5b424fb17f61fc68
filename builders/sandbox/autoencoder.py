"""The sandbox's AutoencoderKL: 64×64 images to 8×8 latents and back, without losing what the styles are made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from builders.sandbox.data import Renders
from builders.sandbox.detector import to_input
from builders.sandbox.loop import Curve, Fit, fit
from igmu_data.sandbox.world import SIDE

if TYPE_CHECKING:
    import torch

CHANNELS: Final = 12
GRID: Final = 8  # latents a side
BATCH: Final = 8
_KL: Final = 5e-4
_ABSOLUTE: Final = 4.0  # against 1 of the features' distance, which alone leaves images soft and striped


def make() -> Any:
    """The untrained autoencoder."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(16, 40, 64, 96),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        sample_size=SIDE,
        mid_block_add_attention=False,
    )


def train(model: Any, judge: Any, data: Renders, plan: Fit, work: Path) -> Curve:
    """Train on renders: absolute error, a little KL, and the distance of a detector's features, which hold textures.

    Args:
        model: from `make`.
        judge: a trained detector, left as it is.
        data: renders.
        plan: how.
        work: folder of the checkpoints.
    """
    import torch

    judge.requires_grad_(False).eval()
    model.to(memory_format=torch.channels_last)  # an eighth faster

    def loss(rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
        pixels = to_input(data.pixels[rng.integers(len(data), size=BATCH)])
        latents = model.encode(pixels).latent_dist
        noise = torch.randn(latents.mean.shape, generator=generator)
        again = model.decode(latents.mean + latents.std * noise).sample
        kl = 0.5 * (latents.mean**2 + latents.var - 1 - latents.logvar).mean()
        absolute = (again - pixels).abs().mean()
        total: torch.Tensor = _ABSOLUTE * absolute + _distance(judge, again, pixels) + _KL * kl
        return total

    return fit(model, loss, plan, work)


def _distance(judge: Any, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Mean squared distance of the features of every stage, each of unit length over its channels (as LPIPS does)."""
    import torch

    stages = judge.resnet(torch.cat([one, other]), output_hidden_states=True).hidden_states
    total = torch.zeros(())
    for stage in stages:
        unit = stage / (stage.norm(dim=1, keepdim=True) + 1e-6)
        first, second = unit.chunk(2)
        total = total + ((first - second) ** 2).sum(1).mean()
    return total / len(stages)


def encode(model: Any, pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """(n, 2 · CHANNELS, GRID, GRID): mean and standard deviation of the scaled latents."""
    import torch

    parts = []
    with torch.inference_mode():
        for i in range(0, len(pixels), 64):
            found = model.encode(to_input(pixels[i : i + 64])).latent_dist
            parts.append(torch.cat([found.mean, found.std], 1) * model.config.scaling_factor)
    return torch.cat(parts).clone()


def decode(model: Any, latents: torch.Tensor) -> npt.NDArray[np.uint8]:
    """(n, 64, 64, 3) images of scaled latents."""
    import torch

    with torch.inference_mode():
        blocks = (latents[i : i + 64] for i in range(0, len(latents), 64))
        parts = [model.decode(block / model.config.scaling_factor).sample for block in blocks]
    pixels = (torch.cat(parts).clamp(-1, 1) + 1) * 127.5
    return np.asarray(pixels.round().byte().permute(0, 2, 3, 1).numpy())


def scale(model: Any, data: Renders) -> None:
    """Set the scaling factor that brings the latents to unit variance."""
    model.register_to_config(scaling_factor=1.0)
    means = encode(model.eval(), data.pixels[:2000])[:, :CHANNELS]
    model.register_to_config(scaling_factor=float(1 / means.std()))


def noise(model: Any, n: int, *, seed: int) -> npt.NDArray[np.uint8]:
    """(n, 64, 64, 3) images of latents that mean nothing, faint to garish: what a broken generator may draw."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    strength = 0.2 + 3.0 * torch.rand(n, 1, 1, 1, generator=generator)
    fine = torch.randn(n, CHANNELS, GRID, GRID, generator=generator)
    return decode(model, strength * fine)


def blends(model: Any, data: Renders, n: int, *, seed: int) -> tuple[npt.NDArray[np.uint8], list[tuple[int, int]]]:
    """(n, 64, 64, 3) images half way between two renders, some of them grainy, and which two: what a generator draws
    when its words leave it undecided."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    one, two = torch.randint(len(data), (2, n), generator=generator).tolist()
    first, second = (encode(model, data.pixels[chosen])[:, :CHANNELS] for chosen in (one, two))
    weight = 0.3 + 0.4 * torch.rand(n, 1, 1, 1, generator=generator)
    grain = 0.5 * torch.rand(n, 1, 1, 1, generator=generator) * torch.randn(first.shape, generator=generator)
    return decode(model, first.lerp(second, weight) + grain), list(zip(one, two, strict=True))
