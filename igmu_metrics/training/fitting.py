"""Fits a head to features and chooses its threshold: pure functions of arrays, with the same result for the same seed.

Conventions: `shown` is True where the concept is present. Both classes have the same weight, however rare one is:
batches have as many positives as negatives, so p is the probability at even odds. Always on the CPU and in float32,
where equal seeds give equal bytes (on the same machine, with the same number of threads and version of torch).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Final

import numpy as np

from igmu_data.errors import EmptyInputError
from igmu_metrics.contract import BoolArray, FloatArray
from igmu_metrics.detectors._common import finite, sigmoid
from igmu_metrics.detectors._head_file import shapes
from igmu_metrics.detectors.igmu_head import logits

if TYPE_CHECKING:
    import torch

DROPOUT: Final = 0.3  # as the reference's heads
LEARNING_RATE: Final = 1e-3
WEIGHT_DECAY: Final = 1e-2
BATCH: Final = 64
CHECK_EVERY: Final = 25


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted head.

    Args:
        weights: with the names in `shapes`; class 1 means that the concept is present.
        step: with the lowest loss on the validation part.
        loss: at this step: the mean cross-entropy of positives and of negatives, averaged.
    """

    weights: Mapping[str, torch.Tensor]
    step: int
    loss: float


def split_off(digests: Sequence[str], shown: BoolArray, fraction: float, seed: int) -> BoolArray:
    """(n,) True for the images of the validation part: a share of each class, at least one image each.

    The choice depends only on the images and the seed, not on their order; equal images stay together.

    Args:
        digests: of each image.
        shown: which of them show the concept.
        fraction: of each class, 0..1.
        seed: of the choice.

    Raises:
        EmptyInputError: a class has fewer than two different images.
    """
    held = np.zeros(len(shown), dtype=np.bool_)
    for present in (True, False):
        own = {d for d, s in zip(digests, shown, strict=True) if s == present}
        if len(own) < 2:
            raise EmptyInputError(
                f"training needs at least two different images {'with' if present else 'without'} the concept, one to "
                f"fit and one to choose the threshold; found {len(own)}. Add images."
            )
        order = sorted(own, key=lambda digest: hashlib.sha256(f"{seed} {digest}".encode()).digest())
        chosen = set(order[: min(len(own) - 1, max(1, round(fraction * len(own))))])
        held |= np.array([s == present and d in chosen for d, s in zip(digests, shown, strict=True)])
    return held


def fit(
    features: FloatArray,
    shown: BoolArray,
    validation: tuple[FloatArray, BoolArray],
    *,
    steps: int,
    seed: int,
    tick: Callable[[int], None] = lambda n: None,
) -> Fit:
    """Fit a head with AdamW, and keep the weights with the lowest loss on the validation part.

    Args:
        features: (n, width) features to fit to.
        shown: (n,) which of them show the concept; both classes must occur.
        validation: features and labels of the validation part.
        steps: with 64 images each.
        seed: for the initial weights, the batches and the dropout.
        tick: called with the number of steps just finished.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    generator = torch.Generator().manual_seed(seed)
    weights = {name: tensor.requires_grad_() for name, tensor in _first_weights(features.shape[1], generator).items()}
    optimizer = torch.optim.AdamW(weights.values(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    groups = [torch.as_tensor(features[shown == present], dtype=torch.float32) for present in (True, False)]
    held = [torch.as_tensor(validation[0][validation[1] == p], dtype=torch.float32) for p in (True, False)]
    targets = torch.cat([torch.ones(BATCH // 2), torch.zeros(BATCH // 2)])

    def dropout(hidden: torch.Tensor) -> torch.Tensor:
        return hidden * (torch.rand(hidden.shape, generator=generator) >= DROPOUT) / (1 - DROPOUT)

    def validation_loss() -> float:
        with torch.no_grad():
            positives, negatives = (logits(weights, group) for group in held)
            both = (
                cross_entropy(positives, torch.ones_like(positives)),
                cross_entropy(negatives, torch.zeros_like(negatives)),
            )
            return float(sum(both)) / 2

    best = Fit(_copied(weights), 0, validation_loss())
    for step in range(1, steps + 1):
        batch = [g[torch.randint(len(g), (BATCH // 2,), generator=generator)] for g in groups]
        optimizer.zero_grad()
        torch.autograd.backward(cross_entropy(logits(weights, torch.cat(batch), dropout), targets))
        optimizer.step()
        if step % CHECK_EVERY == 0 or step == steps:
            if (loss := validation_loss()) < best.loss:
                best = Fit(_copied(weights), step, loss)
            tick((step - 1) % CHECK_EVERY + 1)
    return best


def judged(weights: Mapping[str, torch.Tensor], features: FloatArray) -> FloatArray:
    """(n,) probability that the concept is present, as in the detector `igmu-head`."""
    import torch

    with torch.inference_mode():
        found = logits(weights, torch.as_tensor(features, dtype=torch.float32)).double().numpy()
    return sigmoid(finite(found, "logits of the head"))


def youden_threshold(p: FloatArray, shown: BoolArray) -> float:
    """The threshold with the largest sensitivity + specificity - 1 (Youden's J), in the middle of a gap.

    If several gaps between neighboring probabilities are equally good, the widest is used, and of equally wide ones the
    lowest; if all probabilities are equal, the threshold is 0.5.

    Args:
        p: (n,) probabilities, 0..1.
        shown: (n,) whether the concept is present; both classes must occur.

    Two negatives are at 0.1 and 0.2, an outlier at 0.9, and two positives at 0.6 and 0.8: below 0.6, every positive is
    found and two of three negatives pass.

    >>> round(youden_threshold(np.array([0.1, 0.2, 0.9, 0.6, 0.8]), np.array([False, False, False, True, True])), 12)
    0.4

    References:
        Youden, "Index for rating diagnostic tests", Cancer 3, 1950.
    """
    values = np.unique(p)
    if len(values) < 2:
        return 0.5
    lower, upper = values[:-1], values[1:]
    positives, negatives = np.sort(p[shown]), np.sort(p[~shown])
    missed = np.searchsorted(positives, lower, side="right") / len(positives)
    passed = np.searchsorted(negatives, lower, side="right") / len(negatives)
    index = passed - missed
    cut = int(np.argmax(np.where(index >= index.max() - 1e-12, upper - lower, -1.0)))
    middle = float((lower[cut] + upper[cut]) / 2)
    return middle if middle > lower[cut] else float(upper[cut])


def auroc(p: FloatArray, shown: BoolArray) -> float:
    """Probability that a positive scores higher than a negative, ties counting half; 1 is best, 0.5 is chance.

    >>> auroc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    return float(placements(p, shown).mean())


def placements(p: FloatArray, shown: BoolArray) -> FloatArray:
    """(positives,) for each positive, the share of negatives with a lower probability, ties counting half."""
    negatives = np.sort(p[~shown])
    below = np.searchsorted(negatives, p[shown], side="left") + np.searchsorted(negatives, p[shown], side="right")
    return np.asarray(below / (2 * len(negatives)), dtype=np.float64)


def _first_weights(width: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """As torch starts its modules: ones and zeros for the normalisation, uniform in ±1/√(inputs) elsewhere."""
    import torch

    sizes, out = shapes(width), {}
    for name, shape in sizes.items():
        layer, _, kind = name.rpartition(".")
        if layer == "classifier.0":
            out[name] = torch.ones(shape) if kind == "weight" else torch.zeros(shape)
        else:
            bound = 1 / sqrt(sizes[f"{layer}.weight"][1])
            out[name] = torch.empty(shape).uniform_(-bound, bound, generator=generator)
    return out


def _copied(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}
