"""A canvas in the image's own units (0..1, x right, y down), drawn four times as fine and boxed down."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from igmu_data.sandbox.world import SIDE, Scene

Point = tuple[float, float]
Color = tuple[int, int, int]
FINE: Final = 3
_ROUND: Final = [(math.cos(a), math.sin(a)) for a in np.linspace(0, 2 * math.pi, 28, endpoint=False)]


class Canvas:
    """Polygons on a fine grid; ellipses and lines are polygons too, so that everything can be tilted."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (SIDE * FINE, SIDE * FINE))
        self._pen = ImageDraw.Draw(self.image)

    def polygon(self, points: Iterable[Point], fill: Color) -> None:
        """A filled polygon."""
        scale = SIDE * FINE
        self._pen.polygon([(x * scale, y * scale) for x, y in points], fill=fill)

    def box(self, left: float, top: float, right: float, bottom: float, fill: Color) -> None:
        """A filled rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        """A filled ellipse."""
        self.polygon([(x + rx * c, y + ry * s) for c, s in _ROUND], fill)

    def pixels(self) -> npt.NDArray[np.uint8]:
        """(SIDE, SIDE, 3): the mean of each pixel's part of the fine grid."""
        return np.asarray(self.image.reduce(FINE))


class Placed:
    """Draws an object in its own frame: x -0.5..0.5 from its middle, y 0 (foot) .. 1 (top), both in its height."""

    def __init__(self, canvas: Canvas, scene: Scene) -> None:
        self._canvas = canvas
        self._scene = scene
        angle = math.radians(scene.tilt)
        self._cos, self._sin = math.cos(angle), math.sin(angle)

    def _at(self, point: Point) -> Point:
        s = self._scene
        x = -point[0] if s.mirrored else point[0]
        y = point[1]
        return s.x + s.size * (x * self._cos - y * self._sin), s.y - s.size * (x * self._sin + y * self._cos)

    def polygon(self, points: Iterable[Point], fill: Color) -> None:
        """A filled polygon."""
        self._canvas.polygon([self._at(p) for p in points], fill)

    def box(self, left: float, bottom: float, right: float, top: float, fill: Color) -> None:
        """A filled rectangle."""
        self.polygon([(left, bottom), (right, bottom), (right, top), (left, top)], fill)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        """A filled ellipse."""
        self.polygon([(x + rx * c, y + ry * s) for c, s in _ROUND], fill)

    def arch(self, x: float, bottom: float, half: float, top: float, fill: Color) -> None:
        """A door or window with a round head."""
        self.box(x - half, bottom, x + half, top - half, fill)
        self.ellipse(x, top - half, half, half, fill)

    def line(self, start: Point, end: Point, width: float, fill: Color) -> None:
        """A thick line."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = math.hypot(dx, dy)
        nx, ny = -dy / length * width / 2, dx / length * width / 2
        self.polygon(
            [(start[0] + nx, start[1] + ny), (end[0] + nx, end[1] + ny), (end[0] - nx, end[1] - ny),
             (start[0] - nx, start[1] - ny)],
            fill,
        )  # fmt: skip
