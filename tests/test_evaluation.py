"""What goes into a decision, a score and a signature: each of these was once changed without a test that noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drawn import picture
from tiny import tiny_clip

from igmu_data.schema import Row
from igmu_metrics import registry
from igmu_metrics.contract import FloatArray, Signature
from igmu_metrics.evaluation import Evaluation, Instruments, asked, both, scores
from igmu_metrics.generations import Generations
from igmu_metrics.images.layouts import of_rows
from igmu_metrics.metrics import forget_score
from igmu_metrics.networks.instruments import Batch, InstrumentInfo, answer_key, feature_key

TARGET = "object/church"


class Eye:
    """A detector that is told its answer; it sees pictures."""

    def __init__(self, probability: float) -> None:
        self.info = InstrumentInfo("eye", "1", "none", threshold=0.5)
        self._probability = probability

    def probabilities(self, batch: Batch, concepts: Any) -> np.ma.MaskedArray[Any, Any]:
        return np.ma.MaskedArray(np.full((len(batch), len(concepts)), self._probability))


class Reader:
    """A CLIP whose images all point one way, and whose texts turn with their length."""

    info = InstrumentInfo("reader", "1", "none")

    def image_features(self, images: Any) -> FloatArray:
        return np.tile([1.0, 0.0], (len(images), 1))

    def text_features(self, texts: Any) -> FloatArray:
        angles = np.array([len(t) % 100 for t in texts]) / 100
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.fixture
def table(tmp_path: Path, corpus_rows: dict[str, list[Row]]) -> Generations:
    rows = [r for r in corpus_rows[TARGET] if r.split == "forget" and r.prompt != r.stripped_prompt][:3]
    return asked(of_rows([(r, 1, picture(tmp_path / f"{r.id}.png")) for r in rows]), TARGET)


@pytest.mark.parametrize(("probability", "present"), [(0.5, True), (np.nextafter(0.5, 0), False)])
def test_a_probability_at_the_threshold_is_present(table: Generations, probability: float, present: bool) -> None:
    kept = Evaluation("object.church", cache=False, blank="keep")  # these images are of one colour
    seen = kept.measured(table, Instruments(TARGET, Eye(probability)), "x")
    assert seen["present"].tolist() == [present] * len(table)


def test_alignment_reads_prompts_and_what_is_left_reads_stripped_ones(table: Generations) -> None:
    tools = Instruments(TARGET, Eye(1.0), clip=Reader())  # type: ignore[arg-type]
    seen = Evaluation("object.church", cache=False).measured(table, tools, "x")
    found, failures = both(seen, seen, tools)
    assert failures == []
    for name, texts in (("alignment", "prompt"), ("stripped_alignment", "stripped_prompt")):
        expected = [np.cos(len(t) % 100 / 100) for t in table[texts].tolist()]
        assert found[name].tolist() == pytest.approx(expected)
        assert found[f"{name}_original"].tolist() == pytest.approx(expected)
    assert found["alignment"].tolist() != found["stripped_alignment"].tolist()


@pytest.mark.parametrize("model", ["unlearned", "original"])
def test_what_failed_for_either_model_is_left_out_for_both_and_said(table: Generations, model: str) -> None:
    tools = Instruments(TARGET, Eye(1.0))  # type: ignore[arg-type]
    good = Evaluation("object.church", cache=False).measured(table, tools, "x")
    bad = good.with_columns(status=["failed: no file", *good["status"].tolist()[1:]])
    found, failures = both(*((good, bad) if model == "unlearned" else (bad, good)), tools, skip=True)
    assert found.keys == table.keys[1:]
    assert failures == [f"{model} model: no file"]


def test_the_forget_score_aligns_with_stripped_prompts_alone() -> None:
    assert {"stripped_alignment", "stripped_alignment_original"} <= set(forget_score.USES)
    assert not {"alignment", "alignment_original"} & set(registry.columns(forget_score))


def test_every_way_of_preparing_an_image_is_signed() -> None:
    one = InstrumentInfo("x", "1", "bicubic 224", threshold=0.5)
    other = replace(one, preparation="bilinear 224")
    signatures = [Signature(i.signature("detector")) for i in (one, other)]
    assert signatures[0].differences(signatures[1]) == {"detector.preparation": ("bicubic 224", "bilinear 224")}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "y"}, "detector"),
        ({"revision": "2"}, "detector.revision"),
        ({"threshold": 0.25}, "detector.threshold"),
        ({"sensitivity": 0.9}, "detector.sensitivity"),
        ({"n_negatives": 20}, "detector.n_negatives"),
        ({"settings": {"precision": "bf16"}}, "detector.precision"),
    ],
)
def test_all_that_an_instrument_says_of_itself_is_signed(change: dict[str, Any], field: str) -> None:
    one = InstrumentInfo("x", "1", "bicubic 224", threshold=0.5)
    signatures = [Signature(i.signature("detector")) for i in (one, replace(one, **change))]
    assert list(signatures[0].differences(signatures[1])) == [field]


def test_scores_are_signed_with_every_instrument_that_they_read(table: Generations) -> None:
    tools = Instruments(TARGET, Eye(1.0), clip=Reader(), features=Reader())  # type: ignore[arg-type]
    seen = Evaluation("object.church", cache=False).measured(table, tools, "x")
    found = scores(both(seen, seen, tools)[0], tools, fields={})
    known = {"detector", "clip", "features"}
    roles = {name: known & s.signature.fields.keys() for name, s in found.items()}
    assert roles["concept_accuracy"] == {"detector"}
    assert roles["clip_alignment/forget"] == {"clip"}
    assert roles["forget_score"] == {"detector", "clip", "features"}
    for score in found.values():
        fields = score.signature.fields
        assert all(f"{role}.preparation" in fields for role in known if role in fields)


def test_cache_keys_differ_in_precision(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path / "clip")
    one, other = (registry.backbone(f"clip:{folder}", precision=p) for p in ("fp32", "bf16"))
    assert feature_key(one) != feature_key(other)
    first, second = (registry.detector(f"clip:{folder}", precision=p) for p in ("fp32", "bf16"))
    assert answer_key(first, TARGET) != answer_key(second, TARGET)
    assert answer_key(first, TARGET) != answer_key(first, "object/castle")


@pytest.mark.parametrize("change", [{"name": "y"}, {"revision": "2"}, {"preparation": "b"}, {"settings": {"size": 2}}])
def test_cache_keys_differ_in_all_that_values_follow_from(change: dict[str, Any]) -> None:
    """Of what is the same but for one field, one must never get the values of the other."""
    info = InstrumentInfo("x", "1", "a", threshold=0.5, settings={"size": 1})
    one, other = (SimpleNamespace(info=i) for i in (info, replace(info, **change)))
    assert feature_key(one) != feature_key(other)  # type: ignore[arg-type]
    assert answer_key(one, TARGET) != answer_key(other, TARGET)  # type: ignore[arg-type]


def test_cache_keys_of_extractors_name_the_pixels_that_they_see() -> None:
    info = InstrumentInfo("x", "1", "a")
    one, other = (SimpleNamespace(info=info, preparation=p) for p in ("crop", "resize"))
    assert feature_key(one) != feature_key(other)  # type: ignore[arg-type]
    assert feature_key(one, texts=True) == feature_key(other, texts=True) != feature_key(one)  # type: ignore[arg-type]
