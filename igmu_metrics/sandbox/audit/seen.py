"""What was seen in the images of one version: the table that all figures of the audit are computed from.

Conventions: rows are sorted by prompt and seed, and all versions of a task have the same prompts and seeds. Besides the
columns of `metrics._aspects.judged_rows` a table has `attack_source_id` and `reference_loss`: (s_org − s_unl)/s_org of
the CLIP scores, prompts stripped as the reference does it, NaN where s_org is 0; and `pale_features`, those of the
original's images with their contrast halved. A *draw* is a choice of prompts of each split, as places in the sorted
list of that split's prompts: `draws[split]` has the shape (draws, prompts).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from igmu_data.schema import SPLITS
from igmu_metrics.generations import Generations

Cell = tuple[str, str]  # task and version
Draws = Mapping[str, npt.NDArray[np.intp]]
REFERENCE: Final = "reference_loss"
PALE: Final = "pale_features"


def prompts(seen: Generations, split: str) -> npt.NDArray[np.str_]:
    """The sorted prompts of a split."""
    return np.unique(seen["id"][seen["split"] == split])


def sizes(seen: Generations) -> dict[str, int]:
    """How many prompts each split has."""
    return {split: len(prompts(seen, split)) for split in SPLITS}


def everything(sizes: Mapping[str, int]) -> Draws:
    """The one draw of all prompts."""
    return {split: np.arange(size)[None] for split, size in sizes.items()}


def random_draws(sizes: Mapping[str, int], n: int | None, *, draws: int, seed: int = 0) -> Draws:
    """Prompts without replacement, in random order.

    Args:
        sizes: prompts of each split.
        n: how many of each split, or all where it has fewer; None: half of each.
        draws: how many draws.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    return {
        split: np.argsort(rng.random((draws, size)), axis=1)[:, : (size + 1) // 2 if n is None else n]
        for split, size in sorted(sizes.items())
    }
