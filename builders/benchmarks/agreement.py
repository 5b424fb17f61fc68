"""How far igmu's numbers are from those of the reference workflow, on the same images and networks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from builders.benchmarks import reference
from builders.benchmarks.evaluation import evaluation
from builders.benchmarks.material import Material
from builders.benchmarks.timing import table
from igmu_metrics.scorecard import Scorecard


def measure(material: Material, cache: Path) -> str:
    """A section of the page."""
    original, model, *_ = material.images.values()
    files = [sorted(folder.glob("*.png")) for folder in (original, model)]
    names = [path.stem for path in files[1]]
    probabilities = dict(zip(names, reference.accuracy(material.clip16, files[1]), strict=True))
    distances = dict(zip(names, reference.lpips_distances(material.trunk, *files), strict=True))
    columns = []
    for precision in ("fp32", "bf16"):
        os.environ["IGMU_CACHE"] = str(cache / precision / "all")  # what the evaluations computed, if they were run
        (card,) = evaluation(material, precision=precision).run(original, [model])
        columns.append([_probabilities(card, probabilities), _lpips(card, distances)])
    names_of_rows = [
        "probability of the concept, the image with the largest difference",
        "LPIPS, mean over forget, retain and adversarial prompts",
    ]
    rows = [[name, *(f"{column[i]:.1e}" for column in columns)] for i, name in enumerate(names_of_rows)]
    return table(
        [
            "number",
            "igmu fp32 and the reference, relative difference",
            "igmu bf16 and the reference, relative difference",
        ],
        rows,
    )


def _probabilities(card: Scorecard, expected: dict[str, float]) -> float:
    """Largest relative difference, over the images that were judged for the target."""
    asked = [g for g in card.generations.records() if g["own_concept"] == card.target and g["probability"] is not None]
    return max(abs(float(g["probability"]) / expected[f"{g['id']}-{g['seed']}"] - 1) for g in asked)


def _lpips(card: Scorecard, expected: dict[str, float]) -> float:
    """Relative difference of the means; negation rows are in none of igmu's."""
    attacked = card.generations.part("forget", "retain", "adversarial")
    mean = np.mean([expected[f"{row}-{seed}"] for row, seed in attacked.keys])
    parts = [card.scores[f"lpips/{s}"] for s in ("forget", "retain", "adversarial") if f"lpips/{s}" in card.scores]
    total = sum(p.n_generations for p in parts)
    return abs(sum(float(p.value or 0) * p.n_generations for p in parts) / total / float(mean) - 1)
