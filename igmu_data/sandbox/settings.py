"""The settings of the sandbox: sky, ground and clutter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from igmu_data.sandbox.canvas import Canvas, Color
from igmu_data.sandbox.objects import shade

_Rng = np.random.Generator


def draw_setting(canvas: Canvas, setting: str, hue: float, rng: _Rng) -> None:
    """Draw a setting; `hue` moves its light, the generator places its clutter."""
    _DRAWERS[setting](canvas, 0.92 + 0.16 * hue, rng)


def _sky(canvas: Canvas, top: Color, low: Color, horizon: float) -> None:
    n = 12
    for i in range(n):
        part = i / (n - 1)
        r, g, b = (round(t + (w - t) * part) for t, w in zip(top, low, strict=True))
        canvas.box(0, horizon * i / n, 1, horizon * (i + 1) / n + 0.01, (r, g, b))


def _cloud(canvas: Canvas, rng: _Rng, color: Color) -> None:
    x, y = rng.uniform(0.05, 0.95), rng.uniform(0.06, 0.28)
    for dx, r in ((-0.07, 0.05), (0, 0.07), (0.08, 0.05)):
        canvas.ellipse(x + dx, y, r * 1.3, r * 0.7, color)


def _meadow(canvas: Canvas, light: float, rng: _Rng) -> None:
    horizon = rng.uniform(0.52, 0.66)
    _sky(canvas, shade((110, 180, 240), light), shade((205, 230, 248), light), horizon)
    for _ in range(rng.integers(0, 3)):
        _cloud(canvas, rng, (250, 252, 255))
    canvas.box(0, horizon, 1, 1, shade((98, 176, 62), light))
    for _ in range(3):
        canvas.ellipse(rng.uniform(0, 1), horizon + 0.04, rng.uniform(0.2, 0.4), 0.06, shade((84, 160, 56), light))
    colors: list[Color] = [(250, 220, 60), (240, 90, 120), (250, 250, 250)]
    for _ in range(rng.integers(10, 18)):
        y = rng.uniform(horizon + 0.08, 1.0)
        canvas.ellipse(rng.uniform(0, 1), y, 0.018, 0.018, colors[rng.integers(3)])


def _sea(canvas: Canvas, light: float, rng: _Rng) -> None:
    horizon = rng.uniform(0.42, 0.54)
    _sky(canvas, shade((140, 205, 245), light), shade((225, 240, 250), light), horizon)
    canvas.box(0, horizon, 1, 1, shade((24, 106, 176), light))
    for _ in range(9):
        x, y = rng.uniform(0, 1), rng.uniform(horizon + 0.03, 0.80)
        canvas.ellipse(x, y, rng.uniform(0.05, 0.12), 0.009, (190, 226, 246))
    shore = rng.uniform(0.80, 0.88)
    wave = [(x / 10, shore + 0.02 * math.sin(x * 1.3 + shore * 90)) for x in range(11)]
    canvas.polygon([(x, y - 0.02) for x, y in wave] + [(1, 1), (0, 1)], (244, 250, 252))
    canvas.polygon([*wave, (1, 1), (0, 1)], shade((236, 208, 142), light))


def _mountain(canvas: Canvas, light: float, rng: _Rng) -> None:
    horizon = rng.uniform(0.66, 0.76)
    _sky(canvas, shade((150, 196, 230), light), shade((238, 226, 214), light), horizon)
    for i in range(4):
        x, top = (i + rng.uniform(0.0, 1.0)) / 4, rng.uniform(0.08, 0.34)
        half = rng.uniform(0.26, 0.40)
        canvas.polygon([(x - half, horizon), (x, top), (x + half, horizon)], shade((112, 104, 132), light))
        canvas.polygon([(x, top), (x + half, horizon), (x + half * 0.2, horizon)], shade((82, 78, 106), light))
        cap = 0.3
        left, right, low = x - half * cap, x + half * cap, top + (horizon - top) * cap
        canvas.polygon([(x, top), (left, low), (x, low - 0.03), (right, low)], (250, 250, 255))
    canvas.box(0, horizon, 1, 1, shade((146, 124, 84), light))
    for _ in range(rng.integers(5, 10)):
        r = rng.uniform(0.015, 0.04)
        canvas.ellipse(rng.uniform(0, 1), rng.uniform(horizon + 0.05, 1), r * 1.4, r, shade((110, 100, 90), light))


def _city(canvas: Canvas, light: float, rng: _Rng) -> None:
    horizon = rng.uniform(0.74, 0.80)
    _sky(canvas, shade((196, 178, 190), light), shade((246, 214, 180), light), horizon)
    x = -0.02
    while x < 1:
        width, top = rng.uniform(0.12, 0.2), rng.uniform(0.08, 0.42)
        color = shade((104, 112, 132), rng.uniform(0.75, 1.15) * light)
        canvas.box(x, top, x + width - 0.015, horizon, color)
        for row in range(int((horizon - top) / 0.085)):
            for at in (0.03, 0.085):
                if at + 0.03 < width - 0.015:
                    y = top + 0.035 + row * 0.085
                    lit = rng.random() < 0.6
                    canvas.box(x + at, y, x + at + 0.033, y + 0.04, (252, 226, 130) if lit else shade(color, 0.7))
        x += width
    canvas.box(0, horizon, 1, 1, shade((84, 84, 90), light))
    shift = rng.uniform(0, 0.2)
    for i in range(-1, 5):
        canvas.box(i * 0.24 + shift, 0.925, i * 0.24 + shift + 0.12, 0.95, (240, 240, 230))


def _night(canvas: Canvas, light: float, rng: _Rng) -> None:
    horizon = rng.uniform(0.68, 0.78)
    _sky(canvas, shade((12, 14, 48), light), shade((44, 46, 104), light), horizon)
    for _ in range(rng.integers(14, 22)):
        r = rng.uniform(0.008, 0.016)
        canvas.ellipse(rng.uniform(0, 1), rng.uniform(0, horizon - 0.1), r, r, (255, 250, 210))
    x, y = rng.uniform(0.12, 0.88), rng.uniform(0.1, 0.2)
    canvas.ellipse(x, y, 0.085, 0.085, (255, 244, 190))
    canvas.ellipse(x + 0.045, y - 0.02, 0.075, 0.075, shade((18, 20, 58), light))
    canvas.box(0, horizon, 1, 1, shade((40, 54, 60), light))
    canvas.ellipse(rng.uniform(0, 1), horizon + 0.03, 0.45, 0.07, shade((40, 54, 60), light))


def _snow(canvas: Canvas, light: float, rng: _Rng) -> None:
    horizon = rng.uniform(0.56, 0.68)
    _sky(canvas, shade((168, 182, 200), light), shade((212, 220, 230), light), horizon)
    canvas.box(0, horizon, 1, 1, shade((236, 242, 250), light))
    for _ in range(rng.integers(3, 6)):
        x, h = rng.uniform(0, 1), rng.uniform(0.14, 0.24)
        foot = horizon + rng.uniform(0, 0.05)
        for i in range(3):
            low = foot - h * i * 0.28
            canvas.polygon([(x - 0.09 + i * 0.02, low), (x + 0.09 - i * 0.02, low), (x, low - h * 0.5)], (40, 84, 70))
    for _ in range(rng.integers(26, 40)):
        r = rng.uniform(0.008, 0.016)
        canvas.ellipse(rng.uniform(0, 1), rng.uniform(0, 1), r, r, (255, 255, 255))


_DRAWERS: Final[Mapping[str, Callable[[Canvas, float, _Rng], None]]] = {
    "meadow": _meadow,
    "sea": _sea,
    "mountain": _mountain,
    "city": _city,
    "night": _night,
    "snow": _snow,
}
