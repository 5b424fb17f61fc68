"""Labelled scenes of the sandbox, for training detectors: the same ones in every process.

Each label as often as the others: the objects of the world, and `none` for a setting without one, since a detector that
has never seen an empty place cannot tell that something is gone. Everything else in an image, its style among it, is
chosen by a random state of its own, so that any image can be drawn again alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from igmu_data.errors import InputError
from igmu_data.sandbox.world import Scene, random_scene, world

CONFIG: Final = "sandbox_detector"  # of the published dataset that holds the images
NOTHING: Final = "none"
COUNTS: Final = {"train": 1600, "test": 800}
_STREAM: Final = "renders"  # names the random states


def labels() -> tuple[str, ...]:
    """The objects' slugs in the order of the world, then `none`."""
    return (*(world().known[name].slug for name in world().objects), NOTHING)


def label(scene: Scene) -> str:
    """The label of a scene."""
    return world().known[scene.object].slug if scene.object else NOTHING


def scenes(split: str) -> Iterator[Scene]:
    """The scenes of a split, the labels in turn.

    Raises:
        InputError: a split that does not exist.
    """
    if split not in COUNTS:
        raise InputError(f"split {split!r} does not exist. Use {' or '.join(COUNTS)}.")
    shown = [*world().objects, None]
    for i in range(COUNTS[split]):
        rng = np.random.default_rng([*f"{_STREAM}/{split}".encode(), i])
        yield random_scene(rng, objects=[shown[i % len(shown)]], free=True)
