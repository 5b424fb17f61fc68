"""Question accuracy: do images for general prompts still show what the prompts describe?

Goal: to measure preservation on general prompts, which are not about any concept. Each prompt comes with yes/no
questions and the intended answers; a vision-language model answers these questions for the images of both models.

Conventions:

- A *share* belongs to one image: the proportion of its prompt's answered questions that were answered as intended.
  Every image has the same weight, however many questions it has, and the prompt is the unit of the intervals.
- `question_preservation` is the unlearned model's mean share divided by the original's, paired by prompt and seed, and
  at most 1, so that unlearning is not blamed for things that the original did not show either. Every prompt has the
  same weight.
- The metric is reported alongside the forget score but is not part of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import EmptyInputError
from igmu_metrics.contract import Estimate, MetricInfo, Result, Table
from igmu_metrics.generations import Generations
from igmu_metrics.metrics._rows import Column, prompts, taking_lists, unit
from igmu_metrics.statistics import cluster_sums, mean_estimate, product_of_ratios, validation

INFO = MetricInfo(
    name="question_accuracy",
    version=2,
    title="Question accuracy",
    summary="Share of questions about images for general prompts that were answered as intended, relative to the "
    "original.",
    headline="question_preservation",
    direction="higher",
    range=(0.0, 1.0),
    references=(
        "Hu et al., TIFA: accurate and interpretable text-to-image faithfulness evaluation with question answering, "
        "ICCV 2023",
    ),
    limits=(
        "The shares depend on the model that answers and on its errors: a model that always says yes answers most "
        "questions as intended, for the unlearned and the original model alike. Report the shares as well as their "
        "ratio."
    ),
    parts={"": ("retain",)},
    place=35,
    figures={
        "question_preservation": "Share of the questions about images for general prompts that are answered as "
        "intended, relative to the original's images, and at most 1.",
        "question_accuracy": "Share of the questions about images for general prompts that are answered as intended, "
        "according to a vision-language model.",
    },
)
NEEDS = ("id", "answered", "answered_original")


@taking_lists
def rows(
    *,
    answered: npt.ArrayLike,
    original_answered: npt.ArrayLike,
    ids: Column | None = None,
    seeds: Column | None = None,
) -> Generations:
    """Check the shares.

    Args:
        answered: (n,) share, 0..1, of the questions about the unlearned model's image that were answered as intended;
            None or masked if none was answered.
        original_answered: (n,) the same share for the original model's image for the same prompt and seed.
        ids: (n,) prompt ids, the unit of the intervals; None if every generation has its own prompt.
        seeds: (n,) seeds; with `ids`, duplicates are refused.

    Returns:
        A table with `id`, `answered` and `answered_original`.

    Raises:
        InputError: shares that are empty, not finite or not in 0..1, or lengths that differ.
    """
    n = validation.same_length(answered=answered, original_answered=original_answered, ids=ids, seeds=seeds)
    shares = {
        "answered": validation.numbers("answered", answered, low=0.0, high=1.0),
        "answered_original": validation.numbers("original_answered", original_answered, low=0.0, high=1.0),
    }
    if all(np.ma.getmaskarray(values).all() for values in shares.values()):
        raise EmptyInputError(f"answered: all {n} entries are masked, so there is nothing to score.")
    columns: dict[str, Any] = {"id": prompts(n, ids, seeds), **shares}
    return Generations(columns).with_facts(**unit(ids))


def score(table: Table, *, seed: int = 0, resamples: int = 2000) -> Result | None:
    """Mean shares of both models and their ratio, with 95% intervals; higher is better for all of them.

    Args:
        table: from `rows`, or from an evaluation of config `general`: `id`, and `answered` of both models.
        seed: random seed of the bootstrap over prompts.
        resamples: number of bootstrap resamples.

    Returns:
        `question_preservation` (the headline; without interval for fewer than 20 prompts), `question_accuracy` of the
        unlearned model, `original_question_accuracy`, and the count `n_unanswered`: pairs of images that are left out
        because at least one of the two images has no answer.

    For three images, the unlearned model gets 3/4, all and 1/4 of the questions right; the original gets all, all and
    1/2 right.

    >>> figures = score(rows(answered=[0.75, 1, 0.25], original_answered=[1, 1, 0.5])).figures
    >>> for name, figure in figures.items():
    ...     print(f"{name} {figure.value:.3f} ({figure.n_generations})")
    question_preservation 0.800 (3)
    question_accuracy 0.667 (3)
    original_question_accuracy 0.833 (3)
    n_unanswered 0.000 (3)
    """
    both = [table[name] for name in NEEDS[1:]]
    seen = ~np.ma.getmaskarray(both[0]) & ~np.ma.getmaskarray(both[1])
    if not len(seen):
        return None
    prompt = table["id"][seen]
    mine, theirs = (np.ma.getdata(values)[seen] for values in both)
    empty = "no pair of images has answers for both models"
    if not len(mine) or not theirs.any():
        reason = "no question about the original's images was answered as intended" if len(mine) else empty
        ratio = Estimate(float("nan"), reason=reason)
    else:
        sums = cluster_sums(prompt, mine, theirs, np.ones(len(mine)))
        ratio = product_of_ratios([(sums[:, 0] / sums[:, 2], sums[:, 1] / sums[:, 2])], seed=seed, resamples=resamples)
        ratio = replace(ratio, n_generations=len(mine))
    figures = {
        INFO.headline: ratio,
        "question_accuracy": mean_estimate(mine, prompt, empty=empty),  # of shares: never a point where all agree
        "original_question_accuracy": mean_estimate(theirs, prompt, empty=empty),
        "n_unanswered": Estimate(float((~seen).sum()), n_generations=len(seen)),
    }
    return Result(ratio, figures, n_failed=int((~seen).sum()))
