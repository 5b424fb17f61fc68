"""Labelled images of the miniature world, drawn by its renderer: `renders:sandbox`."""

from __future__ import annotations

import io
from collections.abc import Iterator

from builders.sources import Labelled, SourceInfo
from igmu_data.errors import InputError
from igmu_data.sandbox import labelled as world_labelled
from igmu_data.sandbox.render import render
from igmu_data.sandbox.world import Scene
from igmu_data.taxonomy import SANDBOX

INFO = SourceInfo(
    name="renders",
    summary="Labelled images of the miniature world, drawn by code.",
    license="CC-BY-4.0",
)


def labels(argument: str) -> tuple[str, ...]:
    """The objects' slugs in the order of the world, then `none`.

    Raises:
        InputError: an argument other than `sandbox`.
    """
    if argument != SANDBOX:
        raise InputError(f"image source 'renders' draws one world: renders:{SANDBOX}, not renders:{argument}.")
    return world_labelled.labels()


def labelled(argument: str, *, split: str) -> Iterator[Labelled]:
    """The images of a split, the labels in turn.

    Raises:
        InputError: as `labels`; a split that does not exist.
    """
    labels(argument)
    for i, scene in enumerate(world_labelled.scenes(split)):
        origin = f"{INFO.name}:{argument}/{split}/{i:06d}"
        label = world_labelled.label(scene)
        yield Labelled(_png(scene), ".png", label, scene.object, origin, INFO.license, _told(scene))


def _told(scene: Scene) -> str:
    return f"igmu's miniature world: {scene.object or 'nothing'}, {scene.setting}, {scene.style or 'plain'}"


def _png(scene: Scene) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(render(scene)).save(buffer, "PNG")
    return buffer.getvalue()
