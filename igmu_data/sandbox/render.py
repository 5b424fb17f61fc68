"""From a scene to its image: the only truth of the sandbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from igmu_data.sandbox.canvas import Canvas, Placed
from igmu_data.sandbox.objects import draw_object
from igmu_data.sandbox.settings import draw_setting
from igmu_data.sandbox.styles import apply_style
from igmu_data.sandbox.world import Scene

# What flies does not stand on the ground: raised by this part of the image's side.
_LIFT: Final = {"object/airplane": 0.12, "object/parachute": 0.06}
# Broad shapes are drawn smaller, so that they fit.
_SCALE: Final = {"object/airplane": 0.82, "object/bird": 0.86, "object/castle": 0.92, "object/chair": 0.92}


def render(scene: Scene) -> npt.NDArray[np.uint8]:
    """The image of a scene: (64, 64, 3), 0..255. The same scene gives the same bytes."""
    rng = np.random.default_rng(scene.seed)
    canvas = Canvas()
    draw_setting(canvas, scene.setting, scene.hue * 13 % 1, rng)
    size = scene.size * _SCALE.get(scene.object or "", 1.0)
    placed = replace(scene, y=scene.y - _LIFT.get(scene.object or "", 0.0), size=size)
    draw_object(Placed(canvas, placed), placed)
    return apply_style(canvas.pixels(), scene.style, rng)
