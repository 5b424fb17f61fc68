"""The training card: what was trained, for how long, on what, and whether each bar was reached."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from builders.sandbox import clip, detector
from builders.sandbox.bars import Bar, asked, draw, plainly
from builders.sandbox.data import Renders
from builders.sandbox.loop import Curve
from builders.sandbox.train import Models
from igmu_data.files import beside
from igmu_data.sandbox.world import world

_PACKAGES: Final = ("torch", "diffusers", "transformers", "numpy", "pillow")
_INKS: Final = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee")


def detector_card(models: Models, data: Renders, pipe: Any) -> dict[str, Any]:
    """How often the detector errs on each concept, on held-out renders and on generations of the original.

    Of a generation it is not known what it shows. Here it counts as known where CLIP, which is trained apart from the
    detector, sees what was asked for; the other generations are left out.
    """
    scenes = asked(1000, 3)
    images, _ = draw(pipe, [plainly(s) for s in scenes], seed=10_000)
    seen = clip.nearest(models.clip, models.tokenizer, images)
    pairs = enumerate(zip(seen, scenes, strict=True))
    kept = [i for i, ((thing, style), s) in pairs if thing == s.object and s.style in (None, style)]
    drawn = images[kept], [scenes[i] for i in kept]
    concepts: dict[str, dict[str, Any]] = {name: {} for name in detector.concepts()}
    for on, (pixels, shown) in {"renders": (data.pixels, data.scenes), "generations": drawn}.items():
        answers = detector.probabilities(models.detector, pixels) >= 0.5
        for column, name in enumerate(detector.concepts()):
            truth = np.array([name in (s.object, s.style) for s in shown])
            concepts[name][on] = {
                "sensitivity": float(answers[truth, column].mean()),
                "specificity": float(1 - answers[~truth, column].mean()),
                "n_positives": int(truth.sum()),
                "n_negatives": int((~truth).sum()),
            }
    return {"threshold": 0.5, "n_generations": len(scenes), "concepts": concepts}


def write(bars: Sequence[Bar], curves: Mapping[str, Curve], n_bytes: int, folder: Path) -> None:
    """Write `sandbox.md` and the curves as `sandbox/curves.svg`."""
    (folder / "sandbox").mkdir(parents=True, exist_ok=True)
    for path, text in (
        (folder / "sandbox" / "curves.svg", _svg(curves)),
        (folder / "sandbox.md", _text(bars, curves, n_bytes)),
    ):
        with beside(path) as fresh:
            fresh.write_text(text, encoding="utf-8")


def _text(bars: Sequence[Bar], curves: Mapping[str, Curve], n_bytes: int) -> str:
    rows = "\n".join(
        f"| {b.what} | {b.value:.1f} | {'' if b.least is None else f'≥ {b.least:.0f}'} | {b.n} |"
        if b.value > 1 and "second" in b.what
        else f"| {b.what} | {b.value:.1%} | {'reported' if b.least is None else f'≥ {b.least:.0%}'} | {b.n:,} |"
        for b in bars
    )
    times = "\n".join(f"| {name} | {c.seconds / 60:.1f} min | {c.losses[-1]:.4f} |" for name, c in curves.items())
    total = sum(c.seconds for c in curves.values()) / 60
    software = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"""# The sandbox

The sandbox is a small world of {len(world().objects)} objects, {len(world().settings)} settings,
and {len(world().styles)} styles
besides the plain one. Code renders it
(`igmu_data/sandbox`), so it is known what every image shows. Real models were trained on it from scratch. They come
with the package, so commands can be tried offline, and the metrics are tested on them ([audit](audit.md)).
`python -m builders.sandbox` writes this page, its images and the packaged models.

![Renders: one row per style, two images per object](sandbox/renders.webp)

The renderer: plain, Hokusai (a woodcut), Klimt (golden tiles), Seurat (dots), van Gogh (whirling strokes).

![The same, made by the generator](sandbox/generations.webp)

The generator `original`, given the same scenes in words.

![Versions: one row per version](sandbox/versions-church.webp)

"A church …" in the six settings, then a castle, a lighthouse and a cat, by `original`, `gold`, `esd`, `uce`, `filter`
and `collapsed`, with the same seeds.

![Versions: one row per version](sandbox/versions-van-gogh.webp)

The same for van Gogh's style: six objects in his style, then one each in Seurat's, Hokusai's and the plain one.

## Targets and results

| measured | value | target | images |
| --- | --- | --- | --- |
{rows}

Everything packaged: {n_bytes / 1e6:.1f} MB (target: 25 MB). The detector judges the generated images.

## Training

| model | time | last loss |
| --- | --- | --- |
{times}

{total:.0f} minutes in all on {platform.processor() or platform.machine()} with {_cores()} threads
({platform.system()}); {software}. `gold` models are trained from scratch, text encoder and UNet, on images and
captions without the concept. All models share the autoencoder and the tokenizer, as in Stable Diffusion.

![Loss during each training, on a logarithmic scale](sandbox/curves.svg)
"""


def _cores() -> int:
    import torch

    return torch.get_num_threads()


def _svg(curves: Mapping[str, Curve]) -> str:
    """Every curve on its own scale of 0..1 of its training, in logarithms of the loss."""
    lines, width, height = [], 640, 260
    lows = [math.log10(v) for c in curves.values() for v in c.losses]
    low, high = math.floor(min(lows)), math.ceil(max(lows))
    for exponent in range(low, high + 1):
        y = height - (exponent - low) / (high - low) * (height - 20) - 10
        lines.append(f'<path d="M50 {y:.1f}H{width}" stroke="#8884"/><text x="4" y="{y + 4:.1f}">1e{exponent}</text>')
    for i, (name, curve) in enumerate(curves.items()):
        points = " ".join(
            f"{50 + (k + 1) / len(curve.losses) * (width - 60):.1f},"
            f"{height - (math.log10(v) - low) / (high - low) * (height - 20) - 10:.1f}"
            for k, v in enumerate(curve.losses)
        )
        ink = _INKS[i % len(_INKS)]
        lines.append(f'<polyline points="{points}" fill="none" stroke="{ink}" stroke-width="2"/>')
        lines.append(f'<text x="{60 + 110 * (i % 5)}" y="{height + 18 + 16 * (i // 5)}" fill="{ink}">{name}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 40}" font-family="sans-serif" '
        f'font-size="12" fill="#888">{"".join(lines)}</svg>\n'
    )
