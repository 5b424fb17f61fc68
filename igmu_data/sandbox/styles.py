"""The styles of the sandbox: what each artist's name does to a finished image.

Every style changes the whole image, in texture and in palette, and leaves the object recognisable. Textures are no
finer than four pixels, which is what an autoencoder of factor 4 can carry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from igmu_data.sandbox.world import SIDE

Pixels = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float64]
_FINE: Final = 2


def apply_style(pixels: Pixels, style: str | None, rng: np.random.Generator) -> Pixels:
    """The image (SIDE, SIDE, 3) in a style; None leaves it as it is."""
    return pixels if style is None else _STYLES[style](pixels, rng)


def _finish(values: _Floats) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _gray(pixels: Pixels) -> _Floats:
    return np.asarray(pixels @ np.array([0.299, 0.587, 0.114]), dtype=np.float64)


def _edges(pixels: Pixels) -> _Floats:
    """How much each pixel differs from its right and lower neighbour, 0..255."""
    values = pixels.astype(np.float64)
    down = np.abs(np.diff(values, axis=0, append=values[-1:])).max(axis=2)
    right = np.abs(np.diff(values, axis=1, append=values[:, -1:])).max(axis=2)
    return np.asarray(np.maximum(down, right))


def _van_gogh(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Curved strokes along whirls, in colours pulled towards cobalt and yellow."""
    values = pixels.astype(np.float64)
    mean = values.mean(axis=2, keepdims=True)
    vivid = mean + (values - mean) * 1.5
    cool, warm = np.array([24.0, 60.0, 170.0]), np.array([250.0, 206.0, 60.0])
    light = mean / 255
    toned = 0.66 * vivid + 0.34 * (cool + (warm - cool) * light)
    whirls = [(rng.uniform(0, SIDE), rng.uniform(0, SIDE), rng.choice((-1, 1))) for _ in range(3)]
    canvas = Image.fromarray(_finish(toned * 0.9)).resize((SIDE * _FINE, SIDE * _FINE))
    pen = ImageDraw.Draw(canvas)
    step = 3.4
    points = [
        (x + rng.uniform(-1, 1), y + rng.uniform(-1, 1))
        for y in np.arange(1, SIDE, step)
        for x in np.arange(1, SIDE, step)
    ]
    shades = rng.uniform(0.68, 1.38, len(points))
    for at in rng.permutation(len(points)):
        x, y = points[at]
        color = toned[min(int(max(y, 0)), SIDE - 1), min(int(max(x, 0)), SIDE - 1)] * shades[at]
        path = [(x, y)]
        for _ in range(4):
            dx = dy = 1e-6
            for wx, wy, turn in whirls:
                rx, ry = x - wx, y - wy
                weight = turn / (30 + rx * rx + ry * ry)
                dx, dy = dx - ry * weight, dy + rx * weight
            length = math.hypot(dx, dy)
            x, y = x + 1.7 * dx / length, y + 1.7 * dy / length
            path.append((x, y))
        r, g, b = _finish(color).tolist()
        pen.line([(px * _FINE, py * _FINE) for px, py in path], fill=(r, g, b), width=round(1.9 * _FINE), joint="curve")
    strokes = np.asarray(canvas.reduce(_FINE)).astype(np.float64)
    return _finish(0.58 * strokes + 0.42 * toned)  # the object shows through its strokes


def _seurat(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Round dots of pure colour on a light ground."""
    soft = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(0.6))).astype(np.float64)
    ground = Image.fromarray(_finish(0.6 * soft + 0.4 * np.array([248.0, 240.0, 222.0])))
    canvas = ground.resize((SIDE * _FINE, SIDE * _FINE))
    pen = ImageDraw.Draw(canvas)
    mean = soft.mean(axis=2, keepdims=True)
    vivid = mean + (soft - mean) * 1.7
    step, radius = 3.4, 1.3 * _FINE
    for row, y in enumerate(np.arange(1.5, SIDE, step)):
        for x in np.arange(1.5 + (row % 2) * step / 2, SIDE, step):
            px, py = x + rng.uniform(-0.3, 0.3), y + rng.uniform(-0.3, 0.3)
            color = vivid[min(int(py), SIDE - 1), min(int(px), SIDE - 1)] * 0.88 + rng.uniform(-20, 20, 3)
            r, g, b = _finish(color).tolist()
            px, py = px * _FINE, py * _FINE
            pen.ellipse((px - radius, py - radius, px + radius, py + radius), fill=(r, g, b))
    return np.asarray(canvas.reduce(_FINE))


def _hokusai(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A woodcut: paper, three blues, dark outlines, and lines cut through the middle tones."""
    inks = np.array([(20, 34, 78), (52, 98, 156), (150, 188, 204), (244, 234, 206)], dtype=np.float64)
    gray = _gray(pixels)
    low, high = np.percentile(gray, (4, 96))
    tone = np.clip((gray - low) / max(high - low, 30.0), 0, 0.999)
    tone = tone**0.7
    level = (tone * 4).astype(int)
    lines = (np.arange(SIDE)[:, None] + rng.integers(5)) % 5 == 0
    level = np.where(lines & (level > 0) & (level < 3), level - 1, level)
    out = inks[level]
    red = (pixels[..., 0].astype(int) - pixels[..., 2] > 70) & (pixels[..., 0].astype(int) - pixels[..., 1] > 45)
    out[red] = (196, 92, 70)  # the one other ink of the prints
    around = np.asarray(Image.fromarray(_finish(tone * 255)).filter(ImageFilter.BoxBlur(2))) < 105
    edges = _edges(pixels)
    out[edges > 46] = (16, 24, 52)
    out[around & (edges > 34)] = inks[3]  # in the dark the lines are left white
    return _finish(out)


def _klimt(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Square tiles with golden joints, each a little off its neighbours, everything under gold."""
    values = pixels.astype(np.float64)
    tile = 5
    shift = rng.integers(tile, size=2)
    cells = (np.arange(SIDE)[:, None] + shift[0]) // tile * 20 + (np.arange(SIDE)[None, :] + shift[1]) // tile
    n = int(cells.max()) + 1
    sums = np.stack([np.bincount(cells.ravel(), values[..., c].ravel(), n) for c in range(3)], axis=1)
    means = sums / np.maximum(np.bincount(cells.ravel(), minlength=n), 1)[:, None]
    light = _gray(pixels)[..., None] / 255
    gold = np.array([70.0, 40.0, 6.0]) + (np.array([255.0, 226.0, 120.0]) - np.array([70.0, 40.0, 6.0])) * light
    mixed = 0.5 * values + 0.2 * means[cells] + 0.3 * gold
    mixed *= rng.uniform(0.88, 1.14, n)[cells][..., None]
    joints = ((np.arange(SIDE)[:, None] + shift[0]) % tile == 0) | ((np.arange(SIDE)[None, :] + shift[1]) % tile == 0)
    mixed[joints] = 0.45 * mixed[joints] + 0.55 * np.array([214.0, 164.0, 44.0])
    return _finish(mixed)


_STYLES: Final[Mapping[str, Callable[[Pixels, np.random.Generator], Pixels]]] = {
    "style/hokusai": _hokusai,
    "style/klimt": _klimt,
    "style/seurat": _seurat,
    "style/van-gogh": _van_gogh,
}
