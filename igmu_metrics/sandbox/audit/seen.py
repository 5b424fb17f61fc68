"""What was seen in the pictures of one version, a line a generation: all that the audit computes from.

Conventions: lines are sorted by prompt and seed, and all versions of a task have the same prompts and seeds. A *draw*
is a choice of prompts of each split, as places in the sorted list of that split's prompts: `draws[split]` has the shape
(draws, prompts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from igmu_data.schema import SPLITS
from igmu_metrics.contract import BoolArray, FloatArray

Cell = tuple[str, str]  # task and version
Draws = Mapping[str, npt.NDArray[np.intp]]
CORPUS: Final = "corpus"  # how prompts were stripped for CSDR
REFERENCE: Final = "reference"


@dataclass(frozen=True, slots=True)
class Seen:
    """The generations of one version for one task; every array has one entry a generation.

    Args:
        prompt: id.
        seed: of the starting noise.
        split: forget, retain or adversarial.
        probe: of retain rows.
        own: the concept that is judged, "" where none is.
        family: of attacks.
        source: the plain prompt of an attacked one, "" elsewhere.
        judged: whether the detector answered, for both models.
        present: the judged concept is visible.
        drawn: it is in the original's picture.
        noisy: `present` as a detector that errs would have it.
        loss: by way of stripping, (s_org − s_unl)/s_org of the CLIP scores, NaN where s_org is 0.
        features: (n, d).
        original_features: (n, d).
    """

    prompt: npt.NDArray[np.str_]
    seed: npt.NDArray[Any]
    split: npt.NDArray[np.str_]
    probe: npt.NDArray[np.str_]
    own: npt.NDArray[np.str_]
    family: npt.NDArray[np.str_]
    source: npt.NDArray[np.str_]
    judged: BoolArray
    present: BoolArray
    drawn: BoolArray
    noisy: BoolArray
    loss: Mapping[str, FloatArray]
    features: FloatArray
    original_features: FloatArray

    def prompts(self, split: str) -> npt.NDArray[np.str_]:
        """The sorted prompts of a split."""
        return np.unique(self.prompt[self.split == split])

    @property
    def sizes(self) -> dict[str, int]:
        """How many prompts each split has."""
        return {split: len(self.prompts(split)) for split in SPLITS}


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
