"""Contact sheets: what the world and its generators look like, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from builders.sandbox.bars import draw
from igmu_data.files import beside
from igmu_data.sandbox.render import render
from igmu_data.sandbox.world import random_scene, world

_Pixels = npt.NDArray[np.uint8]


def renders() -> list[list[_Pixels]]:
    """A row a style, two images an object."""
    rng = np.random.default_rng(0)
    return [
        [render(random_scene(rng, objects=[name], styles=[style])) for name in world().objects for _ in range(2)]
        for style in (None, *world().styles)
    ]


def generations(pipe: Any) -> list[list[_Pixels]]:
    """The same by a generator: a row a style, two settings an object."""
    phrases = [p[0] for p in world().settings.values()]
    rows = []
    for row, style in enumerate((None, *world().styles)):
        suffix = f", in the style of {world().known[style].label}" if style else ""
        prompts = [
            f"{world().known[name].phrase()} {phrases[(row + 2 * i + k) % len(phrases)]}{suffix}"
            for i, name in enumerate(world().objects)
            for k in range(2)
        ]
        rows.append(list(draw(pipe, prompts, seed=100 * row)[0]))
    return rows


def versions(pipes: Mapping[str, Any], prompts: Sequence[str]) -> list[list[_Pixels]]:
    """A row a version, a column a prompt; the same seed down each column."""
    return [list(draw(pipe, prompts)[0]) for pipe in pipes.values()]


def write(rows: Sequence[Sequence[_Pixels]], path: Path) -> None:
    """Write a sheet as WebP, every pixel doubled."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = Image.fromarray(np.vstack([np.hstack(list(row)) for row in rows]))
    with beside(path) as fresh:
        sheet.resize((sheet.width * 2, sheet.height * 2), Image.Resampling.NEAREST).save(fresh, "WEBP", quality=80)
