"""The parts of a diffusers pipeline that white-box attacks need: its text encoder with soft words, and its loss.

Conventions: ids are tokens between the start and end of a text; a *prompt* of ids is padded like in the pipeline. Every
loss is the mean squared error of the conditional prediction, without classifier-free guidance. Weights never change.
Random numbers come from CPU generators, so that they do not depend on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from igmu_data.errors import InputError
from igmu_data.policy import violations

if TYPE_CHECKING:
    import torch

    from igmu_metrics.images.pipelines import Pipeline

_AT_ONCE: Final = 48  # latents that the UNet is given together: many candidates of a big model would not fit


class Victim:
    """A loaded pipeline with one CLIP text encoder and a UNet, such as Stable Diffusion 1.x or 2.x.

    Args:
        pipe: the diffusers pipeline.
        pipeline: where it comes from.

    Raises:
        InputError: a pipeline with a different structure.
    """

    def __init__(self, pipe: Any, pipeline: Pipeline) -> None:
        from diffusers import DDPMScheduler

        lacking = [n for n in ("tokenizer", "text_encoder", "unet", "vae") if getattr(pipe, n, None) is None]
        if lacking or getattr(pipe, "text_encoder_2", None) is not None:
            what = f"this one has no {lacking[0]}" if lacking else "this one has two text encoders"
            raise InputError(
                f"{pipeline.name}: attacks need a pipeline with one text encoder, a UNet and a VAE, but {what}. Attack "
                "a Stable Diffusion 1.x or 2.x model."
            )
        self.pipe, self.pipeline = pipe, pipeline
        self.tokenizer = pipe.tokenizer
        self._vocabularies: dict[str, list[int]] = {}
        for model in (pipe.text_encoder, pipe.unet, pipe.vae):
            model.requires_grad_(False).eval()
        self.schedule: Any = DDPMScheduler.from_config(pipe.scheduler.config)

    @property
    def words(self) -> torch.Tensor:
        """(vocabulary, d) the text encoder's input embeddings."""
        found: torch.Tensor = self.pipe.text_encoder.get_input_embeddings().weight
        return found

    def ids(self, text: str) -> list[int]:
        """The tokens of a text without the start and end tokens; at most as many as the encoder can read."""
        found: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return found[: self.room]

    @property
    def room(self) -> int:
        """The number of tokens that fit between the start and end tokens."""
        return int(self.tokenizer.model_max_length) - 2

    def text(self, ids: Sequence[int]) -> str:
        """The text of the tokens, as a person could type it."""
        return str(self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)).strip()

    def survives(self, ids: Sequence[int]) -> bool:
        """Whether the tokenizer turns the text of these tokens into the same tokens again."""
        return self.ids(self.text(ids)) == list(ids)

    def vocabulary(self, domain: str) -> list[int]:
        """Tokens that a search may use: words in Latin letters that survive retokenization and follow the policy."""
        if domain not in self._vocabularies:
            known = [i for i in self._words if not violations(self.text([i]), domain=domain)]
            self._vocabularies[domain] = known
        return self._vocabularies[domain]

    @cached_property
    def _words(self) -> list[int]:
        special = set(self.tokenizer.all_special_ids)
        typed = [(i, self.text([i])) for i in range(len(self.words)) if i not in special]
        return [i for i, text in typed if text.isascii() and text.isalpha() and self.survives([i])]

    def hidden(self, rows: Sequence[Sequence[int]], soft: torch.Tensor | None = None, at: int = 0) -> torch.Tensor:
        """The hidden states of prompts that the cross-attention sees.

        Args:
            rows: token ids of each prompt.
            soft: (n, k, d) or (k, d) input embeddings that replace k tokens of every prompt, with gradient.
            at: position of the first replaced token.

        Returns:
            (n, length, width).
        """
        import torch

        encoder, n = self.pipe.text_encoder, self.tokenizer.model_max_length
        start, end = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        pad = end if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id
        filled = [[start, *r, end, *[pad] * (n - len(r) - 2)] for r in rows]
        ids = torch.tensor(filled, device=encoder.device)

        def exchange(module: Any, given: Any, found: torch.Tensor) -> torch.Tensor:
            assert soft is not None
            k = soft.shape[-2]
            middle = soft.to(found.dtype).expand(len(found), k, -1)
            return torch.cat([found[:, : at + 1], middle, found[:, at + 1 + k :]], dim=1)

        hook = None if soft is None else encoder.get_input_embeddings().register_forward_hook(exchange)
        try:
            return encoder(ids)[0]  # type: ignore[no-any-return]
        finally:
            if hook is not None:
                hook.remove()

    def latents(self, images: Sequence[Any]) -> torch.Tensor:
        """(n, c, h, w) latents of RGB images: the mean of the VAE's distribution."""
        import numpy as np
        import torch

        pixels = np.stack([np.asarray(p, dtype=np.float32) / 127.5 - 1.0 for p in images])
        vae = self.pipe.vae
        with torch.no_grad():
            x = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(vae.device, vae.dtype)
            found: torch.Tensor = vae.encode(x).latent_dist.mean * vae.config.scaling_factor
        return found

    def noised(
        self, latents: torch.Tensor, n: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """n noisy latents at stratified random times, as a tuple: (indices of the latents, noisy latents, times,
        prediction targets)."""
        import torch

        last = int(self.schedule.config.num_train_timesteps)
        spread = (torch.arange(n) + torch.rand(n, generator=generator)) / n
        times = (spread * last).long().clamp(max=last - 1)
        which = torch.arange(n) % len(latents)
        which = which[torch.randperm(n, generator=generator)]
        clean = latents[which.to(latents.device)]
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        times = times.to(clean.device)
        noisy = self.schedule.add_noise(clean, noise, times)
        kind = self.schedule.config.prediction_type
        wanted = {"epsilon": noise, "sample": clean}.get(kind)
        return which, noisy, times, self.schedule.get_velocity(clean, noise, times) if wanted is None else wanted

    def predict(self, noisy: torch.Tensor, times: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """The UNet's prediction for noisy latents under a prompt's hidden states."""
        found: torch.Tensor = self.pipe.unet(noisy, times, hidden.to(noisy.dtype)).sample
        return found

    def errors(
        self, noisy: torch.Tensor, times: torch.Tensor, hidden: torch.Tensor, wanted: torch.Tensor
    ) -> torch.Tensor:
        """(prompts,) mean squared error of each prompt's predictions, all on the same noisy latents."""
        import torch

        m = len(noisy)
        parts = []
        for some in torch.split(hidden, max(1, _AT_ONCE // m)):
            n = len(some)
            predicted = self.predict(noisy.repeat(n, 1, 1, 1), times.repeat(n), some.repeat_interleave(m, dim=0))
            off = (predicted - wanted.repeat(n, 1, 1, 1)).square().flatten(1).mean(dim=1)
            parts.append(off.view(n, m).mean(dim=1))
        return torch.cat(parts)
