"""Fréchet distance, KID and CMMD: how far the unlearned model's images are, as a set, from the original model's.

Goal: to detect damage to what should be retained (or how much forget images have changed) without pairing images.

Conventions: there is one feature vector per generation, from the same named backbone for both sets. `fid` is reported
only for Inception features, and `cmmd` only for CLIP features. All values are 0 for equal distributions; a lower value
means that the sets are closer. KID is not scaled by 1000; CMMD is scaled by 1000, as published.

Usually, both models generate for the same prompts. `kid` and `cmmd_unbiased` are Hoeffding's (1948) U-statistic over
prompts for the squared MMD of Gretton et al. (2012): generations of the same prompt are never paired, either within a
set or across sets, because this would bias the value below zero. Without prompts, every generation counts as a separate
prompt, and the sets share none; if only some prompts are shared, only their pairs are left out. `cmmd` is computed as
published and includes all pairs, even those of an image with itself.

Intervals are over prompts (`mmd`, `jackknife`). There is no bootstrap, because sampling with replacement increases a
Fréchet distance (measured: 63.7 instead of 53.2). The interval of the Fréchet distance applies to the given n and does
not cover the bias that depends on n.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import InputError
from igmu_data.schema import SPLITS
from igmu_metrics.contract import Estimate, Extract, FloatArray, Interval, MetricInfo, Result, Table
from igmu_metrics.distances import gaussian
from igmu_metrics.distances.mmd import MIN_PROMPTS
from igmu_metrics.generations import ORIGINAL, Generations
from igmu_metrics.metrics._rows import Column, prompts, taking_lists, unit

INFO = MetricInfo(
    name="frechet",
    version=3,
    title="Fréchet distance, KID and CMMD",
    summary="Distance between the feature distributions of unlearned and original images.",
    headline="frechet_distance",
    direction="lower",
    range=(0.0, float("inf")),
    backbone="inception",
    extracts=(
        Extract("features", "images", "image_features"),
        Extract("original_features", "original_images", "image_features"),
        Extract("feature_name", "images", "backbone_name"),
    ),
    references=(
        "Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium, 2017",
        "Bińkowski et al., Demystifying MMD GANs, 2018",
        "Gretton et al., A Kernel Two-Sample Test, 2012",
        "Jayasumana et al., Rethinking FID: Towards a Better Evaluation Metric for Image Generation, 2024",
        "Parmar et al., On Aliased Resizing and Surprising Subtleties in GAN Evaluation (clean-fid), 2022",
    ),
    limits=(
        "The Fréchet distance is biased upward by tens of points below 5,000 generations: compare it only at equal n, "
        "and base conclusions on KID or CMMD. It does not measure whether an image shows what its prompt asked for. "
        "Without prompt ids, KID and CMMD cannot leave out pairs of the same prompt, so two models on the same prompts "
        "appear closer than they are."
    ),
    parts={split: (split,) for split in SPLITS},
    place=40,
    figures={
        "frechet_distance": "Fréchet distance between normal distributions fitted to the features of both models' "
        "images; 0 if they are equal. Compare it only for equal numbers of images.",
        "fid": "Fréchet distance of Inception features, which is usually called FID.",
        "kid": "Squared maximum mean discrepancy of the features, with a cubic kernel and not scaled by 1000; "
        "unbiased, so it can be slightly below 0.",
        "cmmd": "Squared maximum mean discrepancy of CLIP features, with a Gaussian kernel and scaled by 1000; biased "
        "upward, as published.",
        "cmmd_unbiased": "CMMD without pairs of images of the same prompt; unbiased, so it can be slightly below 0.",
    },
)
NEEDS = ("features", "features_original")
USES = ("id",)
ENOUGH = 5000
Distance = Callable[..., float]


@taking_lists
def rows(
    *,
    features: npt.ArrayLike,
    original_features: npt.ArrayLike,
    feature_name: str,
    ids: Column | None = None,
    seeds: Column | None = None,
    original_ids: Column | None = None,
    original_seeds: Column | None = None,
) -> Generations:
    """Check two sets of features.

    Args:
        features: (n, d) features of the unlearned model's images, n ≥ 2.
        original_features: (m, d) features of the original model's images, m ≥ 2.
        feature_name: name of the backbone that both come from (`inception:clean`, `clip:openai/…`, `dinov2:…`).
        ids: (n,) prompt ids; None if every generation has its own prompt, and no prompts are shared with the originals.
        seeds: (n,) seeds, required if ids repeat.
        original_ids: (m,) prompt ids of the originals; equal ids mean the same prompt.
        original_seeds: (m,) seeds of the originals.

    Raises:
        InputError: features that cannot be compared, or empty or duplicate entries.
    """
    x, y = gaussian.matrix("features", features), gaussian.matrix("original_features", original_features)
    gaussian.check_pair("features", x, "original_features", y)
    if not feature_name:
        raise InputError("feature_name is empty; pass the name of the backbone that computed the features.")
    size = max(len(x), len(y))
    # The sets may differ in size: the smaller one is padded with empty rows.
    columns: dict[str, npt.NDArray[Any]] = {"features": _filled(x, size), "features_original": _filled(y, size)}
    for prefix, name, n, given, given_seeds in (
        ("", "id", len(x), ids, seeds),
        ("original_", "id_original", len(y), original_ids, original_seeds),
    ):
        prompt = prompts(n, given, given_seeds, prefix=prefix)
        if given is not None:
            columns[name] = np.concatenate([prompt, np.full(size - n, "")])
    return Generations(columns, {"feature_name": feature_name, "unpaired": True}).with_facts(**unit(ids, original_ids))


def score(table: Table, *, seed: int = 0, resamples: int = 2000) -> Result | None:
    """All distances that can be computed from the features.

    Args:
        table: from `rows`, or from an evaluation: `features` of both models and possibly `id`. Fact: `feature_name`.
        seed: random seed of the weights for the interval of the Fréchet distance.
        resamples: not used.

    Returns:
        `frechet_distance` and `kid`; for Inception features also `fid`, the same number under its usual name; and for
        CLIP features also `cmmd` (as published, biased) and `cmmd_unbiased`. A lower value is closer to the original.

    Means 1 and 4, variances 2 and 8: (1−4)² + 2 + 8 − 2·√16 = 11.

    >>> given = rows(features=[[0.0], [2.0]], original_features=[[2.0], [6.0]], feature_name="mine")
    >>> round(score(given).headline.value, 9)
    11.0
    """
    (x, x_ids), (y, y_ids) = (_set(table, suffix) for suffix in ("", ORIGINAL))
    if min(len(x), len(y)) < 2:
        return None
    n_prompts, n_original = (len(np.unique(i)) if i is not None else len(f) for i, f in ((x_ids, x), (y_ids, y)))
    name = str(table.facts["feature_name"])
    backbone = name.partition(":")[0]

    fewest = min(n_prompts, n_original)
    few = fewest < MIN_PROMPTS

    def estimated(value: Distance, estimate: Callable[..., tuple[float, Interval]]) -> Estimate:
        if fewest < 2:
            why = "not defined, because there is only one prompt and pairs must be of different prompts"
            return Estimate(float("nan"), None, n_prompts, len(x), why)
        if few:
            found = value(x, y, x_ids=x_ids, y_ids=y_ids)
            why = f"no interval, because there are fewer than {MIN_PROMPTS} prompts"
            return Estimate(found, None, n_prompts, len(x), why)
        return Estimate(*estimate(x, y, x_ids=x_ids, y_ids=y_ids), n_prompts, len(x))

    if few:
        value, interval = gaussian.frechet_distance(x, y), None
    else:
        value, interval = gaussian.frechet_estimate(x, y, x_ids=x_ids, y_ids=y_ids, seed=seed)
    distance = Estimate(value, interval, n_prompts, len(x), _caution(len(x), len(y), backbone))
    figures = {INFO.headline: distance}
    if backbone == "inception":
        figures["fid"] = distance
    figures["kid"] = estimated(gaussian.kid, gaussian.kid_estimate)
    if backbone == "clip":
        published = "no interval, because it is biased upward, as published; 'cmmd_unbiased' has an interval"
        figures["cmmd"] = Estimate(gaussian.cmmd(x, y), None, n_prompts, len(x), published)
        figures["cmmd_unbiased"] = estimated(partial(gaussian.cmmd, unbiased=True), gaussian.cmmd_estimate)
    return Result(distance, figures, {"features": name})


def _filled(rows: FloatArray, size: int) -> FloatArray:
    """The rows, padded with rows of NaN to the given size."""
    return np.concatenate([rows, np.full((size - len(rows), rows.shape[1]), np.nan)])


def _set(table: Table, suffix: str) -> tuple[FloatArray, npt.NDArray[np.str_] | None]:
    """The features of one model, without empty rows, and their prompts if these are known."""
    rows = table[f"features{suffix}"]
    there = ~np.isnan(rows).any(axis=1)
    name = f"id{suffix}" if "unpaired" in table.facts else "id"
    return rows[there], table[name][there] if name in table else None


def _caution(n: int, n_original: int, backbone: str) -> str:
    """A caution about a Fréchet distance of few generations; "" from 5,000 on."""
    if min(n, n_original) >= ENOUGH:
        return ""
    unbiased = "'kid' or 'cmmd_unbiased'" if backbone == "clip" else "'kid'"
    unequal = f"; the sets also differ in size ({n} and {n_original}), which affects it" if n != n_original else ""
    return (
        f"biased upward, because there are fewer than {ENOUGH:,} generations ({min(n, n_original)}); compare only at "
        f"equal n, or use {unbiased}, which is unbiased{unequal}"
    )
