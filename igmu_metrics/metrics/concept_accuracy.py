"""Concept accuracy: how often the target concept is gone, and how often other concepts are still generated.

Goal: to measure unlearning accuracy for the target, and retain accuracy for concepts of its domain, of other domains,
and for near and far concepts.

Conventions:

- An *entry* is one image judged in one domain: the label that it should show and the label that a classifier sees. An
  image of a church in the style of Monet has two entries, one for `object` and one for `style`.
- Labels have the form `domain/concept`. A prediction from a different domain does not match the reference.
- If the prediction is None (the detector abstained, or a person said `unclear`), its entry is left out of all metrics
  and counted in `n_unclear`, neither as forgotten nor as retained.
- If the target is an attribute of an image, prompts that name the target also ask for something else (probe
  `in-prompt`). Whether the image shows this is a separate metric, in-prompt retention, which is not part of the other
  retain accuracies.
- Retain accuracies are macro means: every label has the same weight, however many images it has.
- If none of the images of a label could be judged, the metric's `reason` names the label.
- Probes that are counted separately are scored separately. For them, `unlearning_accuracy` is how often the target is
  not seen. A `negation` excludes the target, so no image should show it. A `composition` asks for the target together
  with something that must be retained, so the metric shows how well the model forgets in such prompts. A `superclass`
  asks for something more general, so the value is neither good nor bad in itself; compare it with the original's value.
- The interval (docs/intervals.md) is Wilson's if there is one generation per prompt, and otherwise Wilson's on the
  effective number of trials, which depends on the spread between prompts, or between labels for macro means. If all
  prompts agree, it is based on the number of prompts, not of images.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.errors import InputError, UnknownConceptError
from igmu_data.schema import ASIDE, IN_PROMPT
from igmu_data.spelling import require_spelled
from igmu_data.taxonomy import known_ids
from igmu_metrics.contract import CROSS, BoolArray, Estimate, MetricInfo, Result, Setting, Table
from igmu_metrics.generations import Generations
from igmu_metrics.metrics._rows import renamed, require_apart, taking_lists, unit, unjudged, with_caution
from igmu_metrics.statistics import effective_trials, mean_estimate, rogan_gladen, validation

INFO = MetricInfo(
    name="concept_accuracy",
    version=4,
    title="Concept accuracy",
    summary="How often the target concept is gone, and how often other concepts are still generated.",
    headline="unlearning_accuracy",
    direction="higher",
    range=(0.0, 1.0),
    references=(
        "Zhang et al., UnlearnCanvas: a stylized image dataset for evaluating machine unlearning in diffusion models, "
        "NeurIPS 2024 Datasets and Benchmarks",
    ),
    limits=(
        "The accuracies depend on a classifier and its errors. A model that generates only noise has an unlearning "
        "accuracy of 1. Unlearning accuracy also overstates forgetting for prompts for which the original did not "
        "generate the target either; report the conditional version as well."
    ),
    parts={"": ("forget", "retain", CROSS), **{probe: (probe,) for probe in ASIDE}},
    place=10,
    figures={
        "unlearning_accuracy": "Share of the images that should show the concept in which the detector does not see "
        "it, whether or not the original generated it.",
        "conditional_unlearning_accuracy": "Share of the images in which the concept is no longer seen, counting only "
        "prompts and seeds for which the original generated it.",
        "in_domain_retain_accuracy": "How often other concepts of the same domain are seen when prompts ask for them; "
        "all concepts have the same weight.",
        "cross_domain_retain_accuracy": "How often concepts of other domains are seen when prompts ask for them; all "
        "concepts have the same weight.",
        "near_retain_accuracy": "How often concepts that resemble the forgotten one are seen when prompts ask for "
        "them; all concepts have the same weight.",
        "far_retain_accuracy": "How often concepts unrelated to the forgotten one are seen when prompts ask for them; "
        "all concepts have the same weight.",
        "in_prompt_retain_accuracy": "How often other things are seen that prompts with the forgotten concept also ask "
        "for.",
        "corrected_unlearning_accuracy": "Unlearning accuracy that a detector without errors would give, estimated "
        "from the detector's measured sensitivity and specificity.",
    },
)
NEEDS = ("id", "own_concept", "present")
USES = ("present_original", "probe")
_RATES = ("sensitivity", "specificity", "n_positives", "n_negatives")


@renamed(prompt_ids="ids")
@taking_lists
def rows(
    *,
    predictions: Sequence[str | None],
    references: Sequence[str],
    target: str,
    include_none: bool = False,
    none_labels: Collection[str] = (),
    ids: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    image_ids: Sequence[str] | None = None,
    include_target_styled: bool = True,
    original_predictions: Sequence[str | None] | None = None,
    near: Collection[str] | None = None,
    probes: Sequence[str | None] | None = None,
    sensitivity: float | None = None,
    specificity: float | None = None,
    n_positives: int | None = None,
    n_negatives: int | None = None,
) -> Generations:
    """Check labels and put them into a table, one row per entry.

    Args:
        predictions: (n,) label that the classifier sees in the unlearned model's image; None if the classifier
            abstained.
        references: (n,) label that the prompt asks for, in the domain that is judged.
        target: the label to forget.
        include_none: whether `none_labels` count as labels to retain.
        none_labels: labels that mean "nothing of this domain" (UnlearnCanvas's photographs without a style).
        ids: (n,) prompt id of each entry, the unit of resampling; None if each image has its own prompt.
        seeds: (n,) seed of each entry; together with `ids`, it identifies generations, so that duplicates are refused.
        image_ids: (n,) image id of each entry, which connects the entries of one image in different domains.
        include_target_styled: whether images whose prompts ask for the target count for other domains (if not,
            `image_ids` are required); a portrait in the forgotten style may look different for a good reason.
        original_predictions: (n,) what the classifier sees in the original model's image for the same prompt and seed.
        near: labels in the target's family, which count as near; all other labels count as far.
        probes: (n,) `in-prompt` if an entry judges what else a prompt with the target asks for; any other word or None
            otherwise.
        sensitivity: the classifier's sensitivity for the target, 0..1; with `specificity`, corrected accuracies are
            returned as well.
        specificity: the classifier's specificity for the target, 0..1; requires `sensitivity`.
        n_positives: number of images on which `sensitivity` was measured.
        n_negatives: number of images on which `specificity` was measured.

    Returns:
        A table with `id`, `own_concept` (what was asked for), `present` (whether it was seen), and possibly
        `target_styled`, `present_original` and `probe`.

    Raises:
        EmptyInputError, LengthMismatchError: no entries, or arguments of different lengths.
        UnknownLabelError: a misspelled label, which would count as a different label.
        UnknownConceptError: a target that occurs neither in the references nor in the taxonomy.
        LabelError: a label that does not have the form `domain/concept`.
        DuplicateIdError: the same image, or the same prompt and seed, twice in one domain.
        InputError: options that contradict each other, or separately counted probes mixed with other rows.
    """
    n = validation.same_length(
        predictions=predictions,
        references=references,
        ids=ids,
        seeds=seeds,
        image_ids=image_ids,
        original_predictions=original_predictions,
        probes=probes,
    )
    reference = validation.labels("references", references)
    target = validation.label("target", target)
    none = sorted(validation.labels("none_labels", sorted(none_labels)).tolist())
    close = None if near is None else sorted(validation.labels("near", sorted(near)).tolist())
    for name, chosen in (("none_labels", none), ("near", close or [])):
        if target in chosen:
            raise InputError(
                f"{name} contains the target {target!r}, which is to be forgotten, not retained. Remove it."
            )
    asked, known = set(reference.tolist()), known_ids()
    if target not in asked and target not in known:
        raise UnknownConceptError(target, asked | known, "The references do not contain this concept.")
    right = {*known, target, *none}
    require_spelled("references", asked, right)
    require_spelled("near", close or (), right | asked)
    for name, given in (
        ("predictions", predictions),
        ("original_predictions", () if original_predictions is None else original_predictions),
    ):
        require_spelled(name, set(validation.labels(name, given, optional=True).tolist()), right | asked)
    domain = _domains(reference)
    images = None if image_ids is None else validation.texts("image_ids", image_ids)
    prompts = None if ids is None else validation.texts("ids", ids)
    if images is not None:
        validation.unique_keys(image_id=images, domain=domain)
    if seeds is not None:
        if prompts is None:
            raise InputError("seeds are given without ids, but a seed is unique only within its prompt. Pass both.")
        validation.unique_keys(id=prompts, seed=validation.whole_numbers("seeds", seeds), domain=domain)
    cluster = prompts if prompts is not None else images if images is not None else np.arange(n).astype(np.str_)
    columns: dict[str, npt.NDArray[Any]] = {
        "id": cluster,
        "own_concept": reference,
        "present": _seen("predictions", predictions, reference),
    }
    if not include_target_styled:
        if images is None:
            raise InputError(
                "include_target_styled is False, but without image_ids it is not known which entries share an image. "
                "Pass image_ids."
            )
        columns["target_styled"] = np.isin(images, images[reference == target])
    if original_predictions is not None:
        columns["present_original"] = _seen("original_predictions", original_predictions, reference)
    if probes is not None:
        require_apart(probes, alone=True)
        columns["probe"] = validation.texts("probes", ["-" if p is None else p for p in probes])
    if (sensitivity is None) != (specificity is None):
        raise InputError("only one of sensitivity and specificity is given, but a correction requires both.")
    if (n_positives is None) != (n_negatives is None):
        raise InputError("only one of n_positives and n_negatives is given, but a corrected interval requires both.")
    rates = dict(zip(_RATES, (sensitivity, specificity, n_positives, n_negatives), strict=True))
    facts: dict[str, Setting | None] = {
        "target": target,
        "include_none": include_none,
        "none_labels": ",".join(none),
        "include_target_styled": include_target_styled,
        "near": None if close is None else ",".join(close),
        **rates,
        **unit(ids),
    }
    return Generations(columns).with_facts(**facts)


def score(table: Table, *, seed: int = 0, resamples: int = 2000) -> Result | None:
    """Unlearning and retain accuracies with 95% intervals; higher is better for all of them.

    Args:
        table: from `rows`, or from an evaluation: `id`, `own_concept` (rows without one are left out), `present`, and
            possibly `present_original` and `probe`. Facts: `target`, possibly `near` and the detector's error rates.
        seed: not used, since nothing is resampled.
        resamples: not used either.

    Returns:
        `unlearning_accuracy` (the headline: share of target entries in which the target is not seen),
        `in_domain_retain_accuracy`, `cross_domain_retain_accuracy`, the count `n_unclear`; with `near` also
        `near_retain_accuracy` and `far_retain_accuracy`; with entries of the probe `in-prompt` also
        `in_prompt_retain_accuracy` (macro mean of what else their prompts ask for); with the original's predictions
        also `original_unlearning_accuracy` (the score of an unchanged model), `conditional_unlearning_accuracy` (only
        prompts and seeds for which the original generated the target), `original_conditional_unlearning_accuracy` (0 by
        definition) and the count `n_unclear_original`; with sensitivity and specificity also
        `corrected_unlearning_accuracy` and, for the original, `corrected_original_unlearning_accuracy`. NaN with a
        reason if no entry counts.

    One of three churches is still seen, one of two dogs is seen, and the only style is seen: UA is 2/3, IRA is 1/2, and
    CRA is 1. The original generated two of the churches, and one of these two is gone.

    >>> seen = ["object/church", "object/dog", None, "object/tent", "object/dog", "object/cat", "style/monet"]
    >>> asked = ["object/church"] * 4 + ["object/dog"] * 2 + ["style/monet"]
    >>> before = ["object/church", "object/church", "object/church", "object/tent", "object/dog", "object/dog", None]
    >>> figures = score(rows(predictions=seen, references=asked, target="object/church",
    ...                      original_predictions=before)).figures
    >>> for name, figure in figures.items():
    ...     print(f"{name} {figure.value:.3f} ({figure.n_generations})")
    unlearning_accuracy 0.667 (3)
    in_domain_retain_accuracy 0.500 (2)
    cross_domain_retain_accuracy 1.000 (1)
    n_unclear 1.000 (7)
    original_unlearning_accuracy 0.250 (4)
    conditional_unlearning_accuracy 0.500 (2)
    original_conditional_unlearning_accuracy 0.000 (3)
    n_unclear_original 1.000 (7)
    """
    settings = _settings(table)
    asked = table["own_concept"] != ""
    if not asked.any():
        return None
    reference, target = table["own_concept"][asked], str(settings["target"])
    present = table["present"][asked]
    clear, hit, domain = ~np.ma.getmaskarray(present), np.ma.getdata(present), _domains(reference)
    is_target, same_domain = reference == target, domain == target.partition("/")[0]
    cluster = np.unique(table["id"][asked], return_inverse=True)[1]
    retain = ~is_target
    if not settings["include_none"]:
        retain &= ~np.isin(reference, _listed(settings, "none_labels"))
    within = retain & (table["probe"][asked] == IN_PROMPT) if "probe" in table else np.zeros_like(retain)
    retain &= ~within
    outside = retain & ~same_domain
    if "target_styled" in table:
        outside &= ~table["target_styled"][asked]

    def mean(values: BoolArray, chosen: BoolArray, macro: bool, empty: str) -> Estimate:
        return mean_estimate(
            values[chosen],
            cluster[chosen],
            groups=reference[chosen] if macro else None,
            unit="groups" if macro else "clusters",
            empty=empty,
        )

    def kept(chosen: BoolArray, what: str) -> Estimate:
        found = mean(hit, chosen & clear, True, f"no judged entry for {what}")
        return with_caution(found, unjudged(reference[chosen].tolist(), set(reference[chosen & clear].tolist())))

    gone = ~hit
    figures = {
        "unlearning_accuracy": mean(gone, is_target & clear, False, f"no judged entry asks for {target}"),
        "in_domain_retain_accuracy": kept(retain & same_domain, "another label of the target's domain"),
        "cross_domain_retain_accuracy": kept(outside, "another domain"),
        "n_unclear": _count(~clear),
    }
    if "near" in settings:
        is_near = np.isin(reference, _listed(settings, "near"))
        figures["near_retain_accuracy"] = kept(retain & is_near, "a near label")
        figures["far_retain_accuracy"] = kept(((retain & same_domain) | outside) & ~is_near, "a far label")
    if within.any():
        figures["in_prompt_retain_accuracy"] = kept(within, "what else prompts with the target ask for")
    if "present_original" in table:
        original = table["present_original"][asked]
        before_clear, before = ~np.ma.getmaskarray(original), np.ma.filled(original, False)
        figures["original_unlearning_accuracy"] = mean(
            ~before, is_target & before_clear, False, f"no entry of the original asks for {target}"
        )
        figures["conditional_unlearning_accuracy"] = mean(
            gone, is_target & clear & before, False, f"no judged entry for which the original generated {target}"
        )
        # Zero by definition, since an unchanged model forgets nothing that it generated: the reference for the above.
        figures["original_conditional_unlearning_accuracy"] = mean(
            ~before, is_target & before, False, f"the original never generated {target}"
        )
        figures["n_unclear_original"] = _count(~before_clear)
    if "sensitivity" in settings:
        figures["corrected_unlearning_accuracy"] = _corrected(gone, is_target & clear, cluster, settings)
        if "present_original" in table:
            figures["corrected_original_unlearning_accuracy"] = _corrected(
                ~before, is_target & before_clear, cluster, settings
            )
    return Result(figures[INFO.headline], figures, settings)


def _settings(table: Table) -> dict[str, Setting]:
    """The facts of the table that change the numbers."""
    usual: dict[str, Setting] = {"include_none": False, "none_labels": "", "include_target_styled": True}
    names = ("target", *usual, "near", *_RATES)
    return {name: value for name in names if (value := table.facts.get(name, usual.get(name))) is not None}


def _seen(
    name: str, predictions: Sequence[str | None], reference: npt.NDArray[np.str_]
) -> np.ma.MaskedArray[Any, np.dtype[np.bool_]]:
    """Whether each entry shows what was asked for, masked if the classifier abstained."""
    found = validation.labels(name, predictions, optional=True)
    return np.ma.MaskedArray(found == reference, mask=found == "")


def _corrected(
    gone: BoolArray, chosen: BoolArray, cluster: npt.NDArray[np.intp], settings: Mapping[str, Setting]
) -> Estimate:
    """The accuracy for a classifier without errors (Rogan and Gladen), on the effective number of trials."""
    raw = mean_estimate(gone[chosen], cluster[chosen], empty=f"no judged entry asks for {settings['target']}")
    if raw.value != raw.value:
        return raw
    trials = effective_trials(gone[chosen], cluster[chosen])
    counts = [None if settings.get(name) is None else int(settings[name]) for name in ("n_positives", "n_negatives")]
    quality = float(settings["sensitivity"]), float(settings["specificity"])
    if sum(quality) <= 1:
        why = f"the detector is no better than chance (sensitivity {quality[0]:.2f}, specificity {quality[1]:.2f})"
        return Estimate(float("nan"), None, raw.n_prompts, raw.n_generations, why)
    seen, (low, high) = rogan_gladen(1 - raw.value, trials, *quality, n_sens=counts[0], n_spec=counts[1])
    return Estimate(1 - seen, (1 - high, 1 - low), raw.n_prompts, raw.n_generations)


def _domains(label: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    known, codes = np.unique(label, return_inverse=True)
    return np.asarray([item.partition("/")[0] for item in known.tolist()], dtype=np.str_)[codes]


def _listed(settings: Mapping[str, Setting], name: str) -> list[str]:
    return str(settings[name]).split(",")


def _count(which: BoolArray) -> Estimate:
    return Estimate(float(which.sum()), n_generations=len(which))
