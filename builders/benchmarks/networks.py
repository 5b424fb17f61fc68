"""Forward passes alone: igmu's networks against other ways to run the same ones, and against this machine's peak."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from builders.benchmarks import reference
from builders.benchmarks.material import Material
from builders.benchmarks.timing import ratios, rounds, spread, table
from igmu_metrics import registry
from igmu_metrics.networks.packed import pack


def measure(material: Material, n_rounds: int, n: int) -> str:
    """A section of the page; `n` images a round."""
    rng = np.random.default_rng(0)
    peak = peaks()
    text = (
        "The peak of a 4096×4096 matrix product on this machine is "
        f"{peak['fp32']:.0f} GF/s in fp32 and {peak['bf16']:.0f} GF/s in bf16.\n"
    )
    for name, side, contenders in (
        ("CLIP ViT-B/32, images", 224, _clip(material)),
        ("Inception (FID)", 299, _inception(material)),
        ("LPIPS-AlexNet, pairs of 512×512", 512, _lpips(material)),
    ):
        shape = (n, 2, 3, side, side) if "LPIPS" in name else (n, 3, side, side)
        data = rng.random(shape, dtype=np.float32) if "LPIPS" not in name else rng.integers(0, 256, shape, np.uint8)
        flops = _flops(contenders["plain PyTorch fp32"], data[:1])
        work: dict[str, Callable[[], Any]] = {key: partial(f, data) for key, f in contenders.items()}
        for run in work.values():
            run()  # the first call packs and compiles
        times, results = rounds({f"{name}: {k}": w for k, w in work.items()}, n_rounds)
        plain = times[f"{name}: plain PyTorch fp32"]
        exact = results[f"{name}: plain PyTorch fp32"]
        rows = []
        for key, seconds in times.items():
            per_second = [n / s for s in seconds]
            of = peak["bf16" if "bf16" in key else "fp32"]
            apart = np.linalg.norm(results[key] - exact) / np.linalg.norm(exact)
            rows.append([
                key.partition(": ")[2], spread(per_second, 1), spread(ratios(plain, seconds)),
                f"{100 * max(per_second) * flops / 1e9 / of:.0f}%", f"{apart:.1e}",
            ])  # fmt: skip
        text += f"\n{name}, {flops / 1e9:.1f} GF each\n\n"
        text += table(
            [
                "way",
                "per second",
                "speed relative to plain",
                "share of the peak, best round",
                "relative difference to plain",
            ],
            rows,
        )
    return text


def peaks() -> dict[str, float]:
    """GF/s of a large matrix product on this machine, by precision."""
    return {name: _peak(dtype) for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))}


def arithmetic(material: Material, n: int) -> float:
    """GF of the forward passes of one evaluation: n images and the original's n, through every network."""
    pixels = {side: np.zeros((1, 3, side, side), np.float32) for side in (224, 299)}
    pair = np.zeros((1, 2, 3, 512, 512), np.uint8)
    single = [_flops(_plain_clip(folder), pixels[224]) for folder in (material.clip16, material.clip32)]
    inception = reference.plain_inception(material.inception)
    single.append(_flops(_batched(inception, 1), pixels[299]))
    return n * (2 * sum(single) + _flops(_plain_lpips(material), pair)) / 1e9


def _flops(run: Callable[[Any], Any], one: Any) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        run(one)
    return float(counter.get_total_flops())


def _peak(dtype: torch.dtype) -> float:
    """GF/s of a large matrix product, the best of five as it comes and of five with packed weights."""
    rows = torch.randn(4096, 4096).to(dtype)
    layer = torch.nn.Sequential(torch.nn.Linear(4096, 4096, bias=False).to(dtype)).eval().requires_grad_(False)
    plain = next(layer.parameters())
    pack(layer, len(rows))
    best = float("inf")
    ways: list[Callable[[], object]] = [lambda: rows @ plain.T, lambda: layer(rows)]
    with torch.inference_mode():
        for way in 5 * ways:
            start = time.perf_counter()
            way()
            best = min(best, time.perf_counter() - start)
    return 2 * 4096**3 / best / 1e9


def _batched(forward: Callable[[torch.Tensor], torch.Tensor], size: int) -> Callable[[Any], Any]:
    def run(data: Any) -> Any:
        with torch.no_grad():
            parts = [forward(torch.from_numpy(data[i : i + size])) for i in range(0, len(data), size)]
        return torch.cat(parts).double().numpy()

    return run


def _frozen(forward: Callable[[torch.Tensor], torch.Tensor], size: int) -> dict[str, Callable[[Any], Any]]:
    """The same through torch.compile with constant weights, the fastest that torch offers; none without a compiler."""
    import torch._inductor.config as inductor

    if shutil.which("g++") is None:
        return {}
    run = _batched(torch.compile(forward, dynamic=False), size)

    def call(data: Any) -> Any:
        with inductor.patch(freezing=True):
            return run(data)

    return {"compiled, weights frozen": call}


def _clip(material: Material) -> dict[str, Callable[[Any], Any]]:
    plain = _plain_clip(material.clip32)

    def medium(data: Any) -> Any:
        torch.set_float32_matmul_precision("medium")
        try:
            return plain(data)
        finally:
            torch.set_float32_matmul_precision("highest")

    ours = {p: registry.backbone(f"clip:{material.clip32}", precision=p) for p in ("fp32", "bf16")}
    return (
        {"plain PyTorch fp32": plain, "'medium' matmul": medium}
        | _frozen(_clip_forward(material.clip32), 32)
        | _own(ours)
    )


def _plain_clip(folder: Path) -> Callable[[Any], Any]:
    return _batched(_clip_forward(folder), 32)


def _clip_forward(folder: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    from transformers import CLIPModel

    network = CLIPModel.from_pretrained(folder).eval()
    return lambda pixels: network.get_image_features(pixels).pooler_output


def _inception(material: Material) -> dict[str, Callable[[Any], Any]]:
    plain = reference.plain_inception(material.inception)
    last = torch.nn.Sequential(*plain.children()).to(memory_format=torch.channels_last)
    spec = f"inception:clean?weights={material.inception}"
    ours = {p: registry.backbone(spec, precision=p) for p in ("fp32", "bf16")}

    def in_order(x: torch.Tensor) -> torch.Tensor:
        return last(x.contiguous(memory_format=torch.channels_last))  # type: ignore[no-any-return]

    ways = {"plain PyTorch fp32": _batched(lambda x: plain(x.contiguous()), 32), "channels last": _batched(in_order, 8)}
    return ways | _frozen(in_order, 8) | _own(ours)


def _own(ours: dict[str, Any]) -> dict[str, Callable[[Any], Any]]:
    def run(backbone: Any, data: Any) -> Any:
        return backbone.extract(list(data))

    return {f"igmu {p}": partial(run, backbone) for p, backbone in ours.items()}


def _lpips(material: Material) -> dict[str, Callable[[Any], Any]]:
    spec = f"lpips:alex?trunk={material.trunk}&size=512"
    ours: dict[str, Any] = {p: registry.backbone(spec, precision=p) for p in ("fp32", "bf16")}

    def run(backbone: Any, data: Any) -> Any:
        return backbone.compare([(pair[0], pair[1]) for pair in data])

    plain: dict[str, Callable[[Any], Any]] = {"plain PyTorch fp32": _plain_lpips(material)}
    return (
        plain
        | _frozen(_lpips_forward(material, torch.channels_last), 4)
        | {f"igmu {p}": partial(run, backbone) for p, backbone in ours.items()}
    )


def _plain_lpips(material: Material) -> Callable[[Any], Any]:
    return _batched(_lpips_forward(material, torch.contiguous_format), 1)


def _lpips_forward(material: Material, form: torch.memory_format) -> Callable[[torch.Tensor], torch.Tensor]:
    plain = reference.plain_lpips(material.trunk).to(memory_format=form)

    def forward(pair: torch.Tensor) -> torch.Tensor:
        one, other = ((pair[:, k].float() / 127.5 - 1).contiguous(memory_format=form) for k in (0, 1))
        return plain(one, other).reshape(-1)  # type: ignore[no-any-return]

    return forward
