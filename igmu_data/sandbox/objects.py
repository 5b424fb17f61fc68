"""The objects of the sandbox: bold shapes, each with a distinct silhouette and distinct colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from igmu_data.sandbox.canvas import Color, Placed
from igmu_data.sandbox.world import Scene

_DARK: Final = (38, 32, 36)


def draw_object(pen: Placed, scene: Scene) -> None:
    """Draw the scene's object, if it has one."""
    if scene.object is not None:
        _DRAWERS[scene.object](pen, scene.hue)


def pick(colors: Sequence[Color], hue: float) -> Color:
    """One of the colours; 0..1 runs through all of them."""
    return colors[min(int(hue * len(colors)), len(colors) - 1)]


def shade(color: Color, by: float) -> Color:
    """Lighter (`by` > 1) or darker."""
    r, g, b = (max(0, min(255, round(c * by))) for c in color)
    return r, g, b


def _church(pen: Placed, hue: float) -> None:
    wall = pick([(244, 240, 228), (233, 215, 178), (238, 226, 222)], hue * 7 % 1)
    roof = pick([(172, 52, 40), (120, 62, 40), (86, 60, 96)], hue)
    pen.box(-0.14, 0, 0.44, 0.40, shade(wall, 0.9))
    pen.polygon([(-0.16, 0.38), (0.48, 0.38), (0.38, 0.62), (-0.10, 0.62)], roof)
    pen.box(-0.40, 0, -0.10, 0.58, wall)
    pen.polygon([(-0.44, 0.56), (-0.06, 0.56), (-0.25, 0.90)], shade(roof, 0.85))
    pen.line((-0.25, 0.86), (-0.25, 1.04), 0.045, _DARK)
    pen.line((-0.33, 0.97), (-0.17, 0.97), 0.045, _DARK)
    pen.arch(-0.25, 0, 0.07, 0.24, (92, 52, 34))
    pen.ellipse(-0.25, 0.42, 0.065, 0.065, (64, 92, 160))
    for x in (0.04, 0.19, 0.34):
        pen.arch(x, 0.10, 0.04, 0.30, (64, 92, 160))


def _castle(pen: Placed, hue: float) -> None:
    stone = pick([(142, 140, 146), (160, 146, 126), (122, 126, 138)], hue)
    pen.box(-0.34, 0, 0.34, 0.46, stone)
    for i in range(5):
        x = -0.31 + i * 0.14
        pen.box(x, 0.46, x + 0.07, 0.54, stone)
    for x in (-0.38, 0.38):
        pen.box(x - 0.13, 0, x + 0.13, 0.68, shade(stone, 0.84))
        for i in range(3):
            left = x - 0.15 + i * 0.11
            pen.box(left, 0.66, left + 0.075, 0.78, shade(stone, 0.84))
        pen.box(x - 0.03, 0.42, x + 0.03, 0.56, _DARK)
    pen.arch(0, 0, 0.12, 0.32, (66, 44, 30))
    for x in (-0.38, 0.38):
        pen.line((x, 0.74), (x, 1.0), 0.03, _DARK)
        pen.polygon([(x, 1.0), (x + 0.2, 0.93), (x, 0.86)], pick([(206, 44, 50), (44, 84, 190)], hue * 5 % 1))


def _lighthouse(pen: Placed, hue: float) -> None:
    red = pick([(208, 40, 40), (196, 48, 30), (36, 80, 170)], hue)
    pen.polygon([(-0.05, 0.84), (-0.6, 0.96), (-0.6, 0.74)], (255, 240, 150))
    pen.polygon([(0.05, 0.84), (0.6, 0.96), (0.6, 0.74)], (255, 240, 150))
    for i in range(5):
        low, high = i * 0.15, (i + 1) * 0.15
        wide, narrow = 0.19 - 0.10 * low, 0.19 - 0.10 * high
        pen.polygon([(-wide, low), (wide, low), (narrow, high), (-narrow, high)], (246, 244, 240) if i % 2 else red)
    pen.box(-0.17, 0.74, 0.17, 0.78, _DARK)
    pen.box(-0.09, 0.78, 0.09, 0.90, (255, 226, 90))
    pen.polygon([(-0.13, 0.90), (0.13, 0.90), (0, 1.02)], shade(red, 0.7))
    pen.arch(0, 0, 0.06, 0.15, _DARK)


def _airplane(pen: Placed, hue: float) -> None:
    body = pick([(240, 242, 246), (206, 212, 222), (250, 238, 200)], hue * 3 % 1)
    stripe = pick([(214, 48, 50), (32, 92, 190), (30, 140, 90)], hue)
    pen.polygon([(0.34, 0.56), (0.62, 0.92), (0.50, 0.92), (0.20, 0.56)], stripe)
    pen.ellipse(0, 0.50, 0.62, 0.125, body)
    pen.polygon([(0.10, 0.50), (0.64, 0.60), (0.62, 0.50)], body)
    pen.line((-0.56, 0.48), (0.56, 0.50), 0.05, stripe)
    pen.polygon([(-0.14, 0.46), (0.14, 0.46), (0.34, 0.12), (0.20, 0.12)], shade(body, 0.72))
    pen.polygon([(-0.02, 0.60), (0.14, 0.60), (0.28, 0.80), (0.18, 0.80)], shade(body, 0.8))
    pen.polygon([(0.40, 0.52), (0.58, 0.52), (0.70, 0.40), (0.60, 0.40)], shade(body, 0.72))
    pen.polygon([(-0.54, 0.54), (-0.42, 0.60), (-0.40, 0.54)], (60, 120, 180))
    for i in range(6):
        pen.ellipse(-0.28 + i * 0.11, 0.555, 0.03, 0.03, (50, 70, 110))


def _parachute(pen: Placed, hue: float) -> None:
    one = pick([(230, 60, 50), (240, 140, 30), (70, 70, 200), (30, 150, 90)], hue)
    two = pick([(250, 246, 236), (252, 214, 70)], hue * 4 % 1)
    for x in (-0.46, -0.23, 0.0, 0.23, 0.46):
        pen.line((x, 0.60), (0, 0.17), 0.022, _DARK)
    edge = [(0.5 * math.cos(a), 0.58 + 0.42 * math.sin(a)) for a in [math.pi * i / 24 for i in range(25)]]
    for i in range(6):
        part = edge[i * 4 : i * 4 + 5]
        foot = [(0.5 - (i + 1) / 6, 0.58), (0.5 - (i + 0.5) / 6, 0.62), (0.5 - i / 6, 0.58)]
        pen.polygon([*part, *foot], two if i % 2 else one)
    pen.box(-0.10, 0, 0.10, 0.19, (150, 100, 54))
    pen.line((-0.10, 0.095), (0.10, 0.095), 0.03, (96, 60, 30))


def _bird(pen: Placed, hue: float) -> None:
    coat = pick([(40, 110, 220), (226, 60, 50), (250, 196, 40)], hue)
    for x in (-0.06, 0.08):
        pen.line((x, 0.28), (x, 0.0), 0.04, (222, 130, 30))
        pen.line((x, 0.015), (x - 0.12, 0.015), 0.035, (222, 130, 30))
    pen.polygon([(0.22, 0.46), (0.64, 0.60), (0.66, 0.40), (0.24, 0.30)], shade(coat, 0.6))
    pen.ellipse(0.04, 0.42, 0.34, 0.23, coat)
    pen.ellipse(-0.05, 0.36, 0.22, 0.15, (252, 240, 220))
    pen.ellipse(-0.25, 0.70, 0.19, 0.18, coat)
    pen.polygon([(-0.40, 0.76), (-0.64, 0.68), (-0.40, 0.62)], (250, 150, 20))
    pen.ellipse(-0.30, 0.74, 0.055, 0.055, (255, 255, 255))
    pen.ellipse(-0.31, 0.74, 0.03, 0.03, _DARK)
    pen.polygon([(-0.08, 0.52), (0.22, 0.56), (0.44, 0.34), (0.10, 0.30)], shade(coat, 0.7))


def _cat(pen: Placed, hue: float) -> None:
    coat = pick([(232, 138, 46), (110, 112, 122), (84, 78, 96), (214, 180, 140)], hue)
    pen.line((0.22, 0.10), (0.46, 0.14), 0.11, shade(coat, 0.85))
    pen.line((0.43, 0.12), (0.48, 0.50), 0.10, shade(coat, 0.85))
    pen.ellipse(0.02, 0.25, 0.29, 0.27, coat)
    pen.ellipse(0.0, 0.20, 0.14, 0.18, shade(coat, 1.3))
    for x in (-0.16, 0.18):
        pen.ellipse(x, 0.05, 0.10, 0.06, shade(coat, 1.15))
    for side in (-1, 1):
        pen.polygon([(side * 0.29, 0.72), (side * 0.24, 1.02), (side * 0.04, 0.86)], coat)
        pen.polygon([(side * 0.24, 0.78), (side * 0.21, 0.94), (side * 0.10, 0.85)], (240, 160, 170))
    pen.ellipse(0, 0.67, 0.30, 0.24, coat)
    for side in (-1, 1):
        pen.ellipse(side * 0.13, 0.71, 0.065, 0.075, (180, 226, 90))
        pen.ellipse(side * 0.13, 0.71, 0.025, 0.065, _DARK)
        for y in (0.56, 0.62):
            pen.line((side * 0.08, 0.585), (side * 0.42, y), 0.014, (250, 250, 250))
    pen.ellipse(0, 0.57, 0.10, 0.07, shade(coat, 1.4))
    pen.polygon([(-0.05, 0.62), (0.05, 0.62), (0, 0.56)], (226, 90, 110))


def _chair(pen: Placed, hue: float) -> None:
    wood = pick([(150, 88, 40), (186, 124, 62), (30, 130, 130), (176, 40, 60)], hue)
    dark = shade(wood, 0.62)
    pen.box(-0.16, 0.10, -0.08, 0.45, dark)
    pen.box(0.24, 0.10, 0.32, 0.45, dark)
    pen.box(-0.34, 0.0, -0.24, 0.46, wood)
    pen.box(0.12, 0.0, 0.22, 0.46, wood)
    pen.polygon([(-0.38, 0.42), (0.26, 0.42), (0.40, 0.54), (-0.20, 0.54)], shade(wood, 1.2))
    pen.box(-0.38, 0.37, 0.26, 0.43, dark)
    pen.box(-0.22, 0.52, -0.13, 1.0, wood)
    pen.box(0.31, 0.52, 0.40, 1.0, wood)
    for y in (0.64, 0.79, 0.93):
        pen.box(-0.22, y, 0.40, y + 0.075, shade(wood, 0.85))


_DRAWERS: Final[Mapping[str, Callable[[Placed, float], None]]] = {
    "object/airplane": _airplane,
    "object/bird": _bird,
    "object/castle": _castle,
    "object/cat": _cat,
    "object/chair": _chair,
    "object/church": _church,
    "object/lighthouse": _lighthouse,
    "object/parachute": _parachute,
}
