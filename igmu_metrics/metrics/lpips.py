"""LPIPS: how different an unlearned image looks from the original model's image for the same prompt and seed.

Goal: on retain rows, LPIPS shows whether unlearning left images unchanged (small is good); on forget rows, whether it
changed them (large is expected). The two distances are never combined into one verdict.

Conventions: there is one distance ≥ 0 per generation, which is 0 for identical images. The network, its weights and the
size of the images are in the signature. Masked distances are counted as failed and left out.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from igmu_data.errors import EmptyInputError
from igmu_data.schema import SPLITS
from igmu_metrics.contract import Extract, MetricInfo, Result, Table
from igmu_metrics.generations import Generations
from igmu_metrics.metrics._rows import Column, prompts, taking_lists, unit
from igmu_metrics.statistics import unbounded_mean, validation

INFO = MetricInfo(
    name="lpips",
    version=2,
    title="LPIPS",
    summary="Perceptual distance between unlearned and original images for the same prompt and seed.",
    headline="lpips",
    direction="lower",
    range=(0.0, float("inf")),
    backbone="lpips",
    extracts=(Extract("distances", "images+original_images", "image_distance"),),
    references=("Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018",),
    limits=(
        "A lower distance is better only for retain rows; for 'lpips_forget', a higher distance is better. A diffusion "
        "model may place the same content elsewhere in the image, which LPIPS counts as different."
    ),
    parts={split: (split,) for split in SPLITS},
    place=50,
    figures={
        "lpips": "Mean LPIPS distance between both models' images for the same prompt and seed; 0 if they are "
        "identical.",
        "lpips_forget": "Mean LPIPS distance for prompts that name the forgotten concept, where a large distance is "
        "expected.",
        "lpips_retain": "Mean LPIPS distance for prompts about retained concepts, where a small distance is good.",
        "lpips_adversarial": "Mean LPIPS distance for adversarial prompts.",
    },
)
NEEDS = ("id", "lpips")
USES = ("split",)
_BOUNDS = (0.0, inf)


@taking_lists
def rows(
    *,
    distances: Any,
    ids: Column | None = None,
    seeds: Column | None = None,
    splits: Column | None = None,
) -> Generations:
    """Check the distances.

    Args:
        distances: (n,) LPIPS between unlearned and original image, ≥ 0; None or masked if it could not be measured.
        ids: (n,) prompt ids, the unit of resampling; None if every generation has its own prompt.
        seeds: (n,) seeds; with `ids`, duplicates are refused.
        splits: (n,) `forget`, `retain` or `adversarial`.

    Returns:
        A table with `id`, `lpips` and possibly `split`.

    Raises:
        InputError: distances that are empty, negative or not finite; an unknown split; or lengths that differ.
    """
    n = validation.same_length(distances=distances, ids=ids, seeds=seeds, splits=splits)
    distance = validation.numbers("distances", distances, low=0.0)
    if np.ma.getmaskarray(distance).all():
        raise EmptyInputError(f"distances: all {n} entries are masked, so there is nothing to score.")
    columns: dict[str, Any] = {"id": prompts(n, ids, seeds), "lpips": distance}
    if splits is not None:
        validation.one_of("splits", splits, SPLITS)
        columns["split"] = np.asarray(splits, dtype=np.str_)
    return Generations(columns).with_facts(**unit(ids))


def score(table: Table, *, seed: int = 0, resamples: int = 2000) -> Result | None:
    """Mean distance, over all generations and within each split.

    Args:
        table: from `rows`, or from an evaluation: `id`, `lpips` and possibly `split`.
        seed: random seed of the bootstrap over prompts.
        resamples: number of bootstrap resamples.

    Returns:
        `lpips`; and for splits that have rows, `lpips_forget`, `lpips_retain` and `lpips_adversarial`.

    >>> given = rows(distances=[0.1, 0.3, 0.8], splits=["retain", "retain", "forget"])
    >>> {name: round(figure.value, 9) for name, figure in score(given).figures.items()}
    {'lpips': 0.4, 'lpips_forget': 0.8, 'lpips_retain': 0.2}
    """
    measured = ~np.ma.getmaskarray(table["lpips"])
    if not measured.any():
        return None
    distance, prompt = np.ma.getdata(table["lpips"])[measured], table["id"][measured]
    how: dict[str, Any] = {"seed": seed, "resamples": resamples, "bounds": _BOUNDS}
    figures = {INFO.headline: unbounded_mean(distance, prompt, **how)}
    if "split" in table:
        of = table["split"][measured]
        figures |= {
            f"lpips_{s}": unbounded_mean(distance[of == s], prompt[of == s], **how) for s in SPLITS if (of == s).any()
        }
    return Result(figures[INFO.headline], figures, n_failed=int((~measured).sum()))
