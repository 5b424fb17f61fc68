"""Reward alignment: how much better or worse a preference model rates the unlearned model's images.

Goal: to provide a second opinion on alignment, from a model that scores an image and its prompt on its own scale
(`--align`).

Conventions:

- The score of an image is the model's logit: scale · cosine + bias, with the model's scale and bias (PickScore has no
  bias).
- `reward_change` is the mean difference, unlearned minus original, for the same prompt and seed. A value below 0 means
  that images got worse.
- `reward_win_rate` is how often the unlearned model's image has the higher score; ties count half.
- Scores are not cosines and have no natural zero. They are reported alongside the forget score but are not part of it,
  and scores by different `--align` models cannot be compared.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import EmptyInputError
from igmu_metrics.contract import Estimate, MetricInfo, Result, Table
from igmu_metrics.generations import Generations
from igmu_metrics.metrics._rows import Column, prompts, taking_lists, unit
from igmu_metrics.statistics import mean_estimate, unbounded_mean, validation

INFO = MetricInfo(
    name="reward_alignment",
    version=2,
    title="Reward alignment",
    summary="How much unlearning changed the score that a preference model gives to images and prompts.",
    headline="reward_change",
    direction="higher",
    range=(-inf, inf),
    references=(
        "Kirstain et al., Pick-a-Pic: an open dataset of user preferences for text-to-image generation, NeurIPS 2023",
        "Zhai et al., Sigmoid loss for language image pre-training, ICCV 2023",
    ),
    limits=(
        "The score reflects one preference model and the images on which this model was trained. If the prompt asks "
        "for the unlearned concept, a lower score is intended; the headline therefore uses only retain rows."
    ),
    parts={"": ("retain",), "forget": ("forget",), "adversarial": ("adversarial",)},
    place=40,
    figures={
        "reward_change": "Mean difference between the scores of the unlearned and the original model's images for the "
        "same prompt and seed; a value below 0 is worse than the original.",
        "reward": "Mean score that the preference model gives to the unlearned model's images and their prompts.",
        "original_reward": "Mean score that the preference model gives to the original model's images and their "
        "prompts.",
        "reward_win_rate": "Share of the prompts and seeds for which the unlearned model's image has the higher score; "
        "ties count half.",
    },
)
NEEDS = ("id", "reward", "reward_original")


@taking_lists
def rows(
    *,
    rewards: npt.ArrayLike,
    original_rewards: npt.ArrayLike,
    ids: Column | None = None,
    seeds: Column | None = None,
) -> Generations:
    """Check the scores.

    Args:
        rewards: (n,) scores of the unlearned model's images with their prompts; None or masked if there is none.
        original_rewards: (n,) scores of the original model's images for the same prompts and seeds.
        ids: (n,) prompt ids, the unit of the intervals; None if every generation has its own prompt.
        seeds: (n,) seeds; with `ids`, duplicates are refused.

    Returns:
        A table with `id`, `reward` and `reward_original`.

    Raises:
        InputError: scores that are empty or not finite, or lengths that differ.
    """
    n = validation.same_length(rewards=rewards, original_rewards=original_rewards, ids=ids, seeds=seeds)
    scores = {
        "reward": validation.numbers("rewards", rewards),
        "reward_original": validation.numbers("original_rewards", original_rewards),
    }
    if all(np.ma.getmaskarray(values).all() for values in scores.values()):
        raise EmptyInputError(f"rewards: all {n} entries are masked, so there is nothing to score.")
    columns: dict[str, Any] = {"id": prompts(n, ids, seeds), **scores}
    return Generations(columns).with_facts(**unit(ids))


def score(table: Table, *, seed: int = 0, resamples: int = 2000) -> Result | None:
    """Mean scores of both models, their difference, and how often the unlearned model's score is higher.

    Args:
        table: from `rows`, or from an evaluation: `id`, and `reward` of both models.
        seed: random seed of the bootstrap over prompts.
        resamples: number of bootstrap resamples.

    Returns:
        `reward_change` (the headline; higher is better), `reward`, `original_reward`, `reward_win_rate`.

    >>> figures = score(rows(rewards=[20, 22.5, 18], original_rewards=[21, 22, 18])).figures
    >>> for name, figure in figures.items():
    ...     print(f"{name} {figure.value:.3f}")
    reward_change -0.167
    reward 20.167
    original_reward 20.333
    reward_win_rate 0.500
    """
    both = [table[name] for name in NEEDS[1:]]
    seen = ~np.ma.getmaskarray(both[0]) & ~np.ma.getmaskarray(both[1])
    if not seen.any():
        return None
    prompt = table["id"][seen]
    mine, theirs = (np.ma.getdata(values)[seen] for values in both)
    how: dict[str, Any] = {"seed": seed, "resamples": resamples}
    figures: dict[str, Estimate] = {
        INFO.headline: unbounded_mean(mine - theirs, prompt, **how),
        "reward": unbounded_mean(mine, prompt, **how),
        "original_reward": unbounded_mean(theirs, prompt, **how),
        "reward_win_rate": mean_estimate((np.sign(mine - theirs) + 1) / 2, prompt),
    }
    return Result(figures[INFO.headline], figures, n_failed=int((~seen).sum()))
