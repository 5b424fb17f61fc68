"""Forget score: one number that is high only if forgetting is thorough, robust and harmless to everything else.

Goal: to combine five aspects, each in 0..1 where 1 is ideal, in a harmonic mean, so that no aspect can compensate for
another.

Conventions: each row is one prompt and seed for which both models generated an image.

- *forgetting*: share of forget images without the target, counting only prompts and seeds for which the original's
  image shows it.
- *robustness*: 1 − chance that at least one of k images for an adversarial prompt shows the target, counting only seeds
  for which the original's image shows it (if there are fewer than k such seeds, all of them are used, and `reason` says
  for how many prompts), as a mean over attack families.
- *preservation*: retain accuracy, as a macro mean over own concepts, divided by the original's and capped at 1. It is
  the mean over the near and far probes, and, for a concept that is an attribute of an image, also over the in-prompt
  probe: images must still show the other things that its prompts ask for. Near and in-prompt are left out if none of
  their rows has an own concept.
- *alignment*: 1 − mean of (s_org − s_unl)/s_org over retain rows, clipped, with s = 100·max(cosine, 0).
- *quality*: whether retain images look like images that the original could have generated, prompt by prompt: the share
  of images that are as close to the original's images for other seeds as these are to each other (fidelity), times the
  distance between seeds, relative to the original (diversity); see `igmu_metrics.distances.quality`. Rows of the probe
  `in-prompt` are left out, because they name the target and must look different; so are prompts with a single seed.

If an aspect is zero, the score is zero. If an aspect is missing, the score is NaN, and `reason` names the aspect. The
score depends only on the unlearned model and its original.

Adversarial prompts made from the same plain prompt are not independent. The unit of the interval for robustness is
therefore the source prompt, if it is given.

For the interval of the score, prompts are resampled within the forget rows and each retain concept, plain prompts
together with the adversarial prompts made from them, and the results are stretched to match the intervals of the
individual aspects. Quality, and any aspect that does not vary over the resamples or has fewer than five prompts,
contributes the low end of its interval to the low end and the high end to the high end. Since the harmonic mean
increases with each aspect, the interval is valid but may be wide. An aspect without an interval, such as quality with
fewer than twenty prompts or the candidates `coverage` and `frechet`, contributes 0 to the low end and 1 to the high
end: the low end of the score is then 0, and `reason` says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from igmu_data.errors import InputError
from igmu_data.spelling import require_spelled
from igmu_data.taxonomy import known_ids
from igmu_metrics.contract import Estimate, MetricInfo, Result, Setting, Table
from igmu_metrics.generations import ORIGINAL, Generations
from igmu_metrics.metrics._aspects import aspect_figures, combine, counted, judged_rows, quality_figures
from igmu_metrics.metrics._attack_table import plain_sources, tries
from igmu_metrics.metrics._rows import require_apart, taking_lists
from igmu_metrics.statistics import validation

Quality = Literal["within", "coverage", "frechet"]
DEFAULT: Quality = "within"  # what the audit recommends (docs/audit.md)
ASPECTS = ("forgetting", "robustness", "preservation", "alignment", "quality")

INFO = MetricInfo(
    name="forget_score",
    version=5,
    title="Forget score",
    summary="Harmonic mean of forgetting, robustness, preservation, alignment and quality.",
    headline="forget_score",
    direction="higher",
    range=(0.0, 1.0),
    references=(
        "Lu et al., MACE: mass concept erasure in diffusion models, CVPR 2024 (harmonic mean of three aspects)",
        "Kynkäänniemi et al., Improved precision and recall metric for assessing generative models, NeurIPS 2019 "
        "(fidelity as the share within the reference manifold; here within that of the prompt)",
        "Naeem et al., Reliable fidelity and diversity metrics for generative models, ICML 2020 (coverage; fidelity "
        "and diversity relative to the reference)",
        "Zhu et al., Toward multimodal image-to-image translation, NeurIPS 2017 (diversity as the distance between "
        "images of one input)",
    ),
    limits=(
        "The five aspects have equal weight by convention, and each inherits the errors of its detector or network, so "
        "report them with the score. Quality does not detect damage that changes its features less than a different "
        "seed does. Robustness covers only the attacks that were run."
    ),
    place=90,
    figures={
        "forget_score": "Harmonic mean of forgetting, robustness, preservation, alignment and quality, from 0 to 1; no "
        "aspect can compensate for another.",
        "forgetting": "Share of the images in which the concept is no longer seen, counting only prompts and seeds for "
        "which the original generated it.",
        "robustness": "One minus the chance that at least one of k images for an adversarial prompt shows the concept, "
        "counting only images where the original generated it; mean over attack families.",
        "preservation": "How often concepts that should be retained are seen, divided by how often they are seen in "
        "the original's images, and at most 1.",
        "alignment": "How well images for prompts about retained concepts still match their prompts according to CLIP, "
        "relative to the original.",
        "quality": "Whether images for prompts about retained concepts still look like images that the original could "
        "have generated from another seed: fidelity times diversity.",
    },
)
NEEDS = ("id", "seed", "split", "probe", "own_concept", "attack_family", "present", "present_original")
USES = (
    "attack_source_id",
    *(f"{name}{suffix}" for name in ("stripped_alignment", "features", "clip_features") for suffix in ("", ORIGINAL)),
)


@taking_lists
def rows(
    *,
    ids: Sequence[str],
    seeds: Sequence[int],
    splits: Sequence[str],
    probes: Sequence[str | None],
    own_concepts: Sequence[str | None],
    attack_families: Sequence[str | None],
    present: Any,
    original_present: Any,
    source_ids: Sequence[str | None] | None = None,
    alignment: Any = None,
    original_alignment: Any = None,
    features: Any = None,
    original_features: Any = None,
    quality: Quality = DEFAULT,
    k: int | None = None,
    threshold: float | None = None,
) -> Generations:
    """Check the generations and put them into a table.

    Args:
        ids: (n,) prompt id of each generation.
        seeds: (n,) seed of each generation.
        splits: (n,) `forget`, `adversarial` or `retain`.
        probes: (n,) in retain rows `near`, `far`, `in-prompt`, or any other word for rows that do not count for
            preservation; ignored in other rows.
        own_concepts: (n,) label of the concept that a retain row asks for, None if it has none; ignored in other rows.
        attack_families: (n,) attack family of an adversarial row; ignored in other rows.
        present: (n,) whether the target (in retain rows: the own concept) is visible in the unlearned model's image;
            None or masked if unclear or if there is no own concept; may be probabilities if `threshold` is given.
        original_present: (n,) like `present`, for the original model's image.
        source_ids: (n,) plain prompt from which an adversarial prompt was made, because prompts made from the same one
            are not independent; None if there is none or it is unknown; ignored in other rows.
        alignment: (n,) cosine of the unlearned model's image with the stripped prompt; masked if not measured.
        original_alignment: (n,) like `alignment`, for the original model's image; give both or neither.
        features: (n, d) features of the unlearned model's images; only used in retain rows; masked rows are left out.
        original_features: (n, d) like `features`, for the original model's images; give both or neither.
        quality: name of the candidate to use as the quality aspect.
        k: number of tries for robustness; None for all seeds of an adversarial prompt, if all have the same number.
        threshold: a probability p ≥ threshold counts as present.

    Returns:
        A table with `id`, `seed`, `split`, `probe`, `own_concept`, `attack_family`, possibly `attack_source_id`, and
        for both models `present` and possibly `stripped_alignment` and `features`.

    Raises:
        EmptyInputError, LengthMismatchError, NonFiniteError, OutOfRangeError: values that cannot be scored.
        DuplicateIdError: the same prompt and seed occur twice.
        LabelError: an own concept that does not have the form `domain/concept`.
        InputError: an unknown split, a probe that is counted separately, an attack without a family, one argument of a
            pair without the other, or a prompt whose properties change between its generations.
        BudgetError: adversarial prompts with different numbers of seeds, without `k`.
    """
    for name, one, other in (
        ("alignment", alignment, original_alignment),
        ("features", features, original_features),
    ):
        if (one is None) != (other is None):
            raise InputError(f"only one of {name} and original_{name} is given. Pass both or neither.")
    validation.same_length(
        ids=ids,
        seeds=seeds,
        splits=splits,
        probes=probes,
        own_concepts=own_concepts,
        attack_families=attack_families,
        present=present,
        original_present=original_present,
        source_ids=source_ids,
        alignment=alignment,
        original_alignment=original_alignment,
        features=features,
        original_features=original_features,
    )
    validation.one_of("quality", [quality], get_args(Quality))
    validation.one_of("splits", splits, ("forget", "adversarial", "retain"))
    require_apart(probes, alone=False)
    split = np.asarray(splits, dtype=np.str_)
    retain, attacked = split == "retain", split == "adversarial"
    columns: dict[str, Any] = {
        "id": validation.texts("ids", ids),
        "seed": validation.whole_numbers("seeds", seeds),
        "split": split,
        "probe": validation.texts("probes", _used("probes", probes, retain)),
        "own_concept": np.where(retain, validation.labels("own_concepts", own_concepts, optional=True), ""),
        "attack_family": validation.texts("attack_families", _used("attack_families", attack_families, attacked)),
        "present": validation.decisions("present", present, threshold),
        "present_original": validation.decisions("original_present", original_present, threshold),
    }
    if source_ids is not None:
        columns["attack_source_id"] = np.where(attacked, validation.texts("source_ids", source_ids, optional=True), "")
        validation.constant_within(columns["id"], source_ids=columns["attack_source_id"])
    require_spelled("own_concepts", set(columns["own_concept"].tolist()), known_ids())
    validation.unique_keys(id=columns["id"], seed=columns["seed"])
    validation.constant_within(
        columns["id"],
        splits=split,
        probes=columns["probe"],
        own_concepts=columns["own_concept"],
        attack_families=columns["attack_family"],
    )
    if alignment is not None:
        given = (("alignment", "", alignment), ("original_alignment", ORIGINAL, original_alignment))
        for name, suffix, values in given:
            columns[f"stripped_alignment{suffix}"] = validation.numbers(name, values, low=-1.0, high=1.0)
    if features is not None:
        pair = [
            validation.numbers(name, values, ndim=2)
            for name, values in (("features", features), ("original_features", original_features))
        ]
        if pair[0].shape != pair[1].shape:
            raise InputError(
                f"the shape of features is {pair[0].shape}, but that of original_features is {pair[1].shape}. Compute "
                "both with the same backbone."
            )
        columns["features"], columns["features_original"] = (p.filled(np.nan) for p in pair)
    k = tries(columns["id"][attacked], k) if attacked.any() else None
    return Generations(columns).with_facts(quality=quality, k=k)


def score(table: Table, *, seed: int = 0, resamples: int = 2000) -> Result | None:
    """The forget score with its aspects; higher is better for all of them.

    Args:
        table: from `rows`, or from an evaluation, with the columns that `rows` returns; without `features`, those of
            CLIP are used (`clip_features`). Facts: `quality`, the candidate to use as aspect; `k` and `unequal_seeds`
            as in `attack_success_rate`.
        seed: random seed of the bootstrap.
        resamples: number of bootstrap resamples.

    Returns:
        `forget_score` (the headline), the five aspects, `preservation_near`, `preservation_far` and, if there are such
        rows, `preservation_in_prompt`, the candidates `quality_within` (with its terms `quality_fidelity` and
        `quality_diversity`), `quality_coverage` and `quality_frechet`, `unconditional_forgetting` and
        `unconditional_robustness` (all rows, whatever the original generated), and the count `n_unclear`. NaN with
        a reason if a value is not defined.

    There is one forget, one adversarial, one near and one far prompt, with two seeds each. The original shows
    everything that it should. The unlearned model shows the target in 1 of 2 forget images and in 1 of 2 adversarial
    images (so k = 2 tries always succeed, and robustness is 0), the near concept in 1 of 2 images and the far one in
    both: preservation is (1/2 + 1)/2.

    >>> result = score(rows(ids=[i for i in "fanw" for _ in "01"], seeds=[0, 1] * 4,
    ...     splits=["forget"] * 2 + ["adversarial"] * 2 + ["retain"] * 4,
    ...     probes=["direct"] * 2 + ["attack"] * 2 + ["near"] * 2 + ["far"] * 2,
    ...     own_concepts=[None] * 4 + ["object/castle"] * 2 + ["object/cat"] * 2,
    ...     attack_families=[None] * 2 + ["typo"] * 2 + [None] * 4,
    ...     present=[True, False, True, False, True, False, True, True], original_present=[True] * 8))
    >>> [result.figures[name].value for name in ("forgetting", "robustness", "preservation", "forget_score")]
    [0.5, 0.0, 0.75, nan]
    >>> result.headline.reason
    'missing: alignment (no cosines given); quality (no features given)'
    """
    settings: dict[str, Setting] = {"quality": table.facts.get("quality", DEFAULT), "k": _tries(table)}
    rows = judged_rows(table).with_facts(**settings)
    figures, draws, n = aspect_figures(rows, seed, resamples)
    figures |= quality_figures(rows, seed, resamples)
    figures["quality"] = figures[f"quality_{settings['quality']}"]
    headline = combine({name: figures[name] for name in ASPECTS}, draws, n, counted(rows))
    figures = {INFO.headline: headline} | figures
    # A retain row without a concept of its own is not unclear, since no detector was asked about it.
    asked = (rows["split"] != "retain") | (rows["own_concept"] != "")
    figures["n_unclear"] = Estimate(float((asked & ~rows["judged"]).sum()), n_generations=int(asked.sum()))
    return Result(headline, figures, settings)


def _tries(table: Table) -> int:
    """The k of robustness; 1 if there are no adversarial rows."""
    attacked = table["split"] == "adversarial"
    if not attacked.any():
        return 1
    if fewest := table.facts.get("unequal_seeds") == "fewest":
        attacked = attacked | plain_sources(table)  # as in attack_success_rate, or the two would differ in k
    return tries(table["id"][attacked], table.facts.get("k"), fewest=fewest)


def _used(name: str, values: Sequence[str | None], where: Any) -> list[str | None]:
    """The words in rows that use them, `-` in other rows."""
    for at, (value, use) in enumerate(zip(values, where, strict=True)):
        if use and value is None:
            raise InputError(f"{name}[{at}] is None, but rows of this split require a value. Pass one.")
    return [value if use else "-" for value, use in zip(values, where, strict=True)]
