"""A model that forgets everything: weights are drowned in noise, and so are its images."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from igmu_data.errors import OutOfRangeError

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel


def damage(unet: UNet2DConditionModel, *, strength: float, seed: int, layer: str = "") -> UNet2DConditionModel:
    """A copy whose parameters are mixed with Gaussian noise of the parameter's own root mean square.

    The mixture keeps that root mean square, up to chance, so that activations stay in range and every value is finite
    at any strength.

    Args:
        unet: stays as it was.
        strength: noise to signal, ≥ 0: at 0 nothing changes, at 1 half of the variance is noise.
        seed: of the noise.
        layer: only parameters whose names begin so; all by default.
    """
    import torch

    if not 0 <= strength < float("inf"):
        raise OutOfRangeError(f"strength is {strength}; it must be finite and at least 0.")
    damaged = copy.deepcopy(unet)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in (p for name, p in damaged.named_parameters() if name.startswith(layer)):
            noise = torch.randn(weight.shape, generator=generator).to(weight) * weight.square().mean().sqrt()
            weight.copy_((weight + strength * noise) / (1 + strength**2) ** 0.5)
    return damaged
