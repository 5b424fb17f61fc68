"""How much of the protocol was scored: on every card, table and page, and in what may be compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from drawn import metadata
from PIL import Image
from reported import CONFIG, MODELS, SEEDS, chosen, draw
from typer.testing import CliRunner

from igmu_data.errors import IncomparableError
from igmu_data.load import bench_rows
from igmu_data.schema import ASIDE
from igmu_metrics.cli import app
from igmu_metrics.coverage import coverage, covered
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.generations import of_records
from igmu_metrics.report import leaderboard, page
from igmu_metrics.report.folders import sections
from igmu_metrics.report.retained import retained
from igmu_metrics.scorecard import Scorecard, write
from igmu_metrics.verdict import export
from igmu_metrics.verdict.compare import compared, in_common, require_comparable
from igmu_metrics.verdict.verify import verify


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluation]:
    root = tmp_path_factory.mktemp("covered")
    return root / "drawn", Evaluation(CONFIG, detector=f"labels:{draw(root)}")


@pytest.fixture(scope="module")
def cards(evaluation: tuple[Path, Evaluation]) -> list[Scorecard]:
    folder, how = evaluation
    return list(how.run(folder / "original", [folder / m for m in MODELS[1:]]))


@pytest.fixture(scope="module")
def fewer(evaluation: tuple[Path, Evaluation]) -> Scorecard:
    """fmn on the first seed alone."""
    folder, how = evaluation
    first = frozenset((row.id, row.seeds[0]) for row in chosen())
    return next(iter(replace(how, only=first).run(folder / "original", [folder / "fmn"])))


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_a_card_says_what_it_covers(cards: list[Scorecard]) -> None:
    rows = bench_rows(CONFIG)
    found = cards[0].coverage
    assert found is not None
    forget = found["forget"]
    assert forget.n_prompts == sum(r.probe == "direct" for r in chosen())
    assert forget.n_prompts_asked == sum(r.probe == "direct" for r in rows.values()) == 56
    assert (forget.n_generations, forget.n_generations_asked) == (SEEDS * forget.n_prompts, 5 * 56)
    assert str(forget) == f"{forget.n_prompts} of 56 prompts, 2 of 5 seeds"
    for probe in ASIDE:
        asked = sum(r.probe == probe for r in rows.values())
        assert (found[probe].n_prompts, found[probe].n_prompts_asked) == (2, asked)
    assert sum(c.n_prompts_asked for c in found.values()) == len(rows)


def test_seeds_that_nobody_asked_for_are_counted_apart() -> None:
    rows = bench_rows(CONFIG)
    row = next(r for r in rows.values() if r.split == "forget")
    table = of_records([{"id": row.id, "seed": s, "split": "forget"} for s in (row.seeds[0], -1)])
    found = coverage(table, rows)
    assert found is not None
    assert str(found["forget"]) == "1 of 56 prompts, 1 of 5 seeds, 1 generation with other seeds"
    assert coverage(table, {}) is None


def test_coverage_stands_on_every_table_and_page(cards: list[Scorecard], tmp_path: Path) -> None:
    paths = []
    for card in cards:
        paths.append(tmp_path / f"{card.model}.json")
        write(card, paths[-1])
    told = f"forget {cards[0].coverage['forget']}"  # type: ignore[index]
    for command in ("compare", "verify", "power", "families"):
        assert told in " ".join(run(command, *paths).split()), command
    assert told in leaderboard.render(cards)
    assert told in page.render(*sections(cards))
    assert told in export.latex(cards)
    assert told in export.table(cards)
    assert told in " ".join(export.model_index([cards[0]]).split())


def test_unlike_coverage_stands_apart_in_rankings(cards: list[Scorecard], fewer: Scorecard) -> None:
    assert [len(group) for group in leaderboard.alike([*cards, fewer])] == [2, 1]
    with pytest.raises(IncomparableError, match="cover different parts of the protocol"):
        require_comparable([cards[0], fewer])
    assert len(sections([cards[0], fewer])) == 2


def test_unlike_coverage_is_compared_on_what_both_hold(
    cards: list[Scorecard], fewer: Scorecard, tmp_path: Path
) -> None:
    both = [cards[0], fewer]
    require_comparable(both, ranked=False)
    pair = next(c for c in compared(both) if not c.original)
    assert pair.n == sum(r.probe == "direct" for r in chosen())  # one seed of each
    assert in_common(cards) == ""
    assert f"esd and fmn {len(fewer.generations)}." in in_common(both)
    for card in both:
        write(card, tmp_path / f"{card.model}.json")
    said = run("compare", tmp_path / "esd.json", tmp_path / "fmn.json")
    assert "on the generations that both have" in said
    assert "2 of 5 seeds" in said
    assert "1 of 5 seeds" in said


def test_nothing_in_common_is_refused(cards: list[Scorecard], fewer: Scorecard) -> None:
    other = [{**g, "seed": g["seed"] + 1} for g in fewer.generations.records()]
    with pytest.raises(IncomparableError, match="no prompt and seed in common"):
        require_comparable([cards[0], fewer.model_copy(update={"generations": of_records(other)})], ranked=False)


def test_a_card_cannot_claim_more_than_its_lines(cards: list[Scorecard], tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    write(cards[0], path)
    assert verify(path)[1] == []
    for change, says in (
        ({"n_prompts": 56}, "but its lines contain"),
        ({"n_prompts_asked": 1}, "more scored generations"),
    ):
        told = cards[0].coverage or {}
        forged = {**told, "forget": told["forget"].model_copy(update=change)}
        write(cards[0].model_copy(update={"coverage": forged}), path)
        assert [p.where for p in verify(path)[1]] == ["coverage.forget"]
        assert says in str(verify(path)[1][0])
    without = {k: v for k, v in (cards[0].coverage or {}).items() if k != "retain"}
    write(cards[0].model_copy(update={"coverage": without}), path)
    assert "missing" in str(verify(path)[1][0])


def test_a_layout_without_corpus_has_no_protocol(cards: list[Scorecard]) -> None:
    unknown = cards[0].model_copy(update={"coverage": None})
    assert covered(unknown).endswith("(the protocol is unknown)")
    assert json.loads(unknown.model_dump_json())["coverage"] is None


def test_a_model_that_draws_noise_wherever_the_attribute_is_named_does_not_preserve(tmp_path: Path) -> None:
    """A whole evaluation of van Gogh: what else his prompts ask for is gone, near and far are as they were."""
    rows = list(bench_rows("sandbox.van-gogh").values())
    some = [r for probe in ("direct", "near", "far", "in-prompt") for r in [r for r in rows if r.probe == probe][:30]]
    labels = ["path,present"]
    for model in ("original", "noise"):
        listed = []
        for row in some:
            name = f"{row.id}.png"
            shade = Image.new("L", (32, 32), len(listed))
            ramp = Image.linear_gradient("L").resize((32, 32))
            (tmp_path / model).mkdir(exist_ok=True)
            Image.merge("RGB", (shade, ramp, ramp if model == "noise" else shade)).save(tmp_path / model / name)
            listed.append({"file_name": name, "id": row.id, "seed": row.seeds[0]})
            shown = model == "original" or row.probe in ("near", "far")
            labels.append(f"{model}/{name},{'yes' if shown else 'no'}")
        metadata(tmp_path / model, listed)
    (tmp_path / "labels.csv").write_text("\n".join(labels) + "\n", encoding="utf-8")
    evaluation = Evaluation("sandbox.van-gogh", detector=f"labels:{tmp_path / 'labels.csv'}")
    (card,) = evaluation.run(tmp_path / "original", [tmp_path / "noise"])
    told = {
        name: card.figure(score, name)
        for score, name in (
            ("forget_score", "preservation_in_prompt"),
            ("forget_score", "preservation"),
            ("concept_accuracy", "in_prompt_retain_accuracy"),
            ("concept_accuracy", "cross_domain_retain_accuracy"),
            ("concept_accuracy", "far_retain_accuracy"),
        )
    }
    values = {name: None if figure is None else figure.value for name, figure in told.items()}
    assert values == {
        "preservation_in_prompt": 0.0,
        "preservation": pytest.approx(2 / 3),
        "in_prompt_retain_accuracy": 0.0,
        "cross_domain_retain_accuracy": 1.0,
        "far_retain_accuracy": 1.0,
    }
    write(card, tmp_path / "card.json")
    assert verify(tmp_path / "card.json")[1] == []
    kept = {(k.concept, k.within): k.loss(0) for k in retained([card])}
    assert {loss for (_, within), loss in kept.items() if within} == {1.0}
    assert {loss for (_, within), loss in kept.items() if not within} == {0.0}
    assert "in prompts that name it" in page.render(*sections([card]))
