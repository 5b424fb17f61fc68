"""What goes into a decision, a score and a signature: each of these was once changed without a test that noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drawn import image_file
from tiny import tiny_clip

from igmu_data.schema import ASIDE, SPLITS, Row
from igmu_metrics import registry
from igmu_metrics.contract import CROSS, PARTS, FloatArray, Signature
from igmu_metrics.evaluation import Evaluation, Instruments, asked, both, facts, scores
from igmu_metrics.generations import Generations
from igmu_metrics.images.layouts import of_rows
from igmu_metrics.metrics import forget_score
from igmu_metrics.metrics._contract import columns, parts
from igmu_metrics.networks.instruments import Batch, InstrumentInfo, answer_key, feature_key
from igmu_metrics.testing import sample_table

TARGET = "object/church"


class Eye:
    """A detector that is told its answer; it sees images."""

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
    return asked(of_rows([(r, 1, image_file(tmp_path / f"{r.id}.png")) for r in rows]), TARGET)


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
    assert not {"alignment", "alignment_original"} & set(columns(forget_score))


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


def of_every_part(table: Generations) -> dict[str, str]:
    return {
        f"{name}/{part}": repr(metric.score(seen, resamples=50))
        for name, metric in registry.metrics().items()
        for part, seen in parts(metric, table)
    }


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("probe", ASIDE)
def test_what_is_counted_by_itself_counts_for_nothing_else(probe: str, split: str) -> None:
    """Whatever split its rows are in, whatever was seen in them, and whether there are any."""
    table = sample_table()
    aside = table["probe"] == probe
    table = table.with_columns(
        split=np.where(aside, split, table["split"]),
        attack_family=np.where(aside, "synonym", table["attack_family"]),
        attack_source_id=np.where(aside, "direct-00", table["attack_source_id"]),
    )
    spoilt: dict[str, Any] = {}
    for name, values in table.columns.items():
        if values.dtype.kind in "bf":
            spoilt[name] = values.copy()
            spoilt[name][aside] = ~values[aside] if values.dtype.kind == "b" else 0.5 - values[aside] / 2
    before, after, without = (of_every_part(t) for t in (table, table.with_columns(**spoilt), table.where(~aside)))
    own = {name for name in before if name.endswith(f"/{probe}")}
    assert own == {f"concept_accuracy/{probe}", f"clip_alignment/{probe}"}
    assert all(before[name] != after[name] for name in own)
    assert {n: r for n, r in before.items() if n not in own} == {n: r for n, r in after.items() if n not in own}
    assert {n: r for n, r in before.items() if n not in own} == without


def test_every_row_is_of_one_part() -> None:
    table = sample_table()
    assert set(table.parts.tolist()) == set(PARTS) - {CROSS}  # of layout unlearncanvas alone
    assert sum(len(table.part(part)) for part in PARTS) == len(table)
    bare = Generations({"id": ["a"], "seed": [0], "split": ["retain"]})  # of a layout that knows no rows
    assert (bare.parts.tolist(), len(bare.part("retain")), len(bare.part("superclass"))) == (["retain"], 1, 0)


@pytest.mark.parametrize(("probe", "judged"), [("negation", TARGET), ("superclass", TARGET), ("far", "object/bear")])
def test_what_is_counted_by_itself_is_judged_for_the_target(probe: str, judged: str) -> None:
    """Also where its rows are among the retain rows."""
    columns = {"id": ["a"], "seed": [0], "split": ["retain"], "probe": [probe], "own_concept": ["object/bear"]}
    assert asked(Generations(columns), TARGET)["own_concept"].tolist() == [judged]


def test_what_is_near_is_what_the_rows_say() -> None:
    """The miniature world's near set is another than the corpus'; a mosque is no concept at all."""
    columns = {"id": ["a", "b", "c", "d"], "seed": [0] * 4, "split": ["retain"] * 4}
    columns |= {"probe": ["near", "near", "near", "far"], "own_concept": ["object/mosque", "x/y", None, "object/cat"]}
    told = facts(Instruments(TARGET, Eye(0.5)), Generations(columns))
    assert told == {"target": TARGET, "near": "object/mosque,x/y"}


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
