"""Concept accuracy: is the target gone, and does everything else still show what it should?

Goal: unlearning accuracy on the target, and retain accuracy in its domain, in other domains, near it and far from it.

Conventions:

- An *entry* is one image judged in one domain: the label it should show there and the label a classifier sees. An
  image of a church in the style of Monet has two entries, one for `object`, one for `style`.
- Labels are `domain/concept`. A prediction of another domain is simply not the reference.
- A prediction None (the detector abstained, a person said `unclear`) leaves its entry out of every figure; it is
  counted in `n_unclear`, never as forgotten and never as retained.
- What else a prompt asks for that names the target (probe `in-prompt`, for a target that is an attribute of an image)
  is a figure of its own, in-prompt retention, and no part of the other retain accuracies.
- Retain accuracies are macro means: every label counts the same, however many images it has.
- Labels that a figure should count and of which nothing could be judged are counted and named in its reason.
- Probes that are counted by themselves are scored one by one, as parts of their own: there, `unlearning_accuracy` is
  how often the target is not seen. Of a `negation`, which excludes it, none should show it; of a `composition`, which
  asks for it beside something that must stay, it is what forgetting comes to in company; of a `superclass`, which asks
  for something wider, it is neither good nor bad by itself: read it beside the original's.
- Which interval a figure has, and why, is told in `igmu_metrics.statistics.estimates`: Wilson with one generation a
  prompt, else on the effective number of trials that the spread between prompts leaves, or between labels for macro
  means; where all prompts agree, on the number of prompts, not of images.
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
    version=3,
    title="Concept accuracy",
    summary="How often the target concept is gone, and how often every other concept is still drawn.",
    headline="unlearning_accuracy",
    direction="higher",
    range=(0.0, 1.0),
    references=(
        "Zhang et al., UnlearnCanvas: a stylized image dataset for evaluating machine unlearning in diffusion models, "
        "NeurIPS 2024 Datasets and Benchmarks",
    ),
    limits=(
        "Says what a classifier sees, with the classifier's errors. Unlearning accuracy alone is perfect for a model "
        "that draws noise, and flatters every model where the original did not draw the target either: read the "
        "conditional form."
    ),
    parts={"": ("forget", "retain", CROSS), **{probe: (probe,) for probe in ASIDE}},
    place=10,
    figures={
        "unlearning_accuracy": "Share of the images asked to show the concept in which the detector does not see it, "
        "whether or not the original generated it there.",
        "conditional_unlearning_accuracy": "Share of the images in which the concept is no longer seen, counting only "
        "prompts and seeds for which the original generated it.",
        "in_domain_retain_accuracy": "How often the other concepts of the same domain are seen where they are asked "
        "for; every concept counts the same.",
        "cross_domain_retain_accuracy": "How often concepts of other domains are seen where they are asked for; every "
        "concept counts the same.",
        "near_retain_accuracy": "How often concepts that resemble the forgotten one are seen where they are asked for; "
        "every concept counts the same.",
        "far_retain_accuracy": "How often concepts that have nothing to do with the forgotten one are seen where they "
        "are asked for; every concept counts the same.",
        "in_prompt_retain_accuracy": "In prompts that name the forgotten concept, how often everything else they ask "
        "for is seen.",
        "corrected_unlearning_accuracy": "Unlearning accuracy as it would be with a detector that makes no errors, "
        "estimated from its measured sensitivity and specificity.",
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
    """Check labels and make the table of them, one row an entry.

    Args:
        predictions: (n,) label that the classifier sees in the unlearned model's image; None where it abstained.
        references: (n,) label that the prompt asks for, in the domain judged.
        target: the label to forget.
        include_none: whether `none_labels` count as labels to retain.
        none_labels: labels that mean "nothing of this domain" (UnlearnCanvas's photographs without a style).
        ids: (n,) prompt of each entry, the unit of resampling; None if each image has its own prompt.
        seeds: (n,) seed of each entry; with `ids` it tells generations apart, so that duplicates are refused.
        image_ids: (n,) image of each entry: what ties the entries of one image together across domains.
        include_target_styled: whether images that ask for the target still count for other domains (needs `image_ids`
            if not): a portrait in the forgotten style may rightly look different.
        original_predictions: (n,) what the classifier sees in the original model's image for the same prompt and seed.
        near: labels of the target's family; all other labels are far.
        probes: (n,) `in-prompt` where an entry judges what else a prompt asks for that names the target; any other word
            or None elsewhere.
        sensitivity: the classifier's for the target, 0..1; with `specificity`, accuracies corrected for it are given.
        specificity: likewise.
        n_positives: on how many images `sensitivity` was measured.
        n_negatives: on how many `specificity` was.

    Returns:
        A table with `id`, `own_concept` (what was asked for), `present` (whether it was seen), perhaps `target_styled`,
        `present_original` and `probe`.

    Raises:
        EmptyInputError, LengthMismatchError: nothing, or not as much in every argument.
        UnknownLabelError: a label that is another one but for its spelling, and would count as something else.
        UnknownConceptError: a target that no reference asks for, and that the taxonomy does not know either.
        LabelError: a label not of the form `domain/concept`.
        DuplicateIdError: the same image, or the same prompt and seed, twice in one domain.
        InputError: options that contradict each other, or probes that are counted by themselves among others.
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
            raise InputError(f"{name} holds the target {target!r}; it is the concept to forget, not one to retain.")
    asked, known = set(reference.tolist()), known_ids()
    if target not in asked and target not in known:
        raise UnknownConceptError(target, asked | known, "No reference names it.")
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
            raise InputError("seeds are given without ids; a seed is unique only within its prompt.")
        validation.unique_keys(id=prompts, seed=validation.whole_numbers("seeds", seeds), domain=domain)
    cluster = prompts if prompts is not None else images if images is not None else np.arange(n).astype(np.str_)
    columns: dict[str, npt.NDArray[Any]] = {
        "id": cluster,
        "own_concept": reference,
        "present": _seen("predictions", predictions, reference),
    }
    if not include_target_styled:
        if images is None:
            raise InputError("include_target_styled=False needs image_ids, to know which entries share an image.")
        columns["target_styled"] = np.isin(images, images[reference == target])
    if original_predictions is not None:
        columns["present_original"] = _seen("original_predictions", original_predictions, reference)
    if probes is not None:
        require_apart(probes, alone=True)
        columns["probe"] = validation.texts("probes", ["-" if p is None else p for p in probes])
    if (sensitivity is None) != (specificity is None):
        raise InputError("only one of sensitivity and specificity is given; a correction needs both.")
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
    """Unlearning and retain accuracies with 95 % intervals; of all of them higher is better.

    Args:
        table: from `rows`, or of an evaluation: `id`, `own_concept` (rows without one are left out), `present`, and
            perhaps `present_original` and `probe`. Facts: `target`, and perhaps `near` and the detector's error rates.
        seed: not used, as nothing is resampled.
        resamples: not used either.

    Returns:
        `unlearning_accuracy` (the headline: share of target entries in which the target is not seen),
        `in_domain_retain_accuracy`, `cross_domain_retain_accuracy`, the count `n_unclear`; with `near` also
        `near_retain_accuracy` and `far_retain_accuracy`; with entries of the probe `in-prompt` also
        `in_prompt_retain_accuracy` (macro mean of what else their prompts ask for); with the original's predictions
        also `original_unlearning_accuracy` (what an untouched model scores), `conditional_unlearning_accuracy` (only
        where the original drew the target), `original_conditional_unlearning_accuracy` (0, by definition) and the count
        `n_unclear_original`; with sensitivity and specificity also `corrected_unlearning_accuracy` and, for the
        original, `corrected_original_unlearning_accuracy`. NaN with a reason where no entry counts.

    Three churches of which one is still there, one dog of two, one style of one: UA 2/3, IRA 1/2, CRA 1. The original
    drew two of the churches, and one of those two is gone.

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
        found = mean(hit, chosen & clear, True, f"no judged entry of {what}")
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
        figures["in_prompt_retain_accuracy"] = kept(within, "what else a prompt asks for that names the target")
    if "present_original" in table:
        original = table["present_original"][asked]
        before_clear, before = ~np.ma.getmaskarray(original), np.ma.filled(original, False)
        figures["original_unlearning_accuracy"] = mean(
            ~before, is_target & before_clear, False, f"no entry of the original asks for {target}"
        )
        figures["conditional_unlearning_accuracy"] = mean(
            gone, is_target & clear & before, False, f"no judged entry in which the original drew {target}"
        )
        # Zero by definition, as an untouched model forgets nothing that it drew: what the figure above is read against.
        figures["original_conditional_unlearning_accuracy"] = mean(
            ~before, is_target & before, False, f"the original never drew {target}"
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
    """What of the table's facts changes the numbers."""
    usual: dict[str, Setting] = {"include_none": False, "none_labels": "", "include_target_styled": True}
    names = ("target", *usual, "near", *_RATES)
    return {name: value for name in names if (value := table.facts.get(name, usual.get(name))) is not None}


def _seen(
    name: str, predictions: Sequence[str | None], reference: npt.NDArray[np.str_]
) -> np.ma.MaskedArray[Any, np.dtype[np.bool_]]:
    """Whether each entry shows what was asked for, masked where the classifier abstained."""
    found = validation.labels(name, predictions, optional=True)
    return np.ma.MaskedArray(found == reference, mask=found == "")


def _corrected(
    gone: BoolArray, chosen: BoolArray, cluster: npt.NDArray[np.intp], settings: Mapping[str, Setting]
) -> Estimate:
    """The accuracy of a classifier that does not err, after Rogan and Gladen, on the effective number of trials."""
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
