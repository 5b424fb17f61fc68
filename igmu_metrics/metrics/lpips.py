"""LPIPS: how different an unlearned image looks from the original model's image for the same prompt and seed.

Goal: on retain rows, whether unlearning left pictures alone (near is good); on forget rows, whether it changed them
(far is expected). The two are never mixed into one verdict.

Conventions: one distance a generation, ≥ 0, 0 for equal images; the network, its weights and the size of the images are
in the signature. Masked distances are counted as failed and left out.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import EmptyInputError
from igmu_metrics.contract import Extract, MetricInfo, Result, Rows
from igmu_metrics.metrics._rows import Column, mean, prompts
from igmu_metrics.statistics import validation

INFO = MetricInfo(
    name="lpips",
    version=2,
    title="LPIPS",
    summary="Perceptual distance between unlearned and original images of the same prompt and seed.",
    headline="lpips",
    direction="lower",
    range=(0.0, float("inf")),
    backbone="lpips",
    extracts=(Extract("distances", "images+original_images", "image_distance"),),
    references=("Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018",),
    limits=(
        "Lower is better on retain rows only: read 'lpips_forget' the other way round. A diffusion model may draw the "
        "same content elsewhere in the picture, which LPIPS counts as different."
    ),
)
SPLITS = {
    "forget": "asks for the concept to forget",
    "retain": "asks for something else",
    "adversarial": "attacks the forgetting",
}
_BOUNDS = (0.0, inf)


def rows(
    *,
    distances: Any,
    ids: Column | None = None,
    seeds: Column | None = None,
    splits: Column | None = None,
) -> Rows:
    """Check the distances.

    Args:
        distances: (n,) LPIPS between unlearned and original image, ≥ 0; None or masked where it could not be measured.
        ids: (n,) prompt ids, the unit of resampling; None: every generation is its own prompt.
        seeds: (n,) seeds; with `ids`, duplicates are refused.
        splits: (n,) `forget`, `retain` or `adversarial`.

    Returns:
        Rows with `distance`, `prompt` and perhaps `split`, without the masked ones (`n_failed`).

    Raises:
        InputError: distances that are empty, negative or not finite, an unknown split, lengths that differ.
    """
    n = validation.same_length(distances=distances, ids=ids, seeds=seeds, splits=splits)
    distance = validation.numbers("distances", distances, low=0.0)
    measured = ~np.ma.getmaskarray(distance)
    if not measured.any():
        raise EmptyInputError(f"distances: all {n} are masked. There is nothing to score.")
    columns: dict[str, npt.NDArray[Any]] = {
        "distance": distance.data[measured],
        "prompt": prompts(n, ids, seeds)[measured],
    }
    if splits is not None:
        validation.one_of("splits", splits, SPLITS)
        columns["split"] = np.asarray(splits, dtype=np.str_)[measured]
    return Rows(INFO.name, columns, n_failed=int((~measured).sum()))


def score(rows: Rows, *, seed: int = 0, resamples: int = 2000) -> Result:
    """Mean distance, over all generations and within each split.

    Args:
        rows: from `rows`.
        seed: of the bootstrap over prompts.
        resamples: of that bootstrap.

    Returns:
        `lpips`, and for splits that have rows `lpips_forget`, `lpips_retain`, `lpips_adversarial`.

    >>> given = rows(distances=[0.1, 0.3, 0.8], splits=["retain", "retain", "forget"])
    >>> {name: round(figure.value, 9) for name, figure in score(given).figures.items()}
    {'lpips': 0.4, 'lpips_forget': 0.8, 'lpips_retain': 0.2}
    """
    distance, prompt = rows["distance"], rows["prompt"]
    figures = {INFO.headline: mean(distance, prompt, seed=seed, resamples=resamples, bounds=_BOUNDS)}
    if "split" in rows:
        for split in SPLITS:
            chosen = rows["split"] == split
            if chosen.any():
                figures[f"lpips_{split}"] = mean(
                    distance[chosen], prompt[chosen], seed=seed, resamples=resamples, bounds=_BOUNDS
                )
    return Result(figures[INFO.headline], figures)
