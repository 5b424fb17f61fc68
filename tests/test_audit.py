"""The audit's mathematics on values worked by hand, and that it reports a metric that tells an untruth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from audited import NATURES, TASKS, Nature, evidence, figures, frame, seen, with_loss, world

from igmu_data.errors import InputError
from igmu_data.sandbox.packaged import VERSIONS
from igmu_data.schema import Row
from igmu_metrics.contract import Estimate
from igmu_metrics.distances.gaussian import cmmd, frechet_distance, kid
from igmu_metrics.distances.quality import quality_coverage, quality_frechet, quality_within, seed_halves
from igmu_metrics.evaluation import asked
from igmu_metrics.generations import Generations
from igmu_metrics.images.generate import Request
from igmu_metrics.images.layouts import of_rows
from igmu_metrics.metrics.forget_score import DEFAULT
from igmu_metrics.sandbox import demo
from igmu_metrics.sandbox.audit import checks, noisy, page, stability
from igmu_metrics.sandbox.audit.agreement import agreement, order, right, verdict
from igmu_metrics.sandbox.audit.candidates import DAMAGES, monotone
from igmu_metrics.sandbox.audit.checks import Outcome
from igmu_metrics.sandbox.audit.findings import Findings, analyse
from igmu_metrics.sandbox.audit.gather import describe, plan
from igmu_metrics.sandbox.audit.measures import MEASURES, values
from igmu_metrics.sandbox.audit.run import run
from igmu_metrics.sandbox.audit.seen import everything, prompts, random_draws, sizes
from igmu_metrics.sandbox.audit.stability import curves
from igmu_metrics.sandbox.audit.truth import ASPECTS, HEADLINE, PAIRS, Fixed, Gap, Pair

NAN = float("nan")


def made(**by_version: Sequence[float]) -> dict[tuple[str, str], Any]:
    """Values of one measure in one task."""
    return {("task", version): np.asarray(v, np.float64) for version, v in by_version.items()}


def test_the_truth_contradicts_itself_nowhere() -> None:
    ordered = {(p.aspect, p.better, p.worse) for p in PAIRS}
    assert len(ordered) == len(PAIRS)
    assert {v for p in PAIRS for v in (p.better, p.worse)} == set(VERSIONS)
    assert not {(a, worse, better) for a, better, worse in ordered} & ordered
    assert all(p.reason for p in PAIRS)


def test_nothing_is_claimed_about_fine_tuning_beyond_what_it_was_for() -> None:
    tuned = {"esd", "uce"}
    assert {p.aspect for p in PAIRS if {p.better, p.worse} & tuned} == {"forgetting", HEADLINE}
    assert not any({p.better, p.worse} == tuned for p in PAIRS)


AB, AC = Pair("x", "a", "b", "why"), Pair("x", "a", "c", "why")


def test_agreement_by_hand() -> None:
    # First draw: right, tie. Second: reversed, right. Third: no value, right.
    found = made(a=[3, 2, NAN], b=[1, 4, 0], c=[3, 1, 0])
    assert order(found, "task", AB, higher=True).tolist()[:2] == [1, -1]
    assert agreement(found, [AB, AC], higher=True).tolist() == [0.5, 0.0, 0.0]
    assert right(found, [AB, AC], higher=True).tolist() == [0, 0, 0]
    assert right(found, [AB], higher=True).tolist() == [1, 0, 0]


def test_agreement_of_a_metric_that_is_better_when_lower() -> None:
    found = made(a=[1.0], b=[2.0], c=[0.5])
    assert agreement(found, [AB, AC], higher=False).tolist() == [0.0]
    assert agreement(found, [AB], higher=False).tolist() == [1.0]
    assert agreement(found, [AB], higher=True).tolist() == [-1.0]


def test_agreement_is_over_all_tasks() -> None:
    found = made(a=[2.0], b=[1.0]) | {("other", "a"): np.array([1.0]), ("other", "b"): np.array([2.0])}
    assert agreement(found, [AB], higher=True).tolist() == [0.0]
    assert right(found, [AB], higher=True).tolist() == [0.0]


def test_what_is_wrong_is_named_with_its_numbers() -> None:
    found = made(a=[1.0], b=[2.0], c=[1.0])
    told = verdict(found, made(a=[1, 3], b=[2, 2], c=[1, 1]), [AB, AC], higher=True)
    assert [(w.task, w.pair.worse, w.better, w.worse, w.kind) for w in told.wrong] == [
        ("task", "b", 1.0, 2.0, "reversed"),
        ("task", "c", 1.0, 1.0, "equal"),
    ]
    # One reversed, one tie; in the halves (−1 + 0)/2 and (1 + 1)/2.
    assert (told.value, told.n_pairs) == (-0.5, 2)
    assert told.interval == pytest.approx((-0.5 + 0.025 * 1.5, 1 - 0.025 * 1.5))
    none = verdict(made(a=[NAN], b=[2.0]), made(a=[NAN], b=[2.0]), [AB], higher=True)
    assert none.wrong[0].kind == "no value"


# What the package itself computes is the other implementation: its figures, one draw of all prompts.


@pytest.fixture(scope="module")
def uneven() -> Generations:
    """Everything by chance: three seeds, and an original that draws only some of what it is asked for."""
    shared = frame(prompts=16, seeds=3)
    again = seen(Nature(0.4, 0.5, 0.6, 0.3, 0.7), prompts=24, seed=6, drawn=0.7)
    assert len(shared["id"]) == len(again)
    return again.with_columns(**shared).with_facts(k=3)


def test_all_prompts_give_the_figures_of_scorecards(uneven: Generations) -> None:
    found = values(uneven, everything(sizes(uneven)))
    known = figures(uneven, resamples=2)
    names = {m.key: m.figure for m in MEASURES if m.figure}
    assert set(names) >= {"forgetting", "robustness", "preservation", "alignment", "quality_within", "quality_coverage"}
    assert names[f"{HEADLINE}_{DEFAULT}"] == f"{HEADLINE}:{HEADLINE}"
    for key, name in names.items():
        assert found[key] == pytest.approx([known[name].value]), key


def test_uncorrected_figures_by_hand() -> None:
    one = seen(NATURES["esd"], prompts=2)
    forget, retain = one["split"] == "forget", one["split"] == "retain"
    present = np.where(forget, np.arange(len(forget)) % 4 == 0, one["shown"])
    loss = np.where(forget, np.resize([0.2, -0.4, NAN, 0.6], len(forget)), 0.5)
    one = with_loss(one.with_columns(shown=present), loss, reference=2)
    found = {key: float(v[0]) for key, v in values(one, everything(sizes(one))).items()}
    assert forget.sum() == retain.sum() == 4
    assert found["raw_ua"] == 0.75
    assert found["csdr_corpus"] == pytest.approx((0.2 + 0.4 + 0.6) / 3)
    assert found["csdr_signed"] == pytest.approx((0.2 - 0.4 + 0.6) / 3)
    assert found["csdr_reference"] == pytest.approx(2 * (0.2 + 0.4 + 0.6) / 3)
    assert found["csdr_reference_retain"] == 1.0


def test_distances_of_a_draw_are_those_of_its_images(uneven: Generations) -> None:
    draws = random_draws(sizes(uneven), 12, draws=3, seed=1)
    found = values(uneven, draws)
    retain = uneven["split"] == "retain"
    before, after = uneven["features_original"][retain], uneven["features"][retain]
    first, second = seed_halves(uneven["id"][retain], uneven["seed"][retain])
    for at, pick in enumerate(draws["retain"]):
        here = np.isin(uneven["id"][retain], prompts(uneven, "retain")[pick])
        a, b = first & here, second & here
        assert found["frechet"][at] == pytest.approx(frechet_distance(before[a], after[b]))
        ids = {"x_ids": uneven["id"][retain][a], "y_ids": uneven["id"][retain][b]}  # both halves: the same prompts
        assert found["kid"][at] == pytest.approx(kid(before[a], after[b], **ids))
        assert found["cmmd"][at] == pytest.approx(cmmd(before[a], after[b], unbiased=True, **ids))
        assert found["quality_frechet"][at] == pytest.approx(quality_frechet(before, after, (a, b)))
        assert found["quality_coverage"][at] == pytest.approx(quality_coverage(before, after, (a, b)))
        of_draw = (column[retain][here] for column in (uneven["id"], uneven["seed"]))
        assert found["quality_within"][at] == pytest.approx(quality_within(before[here], after[here], *of_draw))


def test_a_draw_is_what_only_its_prompts_would_give(uneven: Generations) -> None:
    draws = random_draws(sizes(uneven), 9, draws=2, seed=3)
    found = values(uneven, draws)
    for at in range(2):
        kept = np.isin(uneven["id"], [p for s, d in draws.items() for p in prompts(uneven, s)[d[at]]])
        # An attacked prompt whose plain one is not drawn, or the other way round, does not change the rest.
        alone = uneven.where(kept)
        expected = values(alone, everything(sizes(alone)))
        for key in found.keys() - {"pre_asr"}:
            assert found[key][at] == pytest.approx(expected[key][0], nan_ok=True), key


def test_draws_are_without_replacement_and_as_large_as_asked_for() -> None:
    sizes = {"forget": 7, "retain": 3}
    draws = random_draws(sizes, 5, draws=50)
    assert {k: d.shape for k, d in draws.items()} == {"forget": (50, 5), "retain": (50, 3)}
    assert all(len(set(d)) == 5 for d in draws["forget"].tolist())
    assert {k: d.shape[1] for k, d in random_draws(sizes, None, draws=2).items()} == {"forget": 4, "retain": 2}


def test_stability_by_hand() -> None:
    """One version forgot in a single prompt of ten: half of all choices of five prompts hold it."""
    versions = {version: seen(NATURES[version], prompts=10, unchanged=version == "filter") for version in VERSIONS}
    esd = versions["esd"]
    forgot = (esd["split"] == "forget") & (esd["id"] == "f003")
    versions["esd"] = esd.with_columns(shown=~forgot, drawn=np.ones_like(forgot))
    cells = {("church", version): one for version, one in versions.items()}
    (curve,) = (c for c in curves(cells, draws=400) if c.measure.key == "forgetting")
    assert list(curve.sizes) == [5, 10]
    assert curve.shares[0] == pytest.approx(0.5, abs=0.1)  # four standard deviations
    assert (curve.shares[1], curve.enough) == (1.0, 10)
    assert curve.means["church", "esd"] == pytest.approx([0.1, 0.1], abs=0.02)


@pytest.mark.parametrize(
    ("shares", "enough"), [([1, 1, 1], 5), ([0.96, 0.9, 1], 20), ([0.2, 0.95, 0.96], 10), ([1, 1, 0.94], None)]
)
def test_enough_is_where_it_stays_enough(shares: list[float], enough: int | None) -> None:
    assert stability.enough([5, 10, 20], shares) == enough


def test_a_detector_that_errs_is_corrected() -> None:
    # What a detector with these errors sees where half of the images show the target: 1 − 0.475 = 0.525 of it gone.
    answers = (np.arange(400) < 190).reshape(200, 2)
    raw, corrected = noisy.judged(answers, 0.85, 0.9)
    assert (raw.value, corrected.value) == (0.525, pytest.approx(0.5))
    assert raw.interval is not None
    assert corrected.interval is not None
    assert corrected.interval[0] < raw.interval[0] < raw.interval[1] < corrected.interval[1]


def test_the_original_against_itself_forgot_nothing_and_kept_everything() -> None:
    """Identities, whatever its images are: they are no finding of an audit."""
    for drawn in (1.0, 0.7):
        one = seen(NATURES["original"], prompts=12, drawn=drawn, unchanged=True)
        found = figures(one.with_columns(shown=one["drawn"]), resamples=20)
        known = {"forgetting": 0.0, "robustness": 0.0, "preservation": 1.0, "alignment": 1.0, "quality": 1.0}
        assert {name: found[f"forget_score:{name}"].value for name in known} == known
        assert found["forget_score:forget_score"].value == 0.0
        assert found["concept_accuracy:conditional_unlearning_accuracy"].value == 0.0
        assert found["clip_alignment/retain:csdr"].value == 0.0


EXACTLY, ABOUT = Fixed("original", "forgetting", 0, 0, "why"), Fixed("gold", "forgetting", 0.9, 1, "why")


@pytest.mark.parametrize(
    ("truth", "value", "interval", "outcome"),
    [
        (EXACTLY, 0.0, (0.0, 0.3), Outcome.HOLDS),
        (EXACTLY, 0.01, (0.0, 0.3), Outcome.FAILS),
        (EXACTLY, NAN, None, Outcome.OPEN),
        (ABOUT, 0.97, (0.93, 0.99), Outcome.HOLDS),
        (ABOUT, 0.97, (0.85, 0.99), Outcome.OPEN),
        (ABOUT, 0.7, (0.6, 0.89), Outcome.FAILS),
        (ABOUT, 0.97, None, Outcome.OPEN),
    ],
)
def test_a_value_that_is_known(
    truth: Fixed, value: float, interval: tuple[float, float] | None, outcome: Outcome
) -> None:
    assert checks.fixed("task", truth, Estimate(value, interval)).outcome is outcome


@pytest.mark.parametrize(
    ("better", "worse", "outcome"),
    [
        ((0.9, (0.8, 1.0)), (0.1, (0.0, 0.2)), Outcome.HOLDS),
        ((0.9, (0.85, 1.0)), (0.7, (0.6, 0.8)), Outcome.FAILS),  # apart, but not far
        ((0.1, (0.0, 0.2)), (0.9, (0.8, 1.0)), Outcome.FAILS),
        ((0.6, (0.3, 0.9)), (0.2, (0.0, 0.4)), Outcome.OPEN),
        ((NAN, None), (0.2, (0.0, 0.4)), Outcome.OPEN),
    ],
)
def test_one_far_above_another(better: Any, worse: Any, outcome: Outcome) -> None:
    gap = Gap("robustness", "gold", "filter", 0.3, "why")
    assert checks.gap("task", gap, Estimate(*better), Estimate(*worse)).outcome is outcome


@pytest.mark.parametrize(
    ("halves", "n_prompts", "outcome"),
    [
        ([0.2, 0.3, 0.4], 20, Outcome.HOLDS),
        ([-0.2, -0.3, -0.1], 20, Outcome.FAILS),
        ([0.0, 0.0, 0.0], 20, Outcome.FAILS),  # a tie is no order
        ([-0.1, 0.3, 0.4], 20, Outcome.OPEN),
        ([0.2, 0.3, 0.4], 5, Outcome.OPEN),  # so few agree by chance
        ([0.2, NAN, 0.4], 20, Outcome.OPEN),
    ],
)
def test_an_order(halves: list[float], n_prompts: int, outcome: Outcome) -> None:
    given = {"a": np.asarray(halves), "b": np.zeros(3)}
    found = checks.ordering("task", "a over b", [AB], {"a": 0.3, "b": 0.0}, given, n_prompts)
    assert found.outcome is outcome
    assert "a 0.30 over b 0.00" in found.measured


def test_the_worst_pair_decides() -> None:
    given = {"a": np.full(3, 0.5), "b": np.zeros(3), "c": np.full(3, 0.6)}
    found = checks.ordering("task", "", [AB, AC], {"a": 0.5, "b": 0.0, "c": 0.6}, given, 20)
    assert found.outcome is Outcome.FAILS
    assert "a 0.50 over c 0.60" in found.measured


@pytest.mark.parametrize(
    ("hits", "below", "outcome"),
    [
        (970, 20, Outcome.HOLDS),
        (800, 100, Outcome.FAILS),
        (945, 28, Outcome.OPEN),
        (955, 45, Outcome.FAILS),  # often enough, but it errs on one side alone
    ],
)
def test_the_promise_of_an_interval(hits: int, below: int, outcome: Outcome) -> None:
    one = noisy.Noisy(0.8, 0.9, 0.5, 1000, 100, hits, below, 1000 - hits - below, 0.0)
    assert checks.correction(0.5, [one]).outcome is outcome


def test_doses_by_hand() -> None:
    assert monotone(np.array([[1.0, 1.0, 1.0]])) == 0.0
    assert monotone(np.array([[1.0, 2.0, 3.0]])) == -1.0
    assert monotone(np.array([[3.0, 2.0, 2.0]])) == pytest.approx(2 / 3)


# Whole worlds: one in which the metrics tell the truth, and others in which they cannot.

HONEST = {"filter": replace(NATURES["filter"], falls=0.6)}


@pytest.fixture(scope="module")
def honest() -> Findings:
    return analyse(evidence(world(prompts=40, **HONEST)), draws=12, repeats=2)


@pytest.fixture(scope="module")
def crooked() -> Findings:
    """Gold falls to attacks, and what should be collapsed keeps everything and looks like the original."""
    wrong = {
        "gold": replace(NATURES["gold"], falls=0.95),
        "collapsed": Nature(0.0, 0.0, 1.0, 0.0, 0.0),
    }
    return analyse(evidence(world(prompts=20, **HONEST, **wrong)), draws=12, repeats=2)


def failed(findings: Findings) -> set[str]:
    return {c.statement for c in findings.checks if c.outcome is Outcome.FAILS}


def test_where_the_metrics_tell_the_truth_nothing_fails(honest: Findings) -> None:
    assert failed(honest) == set()
    assert {c.task for c in honest.checks} == {*TASKS, "all", checks.PLANTED}
    by_key = {a.measure.key: a for a in honest.agreements}
    for key in ("forgetting", "robustness", "preservation", "alignment", "quality_within", f"{HEADLINE}_within"):
        assert by_key[key].own.value == 1.0
        assert by_key[key].own.wrong == ()


def test_uncorrected_practice_misleads_where_it_must(honest: Findings) -> None:
    by_key = {a.measure.key: a for a in honest.agreements}
    # A plain prompt cannot tell the filter from gold.
    assert {w.pair.worse for w in by_key["pre_asr"].own.wrong} == {"filter"}
    # Whoever draws noise has forgotten perfectly.
    favoured = {(w.pair.better, w.pair.worse) for w in by_key["raw_ua"].whole.wrong}
    assert {("gold", "collapsed"), ("esd", "collapsed")} <= favoured
    assert by_key["raw_ua"].own.value == 1.0
    assert by_key["raw_ua"].whole.value < by_key[f"{HEADLINE}_within"].whole.value


def test_an_untruth_is_reported(crooked: Findings) -> None:
    assert failed(crooked) >= {
        "gold: robustness is about 1",
        "collapsed: preservation is about 0",
        "collapsed: forget score is about 0",
        "robustness puts the versions in the true order",
        "preservation puts the versions in the true order",
        "alignment puts the versions in the true order",
        "gold has the highest forget score",
        "original and collapsed have the lowest forget scores",
    }
    held = {c.statement for c in crooked.checks if c.outcome is Outcome.HOLDS}
    assert "quality puts the versions in the true order" not in held
    by_key = {a.measure.key: a for a in crooked.agreements}
    assert by_key["robustness"].own.value < 0.6
    assert by_key["preservation"].own.value <= 0.0
    curve = next(c for c in crooked.curves if c.measure.key == "preservation")
    assert curve.enough is None


def test_the_candidates_are_ranked_by_what_they_tell(honest: Findings) -> None:
    first, second, third = honest.candidates
    assert first.merit >= second.merit >= third.merit
    assert {c.name for c in honest.candidates} == {"within", "coverage", "frechet"}
    for candidate in honest.candidates:
        assert set(candidate.doses) == set(candidate.halfway) == set(candidate.wholly) == set(DAMAGES)
        assert all(-0.5 < v <= 1 for v in candidate.doses.values())


def test_the_default_is_the_candidate_that_sees_all_damage(honest: Findings) -> None:
    first = honest.candidates[0]
    assert (first.name, first.blind) == (DEFAULT, ())
    assert first.halfway["noise"] <= 0.6
    assert first.wholly["halved contrast"] <= 0.6
    assert first.wholly["one image"] == first.wholly["one image per prompt"] == 0.0
    assert min(first.doses.values()) > 0.95


def test_the_default_is_what_the_written_audit_recommends() -> None:
    text = (Path(__file__).parents[1] / "docs" / "audit.md").read_text(encoding="utf-8")
    if f"| {DEFAULT} |" not in text:
        pytest.skip("docs/audit.md was written before there was this candidate")
    assert f"`{DEFAULT}` does best, so it should be the default" in text


def test_the_page_hides_nothing(crooked: Findings) -> None:
    text = page.render(crooked, figure="audit.svg", scatter="audit-truth.svg", seeds_per_row=2)
    for check in crooked.checks:
        assert f"| {check.task} | {check.statement} | {check.measured} |" in text
    wrong = text.partition("## Versions in the wrong order")[2].partition("\n## ")[0]
    for one in crooked.agreements:
        listed = one.own.wrong or (one.measure.baseline and one.whole.wrong)
        assert (f"- **{one.measure.title}**" in wrong) == bool(listed)
    n_failed = sum(c.outcome is Outcome.FAILS for c in crooked.checks)
    assert f"{n_failed} do not hold" in text
    assert all(p.reason in text for p in ASPECTS["robustness"])


def test_the_tables_of_the_page_are_whole(crooked: Findings) -> None:
    lines = page.render(crooked, figure="audit.svg", scatter="audit-truth.svg", seeds_per_row=2).splitlines()
    for above, line in pairwise(lines):
        if above.startswith("|") and line.startswith("|"):
            assert above.count(" | ") == line.count(" | "), line


def test_what_probes_negation_is_no_part_of_an_audit(corpus_rows: dict[str, list[Row]]) -> None:
    church = corpus_rows["object/church"]
    rows = [next(r for r in church if r.probe == p) for p in ("near", "negation", "direct", "attack")]
    features = np.arange(1.0, 9.0).reshape(4, 2)
    present = np.array([True, True, False, False])
    judged = asked(of_rows([(r, r.seeds[0], Path(f"{r.id}.png")) for r in rows]), "object/church").with_columns(
        present=present,
        present_original=~present,
        clip_features=features,
        clip_features_original=features,
        stripped_alignment=np.full(4, 0.5),
        stripped_alignment_original=np.full(4, 0.5),
    )
    found = describe(judged, features, features)
    kept = sorted([rows[0], rows[2], rows[3]], key=lambda r: r.id)
    assert found["id"].tolist() == [r.id for r in kept]
    assert found["split"].tolist() == [r.split for r in kept]
    assert found["features"].tolist() == [features[rows.index(r)].tolist() for r in kept]
    assert found["shown"].tolist() == [bool(present[rows.index(r)]) for r in kept]
    assert judged.part("adversarial")["id"].tolist() == [rows[3].id]
    assert judged.part("negation")["id"].tolist() == [rows[1].id]


def test_an_audit_says_what_it_will_do(tmp_path: Path) -> None:
    """Before the first image; how long it takes follows from images that are there."""
    asked_for = [Request(f"{i:016x}", seed, "a church") for i in range(50) for seed in (1, 2)]
    jobs = [demo.Task(slug, tmp_path / slug, asked_for) for slug in ("church", "van-gogh")]
    said = "audit: 6 models for each of 2 tasks (church, van-gogh), 1200 images, of which "
    end = f"; images are kept in {tmp_path}, where an interrupted audit resumes"
    assert plan(jobs, tmp_path) == f"{said}1200 must be generated{end}"
    done = jobs[0].folders["esd"]
    done.mkdir(parents=True)
    lines = [{"file_name": f"{r.row_id}.png", "id": r.row_id, "seed": r.seed} for r in asked_for[:60]]
    (done / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    call = {"images": 60, "batch_size": 60, "seconds": 600 * torch.get_num_threads(), "peak_bytes": 1, "device": "cpu"}
    (done / "times.jsonl").write_text(json.dumps(call) + "\n")
    assert plan(jobs, tmp_path) == f"{said}1140 must be generated (about 3.2 h){end}"


def test_a_metric_that_the_audit_cannot_compute_is_refused_before_any_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("igmu_metrics.sandbox.audit.run.gather", lambda *_, **__: pytest.fail("it generates images"))
    with pytest.raises(InputError, match=r"--metric lpips: it requires lpips, which .* the columns id, seed, "):
        run(tmp_path / "docs", tmp_path / "work", seeds_per_row=2, metrics=["lpips"])
    assert list(tmp_path.iterdir()) == []
