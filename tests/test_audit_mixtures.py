"""Virtual models are what their recipes say, and a metric that is wrong on purpose is found by the audit, by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from audited import evidence, figures, pool, world
from typer.testing import CliRunner

from igmu_data.errors import InputError, PluginError, UnknownMetricError
from igmu_metrics import registry
from igmu_metrics.cli import app
from igmu_metrics.contract import Estimate, Metric, MetricInfo, Result, Table
from igmu_metrics.sandbox.audit import checks, data, figure, noisy, pages, yardstick
from igmu_metrics.sandbox.audit.checks import Outcome, same
from igmu_metrics.sandbox.audit.findings import Findings, _shipped
from igmu_metrics.sandbox.audit.measures import BY_KEY, MEASURES, table
from igmu_metrics.sandbox.audit.mixtures import KINDS, Pool, recipes, serve, truth
from igmu_metrics.sandbox.audit.seen import everything
from igmu_metrics.sandbox.audit.yardstick import GRADES, Measured, contenders, judge, measure, smallest
from igmu_metrics.statistics import corrected


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "RESAMPLED", 20)
        yield


OURS = ("concept_accuracy", "attack_success_rate", "forget_score")


@pytest.fixture(scope="module")
def made() -> Pool:
    return pool()


@pytest.fixture(scope="module")
def narrow(made: Pool) -> Pool:
    """Without features, so that quality is not scored, which is slow."""
    columns = ("features", "features_original")
    return replace(made, tables={p: t.without(*columns) for p, t in made.tables.items()}, detectors={})


def test_there_are_more_than_five_hundred(made: Pool) -> None:
    found = recipes(made, GRADES)
    assert 2 * len(found) >= 500
    assert len({one.name for one in found}) == len(found)
    assert {one.kind for one in found} >= set(KINDS)
    assert found == recipes(made, GRADES)
    for one in found:
        assert made.shares(one).sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_served_is_what_is_true(made: Pool, kind: str) -> None:
    """By counting, without any metric, in many prompts: within five standard deviations or so."""
    one = next(r for r in recipes(made, 3) if r.name == f"church: {kind} 2")
    known, drawn = truth(made, one), serve(made, one, prompts=4000, seed=1)
    shown, before = (np.ma.filled(drawn[f"present{s}"], False) for s in ("", "_original"))
    forget, attacked, retain = (drawn["split"] == s for s in ("forget", "adversarial", "retain"))
    assert 1 - shown[forget & before].mean() == pytest.approx(known["forgetting"], abs=0.03)
    fails = {}
    for family in np.unique(drawn["attack_family"][attacked]):
        prompts = np.unique(drawn["id"][(drawn["attack_family"] == family) & before])
        code = np.searchsorted(prompts, drawn["id"])
        here = (drawn["attack_family"] == family) & before
        fails[family] = 1 - (np.bincount(code[here], shown[here], minlength=len(prompts)) > 0).mean()
    assert np.mean(list(fails.values())) == pytest.approx(known["robustness"], abs=0.03)
    assert min(fails.values()) == pytest.approx(known["robustness_worst"], abs=0.04)
    for probe in ("near", "far"):
        here = retain & (drawn["probe"] == probe)
        own = [here & (drawn["own_concept"] == c) for c in np.unique(drawn["own_concept"][here])]
        kept = np.mean([shown[at].mean() for at in own]) / np.mean([before[at].mean() for at in own])
        assert kept == pytest.approx(known[probe], abs=0.03)
    noise = drawn["alignment"][retain] == 0.1
    ids, code = np.unique(drawn["id"][retain], return_inverse=True)
    first = drawn["features"][retain][np.unique(code, return_index=True)[1]][code]
    other = np.bincount(code, (drawn["features"][retain] != first).any(axis=1)) == 0
    alike = 0.0 if kind == "within prompts" else other.mean()
    assert (1 - noise.mean()) * (1 - alike) == pytest.approx(known["quality"], abs=0.03)
    assert len(ids) > 3000


def test_the_same_lot_draws_the_same_for_every_detector(made: Pool) -> None:
    one = recipes(made, 1)[5]
    packaged, other = serve(made, one, seed=3), serve(made, one, seed=3, detector="half blind")
    assert packaged.keys == other.keys
    assert np.array_equal(packaged["features"], other["features"])
    assert packaged["present"].sum() > other["present"].sum() > 0


def test_prompts_that_lost_an_image_are_left_out(made: Pool) -> None:
    kept = np.arange(len(made.given)) != 3
    fewer = Pool.of("church", {p: t.where(kept) for p, t in made.tables.items()}, made.facts)
    assert len(fewer.given) == len(made.given) - 2
    with pytest.raises(InputError, match="collapsed"):
        Pool.of("church", {p: t for p, t in made.tables.items() if p != "collapsed"}, made.facts)
    with pytest.raises(InputError, match="different prompts"):
        Pool.of("church", made.tables | {"gold": made.tables["gold"].where(kept)}, made.facts)


def test_where_the_original_never_drew_the_target_nothing_is_said_of_it(narrow: Pool) -> None:
    nothing = np.zeros(len(narrow.given), np.bool_)
    blind = {p: t.with_columns(present=nothing, present_original=nothing) for p, t in narrow.tables.items()}
    never = replace(narrow, tables=blind)
    judged = judge([never], grades=1, resamples=10, told=("concept_accuracy",))
    assert np.isnan([one.truth["forgetting"] for one in judged]).all()
    assert np.isnan(list(yardstick.means(judged).values())).all()
    assert {one.n for one in measure(judged, contenders([never]), prompts=50, seeds=2) if one.contender.both} == {0}


def test_the_smallest_difference_by_hand() -> None:
    true = np.repeat(np.linspace(0, 1, 26), 2)
    tasks = np.zeros(len(true), np.str_)
    assert smallest(true, true, tasks) == 0.01
    assert smallest(-true, true, tasks) is None
    assert smallest(np.full(len(true), 0.5), true, tasks) is None  # a tie is no order
    coarse = np.round(true * 2)  # two steps of 0.5: what is less than half a step apart may look alike
    assert 0.2 <= (smallest(coarse, true, tasks) or 0) <= 0.5


# Metrics that are wrong on purpose, planted where everybody's evaluation takes them from.


def _flipped(figures: dict[str, Estimate]) -> None:
    for name in ("unlearning_accuracy", "conditional_unlearning_accuracy"):
        old = figures[name]
        low, high = old.interval or (0.0, 1.0)
        figures[name] = replace(old, value=1 - old.value, interval=(1 - high, 1 - low))


def _swapped(one: str, other: str) -> Callable[[dict[str, Estimate]], None]:
    def swap(figures: dict[str, Estimate]) -> None:
        figures[one], figures[other] = figures[other], figures[one]

    return swap


def _unconditional(figures: dict[str, Estimate]) -> None:
    for name in list(figures):
        if f"unconditional_{name}" in figures:
            figures[name] = figures[f"unconditional_{name}"]
        if f"conditional_{name}" in figures:
            figures[f"conditional_{name}"] = figures[name]


def _narrowed(figures: dict[str, Estimate]) -> None:
    for name, old in figures.items():
        if old.interval is not None:
            ends = tuple(old.value + (end - old.value) / 3 for end in old.interval)
            figures[name] = replace(old, interval=(ends[0], ends[1]))


PLANTED: Mapping[str, tuple[str, Callable[[dict[str, Estimate]], None], set[str]]] = {
    "flipped": ("concept_accuracy", _flipped, {"conditional unlearning accuracy"}),
    "near and far swapped in concept_accuracy": (
        "concept_accuracy",
        _swapped("near_retain_accuracy", "far_retain_accuracy"),
        {"near retain accuracy", "far retain accuracy"},
    ),
    "near and far swapped in forget_score": (
        "forget_score",
        _swapped("preservation_near", "preservation_far"),
        {"preservation, near", "preservation, far"},
    ),
    "unconditional attack_success_rate": (
        "attack_success_rate",
        _unconditional,
        {
            "1 − conditional ASR, any of k, by family",
            "1 − conditional ASR of images, by family",
            "1 − conditional ASR, any of k, pooled",
        },
    ),
    "unconditional forget_score": ("forget_score", _unconditional, {"robustness"}),
    "narrow intervals": ("concept_accuracy", _narrowed, {"conditional unlearning accuracy"}),
}


def shortfalls(narrow: Pool, metric: str) -> set[str]:
    """The figures of a metric of ours that the audit names."""
    judged = judge([narrow], grades=4, resamples=20, told=(metric,))
    ours = [c for c in contenders([narrow]) if c.kind == "igmu" and c.figure.startswith(metric)]
    ours = [c for c in ours if c.aspect not in ("quality", "alignment", "forget_score")]
    measured = measure(judged, ours, prompts=50, seeds=2)
    found = [yardstick_check(one) for one in measured]
    assert len(found) == len(ours)
    assert Outcome.OPEN not in {c.outcome for c in found}
    return {m.contender.title for m, c in zip(measured, found, strict=True) if c.outcome is Outcome.FAILS}


def yardstick_check(one: Measured) -> Any:
    found = checks.yardstick(one)
    assert one.contender.title in found.statement
    return found


@pytest.mark.parametrize("metric", OURS)
def test_nothing_is_found_where_nothing_is_wrong(narrow: Pool, metric: str) -> None:
    # The shipped near and far accuracies are not relative to the original, which draws 95% here.
    assert shortfalls(narrow, metric) <= {"near retain accuracy", "far retain accuracy"}


@pytest.mark.parametrize("name", PLANTED)
def test_a_metric_that_is_wrong_on_purpose_is_found(name: str, narrow: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    metric, defect, expected = PLANTED[name]
    module = registry.metric(metric)
    score = module.score

    def wrong(table: Table, **how: Any) -> Result | None:
        result = score(table, **how)
        assert result is not None
        figures = dict(result.figures)
        defect(figures)
        return replace(result, figures=figures)

    monkeypatch.setattr(module, "score", wrong)
    assert shortfalls(narrow, metric) >= expected


def test_a_correction_that_covers_too_little_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noisy, "RATES", (0.8, 1.0))
    monkeypatch.setattr(noisy, "TOGETHER", (0.0, 1.0))
    honest = noisy.compare(repeats=25)
    assert all(one.hits + one.below + one.above == one.repeats == 75 for one in honest)
    for together in (0.0, 1.0):
        check = checks.correction(together, [one for one in honest if one.together == together])
        assert check.outcome is not Outcome.FAILS, check
    assert sum(one.raw_hits for one in honest) < sum(one.hits for one in honest)
    known = corrected._inverted
    half = lambda *a: (known(*a)[0], (known(*a)[0] + known(*a)[1]) / 2)  # noqa: E731
    monkeypatch.setattr(corrected, "_inverted", half)
    assert checks.correction(0.0, noisy.compare(repeats=25)).outcome is Outcome.FAILS


def test_the_fast_form_is_held_to_the_shipped_figure() -> None:
    cells = world(prompts=8)
    known = {cell: figures(one, resamples=2) for cell, one in cells.items()}
    drawn = table(cells, everything)
    named = [m for m in MEASURES if m.figure]
    assert {same(m, known, drawn[m.key]).outcome for m in named} == {Outcome.HOLDS}
    for told in known.values():
        told["concept_accuracy:unlearning_accuracy"] = Estimate(0.123)
    wrong = [m.title for m in named if same(m, known, drawn[m.key]).outcome is Outcome.FAILS]
    assert wrong == ["raw unlearning accuracy"]
    told = evidence({})
    assert _shipped(BY_KEY["raw_ua"], replace(told, figures=known), {})["church", "gold"].tolist() == [0.123]


# What somebody else's metric goes through.

INFO = MetricInfo("mine", 1, "Mine", "Mine.", "gone", "higher", (0.0, 1.0), (), "None.", {"": ("forget",)})


def _score(table: Table, *, seed: int = 0, resamples: int = 2000) -> Result | None:
    found = Estimate(float(1 - table["present"].mean()), (0.0, 1.0), 1, len(table))
    return Result(found, {"gone": found})


@pytest.fixture
def mine() -> Metric:
    return SimpleNamespace(INFO=INFO, NEEDS=("present",), score=_score)  # type: ignore[return-value]


def test_a_given_metric_is_asked_about_every_aspect(narrow: Pool, mine: Metric) -> None:
    judged = judge([narrow], grades=4, resamples=10, told=(), given={"a:mine": mine})
    asked = [c for c in contenders([narrow], {"a:mine": mine}) if c.kind == "given"]
    found = {m.contender.aspect: m for m in measure(judged, asked, prompts=50, seeds=2)}
    assert found["forgetting"].rank.value > 0.9
    assert found["preservation"].rank.value < 0.5
    mine.ASPECT = "forgetting"  # type: ignore[attr-defined]
    assert [c.aspect for c in contenders([narrow], {"a:mine": mine}) if c.kind == "given"] == ["forgetting"]


def test_a_given_metric_that_fails_is_named(narrow: Pool, mine: Metric) -> None:
    mine.score = lambda table, **how: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    mine.PACKAGE = "somebody's"  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match="mine"):
        judge([narrow], grades=1, resamples=10, told=(), given={"a:mine": mine})


@pytest.mark.parametrize("spec", ["no_such_package:metric", "json:loads", "json:nothing"])
def test_what_is_no_metric_is_refused_before_anything_is_drawn(spec: str, tmp_path: Any) -> None:
    with pytest.raises(PluginError, match=spec.partition(":")[0]):
        registry.chosen_metric(spec)
    with pytest.raises(UnknownMetricError):
        registry.chosen_metric("concept_acuracy")
    assert registry.chosen_metric("igmu_metrics.metrics:forget_score") is registry.metric("forget_score")
    result = CliRunner().invoke(app, ["audit", "--metric", spec, "--out", str(tmp_path), "--work", str(tmp_path / "w")])
    assert result.exit_code != 0
    assert not (tmp_path / "w").exists()


# The page, its figures and the data.


@pytest.fixture(scope="module")
def findings(made: Pool) -> Findings:
    judged = judge([made], grades=1, resamples=40)
    measured = measure(judged, contenders([made]), prompts=50, seeds=2)
    told = replace(evidence({}), pools={"church": made})
    return Findings(told, {}, (), (), (), (), (), tuple(judged), tuple(measured), 0)


def test_the_page_has_a_line_for_every_figure(findings: Findings) -> None:
    text = "\n\n".join(pages.yardstick(findings, "audit.svg", "audit-truth.svg"))
    for one in findings.measured:
        assert f"| {one.contender.title} |" in text or f"| **{one.contender.title}** |" in text
    assert all(f"| {kind} | {what} | 1 |" in text for kind, what in KINDS.items())
    assert "](audit.svg)" in text
    assert "](audit-truth.svg)" in text
    assert {m.contender.detector for m in findings.measured} == {"", "half blind"}


def test_the_figures_hold_every_name_and_stay_in_frame(findings: Findings) -> None:
    for text in (figure.render(findings.measured), figure.scatter(findings.judged)):
        tree = ElementTree.fromstring(text)
        _, _, width, height = (float(v) for v in tree.attrib["viewBox"].split())
        for e in tree.iter("{http://www.w3.org/2000/svg}text"):
            assert 0 <= float(e.attrib["x"]) <= width
            assert 0 <= float(e.attrib["y"]) <= height
    told = ElementTree.fromstring(figure.render(findings.measured)).itertext()
    assert {m.contender.title for m in findings.measured} <= set(told)


def test_the_data_are_what_was_found(findings: Findings) -> None:
    found = json.loads(data.render(findings))
    assert [f["title"] for f in found["figures"]] == [m.contender.title for m in findings.measured]
    assert len(found["models"]) == len(findings.judged)
    first, known = found["models"][0], findings.judged[0]
    assert first["truth"] == pytest.approx([known.truth[name] for name in found["aspects"]], abs=1e-3)
    at = [f["title"] for f in found["figures"]].index("forgetting")
    assert first["values"][at] == pytest.approx(known.figures[""]["forget_score:forgetting"].value, abs=1e-3)
    assert len(first["values"]) == len(found["figures"])
