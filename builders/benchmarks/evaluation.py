"""Whole evaluations: the reference workflow against igmu, cold, with the original known, and with nothing new."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from builders.benchmarks import networks, reference
from builders.benchmarks.material import Material
from builders.benchmarks.timing import ratios, rounds, spread, table
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.scorecard import Scorecard


def evaluation(material: Material, *, precision: str = "fp32", default: bool = False) -> Evaluation:
    """igmu with the reference's metrics and networks; or `default`, one CLIP for everything."""
    common: dict[str, Any] = {"bench": "sandbox", "precision": precision}
    if default:
        return Evaluation("sandbox.church", detector=f"clip:{material.clip32}", **common)
    return Evaluation(
        "sandbox.church",
        detector=f"clip:{material.clip16}",
        clip=str(material.clip32),
        features=f"inception:clean?weights={material.inception}",
        lpips=f"alex?trunk={material.trunk}&size=512",
        **common,
    )


def measure(material: Material, cache: Path, n_rounds: int) -> str:
    """A section of the page."""
    original, *methods = material.images.values()

    def score(how: Evaluation, folders: list[Path], *, cold: bool) -> Callable[[], list[Scorecard]]:
        def work() -> list[Scorecard]:
            os.environ["IGMU_CACHE"] = str(cache / how.precision / ("one" if how.lpips is None else "all"))
            if cold:
                shutil.rmtree(os.environ["IGMU_CACHE"], ignore_errors=True)
            return list(how.run(original, folders))

        return work

    full, half = evaluation(material), evaluation(material, precision="bf16")
    one = evaluation(material, default=True)
    contenders: dict[str, Callable[[], Any]] = {
        "reference": lambda: reference.evaluate(material, "method1"),
        "igmu, cold": score(full, methods[:1], cold=True),
        "igmu, another method": score(full, methods[1:2], cold=False),
        "igmu, nothing new": score(full, methods[:1], cold=False),
        "igmu bf16, cold": score(half, methods[:1], cold=True),
        "igmu bf16, another method": score(half, methods[1:2], cold=False),
        "igmu default metrics, cold": score(one, methods[:1], cold=True),
    }
    with ExitStack() as opened:
        os.environ["IGMU_CACHE"] = str(cache / "loaded")
        tools = opened.enter_context(full.opened())
        first, second = full.found(original, methods[:1])

        def look() -> None:
            full.measured(second, tools, methods[0].name, original=full.measured(first, tools, original.name))

        look()
        contenders["igmu, scoring again with the networks loaded"] = look
        times, _ = rounds(contenders, n_rounds)
    slow = times["reference"]
    n = len(material.texts)
    lines = [[name, spread(t, 1), spread(ratios(slow, t))] for name, t in times.items()]
    text = (
        f"Each run scores {n} images of the original and {n} of an unlearned model (512×512): concept accuracy with "
        "CLIP ViT-B/16, CSDR with ViT-B/32, FID, and LPIPS (AlexNet, 512). FID is the only distance that the reference "
        "computes; igmu also computes KID and all intervals. Times include loading the networks.\n\n"
    )
    text += table(["run", "seconds", "times as fast as the reference"], lines)
    return text + "\n" + bounds(material, n, times)


def bounds(material: Material, n: int, times: dict[str, list[float]]) -> str:
    """Ten methods as the rows give them, and what the networks' arithmetic leaves to gain in fp32."""
    slow = times["reference"]
    rows = []
    for name in ("igmu", "igmu bf16"):
        first, later = times[f"{name}, cold"], times[f"{name}, another method"]
        ten = [a + 9 * b for a, b in zip(first, later, strict=True)]
        rows.append([name, spread(ten, 0), spread(ratios([10 * s for s in slow], ten))])
    work, peak = networks.arithmetic(material, n), networks.peaks()["fp32"]
    least = work / peak
    text = (
        "The next table gives the total time for ten methods and one original, computed from the rows above (one cold "
        "run and nine runs with another method):\n\n"
    )
    text += table(["run", "seconds", "times as fast as ten references"], rows)
    return text + (
        f"\nThe forward passes of one cold evaluation need {work / 1000:.1f} TFLOP. The fp32 peak, measured in the "
        f"same run, is {peak:.0f} GFLOP/s (with variations of a tenth); at this peak, the forward passes take "
        f"{least:.0f} s. On this machine, an fp32 evaluation of these metrics with these networks can therefore be at "
        f"most about {spread([t / least for t in slow])} times as fast as the reference. igmu's cold evaluation takes "
        f"{spread([t / least for t in times['igmu, cold']])} times this minimum.\n"
    )
