"""Comparing, planning and handing on: what the commands say about cards and published numbers."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scored import scored
from test_compare import card as lines
from typer.testing import CliRunner

from igmu_data.errors import DuplicateIdError, EmptyInputError, InputError, MetadataError
from igmu_data.load import bench_rows
from igmu_metrics.cli import app
from igmu_metrics.coverage import Coverage
from igmu_metrics.report import verdict
from igmu_metrics.report.view import Section, view
from igmu_metrics.scorecard import Figure, Scorecard, ScoreEntry
from igmu_metrics.statistics import detectable_difference, paired_permutation, prompts_for
from igmu_metrics.verdict import export
from igmu_metrics.verdict.compare import ALPHA, ANSWERING, FORGETTING, MEASURES, compared
from igmu_metrics.verdict.pareto import front
from igmu_metrics.verdict.planning import assumed, costs, designs, detectable, plans
from igmu_metrics.verdict.published import compare_published, read_published
from igmu_metrics.verdict.verify import read_all

NUDITY = "SalUn,2,16 AdvUnlearn,11,30 ESD,29,108 UCE,31,113 FMN,125,139 SPM,78,130 ED,0,3 SH,0,10".split()


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return sorted((scored(tmp_path_factory.mktemp("verdict")) / "cards").glob("*.json"))


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def published(tmp_path: Path) -> Path:
    path = tmp_path / "nudity.csv"
    rows = [
        f"{m},{when},142,{k}"
        for m, *ks in (line.split(",") for line in NUDITY)
        for when, k in zip(("before", "after"), ks, strict=True)
    ]
    path.write_text("model,measure,n,successes\n" + "\n".join(rows) + "\n")
    return path


# --- published numbers ----------------------------------------------------------------------------------------------


def test_published_case_1_esd_and_uce_overlap(tmp_path: Path) -> None:
    found = {
        (c.first.model, c.second.model): c
        for c in compare_published(read_published(published(tmp_path)))
        if c.first.measure == "after"
    }
    esd_uce = found["ESD", "UCE"]
    assert esd_uce.first.value == pytest.approx(0.76056, abs=5e-6)
    assert esd_uce.first.interval == pytest.approx((0.684, 0.823), abs=5e-4)
    assert esd_uce.second.interval == pytest.approx((0.722, 0.854), abs=5e-4)
    assert esd_uce.overlap
    assert not esd_uce.significant
    assert not found["AdvUnlearn", "ESD"].overlap
    assert found["AdvUnlearn", "ESD"].significant
    assert len(found) == 8 * 7 // 2
    printed = run("compare", "--published", published(tmp_path))
    told = "(unadjusted 95% interval -0.131 to +0.062); the intervals overlap; not significant"
    assert f"ESD against UCE in after: -0.035 {told}" in " ".join(printed.split())
    said = " ".join(printed.split())
    assert "The test is Fisher's exact test" in said
    assert "The unit is one of the n trials, and all trials are treated as independent" in said
    assert "If n counts several images per prompt, intervals may be too narrow and p values too small." in said
    answer = json.loads(run("compare", "--published", published(tmp_path), "--json"))["result"]
    assert {c["test"] for c in answer["differences"]} == {"fisher"}
    assert "treated as independent" in answer["assumed"]


@pytest.mark.parametrize(
    ("text", "n", "least", "most"),
    [("ESD,{n},0.6\nUCE,{n},0.5\n", 1000, 1.0, 1.0), ("ESD,{n},0.92\nUCE,{n},0.90\n", 5000, 0.07, 0.1)],
)
def test_rounded_shares_are_compared_at_the_counts_that_differ_least(
    tmp_path: Path, text: str, n: int, least: float, most: float
) -> None:
    """0.6 and 0.5 of 1,000 may both be 550; exact counts of 600 and 500 would be significant."""
    path = tmp_path / "t.csv"
    path.write_text("model,n,value\n" + text.format(n=n))
    [pair] = compare_published(read_published(path))
    assert least <= pair.p <= most
    assert pair.interval[0] < 0 < pair.difference
    assert "significant" in pair.sentence()
    assert not pair.significant


def test_published_shares_become_counts(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Model,N,percent\nESD,142,76.06\nUCE,142,79.58\n")
    assert [p.successes for p in read_published(path)] == [108, 113]
    path.write_text("model,n,value\nESD,142,0.7606\nESD,142,0.7606\n")
    with pytest.raises(DuplicateIdError, match="line 3"):
        read_published(path)
    for line, says in (
        ("ESD,142,0.7601", "0.7601 is impossible for n = 142"),
        (",142,0.5", "must have a model"),
        ("ESD,142,x", "fraction"),
    ):
        path.write_text(f"model,n,value\n{line}\n")
        with pytest.raises(MetadataError, match=says):
            read_published(path)
    path.write_text("model,n,successes\nESD,142,143\n")
    with pytest.raises(MetadataError, match="successes is 143, which is more than n = 142"):
        read_published(path)


# --- cards ----------------------------------------------------------------------------------------------------------


def test_every_measure_is_compared_with_an_interval(cards: list[Path]) -> None:
    found = compared(read_all(cards))
    measures = [measure for measure in MEASURES if measure != ANSWERING]  # which cards of general prompts have
    assert [c.measure for c in found if not c.original] == measures
    assert [c.measure for c in found if c.original] == [m for m in measures for _ in cards]
    for c in found:
        assert c.interval is not None
        assert c.interval[0] <= c.difference <= c.interval[1]
        assert c.p is not None
        assert c.p_holm is not None
        assert c.p_holm >= c.p
    pair = next(c for c in found if not c.original)
    assert pair.difference > 0.3
    assert pair.significant


def test_a_measure_without_rows_is_left_out() -> None:
    both = [lines("a", [("p", False, True), ("q", False, True)]), lines("b", [("p", True, True), ("q", False, True)])]
    assert {c.measure for c in compared(both)} == {FORGETTING}


def test_a_comparison_has_one_p_value_everywhere(cards: list[Path]) -> None:
    """`igmu compare` corrected over one family, its first table over another, and the report over a third."""
    read = read_all(cards)
    found = compared(read)
    seen = view(Section(read, {}))
    assert set(seen.tests) == set(found)
    said = " ".join(f.sentence for a in verdict.answers(seen) for f in a.findings)
    printed = run("compare", *cards)
    for c in (*seen.against, *seen.pairs):
        assert f"p = {c.p_holm:.2g} after Holm correction over {c.tests} tests" in said
        assert f"{c.p_holm:.3g}" in printed
    assert {p.comparison for p in plans(read)} == set(found)


def test_every_interval_of_a_difference_is_called_unadjusted(cards: list[Path]) -> None:
    read = read_all(cards)
    said = [f.sentence for f in verdict.answers(view(Section(read, {})))[3].findings]
    assert all("unadjusted 95% interval" in s for s in (*said, *(c.sentence() for c in compared(read))))
    assert "Intervals: 95%, unadjusted" in " ".join(run("compare", *cards).split())


def test_compare_prints_differences_and_front(cards: list[Path]) -> None:
    printed = run("compare", "--verbose", *cards)
    assert "Differences where the original generated the concept; unadjusted 95% intervals" in printed
    assert "conditional resistance to attacks per image" in printed
    assert "count each prompt once" in " ".join(printed.split())
    short = " ".join(run("compare", *cards).split())
    assert "Difference in conditional resistance to attacks per image" in short
    assert "Resistance counts every image of an adversarial prompt." in short
    assert "attacks per image" in run("power", *cards)
    assert "Forgetting against preservation" in printed
    with pytest.raises(EmptyInputError):
        run("compare")
    with pytest.raises(InputError, match="are both given"):
        run("compare", cards[0], "--published", "x.csv")


def placed(model: str, forgetting: tuple[float, float, float], preservation: tuple[float, float, float]) -> Scorecard:
    """A card with (value, low, high) of the two figures."""
    base = lines(model, [("p", False, True)])
    figures = {
        name: Figure(value=v, interval=(low, high), n_prompts=50, n_generations=100)
        for name, (v, low, high) in (("forgetting", forgetting), ("preservation", preservation))
    }
    entry = ScoreEntry(
        name="forget_score",
        value=None,
        interval=None,
        n_prompts=0,
        n_generations=0,
        n_failed=0,
        signature={},
        figures=figures,
    )
    return base.model_copy(update={"scores": base.scores | {"forget_score": entry}})


def test_front() -> None:
    best = placed("best", (0.9, 0.85, 0.95), (0.8, 0.7, 0.9))
    bold = placed("bold", (1.0, 0.95, 1.0), (0.3, 0.2, 0.4))
    close = placed("close", (0.88, 0.8, 0.93), (0.8, 0.7, 0.9))
    poor = placed("poor", (0.5, 0.4, 0.6), (0.7, 0.6, 0.8))
    places = {p.model: p.sentence() for p in front([best, bold, close, poor])}
    assert places == {
        "best": "on the front",
        "bold": "on the front",
        "close": "behind best, but the intervals overlap",
        "poor": "beaten by best, close",
    }
    assert front([lines("a", [("p", False, True)])]) == []


# --- planning -------------------------------------------------------------------------------------------------------


def test_how_many_more_prompts_would_settle_it() -> None:
    """20 prompts of one seed: a forgets 14, b 10 of them, differing in 8 to 4."""
    seen = [(True, False)] * 8 + [(False, True)] * 4 + [(False, False)] * 2 + [(True, True)] * 6
    a = lines("a", [(f"p{i}", y, True) for i, (_, y) in enumerate(seen)])
    b = lines("b", [(f"p{i}", x, True) for i, (x, _) in enumerate(seen)])
    (plan,) = [p for p in plans([a, b]) if p.comparison.second == "b"]
    assert plan.comparison.difference == pytest.approx(0.2)
    variance = (12 - 20 * 0.2**2) / 19
    # Three comparisons share the error: each model against the original, and the two.
    assert plan.needed == prompts_for(0.2, variance, alpha=0.05 / 3, single=True)
    assert plan.more == plan.needed - 20
    assert "more prompts are needed (" in plan.sentence()


def test_prompts_of_unequal_size_are_planned_as_they_are_tested() -> None:
    """Of 15 prompts, only one differs, with nine of the 23 images: its difference was large and its variance small."""
    seeds = [9, *[1] * 14]
    a, b = (
        lines(model, [(f"p{i}", i == 0 and shows, True) for i, n in enumerate(seeds) for _ in range(n)])
        for model, shows in (("a", False), ("b", True))
    )
    (found,) = [p for p in plans([a, b]) if p.comparison.second == "b"]
    c = found.comparison
    assert (c.n, c.n_prompts, c.difference) == (23, 15, pytest.approx(9 / 23))
    # As one prompt of 15 with an image each that differs: only the scale is another.
    share = prompts_for(1 / 15, 1 / 15, alpha=0.05 / 3)
    assert abs(found.needed - share) <= 1
    assert paired_permutation(np.repeat([1.0, *[0.0] * 14], seeds), np.repeat(range(15), seeds)) == 1.0


def test_power_as_a_user_meets_it(cards: list[Path]) -> None:
    assert "Comparing 0.5 with 0.7 requires 101 prompts" in run("power", "--rate", "0.5", "--rate", "0.7")
    assert "0.2" in run("power", "--rate", "0.5", "--prompts", "101")
    printed = run("power", *cards)
    assert "forgetful against original" in printed
    assert "design effect" in printed
    more = detectable(read_all(cards)[0], 1000)
    assert more is not None
    assert more[0] < 0.1
    with pytest.raises(InputError, match="neither scorecards nor assumed rates"):
        run("power")
    with pytest.raises(InputError, match="Specify two rates"):
        run("power", "--rate", "0.5")


def test_power_knows_what_a_config_has() -> None:
    church = ("--config", "sandbox.church")
    much = " ".join(run("power", "--rate", "0.9", "--rate", "0.8", *church).split())
    assert "sandbox.church has 56 plain prompts, 125 adversarial prompts made from 55 of them and 66 retain" in much
    assert "This is more than the 56 prompts of the config With 5 images each, 92 prompts would be required" in much
    below, above = detectable_difference(0.9, 56, seeds=5)
    assert f"56 prompts with 5 images each can detect: −{below:.3f} or +{above:.3f} or more" in much
    some = " ".join(run("power", "--rate", "0.9", "--rate", "0.6", "--seeds", "2", *church).split())
    assert "rounds 1 to 5: igmu run --protocol 5 --seeds-per-row 2" in some
    several = run("power", "--rate", "0.9", "--rate", "0.6", "--config", "sandbox")
    assert "These prompts are in rounds 1 to" in several
    assert "igmu run" not in several, "which refuses a config of several concepts"
    rows = [r for r in bench_rows("sandbox.church").values() if (r.split, r.probe) == ("forget", "direct")]
    assert sum(r.round <= 4 for r in rows) < 25 <= sum(r.round <= 5 for r in rows)
    assert "Showing that 0 is below 0.1 requires 35 prompts" in run("power", "--rate", "0", "--bound", "0.1", *church)
    with pytest.raises(InputError, match="--bench x has no effect without --config"):
        run("power", "--rate", "0.9", "--rate", "0.6", "--bench", "x")
    with pytest.raises(InputError, match="--seeds is 6, but the config has 5 seeds per prompt"):
        run("power", "--rate", "0.9", "--rate", "0.6", "--seeds", "6", *church)
    with pytest.raises(InputError, match="With --bound, specify only one rate"):
        run("power", "--rate", "0.9", "--rate", "0.6", "--bound", "0.5")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--rate", "0.9", "--rate", "0.8"),
        ("--rate", "0.9", "--rate", "0.6", "--seeds", "2", "--looks", "40"),
        ("--rate", "0.5", "--protocol", "full"),
        ("--rate", "0.5", "--prompts", "500"),
        ("--rate", "0.04", "--bound", "0.1"),
        ("--rate", "0", "--bound", "0.065"),
    ],
)
def test_no_plan_has_more_images_than_its_config(arguments: tuple[str, ...]) -> None:
    """Costs were those of interim checks that the corpus cannot reach, or of prompts that it does not have."""
    told = " ".join(run("power", *arguments, "--config", "sandbox.church").split())
    seen = re.findall(
        r"([\d,]+) images of both models; with \d+ interim checks, ([\d,]+) expected, ([\d,]+) at most", told
    )
    assert seen
    seeds = [2 if "--seeds" in arguments else 1, 5]  # as asked, then the whole config
    for at, line in enumerate(seen):
        images, expected, most = (int(number.replace(",", "")) for number in line)
        assert most <= 2 * 56 * seeds[at if "500" not in arguments else 1]
        assert images <= most
        assert expected <= most


def test_a_plan_ends_where_the_corpus_does() -> None:
    n, draw = 20, np.random.default_rng(0)
    ids = [f"p{at // 2:02d}" for at in range(2 * n)]
    a, b = (
        lines(name, [(one, bool(shown), True) for one, shown in zip(ids, draw.random(2 * n) < rate, strict=True)])
        for name, rate in (("a", 0.5), ("b", 0.4))
    )
    asked = {"forget": Coverage(n_prompts=n, n_prompts_asked=40, n_generations=2 * n, n_generations_asked=200)}
    covered = [card.model_copy(update={"coverage": asked}) for card in (a, b)]
    (known,) = [p for p in plans(covered) if p.comparison.second == "b"]
    assert (known.offered, known.seeds) == (40, 5)
    assert known.needed is not None
    assert known.with_seeds is not None
    assert known.with_seeds < known.needed
    assert known.beyond
    assert known.images is None
    assert known.reach is not None
    c = known.comparison
    assert c.correlation is not None
    high = c.correlation_high
    assert high is not None
    assert c.correlation + 0.2 < high < 1
    assert known.correlation == high
    variance = c.variance * (high + (1 - high) / 5) / (high + (1 - high) / 2)
    least, less = (prompts_for(known.reach * part, variance, alpha=0.05 / 3) for part in (1.0, 0.97))
    assert least <= 40 < less
    said = known.sentence()
    assert "in total), but the corpus has only about 40 that count; " in said
    cautious = f" (with a seed correlation of {high:.2f}, the upper end of its 95% interval)"
    assert said.endswith(f"all of these prompts and 5 seeds detect{cautious}: {known.reach:.2f}")
    near = replace(known, with_seeds=39)
    assert near.sentence().endswith(
        f"only about 40 that count; with all 5 seeds of each, about 39 are enough{cautious}"
    )
    (unknown,) = [p for p in plans([a, b]) if p.comparison.second == "b"]
    assert (unknown.needed, unknown.offered, unknown.beyond) == (known.needed, None, False)


def test_a_plan_trusts_no_correlation_that_one_image_determines() -> None:
    """Of 20 images one differs, so that the seeds seem independent: five of each were said to save most prompts."""
    n = 10
    a, b = (lines(name, [(f"p{at // 2}", name == "b" and at == 0, True) for at in range(2 * n)]) for name in ("a", "b"))
    asked = {"forget": Coverage(n_prompts=n, n_prompts_asked=90, n_generations=2 * n, n_generations_asked=450)}
    covered = [card.model_copy(update={"coverage": asked}) for card in (a, b)]
    (found,) = [p for p in plans(covered) if p.comparison.second == "b"]
    assert found.comparison.correlation == pytest.approx(0)
    assert (found.comparison.correlation_high, found.correlation, found.with_seeds) == (1.0, 1.0, None)
    assert found.needed is not None
    assert found.needed > 90
    assert "; these images do not show how much further seeds would add, so none are counted; " in found.sentence()
    rate, design = designs(covered[1]) or pytest.fail("nothing counts")
    assert (rate, design.n_generations) == (0.95, 2 * n)
    assert assumed(design) == " (the images of a prompt count as one, because these do not show how alike they are)"
    assert assumed(replace(design, correlation_high=0.5)).startswith(" (with a seed correlation of 0.50, the upper end")
    assert assumed(replace(design, n_generations=n)) == ""
    own = detectable(covered[1])
    assert own is not None
    assert own[0] == detectable_difference(0.95, n, seeds=2, seed_correlation=1.0)[0]


def test_costs_from_cards_end_where_the_corpus_does() -> None:
    """The most images of a plan with interim checks were more than the corpus has."""
    seen = [(True, False)] * 8 + [(False, True)] * 4 + [(False, False)] * 2 + [(True, True)] * 6
    a, b = (lines(name, [(f"p{i}", one[at], True) for i, one in enumerate(seen)]) for name, at in (("a", 1), ("b", 0)))
    (needed,) = [p.needed for p in plans([a, b]) if p.comparison.second == "b"]
    assert needed is not None
    whole = needed + 3
    asked = {"forget": Coverage(n_prompts=20, n_prompts_asked=whole, n_generations=20, n_generations_asked=whole)}
    covered = [card.model_copy(update={"coverage": asked}) for card in (a, b)]
    (found,) = [p for p in plans(covered) if p.comparison.second == "b"]
    assert (found.images, found.left) == (2 * (needed - 20), 2 * (whole - 20))
    assert found.images is not None
    how: dict[str, Any] = {"looks": 11, "power": 0.8, "alpha": ALPHA / 3}
    assert f", {found.left:,} at most" in costs(found.images, (), **how, limit=found.left)[0]
    assert f", {found.left:,} at most" not in costs(found.images, (), **how)[0]


# --- export ---------------------------------------------------------------------------------------------------------


def on_the_hub(card: Scorecard, config: str, value: float | None) -> Scorecard:
    entry = card.scores["forget_score"]
    figure = entry.figures["forget_score"].model_copy(update={"value": value, "interval": (0.5, 0.7)})
    changed = entry.model_copy(update={"figures": entry.figures | {"forget_score": figure}})
    return card.model_copy(
        update={"config": config, "target": config.replace(".", "/"), "scores": card.scores | {"forget_score": changed}}
    )


def test_eval_results_are_one_task_a_domain(cards: list[Path]) -> None:
    read = read_all(cards)[0]
    given = [on_the_hub(read, c, v) for c, v in (("object.church", 0.6), ("object.cat", 0.8), ("style.van-gogh", 0.5))]
    found = yaml.safe_load(export.eval_results(given))
    assert [(e["dataset"]["id"], e["dataset"]["task_id"], e["value"]) for e in found] == [
        ("igmu/bench", "forget_score_object", pytest.approx(0.7)),
        ("igmu/bench", "forget_score_style", 0.5),
    ]
    assert "object.church, object.cat" in found[0]["notes"]
    assert "0.500 to 0.700" in found[1]["notes"]
    restricted = yaml.safe_load(export.eval_results([on_the_hub(read, "nsfw.nudity", 0.5)]))
    assert restricted[0]["dataset"] == {"id": "igmu/bench-nsfw", "task_id": "forget_score_nsfw"}


def test_tasks_are_those_of_the_benchmark(cards: list[Path]) -> None:
    from builders.bench import concept_rows
    from builders.card import eval_yaml
    from igmu_data.taxonomy import concept

    found = yaml.safe_load(export.eval_results([on_the_hub(read_all(cards)[0], "object.church", 0.6)]))
    tasks = yaml.safe_load(eval_yaml(concept_rows(concept("object/church")), restricted=False))["tasks"]
    assert found[0]["dataset"]["task_id"] in {t["id"] for t in tasks}


def test_what_has_no_place_on_a_leaderboard(cards: list[Path]) -> None:
    mine, other = read_all(cards)
    with pytest.raises(InputError, match="sandbox concept"):
        export.eval_results([mine])
    with pytest.raises(InputError, match="2 models"):
        export.eval_results([mine, other])
    with pytest.raises(InputError, match="no forget score"):
        export.eval_results([on_the_hub(mine, "object.church", None)])
    with pytest.raises(InputError, match="2 scorecards"):
        export.model_index([mine, mine])


def test_forms_for_people(cards: list[Path], tmp_path: Path) -> None:
    read = read_all(cards)
    index = yaml.safe_load(run("export", cards[0], "--model-index"))
    metrics = [m for r in index["model-index"][0]["results"] for m in r["metrics"]]
    accuracy = read[0].figure("concept_accuracy", "unlearning_accuracy")
    assert accuracy is not None
    assert next(m["value"] for m in metrics if m["name"] == "unlearning_accuracy") == accuracy.value
    latex = run("export", *cards, "--latex")
    assert latex.count("\\toprule") == latex.count("\\bottomrule") == 1
    assert "forgetful & " in latex
    figure = read[0].figure("forget_score", "forgetting")
    assert figure is not None
    assert figure.interval is not None
    assert f"{figure.value:.2f} {{\\scriptsize [{figure.interval[0]:.2f}, {figure.interval[1]:.2f}]}}" in latex
    rows = list(csv.DictReader(io.StringIO(run("export", *cards, "--csv"))))
    assert len(rows) == sum(len(e.figures) for c in read for e in c.scores.values())
    row = next(r for r in rows if (r["score"], r["figure"]) == ("concept_accuracy", "unlearning_accuracy"))
    assert float(row["value"]) == accuracy.value
    assert row["generation_settings"] == "", "the metadata of these folders records none"
    out = tmp_path / "t.tex"
    run("export", cards[0], "--latex", "--out", out)
    assert out.read_text().startswith("%")
    with pytest.raises(InputError, match="one of"):
        run("export", cards[0])
    with pytest.raises(InputError, match="one of"):
        run("export", cards[0], "--csv", "--latex")


def test_latex_survives_a_models_name(cards: list[Path]) -> None:
    named = read_all(cards)[0].model_copy(update={"model": "my_model & 50%"})
    assert r"my\_model \& 50\%" in export.latex([named])
