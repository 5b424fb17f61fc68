"""CLIP alignment and CSDR: how well images match their prompts, and how much unlearning changed this.

Goal: text-image alignment of the unlearned model, and the CLIP score difference rate relative to the original model.

Conventions:

- There is one cosine per generation, on three named scales: `cosine`, `clipscore` = 100·max(cos, 0) and `hessel` =
  2.5·max(cos, 0). The maximum is taken for each image before averaging (torchmetrics applies it to the mean).
- CSDR compares the unlearned and the original image for the same prompt and seed, both with the *stripped* prompt,
  where s = clipscore: `csdr` = mean |s_org − s_unl| / s_org, and `csdr_signed` = mean (s_org − s_unl) / s_org, in which
  a loss is positive and an improvement does not count as damage. These are fractions, not percentages.
- A pair with s_org = 0 is left out of both values and counted in `n_unscored_pairs`.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import InputError
from igmu_data.numerals import counted
from igmu_metrics.contract import CROSS, PARTS, BoolArray, Estimate, Extract, FloatArray, MetricInfo, Result, Table
from igmu_metrics.distances.gaussian import unit_rows
from igmu_metrics.generations import Generations
from igmu_metrics.metrics._rows import Column, prompts, renamed, taking_lists, unit
from igmu_metrics.statistics import unbounded_mean, validation

INFO = MetricInfo(
    name="clip_alignment",
    version=2,
    title="CLIP alignment and CSDR",
    summary="How well images match their prompts, and how much unlearning changed this.",
    headline="cosine",
    direction="higher",
    range=(-1.0, 1.0),
    backbone="clip",
    extracts=(
        Extract("features", "images", "image_features"),
        Extract("text_features", "prompts", "text_features"),
        Extract("original_features", "original_images", "image_features", required=False),
        Extract("stripped_text_features", "stripped_prompts", "text_features", required=False),
    ),
    references=(
        "Hessel et al., CLIPScore: A Reference-free Evaluation Metric for Image Captioning, 2021",
        "IGMU, the reference implementation of CSDR (ryliu68/IGMU)",
    ),
    limits=(
        "CLIP reads at most 77 tokens; it is weak at counting, negation and positions, and detectors based on CLIP "
        "share its weaknesses. Cosines from different CLIP models cannot be compared."
    ),
    parts={part: (part,) for part in PARTS if part != CROSS},
    place=30,
    figures={
        "cosine": "Cosine similarity of the CLIP features of an image and its prompt; higher means a better match. "
        "Compare it only between models scored with the same CLIP.",
        "clipscore": "Cosine similarity of an image and its prompt, times 100; negative cosines count as 0.",
        "hessel": "Cosine similarity of an image and its prompt, times 2.5, as in the CLIPScore paper; negative "
        "cosines count as 0.",
        "csdr": "How much unlearning changed the CLIP score of images and their prompts without the concept, up or "
        "down, as a share of the original's score; lower is better.",
        "csdr_signed": "How much unlearning lowered the CLIP score of images and their prompts without the concept, as "
        "a share of the original's score; an increase is negative.",
    },
)
NEEDS = ("id", "alignment")
USES = ("stripped_alignment", "stripped_alignment_original")
_BOUNDS = {
    "cosine": (-1.0, 1.0),
    "clipscore": (0.0, 100.0),
    "hessel": (0.0, 2.5),
    "csdr": (0.0, inf),
    "csdr_signed": (-inf, 1.0),
}
VARIANTS = {"cosine": "the cosine itself", "clipscore": "100·max(cos, 0)", "hessel": "2.5·max(cos, 0)"}


@renamed(image_features="features", original_image_features="original_features")
@taking_lists
def rows(
    *,
    features: npt.ArrayLike,
    text_features: npt.ArrayLike,
    original_features: npt.ArrayLike | None = None,
    stripped_text_features: npt.ArrayLike | None = None,
    ids: Column | None = None,
    seeds: Column | None = None,
    variant: str = "cosine",
) -> Generations:
    """Compute the cosines of embeddings.

    Args:
        features: (n, d) CLIP embeddings of the unlearned model's images, of any length ≠ 0.
        text_features: (n, d) CLIP embeddings of their prompts, one row per generation.
        original_features: (n, d) embeddings of the original model's images for the same prompts and seeds.
        stripped_text_features: (n, d) embeddings of the prompts without the concept; for retain prompts, these are the
            same as `text_features`.
        ids: (n,) prompt ids, the unit of resampling; None if every generation has its own prompt.
        seeds: (n,) seeds; with `ids`, duplicates are refused.
        variant: scale of the headline: `cosine`, `clipscore` or `hessel`.

    Returns:
        A table with `id` and `alignment`; with originals and stripped prompts also `stripped_alignment` and
        `stripped_alignment_original`.

    Raises:
        InputError: embeddings that are empty, not finite, of different shapes or all zero; an unknown variant.
    """
    validation.one_of("variant", [variant], VARIANTS)
    image = unit_rows("features", features)
    n = len(image)
    columns: dict[str, npt.NDArray[Any]] = {
        "id": prompts(n, ids, seeds),
        "alignment": cosine("features", image, "text_features", unit_rows("text_features", text_features)),
    }
    missing = ""
    if original_features is not None and stripped_text_features is not None:
        original = unit_rows("original_features", original_features)
        stripped = unit_rows("stripped_text_features", stripped_text_features)
        columns["stripped_alignment"] = cosine("features", image, "stripped_text_features", stripped)
        columns["stripped_alignment_original"] = cosine(
            "original_features", original, "stripped_text_features", stripped
        )
    elif original_features is not None:
        missing = "stripped_text_features"
    elif stripped_text_features is not None:
        missing = "original_features"
    return Generations(columns).with_facts(variant=variant, missing=missing or None, **unit(ids))


def score(table: Table, *, seed: int = 0, resamples: int = 2000) -> Result | None:
    """Mean alignment on three scales, and CSDR if the original's images are known.

    Args:
        table: from `rows`, or from an evaluation: `id`, `alignment`, and possibly `stripped_alignment` of both models.
            Fact: `variant`.
        seed: random seed of the bootstrap over prompts.
        resamples: number of bootstrap resamples.

    Returns:
        `cosine`, `clipscore` and `hessel` (higher is better; the chosen variant is the headline); with originals and
        stripped prompts also `csdr`, `csdr_signed` (lower is better) and the count `n_unscored_pairs`.

    Image (3, 4) and text (1, 0) have cosine 3/5; the original image (4, 3) has 4/5. So CSDR is (80 − 60)/80.

    >>> given = rows(features=[[3, 4]], text_features=[[1, 0]],
    ...              original_features=[[4, 3]], stripped_text_features=[[2, 0]])
    >>> for name, figure in score(given).figures.items():
    ...     print(f"{name} {figure.value:.2f}")
    cosine 0.60
    clipscore 60.00
    hessel 1.50
    csdr 0.25
    csdr_signed 0.25
    n_unscored_pairs 0.00
    """
    measured = ~np.ma.getmaskarray(table["alignment"])
    if not measured.any():
        return None
    prompt, cosines = table["id"][measured], np.ma.getdata(table["alignment"])[measured]
    positive = np.maximum(cosines, 0.0)
    scales = {"cosine": cosines, "clipscore": 100.0 * positive, "hessel": 2.5 * positive}
    figures = {
        name: unbounded_mean(v, prompt, seed=seed, resamples=resamples, bounds=_BOUNDS[name])
        for name, v in scales.items()
    }
    missing = str(table.facts.get("missing", ""))
    if "stripped_alignment" in table and "stripped_alignment_original" in table:
        figures |= _csdr(table, measured, seed=seed, resamples=resamples)
    elif missing:
        why = f"not computed, because {missing} were not given"
        figures |= {name: Estimate(float("nan"), reason=why) for name in ("csdr", "csdr_signed")}
    settings = {"variant": str(table.facts.get("variant", "cosine"))} | ({"missing": missing} if missing else {})
    return Result(figures[settings["variant"]], figures, settings, n_failed=int((~measured).sum()))


def _csdr(table: Table, measured: BoolArray, *, seed: int, resamples: int) -> dict[str, Estimate]:
    unlearned, original = (
        np.maximum(np.ma.getdata(table[name])[measured], 0.0)
        for name in ("stripped_alignment", "stripped_alignment_original")
    )
    scored = original > 0.0
    left_out = int((~scored).sum())
    reason = (
        f"{left_out} of {counted(len(scored), 'pair')} left out, because the original's score is 0" if left_out else ""
    )
    loss = (original[scored] - unlearned[scored]) / original[scored]
    values = {"csdr": np.abs(loss), "csdr_signed": loss}
    prompt = table["id"][measured][scored]
    figures = {
        name: unbounded_mean(
            v,
            prompt,
            seed=seed,
            resamples=resamples,
            bounds=_BOUNDS[name],
            reason=reason,
            empty="the original's score is 0 in all pairs",
        )
        for name, v in values.items()
    }
    return figures | {"n_unscored_pairs": Estimate(float(left_out), n_generations=len(scored))}


def cosine(name: str, a: FloatArray, other_name: str, b: FloatArray) -> FloatArray:
    """(n,) cosines of unit rows, clipped to −1..1 to correct rounding."""
    if a.shape != b.shape:
        raise InputError(
            f"{name} has shape {a.shape}, but {other_name} has {b.shape}. Pass one row per generation in both, "
            "computed with the same CLIP model."
        )
    return np.asarray(np.clip((a * b).sum(axis=1), -1.0, 1.0))
