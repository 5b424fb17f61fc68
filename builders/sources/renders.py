"""Labelled pictures of the miniature world, drawn by its renderer: `renders:sandbox`.

Each label as often as the others: the objects of the world, and `none` for a setting without one, since a detector that
has never seen an empty place cannot tell that something is gone. Everything else in a picture, its style among it, is
chosen by a random state of its own, so that any picture can be drawn again alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final

import numpy as np

from builders.sources import Labelled, SourceInfo
from igmu_data.errors import InputError
from igmu_data.sandbox.render import render
from igmu_data.sandbox.world import Scene, random_scene, world
from igmu_data.taxonomy import SANDBOX, concept

INFO = SourceInfo(
    name="renders",
    summary="Labelled pictures of the miniature world, drawn by code.",
    license="CC-BY-4.0",
)
NOTHING: Final = "none"
COUNTS: Final = {"train": 1600, "test": 800}


def labels(argument: str) -> tuple[str, ...]:
    """The objects' slugs in the order of the world, then `none`.

    Raises:
        InputError: an argument other than `sandbox`.
    """
    if argument != SANDBOX:
        raise InputError(f"image source 'renders' draws one world: renders:{SANDBOX}, not renders:{argument}.")
    return (*(concept(name).slug for name in world().objects), NOTHING)


def labelled(argument: str, *, split: str) -> Iterator[Labelled]:
    """The pictures of a split, the labels in turn.

    Raises:
        InputError: as `labels`; a split that does not exist.
    """
    names = labels(argument)
    if split not in COUNTS:
        raise InputError(f"split {split!r}: give {' or '.join(COUNTS)}.")
    shown: list[str | None] = [*world().objects, None]
    for i in range(COUNTS[split]):
        at = i % len(names)
        scene = random_scene(
            np.random.default_rng([*f"{INFO.name}/{split}".encode(), i]), objects=[shown[at]], free=True
        )
        origin = f"{INFO.name}:{argument}/{split}/{i:06d}"
        yield Labelled(_png(scene), ".png", names[at], shown[at], origin, INFO.license, _told(scene))


def _told(scene: Scene) -> str:
    return f"igmu's miniature world: {scene.object or 'nothing'}, {scene.setting}, {scene.style or 'plain'}"


def _png(scene: Scene) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(render(scene)).save(buffer, "PNG")
    return buffer.getvalue()
