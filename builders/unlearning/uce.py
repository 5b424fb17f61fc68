"""UCE: a closed-form edit of the cross-attention's keys and values, which reads one phrase as if it were another.

References:
    Gandikota, Orgad, Belinkov, Materzyńska and Bau, "Unified Concept Editing in Diffusion Models", WACV 2024.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from igmu_data.errors import EmptyInputError, OutOfRangeError
from igmu_metrics.networks.loading import choice

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel

TOKENS: Final = ("last", "tail", "all")


def edit(
    pipe: StableDiffusionPipeline,
    erase: Sequence[tuple[str, str]],
    preserve: Sequence[str],
    *,
    erase_scale: float = 1.0,
    preserve_scale: float = 1.0,
    lamb: float = 0.5,
    tokens: str = "last",
) -> UNet2DConditionModel:
    """A copy of the pipeline's UNet whose keys and values of one phrase are those of another.

    With c_i a token of a phrase to erase as the text encoder gives it, c_i* its token in the phrase to be read instead,
    c_j a token to preserve, and W_old a projection (`to_k`, `to_v` of every `attn2`), the new one minimises
    erase_scale Σ_i ‖W c_i − W_old c_i*‖² + preserve_scale Σ_j ‖W c_j − W_old c_j‖² + lamb ‖W − W_old‖². That is
    W = W_old · (Σ_i c_i* c_iᵀ + Σ_j c_j c_jᵀ + λI) · (Σ_i c_i c_iᵀ + Σ_j c_j c_jᵀ + λI)⁻¹, scales left out: the two
    factors after W_old are the same for every projection, and are found once, in float64.

    Args:
        pipe: its text encoder, tokenizer and UNet.
        erase: pairs of a phrase and the one to be read instead of it; that may be empty.
        preserve: phrases whose keys and values stay as they are.
        erase_scale: weight of the phrases to erase.
        preserve_scale: weight of those to preserve.
        lamb: weight of staying near the old projection, > 0, on the scale of a token's squared length.
        tokens: which tokens of a pair are equated, counted from the last one before the end of text in each phrase (of
            an empty phrase, the start of text). "last": that one alone, as the authors' present code does. "tail":
            also those behind it, end of text and padding, as far as both have them, as their first code did; a causal
            encoder writes the phrase into these too. "all": also those before it, as far as both have them, the start
            of text excepted, which is the same in every phrase; for whole sentences that differ in a word.
    """
    import torch

    choice("tokens", tokens, TOKENS)
    if not erase:
        raise EmptyInputError("nothing to erase: give at least one pair of phrases.")
    if not lamb > 0:
        raise OutOfRangeError(f"lamb is {lamb}; it must be above 0, or the edit is not determined.")
    pairs = [(a, b, erase_scale) for a, b in erase] + [(p, p, preserve_scale) for p in preserve]
    unet = copy.deepcopy(pipe.unet)
    with torch.no_grad():
        ridge = lamb * torch.eye(unet.config.cross_attention_dim, dtype=torch.float64)
        wanted, found = ridge.clone(), ridge.clone()
        for phrase, instead, scale in pairs:
            c, c_star = _aligned(pipe, phrase, instead, tokens)
            wanted += scale * c_star.T @ c
            found += scale * c.T @ c
        change = torch.linalg.solve(found, wanted, left=False)
        for name, module in unet.named_modules():
            if name.endswith(("attn2.to_k", "attn2.to_v")):
                module.weight.copy_(module.weight.double().cpu() @ change)
    return unet


def _aligned(
    pipe: StableDiffusionPipeline, phrase: str, instead: str, tokens: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens of two phrases that belong together: (tokens, features) each, in float64."""
    import torch

    (c, last), (c_star, last_star) = _encode(pipe, phrase), _encode(pipe, instead)
    before = min(last, last_star) - 1 if tokens == "all" else 0
    behind = len(c) - 1 - max(last, last_star) if tokens != "last" else 0
    offsets = torch.arange(-max(before, 0), behind + 1)
    return c[last + offsets], c_star[last_star + offsets]


def _encode(pipe: StableDiffusionPipeline, phrase: str) -> tuple[torch.Tensor, int]:
    """What the cross-attention sees of a phrase, and the place of its last token before the end of text."""
    hidden, _ = pipe.encode_prompt(phrase, pipe.device, 1, False)
    length = pipe.tokenizer.model_max_length
    mask = pipe.tokenizer(phrase, padding="max_length", max_length=length, truncation=True).attention_mask
    return hidden[0].double().cpu(), sum(mask) - 2
