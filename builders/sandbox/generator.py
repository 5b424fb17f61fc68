"""The sandbox's generator: text encoder and UNet, trained from scratch on latents of renders and captions.

The text encoder first learns to read: what a caption says about object, style and setting. That takes a minute and
spares the UNet, which costs much more a step, to wait until words mean something. Then both learn to draw together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from builders.sandbox import questions
from builders.sandbox.autoencoder import CHANNELS, GRID
from builders.sandbox.captions import caption
from builders.sandbox.clip import text_config, tokens
from builders.sandbox.loop import Curve, Fit, fit
from igmu_data.sandbox.world import Scene

if TYPE_CHECKING:
    import torch

BATCH: Final = 32
WIDTH: Final = 96
READING: Final = 500  # steps
_READ: Final = 128  # captions a step
_UNCONDITIONAL: Final = 0.1  # of the captions are empty, for classifier-free guidance


@dataclass(frozen=True)
class Latents:
    """What a generator learns from.

    Args:
        values: (n, 2 · CHANNELS, GRID, GRID) means and standard deviations.
        scenes: what the images show.
    """

    values: torch.Tensor
    scenes: tuple[Scene, ...]

    def without(self, name: str) -> Latents:
        """Those that do not show a concept."""
        keep = [i for i, s in enumerate(self.scenes) if name not in (s.object, s.style)]
        return Latents(self.values[keep], tuple(self.scenes[i] for i in keep))


def make_unet() -> Any:
    """The untrained UNet: convolutions and attention to the text at 8×8 and at 4×4."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=GRID,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=(64, 80),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def make_text_encoder(tokenizer: Any) -> Any:
    """The untrained text encoder."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(CLIPTextConfig(**text_config(tokenizer, width=WIDTH, layers=2)))


def make_scheduler() -> Any:
    """Sampling and noise, in the terms of diffusers."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
        steps_offset=1,  # not used by this spacing; diffusers warns about any other value
    )


def train(
    unet: Any, text_encoder: Any, tokenizer: Any, data: Latents, plan: Fit, work: Path, *, without: str | None = None
) -> Curve:
    """Train both from scratch: the text encoder on captions alone, then both on latents.

    Args:
        unet: from `make_unet`.
        text_encoder: from `make_text_encoder`.
        tokenizer: the sandbox's.
        data: latents; already without the concept.
        plan: how.
        work: folder of the checkpoints.
        without: concept that no caption may name.
    """
    import torch

    reading = _read(text_encoder, tokenizer, data, plan, work, without)
    scheduler = make_scheduler()

    def loss(rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
        chosen = rng.integers(len(data.scenes), size=BATCH)
        texts = ["" if rng.random() < _UNCONDITIONAL else caption(data.scenes[i], rng, without=without) for i in chosen]
        mean, std = data.values[chosen].chunk(2, dim=1)
        clean = mean + std * torch.randn(mean.shape, generator=generator)
        noise = torch.randn(mean.shape, generator=generator)
        # One time in each of BATCH equal stretches: the same in the mean, with less variance.
        spread = (torch.arange(BATCH) + torch.rand(BATCH, generator=generator)) / BATCH
        # Shapes are decided where there is much noise: such times come more often.
        times = (spread**0.75 * scheduler.config.num_train_timesteps).long()
        noisy = scheduler.add_noise(clean, noise, times)
        hidden = text_encoder(tokens(tokenizer, texts)).last_hidden_state
        wanted = scheduler.get_velocity(clean, noise, times)
        return torch.nn.functional.mse_loss(unet(noisy, times, hidden).sample, wanted)

    both = torch.nn.ModuleDict({"unet": unet, "text_encoder": text_encoder})
    drawing = fit(both, loss, plan, work)
    return replace(drawing, seconds=reading.seconds + drawing.seconds)


def _read(text_encoder: Any, tokenizer: Any, data: Latents, plan: Fit, work: Path, without: str | None) -> Curve:
    """Train the text encoder to tell from a caption what the image shows."""
    import torch

    wanted, heads = questions.answers(data.scenes), questions.heads(WIDTH)

    def loss(rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
        chosen = rng.integers(len(data.scenes), size=_READ)
        texts = [caption(data.scenes[i], rng, without=without) for i in chosen]
        read = text_encoder(tokens(tokenizer, texts)).last_hidden_state.mean(1)
        return questions.loss(heads, read, wanted[chosen])

    both = torch.nn.ModuleDict({"text_encoder": text_encoder, "heads": heads})
    own = replace(plan, name=f"{plan.name}-words", steps=READING, learning_rate=2e-3, average=0.99, muon=0.0)
    return fit(both, loss, own, work)
