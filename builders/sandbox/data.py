"""Renders for training and for holding out, made once and kept beside the checkpoints."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from igmu_data.files import beside
from igmu_data.sandbox.render import render
from igmu_data.sandbox.world import Scene, random_scene, world

N_TRAIN: Final = 24_000
N_TAUGHT: Final = 16_000
N_HELD_OUT: Final = 3_000
_EMPTY: Final = 0.06  # of the scenes show no object: a detector must know what that looks like
_PART: Final = 500


@dataclass(frozen=True)
class Renders:
    """Images with what they show.

    Args:
        pixels: (n, 64, 64, 3) uint8.
        scenes: their scenes.
    """

    pixels: npt.NDArray[np.uint8]
    scenes: tuple[Scene, ...]

    def __len__(self) -> int:
        return len(self.scenes)

    def first(self, n: int) -> Renders:
        """The first n of them."""
        return Renders(self.pixels[:n], self.scenes[:n])

    def after(self, n: int) -> Renders:
        """All but the first n."""
        return Renders(self.pixels[n:], self.scenes[n:])

    def targets(self, concepts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(n, len(concepts)): 1 where the image shows the concept."""
        return np.array([[c in (s.object, s.style) for c in concepts] for s in self.scenes], dtype=np.float32)


def _part(job: tuple[str, int, bool]) -> tuple[npt.NDArray[np.uint8], list[Scene]]:
    """One block of a set; its own random state, so that blocks can be drawn in any order."""
    name, index, free = job
    rng = np.random.default_rng([*name.encode(), index])
    objects: list[str | None] = list(world().objects)
    scenes = [random_scene(rng, objects=[None] if rng.random() < _EMPTY else objects, free=free) for _ in range(_PART)]
    return np.stack([render(s) for s in scenes]), scenes


def renders(name: str, n: int, work: Path, *, free: bool = True) -> Renders:
    """A set of renders; `name` (`train`, `held-out`) is its seed, so that no two sets share an image.

    Args:
        name: of the set.
        n: how many; a multiple of 500.
        work: where it is kept.
        free: scenes with the freedom that instruments learn from, or those that generators are taught.
    """
    place = work / f"renders-{name}-{n}.npz"
    if not place.exists():
        from rich.console import Console
        from rich.progress import track

        with ProcessPoolExecutor() as pool:
            jobs = [(name, i, free) for i in range(n // _PART)]
            drawn = pool.map(_part, jobs)
            parts = list(track(drawn, f"rendering {name}", total=len(jobs), console=Console(stderr=True)))
        scenes = json.dumps([dataclasses.asdict(s) for _, own in parts for s in own])
        with beside(place) as fresh, fresh.open("wb") as handle:
            np.savez(handle, pixels=np.concatenate([p for p, _ in parts]), scenes=np.array(scenes))
    stored: Any = np.load(place)
    return Renders(stored["pixels"], tuple(Scene(**s) for s in json.loads(str(stored["scenes"]))))
