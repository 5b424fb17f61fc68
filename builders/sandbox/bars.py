"""What every model of the sandbox must reach, measured on material that none of them was trained on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from builders.sandbox import autoencoder, clip, detector
from builders.sandbox.captions import caption
from builders.sandbox.data import Renders
from builders.sandbox.train import Models
from igmu_data.sandbox.world import GUIDANCE_SCALE, STEPS, Scene, random_scene, world

N_GENERATIONS: Final = 500
_TOGETHER: Final = 16
_Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Bar:
    """One requirement.

    Args:
        what: was measured.
        value: the measured value; a fraction, or images a second.
        least: what it must reach; None where it is only reported.
        n: on how many images.
    """

    what: str
    value: float
    least: float | None
    n: int

    @property
    def reached(self) -> bool:
        """Whether it holds."""
        return self.least is None or self.value >= self.least


def of_renders(models: Models, data: Renders, taught: Renders) -> list[Bar]:
    """Detector and CLIP on held-out renders; the autoencoder on those of the kind that generators are taught."""
    n = len(data)
    objects, styles = detector.found(detector.probabilities(models.detector, data.pixels), data.scenes)
    coded = autoencoder.encode(models.autoencoder, taught.pixels)[:, : autoencoder.CHANNELS]
    again = autoencoder.decode(models.autoencoder, coded)
    kept_objects, kept_styles = detector.found(detector.probabilities(models.detector, again), taught.scenes)
    near_object, near_style = clip.zero_shot(models.clip, models.tokenizer, data.pixels, data.scenes)
    return [
        Bar("detector: object, held-out renders", float(objects.mean()), 0.99, n),
        Bar("detector: style, held-out renders", float(styles.mean()), 0.99, n),
        Bar("autoencoder: object seen in the reconstruction", float(kept_objects.mean()), 0.99, len(taught)),
        Bar("autoencoder: style seen in the reconstruction", float(kept_styles.mean()), 0.99, len(taught)),
        Bar("CLIP: zero-shot object, held-out renders", near_object, 0.98, n),
        Bar("CLIP: zero-shot style, held-out renders", near_style, 0.98, n),
    ]


def asked(n: int, seed: int, *, without: str | None = None) -> list[Scene]:
    """Scenes to be asked for; never an empty one."""
    rng = np.random.default_rng(seed)
    objects = [o for o in world().objects if o != without]
    styles = [None, *(s for s in world().styles if s != without)]
    return [random_scene(rng, objects=objects, styles=styles) for _ in range(n)]


def plainly(scene: Scene) -> str:
    """The scene in plain words: `a church in a green meadow, in the style of Georges Seurat`."""
    known = world().known
    text = f"{known[scene.object or ''].phrase()} {world().settings[scene.setting][0]}"
    return f"{text}, in the style of {known[scene.style].label}" if scene.style else text


def draw(pipe: Any, prompts: Sequence[str], *, seed: int = 0) -> tuple[_Pixels, float]:
    """(n, 64, 64, 3) images, and images a second; sixteen a call, as `igmu generate` draws small ones on a CPU."""
    import torch

    parts, start = [], time.monotonic()
    for i in range(0, len(prompts), _TOGETHER):
        some = list(prompts[i : i + _TOGETHER])
        noise = [torch.Generator().manual_seed(seed + i + k) for k in range(len(some))]
        out = pipe(some, generator=noise, num_inference_steps=STEPS, guidance_scale=GUIDANCE_SCALE, output_type="np")
        parts.append((out.images * 255).round().astype(np.uint8))
    return np.concatenate(parts), len(prompts) / (time.monotonic() - start)


def of_generations(models: Models, pipe: Any, name: str, *, without: str | None = None) -> list[Bar]:
    """What a generator draws: object and style both right, in plain words and (reported) in any words."""
    scenes = asked(N_GENERATIONS, 1, without=without)
    rng = np.random.default_rng(2)
    images, speed = draw(pipe, [plainly(s) for s in scenes])
    bars = [Bar(f"{name}: object and style as asked", _both(models, images, scenes), 0.95, len(scenes))]
    if without is None:
        bars.append(Bar(f"{name}: images per second", speed, 10.0, len(scenes)))
        some = scenes[:200]
        for what, held_out in (("captions as in training", False), ("words held out of training", True)):
            images, _ = draw(pipe, [caption(s, rng, held_out=held_out) for s in some])
            bars.append(Bar(f"{name}: object and style, {what}", _both(models, images, some), None, len(some)))
    return bars


def _both(models: Models, images: _Pixels, scenes: Sequence[Scene]) -> float:
    objects, styles = detector.found(detector.probabilities(models.detector, images), scenes)
    return float((objects & styles).mean())
