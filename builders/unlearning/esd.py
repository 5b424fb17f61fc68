"""ESD: fine-tune a copy against negative guidance of the original, on images that the copy itself is drawing.

References:
    Gandikota, Materzyńska, Fiotto-Kaufman and Bau, "Erasing Concepts from Diffusion Models", ICCV 2023.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from igmu_data.errors import EmptyInputError, OutOfRangeError
from igmu_metrics.networks.loading import choice

if TYPE_CHECKING:
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

PARAMETERS: Final[dict[str, Callable[[str], bool]]] = {
    "xattn": lambda name: "attn2" in name,  # ESD-x: forgets what is asked for by name
    "noxattn": lambda name: "attn2" not in name,  # ESD-u: forgets it however it is asked for
    "full": lambda name: True,
}


def erase(
    pipe: StableDiffusionPipeline,
    prompts: Sequence[str],
    *,
    steps: int,
    learning_rate: float = 1e-5,
    negative_guidance: float = 1.0,
    start_guidance: float = 3.0,
    sampling_steps: int = 50,
    batch_size: int = 1,
    parameters: str = "xattn",
    seed: int = 0,
    advance: Callable[[int, float], None] | None = None,
) -> UNet2DConditionModel:
    """A copy of the pipeline's UNet that has unlearned what the prompts name.

    The rule, stated for whatever the model predicts (noise or velocity):
    student(x_t, c, t) → teacher(x_t, "", t) − η · (teacher(x_t, c, t) − teacher(x_t, "", t)).
    The paper states it for noise. Velocity is α_t · noise + a term in x_t, and the target's coefficients, 1 + η and −η,
    sum to one, so that it is the same rule.

    Args:
        pipe: its text encoder, tokenizer, scheduler (any with a DDIM's settings) and UNet, the teacher.
        prompts: texts that name the concept; each step takes one of them.
        steps: of the optimiser, Adam.
        learning_rate: the paper's suits Stable Diffusion; a small model needs more.
        negative_guidance: η, ≥ 0.
        start_guidance: guidance scale under which the student draws x_t.
        sampling_steps: of the student from pure noise to t = 0, of which a random part is taken. Their places on the
            time axis are shifted at random, so that few of them still visit every t.
        batch_size: latents a step; they share prompt and t.
        parameters: which are trained, one of PARAMETERS.
        seed: of prompts, times and noise; the same seed gives the same weights.
        advance: called after every step with its number, from 1, and its loss.
    """
    import torch
    from diffusers import DDIMScheduler

    select = PARAMETERS[choice("parameters", parameters, tuple(PARAMETERS))]
    if not prompts:
        raise EmptyInputError("no prompts: give at least one text that names the concept.")
    teacher, student = pipe.unet, copy.deepcopy(pipe.unet)
    trained = [p.requires_grad_(select(name)) for name, p in student.named_parameters()]
    optimizer = torch.optim.Adam([p for p in trained if p.requires_grad], lr=learning_rate)
    scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    generator = torch.Generator().manual_seed(seed)
    shape = (batch_size, teacher.config.in_channels, teacher.config.sample_size, teacher.config.sample_size)
    with torch.no_grad():
        texts = [pipe.encode_prompt(prompt, pipe.device, batch_size, True) for prompt in prompts]
    for step in range(1, steps + 1):
        concept, empty = texts[int(torch.randint(len(texts), (), generator=generator))]
        times = random_times(scheduler, sampling_steps, generator)
        noise = torch.randn(shape, generator=generator).to(pipe.device)
        with torch.no_grad():
            x = denoise(student, scheduler, noise, times, concept, empty, start_guidance)
            with_concept, without = _predict(teacher, x, times[-1], concept, empty)
            target = without - negative_guidance * (with_concept - without)
        loss = torch.nn.functional.mse_loss(student(x, times[-1], concept).sample, target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        if advance:
            advance(step, loss.item())
    return student.requires_grad_(True)


def random_times(scheduler: DDIMScheduler, sampling_steps: int, generator: torch.Generator) -> list[int]:
    """Evenly spaced times, shifted at random, from pure noise down to a random one: each t is last equally often."""
    import torch

    n_times = scheduler.config.num_train_timesteps
    if not 1 <= sampling_steps <= n_times:
        raise OutOfRangeError(f"sampling_steps is {sampling_steps}; the scheduler takes 1 to {n_times}.")
    scheduler.set_timesteps(sampling_steps)
    stride = n_times // sampling_steps
    shift, last = (int(torch.randint(n, (), generator=generator)) for n in (stride, sampling_steps))
    return [i * stride + shift for i in reversed(range(last, sampling_steps))]


def denoise(
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
    x: torch.Tensor,
    times: Sequence[int],
    concept: torch.Tensor,
    empty: torch.Tensor,
    guidance: float,
) -> torch.Tensor:
    """DDIM with classifier-free guidance from `x` at the first of the times to the latents at the last."""
    for t in times[:-1]:
        with_concept, without = _predict(unet, x, t, concept, empty)
        x = scheduler.step(without + guidance * (with_concept - without), t, x).prev_sample
    return x


def _predict(
    unet: UNet2DConditionModel, x: torch.Tensor, t: int, concept: torch.Tensor, empty: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    with_concept, without = unet(torch.cat([x, x]), t, torch.cat([concept, empty])).sample.chunk(2)
    return with_concept, without
