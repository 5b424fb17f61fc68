"""A pipeline that takes what a real one takes, at no cost."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from igmu_metrics.images.generate import Request
from igmu_metrics.images.pipelines import Pipeline


class Fake:
    """Every image is its seed in grey, and the calls are kept; it may hold no more than some images at once."""

    def __init__(self, flagged: Sequence[int] = (), broken: Sequence[int] = (), room: int = 1000) -> None:
        self.flagged, self.broken, self.room, self.calls = flagged, broken, room, []

    def __call__(
        self, *, prompt: list[str], generator: list[torch.Generator], width: int, height: int, **_: Any
    ) -> Any:
        seeds = [g.initial_seed() for g in generator]
        self.calls.append(seeds)
        if len(seeds) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        images = np.stack([np.full((height, width, 3), (s % 256) / 255, dtype=np.float32) for s in seeds])
        images[[s in self.broken for s in seeds], 0, 0, 0] = np.nan
        return SimpleNamespace(images=images, nsfw_content_detected=[s in self.flagged for s in seeds])


def fake(pipe: Any, device: str = "cpu", **more: Any) -> Pipeline:
    return Pipeline(**{"name": "fake", "revision": "r1", "dtype": "fp32", **more}, device=device, load=lambda: pipe)


def asked(*seeds: int, steps: int = 2, side: int = 72, row: str = "row") -> list[Request]:
    return [Request(row, s, f"prompt {s}", 7.5, steps, side, side) for s in seeds]
