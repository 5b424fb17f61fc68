"""Concept accuracy against scikit-learn, polarity, the switches, and honest intervals."""

from __future__ import annotations

import csv
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, recall_score

import igmu_metrics
from igmu_data.errors import (
    DuplicateIdError,
    EmptyInputError,
    InputError,
    LabelError,
    LengthMismatchError,
    UnknownConceptError,
    UnknownLabelError,
)
from igmu_data.schema import ASIDE
from igmu_metrics.contract import Metric
from igmu_metrics.metrics import concept_accuracy as metric
from igmu_metrics.statistics import wilson

TARGET = "object/church"
OBJECTS = [TARGET, "object/castle", "object/dog", "object/tent"]
STYLES = ["style/monet", "style/mosaic", "style/none"]


def figures(**inputs):
    return metric.score(metric.rows(**{"target": TARGET} | inputs), resamples=200).figures


def values(**inputs):
    return {name: figure.value for name, figure in figures(**inputs).items()}


def random_entries(seed, n=300):
    """Images of an object in a style, each judged in both domains."""
    rng = np.random.default_rng(seed)
    references = np.concatenate([rng.choice(OBJECTS, n), rng.choice(STYLES, n)])
    predictions = np.where(
        rng.random(2 * n) < 0.6, references, np.concatenate([rng.choice(OBJECTS, n), rng.choice(STYLES, n)])
    )
    return references, predictions, np.tile(np.arange(n), 2)


def test_it_is_a_metric():
    assert isinstance(metric, Metric)


@pytest.mark.parametrize("seed", range(5))
def test_accuracies_are_scikit_learns(seed):
    references, predictions, images = random_entries(seed)
    found = values(
        references=references.tolist(),
        predictions=predictions.tolist(),
        image_ids=images.tolist(),
        include_none=True,
        none_labels=["style/none"],
        near=["object/castle"],
    )
    objects, styles = slice(0, 300), slice(300, 600)
    others = [o for o in OBJECTS if o != TARGET]
    recall = recall_score(references[objects], predictions[objects], labels=[TARGET, *others], average=None)
    assert found["unlearning_accuracy"] == pytest.approx(1 - recall[0])
    assert found["in_domain_retain_accuracy"] == pytest.approx(recall[1:].mean())
    cross = balanced_accuracy_score(references[styles], predictions[styles])
    assert found["cross_domain_retain_accuracy"] == pytest.approx(cross)
    assert found["near_retain_accuracy"] == pytest.approx(recall[1])
    every = recall_score(references, predictions, labels=[*others[1:], *STYLES], average="macro")
    assert found["far_retain_accuracy"] == pytest.approx(every)


@pytest.mark.parametrize("seed", range(3))
def test_target_styled_images_can_be_left_out(seed):
    references, predictions, images = random_entries(seed)
    found = values(
        references=references.tolist(),
        predictions=predictions.tolist(),
        image_ids=images.tolist(),
        include_target_styled=False,
        none_labels=["style/none"],
    )
    plain = (references[:300] != TARGET) & (references[300:] != "style/none")
    expected = recall_score(
        references[300:][plain], predictions[300:][plain], labels=["style/monet", "style/mosaic"], average="macro"
    )
    assert found["cross_domain_retain_accuracy"] == pytest.approx(expected)


def test_none_labels_count_only_when_asked():
    entries = {
        "references": ["style/none", "style/monet", "object/dog", "style/mosaic"],
        "predictions": ["style/monet", "style/monet", "object/dog", "style/monet"],
        "target": "style/mosaic",
        "none_labels": ["style/none"],
    }
    assert values(**entries)["in_domain_retain_accuracy"] == 1.0
    assert values(**entries, include_none=True)["in_domain_retain_accuracy"] == 0.5


def test_the_original_is_worst_at_forgetting_and_best_at_keeping():
    labels = OBJECTS + STYLES
    found = values(references=labels, predictions=labels, original_predictions=labels, near=["object/castle"])
    for name, value in found.items():
        assert value == (0.0 if "unlearning" in name or name.startswith("n_") else 1.0), name


def test_a_blank_model_is_best_at_forgetting_and_worst_at_keeping():
    labels = OBJECTS + STYLES
    blank = ["object/nothing"] * 4 + ["style/nothing"] * 3
    found = values(references=labels, predictions=blank, original_predictions=labels, near=["object/castle"])
    assert found["unlearning_accuracy"] == found["conditional_unlearning_accuracy"] == 1.0
    assert all(value == 0.0 for name, value in found.items() if "retain" in name)
    assert found["original_unlearning_accuracy"] == 0.0


@given(st.integers(0, 10), st.randoms())
@settings(max_examples=15, deadline=None)
def test_the_order_of_the_entries_changes_nothing(seed, random):
    references, predictions, images = random_entries(seed, 40)
    order = list(range(80))
    random.shuffle(order)
    one, other = (
        figures(
            references=references[o].tolist(),
            predictions=predictions[o].tolist(),
            image_ids=images[o].tolist(),
            ids=(images[o] // 4).tolist(),
            seeds=(images[o] % 4).tolist(),
            original_predictions=references[o].tolist(),
            near=["object/castle"],
        )
        for o in (list(range(80)), order)
    )
    for name in one:
        assert one[name].value == pytest.approx(other[name].value, nan_ok=True, abs=1e-12)
        assert one[name].interval == (
            None if other[name].interval is None else pytest.approx(other[name].interval, abs=1e-12)
        )


def test_what_nobody_can_tell_is_left_out_and_counted():
    """The five churches of an original model: two clear, two without, one unclear; a model that forgot all but one."""
    before = [TARGET, "object/dog", None, "object/dog", TARGET]
    after = ["object/dog", "object/dog", "object/dog", None, TARGET]
    found = figures(
        references=[TARGET] * 5, predictions=after, original_predictions=before, ids=["p"] * 5, seeds=range(5)
    )
    assert found["unlearning_accuracy"].value == 3 / 4
    assert found["original_unlearning_accuracy"].value == 2 / 4
    assert found["conditional_unlearning_accuracy"].value == 1 / 2
    assert found["conditional_unlearning_accuracy"].n_generations == 2
    assert (found["n_unclear"].value, found["n_unclear_original"].value) == (1, 1)


def test_five_images_of_one_prompt_are_no_certainty():
    found = figures(references=[TARGET] * 5, predictions=["object/dog"] * 5, ids=["p"] * 5)
    estimate = found["unlearning_accuracy"]
    assert (estimate.value, estimate.n_prompts, estimate.n_generations) == (1.0, 1, 5)
    assert estimate.interval == pytest.approx(wilson(1, 1))
    assert estimate.reason.endswith("so the interval is Wilson's for 1 prompt")


CHURCH = Path(__file__).parents[3] / "shared" / "church" / "labels.csv"


@pytest.mark.skipif(not CHURCH.exists(), reason="the real generations lie beside the repository, not in it")
def test_real_models_that_forgot_a_church():
    """Of the original's five images two show a church, two do not, one is unclear; FMN still draws one of the two."""
    seen = {"yes": TARGET, "no": "object/nothing", "unclear": None}
    labels = {
        row["path"]: seen[row["church_visible"]]
        for row in csv.DictReader(CHURCH.read_text(encoding="utf-8").splitlines())
    }

    def of(model):
        return figures(
            references=[TARGET] * 5,
            predictions=[labels[f"{model}/forget/0_0_{k}.png"] for k in range(5)],
            original_predictions=[labels[f"original/forget/0_0_{k}.png"] for k in range(5)],
            ids=["river"] * 5,
            seeds=range(5),
        )

    esd, fmn = of("esd"), of("fmn")
    assert esd["original_unlearning_accuracy"].value == 1 / 2
    assert fmn["unlearning_accuracy"].value == 2 / 3
    esd_forgot, fmn_forgot, untouched = (
        esd["conditional_unlearning_accuracy"],
        fmn["conditional_unlearning_accuracy"],
        fmn["original_conditional_unlearning_accuracy"],
    )
    assert (esd_forgot.value, esd_forgot.n_generations) == (1, 2)
    assert (fmn_forgot.value, fmn_forgot.n_generations) == (0, 1)
    assert (untouched.value, untouched.n_generations) == (0, 2)
    assert esd_forgot.interval == pytest.approx(wilson(1, 1))
    assert fmn["n_unclear"].value == 2


def test_one_image_a_prompt_is_wilsons():
    found = figures(references=[TARGET] * 142, predictions=[TARGET] * 108 + ["object/dog"] * 34)
    low, high = found["unlearning_accuracy"].interval
    assert (1 - high, 1 - low) == pytest.approx((0.684, 0.823), abs=5e-4)


def test_a_category_without_entries_has_a_reason_and_no_value():
    found = figures(references=["object/dog"], predictions=["object/dog"], original_predictions=[None])
    for name in ("unlearning_accuracy", "cross_domain_retain_accuracy", "conditional_unlearning_accuracy"):
        assert isnan(found[name].value)
        assert found[name].interval is None
        assert found[name].reason
    assert "near_retain_accuracy" not in found


def test_the_settings_name_every_switch():
    rows = metric.rows(
        predictions=["object/dog"],
        references=["object/dog"],
        target=TARGET,
        none_labels=["object/none", "object/empty"],
        near=["object/dog"],
    )
    assert dict(metric.score(rows).settings) == {
        "target": TARGET,
        "include_none": False,
        "none_labels": "object/empty,object/none",
        "include_target_styled": True,
        "near": "object/dog",
    }


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"predictions": []}, LengthMismatchError, "predictions 0, references 2"),
        ({"predictions": [], "references": []}, EmptyInputError, "no entries"),
        ({"predictions": ["object/dog", float("nan")]}, LabelError, r"predictions\[1\] is nan"),
        ({"references": ["object/dog", "dog"]}, LabelError, r"references\[1\] is 'dog'"),
        ({"references": ["object/dog", None]}, LabelError, r"references\[1\] is None"),
        ({"target": "church"}, LabelError, "target is 'church'"),
        ({"image_ids": ["i", "i"]}, DuplicateIdError, "entries 0 and 1"),
        ({"ids": ["p", "p"], "seeds": [3, 3]}, DuplicateIdError, "seed 3"),
        ({"seeds": [1, 2]}, InputError, "without ids"),
        ({"include_target_styled": False}, InputError, "without image_ids"),
        ({"near": [TARGET]}, InputError, "near contains the target"),
        ({"none_labels": [TARGET]}, InputError, "none_labels contains the target"),
        ({"original_predictions": [TARGET]}, LengthMismatchError, "original_predictions 1"),
    ],
)
def test_refusals(change, error, message):
    inputs = {"predictions": ["object/dog", None], "references": [TARGET, TARGET], "target": TARGET}
    with pytest.raises(error, match=message):
        metric.rows(**inputs | change)


def test_the_same_image_may_be_judged_in_two_domains():
    metric.rows(
        predictions=["object/dog", "style/monet"],
        references=[TARGET, "style/monet"],
        target=TARGET,
        image_ids=["i", "i"],
        ids=["p", "p"],
        seeds=[0, 0],
    )


def test_correction_for_a_detector_that_errs() -> None:
    # 4 of 10 images called a church; sensitivity 0.8, specificity 0.9: (0.4 + 0.9 - 1) / (0.8 + 0.9 - 1) = 3/7.
    seen = ["object/church"] * 4 + ["object/none"] * 6
    inputs: dict[str, Any] = {"predictions": seen, "references": ["object/church"] * 10, "target": "object/church"}
    known = metric.score(metric.rows(**inputs, sensitivity=0.8, specificity=0.9)).figures[
        "corrected_unlearning_accuracy"
    ]
    assert known.value == pytest.approx(4 / 7)
    doubtful = metric.score(
        metric.rows(**inputs, sensitivity=0.8, specificity=0.9, n_positives=20, n_negatives=20)
    ).figures
    wide = doubtful["corrected_unlearning_accuracy"]
    assert wide.value == pytest.approx(4 / 7)
    assert wide.interval is not None
    assert known.interval is not None
    assert wide.interval[0] <= known.value <= wide.interval[1]
    assert wide.interval[1] - wide.interval[0] > known.interval[1] - known.interval[0]
    assert "corrected_unlearning_accuracy" not in metric.score(metric.rows(**inputs)).figures
    perfect = metric.score(metric.rows(**inputs, sensitivity=1.0, specificity=1.0)).figures
    assert perfect["corrected_unlearning_accuracy"].value == pytest.approx(perfect["unlearning_accuracy"].value)
    with pytest.raises(InputError, match="both"):
        metric.rows(**inputs, sensitivity=0.8)


def test_seeds_of_one_prompt_are_no_further_evidence_for_the_corrected_accuracy() -> None:
    """Twenty prompts whose five seeds agree are worth little more than twenty images, not a hundred."""
    widths = []
    for seeds in (1, 5):
        seen = [label for label in ["object/church"] * 8 + ["object/none"] * 12 for _ in range(seeds)]
        given = {"predictions": seen, "references": ["object/church"] * 20 * seeds, "target": "object/church"}
        ids = [str(i) for i in range(20) for _ in range(seeds)]
        rows = metric.rows(**given, ids=ids, sensitivity=0.9, specificity=0.9)
        interval = metric.score(rows).figures["corrected_unlearning_accuracy"].interval
        widths.append(interval[1] - interval[0])
    assert widths[1] == pytest.approx(widths[0], rel=0.05)


def test_what_else_a_prompt_that_names_the_target_asks_for_is_a_figure_of_its_own() -> None:
    """Castles in the style of van Gogh are neither cross-domain retention nor far."""
    inputs = {
        "references": ["style/van-gogh", "style/monet", "object/castle", "object/castle", "object/cat"],
        "predictions": ["style/monet", "style/monet", "object/castle", None, "object/none"],
        "probes": ["direct", "near", "far", "in-prompt", "in-prompt"],
        "target": "style/van-gogh",
        "near": ["style/monet"],
    }
    table = metric.rows(**inputs)
    found = metric.score(table).figures
    assert (found["in_prompt_retain_accuracy"].value, found["in_prompt_retain_accuracy"].n_generations) == (0.0, 1)
    for name in ("cross_domain_retain_accuracy", "far_retain_accuracy", "in_domain_retain_accuracy"):
        assert (found[name].value, found[name].n_generations) == (1.0, 1)
    assert "in_prompt_retain_accuracy" not in metric.score(table.without("probe")).figures


def test_a_target_that_nobody_asks_for_and_nobody_knows_is_refused_with_a_suggestion() -> None:
    inputs = {"predictions": ["object/church"], "references": ["object/church"]}
    with pytest.raises(UnknownConceptError, match=r"'object/chruch'; did you mean 'object/church'"):
        metric.rows(**inputs, target="object/chruch")
    # Another's labels count where references have them, and a known concept may have been drawn for no entry.
    assert values(predictions=["mine/own"], references=["mine/own"], target="mine/own")["unlearning_accuracy"] == 0.0
    assert isnan(values(**inputs, target="object/castle")["unlearning_accuracy"])


def test_what_is_missing_or_unknown_is_named_in_the_callers_words() -> None:
    told = r"concept_accuracy requires references and target, and does not use colour\. Its arguments are "
    with pytest.raises(InputError, match=told):
        igmu_metrics.score("concept_accuracy", predictions=["object/church"], colour="red")


def test_labels_of_which_nothing_could_be_judged_are_counted_and_named():
    """A detector that knows one near concept of three must not look as if it had seen them all."""
    near = ["object/castle", "object/mosque", "object/pagoda"]
    asked = [TARGET, *(label for label in near for _ in "01")]
    seen = [None, "object/castle", "object/castle", *[None] * 4]
    found = figures(predictions=seen, references=asked, near=near)
    figure = found["near_retain_accuracy"]
    assert (figure.value, figure.n_generations) == (1.0, 2)
    assert "no image was judged for 2 of 3 labels: object/mosque, object/pagoda" in figure.reason
    assert found["n_unclear"].value == 5
    blind = figures(predictions=[None] * 7, references=asked, near=near)["near_retain_accuracy"]
    assert isnan(blind.value)
    assert "no image was judged for 3 of 3 labels" in blind.reason
    whole = figures(predictions=asked, references=asked, near=near)
    assert not any("no image was judged" in figure.reason for figure in whole.values())


def test_a_sibling_that_is_no_concept_is_a_label_and_a_slip_of_it_is_none():
    metric.rows(predictions=["object/mosque"] * 2, references=[TARGET, "object/mosque"], target=TARGET)
    with pytest.raises(UnknownLabelError, match="object/mosque"):
        metric.rows(predictions=["object/mosqe"] * 2, references=[TARGET, "object/mosque"], target=TARGET)


@pytest.mark.parametrize("probe", ASIDE)
def test_what_is_counted_by_itself_is_scored_alone_or_not_at_all(probe):
    given = {"predictions": [TARGET, None], "references": [TARGET] * 2}
    assert figures(**given, probes=[probe] * 2)["unlearning_accuracy"].value == 0.0
    with pytest.raises(InputError, match=rf"probes\[1\] is '{probe}', which is counted separately"):
        figures(**given, probes=["direct", probe])
