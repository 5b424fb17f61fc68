"""Several looks at one run: what each interval and p value is then worth, and when a run stops."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import yaml
from reported import CONFIG, draw
from test_compare import card as forgetting
from timeless import TIMES, timeless
from typer.testing import CliRunner

from igmu_data.errors import IncomparableError, InputError, MetadataError, OutOfRangeError
from igmu_data.load import bench_rows
from igmu_data.schema import ASIDE, Row
from igmu_metrics.cli import app
from igmu_metrics.cli.run import _undecided
from igmu_metrics.contract import Signature
from igmu_metrics.coverage import Coverage
from igmu_metrics.distances.gaussian import frechet_estimate, kid_estimate
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.generations import Key
from igmu_metrics.images.generate import Request, requests_for
from igmu_metrics.report.folders import sections
from igmu_metrics.report.verdict import ASKED
from igmu_metrics.running import looking, run
from igmu_metrics.running.looking import CHECKS, asked_until, first_look, hopeless, looked, pays, questions, settled
from igmu_metrics.running.plan import Plan, checked, differences, written
from igmu_metrics.running.run import prepare, require_alike
from igmu_metrics.scorecard import Figure, Scorecard, ScoreEntry, write
from igmu_metrics.scorecard import read as read_card
from igmu_metrics.statistics import (
    mean_estimate,
    paired_difference,
    paired_ratio,
    percentile_interval,
    product_of_ratios,
    rogan_gladen,
    studentized,
    wilson,
)
from igmu_metrics.statistics.level import LEVEL, at_level, confidence
from igmu_metrics.statistics.looks import Looks, boundary, cost, crossing, fewest, times
from igmu_metrics.verdict.compare import compared, require_comparable
from igmu_metrics.verdict.criteria import Outcome, Unsettled, bounds_of, check
from igmu_metrics.verdict.planning import Gpu, plans
from igmu_metrics.verdict.verify import verify
from igmu_metrics.verdict.verify_images import verify_images

# Jennison and Turnbull 2000: table 2.1 (Pocock, α = 0.05) and table 2.2 (times as many as one look, power 0.8).
POCOCK = {2: 2.178, 3: 2.289, 4: 2.361, 5: 2.413, 10: 2.555}
INFLATED = {2: 1.110, 5: 1.229, 10: 1.301}
# What Lan and DeMets' function that is like O'Brien and Fleming's gives for five looks.
SPENT = (4.8769, 3.3569, 2.6803, 2.2898, 2.0310)


class TestBoundary:
    @pytest.mark.parametrize("looks", POCOCK)
    def test_pococks_table(self, looks: int) -> None:
        assert boundary(looks) == pytest.approx(POCOCK[looks], abs=6e-4)

    @pytest.mark.parametrize("looks", INFLATED)
    def test_what_it_costs(self, looks: int) -> None:
        found = cost(looks)
        assert found.worst == pytest.approx(INFLATED[looks], abs=2e-3)
        assert found.expected < 1 < found.worst

    def test_other_boundaries(self) -> None:
        assert crossing([2.040 * sqrt(1 / t) for t in times(5)], times(5)).sum() == pytest.approx(0.05, abs=2e-4)
        normal = NormalDist()
        each = [4 * (1 - normal.cdf(normal.inv_cdf(1 - 0.0125) / sqrt(t))) for t in times(5)]
        assert crossing(SPENT, times(5)).cumsum() == pytest.approx(each, abs=1e-5)

    def test_it_errs_as_often_as_it_says(self) -> None:
        rng = np.random.default_rng(0)
        at = np.arange(1, 11)
        sums = rng.normal(size=(20_000, 10)).cumsum(axis=1) / np.sqrt(at)
        assert (np.abs(sums) > boundary(10)).any(axis=1).mean() == pytest.approx(0.05, abs=0.005)
        assert (np.abs(sums) > 1.96).any(axis=1).mean() == pytest.approx(0.193, abs=0.01)

    def test_one_look_is_what_it_was(self) -> None:
        assert Looks(1, 1).level == LEVEL
        assert Looks(1, 1).repeated(0.03) == 0.03
        assert (cost(1).worst, cost(1).expected) == pytest.approx((1.0, 1.0), abs=1e-5)

    def test_a_p_value_is_small_where_the_interval_excludes_nothing(self) -> None:
        look = Looks(3, 11)
        edge = 2 * (1 - NormalDist().cdf(boundary(11)))
        assert look.repeated(edge) == pytest.approx(0.05, abs=1e-6)
        assert [look.repeated(p) for p in (0.0, 1.0)] == [0.0, 1.0]
        assert look.repeated(edge / 2) < 0.05 < look.repeated(2 * edge)

    @pytest.mark.parametrize("text", ["", "0/3", "3", "4/3", "1/101", "1/3:", "1/3:a b", "1/3\n"])
    def test_what_is_no_look(self, text: str) -> None:
        with pytest.raises((InputError, OutOfRangeError)):
            Looks.read(text)


VALUES = np.tile([1, 1, 0, 1, 1, 1], 10)
PROMPTS = np.repeat(np.arange(30), 2)
RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(40, 3)), RNG.normal(0.5, 1, size=(40, 3))
INTERVALS = {
    "wilson": lambda: wilson(30, 50),
    "rogan-gladen": lambda: rogan_gladen(0.5, 100, 0.9, 0.8)[1],
    "mean": lambda: mean_estimate(VALUES, PROMPTS).interval,
    "mean over groups": lambda: mean_estimate(VALUES, PROMPTS, groups=PROMPTS % 12, unit="groups").interval,
    "difference": lambda: paired_difference(VALUES, VALUES[::-1], PROMPTS)[1],
    "ratio": lambda: paired_ratio(VALUES, np.maximum(VALUES, VALUES[::-1]), PROMPTS, PROMPTS % 3).interval,
    "product": lambda: product_of_ratios([(X[:, 0] ** 2, 1 + Y[:, 0] ** 2)]).interval,
    "percentile": lambda: percentile_interval(np.linspace(0, 1, 4000), 50),
    "bootstrap-t": lambda: studentized(np.stack([X[:, 0], np.ones(40)], axis=1)),
    "KID": lambda: kid_estimate(X, Y)[1],
    "Fréchet": lambda: frechet_estimate(X, Y)[1],
}


class TestLevel:
    @pytest.mark.parametrize("name", INTERVALS)
    def test_every_interval_follows_it(self, name: str) -> None:
        usual = INTERVALS[name]()
        with at_level(0.9899):
            wider = INTERVALS[name]()
        assert usual == INTERVALS[name]()
        assert usual is not None
        assert wider is not None
        assert wider[0] < usual[0]
        assert usual[1] < wider[1] or usual[1] == 1.0

    def test_it_ends_with_its_block(self) -> None:
        with pytest.raises(KeyError), at_level(0.5):
            raise KeyError
        assert confidence() == LEVEL
        for wrong in (0.0, 1.0, float("nan")):
            with pytest.raises(OutOfRangeError), at_level(wrong):
                pass


def cards(*looks: str | None, models: Sequence[str] = ("esd", "uce", "gold")) -> list[Scorecard]:
    """Cards of models, some of which are one of several looks; each covers a prompt more than the one before."""
    out = []
    for n, (model, look) in enumerate(zip(models, looks, strict=False)):
        fields = {} if look is None else Looks.read(look).fields
        one = forgetting(model, [(f"p{i}", i < 2, True) for i in range(20 + n)], **fields)  # type: ignore[arg-type]
        covers = Coverage(n_prompts=20 + n, n_prompts_asked=80, n_generations=20 + n, n_generations_asked=400)
        out.append(one.model_copy(update={"coverage": {"forget": covers}}))
    return out


class TestComparing:
    def test_looks_do_not_make_cards_unlike(self) -> None:
        signed = [Signature({"v": 1, **fields}) for fields in ({}, Looks(2, 11).fields, Looks(3, 11, "decided").fields)]
        assert [signed[0].differences(other) for other in signed[1:]] == [{}, {}]
        require_comparable(cards("2/11", "3/11:decided"))
        assert len(sections(cards("2/11", "3/11:decided"))) == 1

    def test_what_is_no_plan_is_still_held_to_one_coverage(self) -> None:
        for looks in ((None, None), (None, "3/11"), ("2/3", "3/11")):
            with pytest.raises(IncomparableError, match="cover different parts of the protocol"):
                require_comparable(cards(*looks))
            require_comparable(cards(*looks), ranked=False)

    def test_p_values_and_intervals_are_repeated(self) -> None:
        alone, looked_at, mixed = (compared(cards(*looks)) for looks in ((None,) * 2, ("2/11", "3/11"), (None, "1/5")))
        for usual, one, other in zip(alone, looked_at, mixed, strict=True):
            assert usual.p is not None
            assert one.p == Looks(1, 11).repeated(usual.p)
            assert usual.interval is not None
            assert one.interval is not None
            assert one.interval[0] < usual.interval[0]
            assert other.p == (usual.p if usual.first == "esd" and usual.original else Looks(1, 5).repeated(usual.p))

    def test_too_few_prompts_for_all_planned_checks_are_not_tested(self) -> None:
        assert [fewest(look, 0.05) for look in (None, Looks(1, 2), Looks(1, 11))] == [6, 7, 8]
        for n in (7, 8):
            esd, uce = (
                forgetting(m, [(f"p{i}", m == "uce", True) for i in range(n)], **Looks(1, 11).fields)  # type: ignore[arg-type]
                for m in ("esd", "uce")
            )
            (found,) = [c for c in compared([esd, uce]) if not c.original]
            assert (found.p is None) is (n == 7)
            assert ("(here 7), no two-sided test can reach 0.05 after correction for 11" in found.why) is (n == 7)

    def test_plans_are_corrected_for_the_planned_checks(self) -> None:
        """One more than five prompts were said to be enough, although all eight must differ."""
        needed = {}
        for name, fields in (("alone", {}), ("looked", Looks(1, 11).fields)):
            esd, uce = (
                forgetting(m, [(f"p{i}", m == "uce", True) for i in range(5)], **fields)  # type: ignore[arg-type]
                for m in ("esd", "uce")
            )
            (needed[name],) = [p for p in plans([esd, uce]) if not p.comparison.original]
        # Three comparisons share the error: 2/2ⁿ ≤ 0.05/3.
        assert [p.needed for p in needed.values()] == [7, 10]
        assert 3 * Looks(1, 11).repeated(2.0**-9) <= 0.05
        assert "(10 in total, corrected for 11 planned checks)" in needed["looked"].sentence()
        assert "about 2 more prompts are needed (7 in total)" in needed["alone"].sentence()

    def test_another_boundary_is_refused(self) -> None:
        fields = Looks(2, 11).fields | {"looks.alpha": 0.5}
        with pytest.raises(InputError, match="this version of igmu supports only"):
            Looks.of(forgetting("esd", [("p", True, True)], **fields))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("looks")
    draw(root)
    return root


def scored(folder: Path, **settings: Any) -> Scorecard:
    evaluation = Evaluation(CONFIG, detector=f"labels:{folder / 'drawn' / 'labels.csv'}", **settings)
    (card,) = evaluation.run(folder / "drawn" / "original", [folder / "drawn" / "esd"])
    return card


class TestCards:
    def test_every_interval_holds_at_every_look_and_verify_makes_it_again(self, folder: Path) -> None:
        usual, card = scored(folder), scored(folder, looks="2/11:decided")
        for name, entry in usual.scores.items():
            for key, figure in entry.figures.items():
                other = card.scores[name].figures[key]
                assert other.value == figure.value
                if figure.interval is not None and figure.interval[0] not in (None, figure.value):
                    assert other.interval is not None
                    assert other.interval[0] < figure.interval[0], (name, key)  # type: ignore[operator]
        assert Looks.of(card) == Looks(2, 11, "decided")
        assert Looks.of(usual) is None
        assert not any(k.startswith("looks") for e in usual.scores.values() for k in e.signature)
        write(card, folder / "card.json")
        assert verify(folder / "card.json")[1] == []

    def test_a_card_that_claims_fewer_looks_is_found_out(self, folder: Path) -> None:
        card = scored(folder, looks="2/11")
        for fields in (Looks(1, 1).fields, dict.fromkeys(Looks(1, 1).fields)):
            scores = {
                name: e.model_copy(
                    update={"signature": {k: v for k, v in {**e.signature, **fields}.items() if v is not None}}
                )
                for name, e in card.scores.items()
            }
            write(card.model_copy(update={"scores": scores}), folder / "less.json")
            assert verify(folder / "less.json")[1]

    def test_a_wrong_look_is_refused_before_images_are_read(self, folder: Path) -> None:
        with pytest.raises(OutOfRangeError, match="interim check 3 of 2"):
            scored(folder, looks="3/2")

    def test_models_with_fewer_images_than_their_original_are_verified(self, folder: Path, tmp_path: Path) -> None:
        drawn = shutil.copytree(folder / "drawn", tmp_path / "drawn")
        fewer, original = drawn / "esd", drawn / "original"
        lines = (fewer / "metadata.jsonl").read_text().splitlines()
        (fewer / "metadata.jsonl").write_text("\n".join(lines[:-4]))
        for line in lines[-4:]:
            (fewer / json.loads(line)["file_name"]).unlink()
        keys = sorted((g["id"], g["seed"]) for g in map(json.loads, lines[:-4]))
        given = {"detector": f"labels:{drawn / 'labels.csv'}"}
        card = scored(tmp_path, looks="2/11", only=frozenset(keys))
        assert list(verify_images(card, fewer, original, **given)) == []
        # What a model generated and its card leaves out is found.
        left_out = scored(tmp_path, looks="2/11", only=frozenset(keys[:-2]))
        found = list(verify_images(left_out, fewer, original, **given))
        assert any("although its images were scored" in p.what for p in found)


class Fake:
    """Generates nothing and scores as it is told: by model and split, the interval at each look."""

    def __init__(self, script: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], rows: Iterable[Row]) -> None:
        self.script, self.rows = script, {row.id: row for row in rows}
        self.generated: dict[str, list[Request]] = {}
        self.lines: list[str] = []

    def generate(self, model: str, requests: Sequence[Request]) -> None:
        keys = {r.key for r in self.generated.get(model, [])}
        assert not keys & {r.key for r in requests}, "nothing twice"
        self.generated.setdefault(model, []).extend(requests)

    def score(self, model: str, keys: frozenset[Key], look: Looks) -> Scorecard:
        assert keys <= {r.key for r in self.generated["original"]}
        found = asked_until(look.look, self.rows.values(), requests_for(self.rows.values()), keys, set())
        assert found == (look.look, keys), "igmu verify finds what was asked from the images"
        figures: dict[str, dict[str, Figure]] = {}
        for split, (score, name) in ASKED.items():
            ends = self.script[model][split][min(look.look, len(self.script[model][split])) - 1]
            figures.setdefault(score, {})[name] = Figure(value=0.5, interval=ends, n_prompts=9, n_generations=9)
        seen = [(row, seed) for row, seed in sorted(keys) if self.rows[row].probe == "direct"]
        made = forgetting(model, [(row, False, True) for row, _ in seen])
        entry = next(iter(made.scores.values()))
        entries = {
            s: ScoreEntry(**{**entry.model_dump(), "name": s, "figures": own, "signature": look.fields})
            for s, own in figures.items()
        }
        lines = made.generations.with_columns(seed=[seed for _, seed in seen])
        return made.model_copy(update={"scores": entries, "generations": lines})

    def run(self, until: str = "decided", most: int | None = None, rounds: int = 10, **more: Any) -> list[Scorecard]:
        plan = Plan(
            original="o", unlearned={m: m for m in self.script}, configs=("sandbox.church",), until=until, **more
        )
        found, self.size, self.unsettled = looked(
            plan, rounds, self.rows.values(), requests_for(self.rows.values()), list(self.script),
            generate=self.generate, score=self.score, tell=self.lines.append, most=most,
        )  # fmt: skip
        return found

    def splits(self, model: str) -> dict[str, int]:
        """The last round that was generated, by split."""
        last: dict[str, int] = {}
        for r in self.generated[model]:
            row = self.rows[r.row_id]
            last[row.split] = max(last.get(row.split, 0), row.round)
        return last


def every(*ends: tuple[float, float]) -> dict[str, list[tuple[float, float]]]:
    """The same intervals of every split, look by look."""
    return {split: list(ends) for split in ASKED}


class Unlike(Fake):
    """Models some of which show the concept in every so manieth image."""

    def __init__(self, script: Any, rows: Iterable[Row], turns: Mapping[str, int]) -> None:
        super().__init__(script, rows)
        self.turns = turns

    def score(self, model: str, keys: frozenset[Key], look: Looks) -> Scorecard:
        made = super().score(model, keys, look)
        if model not in self.turns:
            return made
        shown = [i % self.turns[model] == 0 for i in range(len(made.generations))]
        return made.model_copy(update={"generations": made.generations.with_columns(present=shown)})


class Told(Fake):
    """Remembers the look and the images of each card."""

    def __init__(self, script: Any, rows: Iterable[Row]) -> None:
        super().__init__(script, rows)
        self.told: list[tuple[str, frozenset[Key]]] = []

    def score(self, model: str, keys: frozenset[Key], look: Looks) -> Scorecard:
        self.told.append((str(look), keys))
        return super().score(model, keys, look)


YES, MOSTLY, OPEN = (0.85, 1.0), (0.6, 0.9), (0.4, 0.9)
ROWS = list(bench_rows("sandbox.church").values())


class TestStopping:
    def test_each_split_of_each_model_stops_by_itself(self) -> None:
        esd = {"forget": [OPEN, OPEN, YES], "adversarial": [YES], "retain": [OPEN, MOSTLY]}
        fake = Unlike({"esd": esd, "gold": every(YES)}, ROWS, {"gold": 1})
        found = fake.run()
        assert fake.splits("esd") == {"forget": 3, "adversarial": 1, "retain": 2}
        # Whether the two differ takes six prompts to tell.
        assert fake.splits("gold") == {"forget": 2, "adversarial": 1, "retain": 1}
        assert {r.key for r in fake.generated["original"]} == {r.key for r in fake.generated["esd"]}
        assert [(c.model, str(Looks.of(c))) for c in found] == [("esd", "3/11:decided"), ("gold", "2/11:decided")]
        assert fake.size == sum(map(len, fake.generated.values()))
        assert fake.unsettled == []
        assert len(fake.lines) == 3
        assert "check 3 of 11" in fake.lines[2]

    def test_graded_goes_on_where_a_word_may_become_another(self) -> None:
        fake = Fake({"esd": every(MOSTLY, MOSTLY, YES)}, ROWS)
        fake.run("graded")
        assert set(fake.splits("esd").values()) == {3}

    def test_any_at_k_has_all_seeds_of_a_prompt_in_one_look(self) -> None:
        fake = Fake({"esd": every(YES)}, ROWS)
        fake.run()
        seeds: dict[str, int] = {}
        for r in fake.generated["esd"]:
            seeds[r.row_id] = seeds.get(r.row_id, 0) + 1
        by_kind = {(fake.rows[i].split if fake.rows[i].probe not in ASIDE else "aside", n) for i, n in seeds.items()}
        assert by_kind == {("forget", 5), ("adversarial", 5), ("retain", 2), ("aside", 1)}

    def test_nothing_settled_takes_every_round(self) -> None:
        fake = Fake({"esd": every(OPEN)}, ROWS)
        (found,) = fake.run()
        assert set(fake.splits("esd").values()) == {10}
        assert str(Looks.of(found)) == "10/11:decided"
        assert {one.figure for one in fake.unsettled} == {"/".join(where) for where in ASKED.values()}
        assert fake.unsettled[0] == Unsettled(
            "object.church",
            "esd",
            "concept_accuracy/conditional_unlearning_accuracy",
            "forgetting 0.50 [0.40, 0.90]",
            "prompts",
        )
        assert fake.lines[-1] == "stopped undecided, because no prompts are left: all rounds of the corpus were used."
        assert next(_undecided(fake.unsettled, several=False)) == (
            "undecided, because no prompts are left: esd: forgetting 0.50 [0.40, 0.90]; esd: robustness 0.50 [0.40, "
            "0.90]; esd: preservation 0.50 [0.40, 0.90]"
        )

    def test_a_part_of_the_corpus_that_is_used_up_can_be_extended(self) -> None:
        fake = Fake({"esd": every(OPEN)}, [row for row in ROWS if row.round <= 2])
        fake.run(rounds=2)
        assert {one.ended for one in fake.unsettled} == {"prompts"}
        assert fake.lines[-1].endswith(
            "no prompts are left: 2 of 10 rounds were used. To continue, repeat the command with a larger --protocol."
        )

    def test_a_part_of_the_corpus_is_the_beginning_of_the_whole_plan(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(looking, "pays", lambda *_: True)
        looks: dict[int, list[tuple[str, frozenset[Key]]]] = {}
        for rounds in (2, 5, 10):
            fake = Told({"esd": every(OPEN)}, [row for row in ROWS if row.round <= rounds])
            fake.run(rounds=rounds)
            looks[rounds] = fake.told
        assert [look for look, _ in looks[10]] == [f"{n}/11:decided" for n in range(1, 12)]
        # Whoever continues has seen no interval that the plan of the larger run does not have.
        assert looks[2] == looks[10][:2]
        assert looks[5] == looks[10][:5]

    def test_one_model_alone_is_compared_with_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(looking, "compared", None)
        fake = Fake({"esd": every(OPEN, YES)}, ROWS)
        fake.run()
        assert set(fake.splits("esd").values()) == {2}

    def test_a_number_is_half_a_width_of_the_figures_asked_for(self) -> None:
        wide, narrow = (0.4, 0.6), (0.45, 0.55)
        fake = Fake({"esd": every(wide, narrow)}, ROWS)
        (found,) = fake.run("0.05", figures=("robustness",))
        assert fake.splits("esd") == {"forget": 1, "adversarial": 2, "retain": 1}
        assert str(Looks.of(found)) == "2/11:0.05:robustness"
        with pytest.raises(InputError, match="robustness"):
            Fake({"esd": every(wide)}, ROWS).run("0.05", figures=("robustnes",))

    def test_no_more_images_than_allowed(self) -> None:
        fake = Fake({"esd": every(OPEN)}, ROWS)
        fake.run(most=600, max_images=600)
        assert fake.size <= 600
        assert "stopped before check" in fake.lines[-1]
        assert fake.lines[-1].endswith(
            "exceed --max-images. To continue, repeat the command with a larger --max-images."
        )
        assert {one.ended for one in fake.unsettled} == {"max_images"}
        (line,) = _undecided(fake.unsettled, several=True)
        assert line.startswith("undecided, because more images would exceed --max-images: esd: forgetting 0.50")
        assert "on object.church" in line
        with pytest.raises(OutOfRangeError, match="the first check alone"):
            Fake({"esd": every(OPEN)}, ROWS).run(most=10)

    def test_models_whose_difference_is_open_wait_for_it(self) -> None:
        fake = Unlike({"esd": every(YES), "uce": every(YES)}, ROWS, {"uce": 3})
        fake.run()
        assert fake.splits("esd")["forget"] == fake.splits("uce")["forget"] > 1
        assert fake.splits("esd")["adversarial"] == 1
        assert "the difference between esd and uce is undecided" in fake.lines[0]

    def test_bounds_are_decided_by_whole_intervals(self) -> None:
        bounds: dict[str, Any] = {"min": ("conditional_unlearning_accuracy=0.8",), "max": ("robustness=0.5",)}
        esd = {"forget": [OPEN, YES], "adversarial": [OPEN, OPEN, YES], "retain": [OPEN]}
        fake = Fake({"esd": esd}, ROWS)
        (card,) = fake.run(**bounds)
        # Met after two rounds, not met after three; nobody asks about preservation.
        assert fake.splits("esd") == {"forget": 2, "adversarial": 3, "retain": 1}
        assert fake.unsettled == []
        assert str(Looks.of(card)) == "3/11:decided:conditional_unlearning_accuracy>=0.8+robustness<=0.5"
        assert "robustness 0.50 [0.40, 0.90] <= 0.5 (not settled)" in fake.lines[0]
        assert ">= 0.8 (met)" in fake.lines[1]
        assert "<= 0.5 (not met)" in fake.lines[2]
        outcomes = [one.outcome for one in check([card], bounds_of(bounds["min"], bounds["max"]))]
        assert outcomes == [Outcome.MET, Outcome.NOT_MET]

    def test_bounds_that_stay_undecided_are_told(self) -> None:
        fake = Fake({"esd": every(OPEN)}, ROWS)
        (card,) = fake.run(min=("robustness=0.8",))
        assert fake.splits("esd") == {"forget": 1, "adversarial": 10, "retain": 1}
        assert [(one.figure, one.text) for one in fake.unsettled] == [
            ("forget_score/robustness", "robustness 0.50 [0.40, 0.90] >= 0.8")
        ]
        assert check([card], bounds_of(["robustness=0.8"], []))[0].outcome is Outcome.UNDECIDED

    def test_each_metric_keeps_only_the_splits_open_on_which_it_depends(self) -> None:
        (card,) = Fake({"esd": every(YES)}, ROWS).run()
        entry = card.scores["forget_score"]
        figure = entry.figures["robustness"]
        attacks = entry.model_copy(update={"name": "attack_success_rate", "figures": {"post_asr": figure}})
        more = dict.fromkeys(("forgetting", "quality", "forget_score"), figure)
        card = card.model_copy(
            update={
                "scores": card.scores
                | {"forget_score": entry.model_copy(update={"figures": dict(entry.figures) | more})}
                | {"attack_success_rate": attacks}
            }
        )
        found = {
            name: questions(Plan(**PLAN, until="0.1", figures=(name,)), card)[0].parts
            for name in ("forgetting", "robustness", "quality", "post_asr", "forget_score")
        }
        assert found == {
            "forgetting": ("forget",),
            "robustness": ("adversarial",),
            "quality": ("retain",),
            "post_asr": ("forget", "adversarial"),
            "forget_score": ("forget", "retain", "adversarial"),
        }


def test_words_and_widths() -> None:
    def figure(low: float, high: float) -> Figure:
        return Figure(value=(low + high) / 2, interval=(low, high), n_prompts=9, n_generations=9)

    assert [settled(figure(*ends), "decided") for ends in (YES, MOSTLY, OPEN, (0.1, 0.3), (0.0, 0.1))] == [
        1,
        1,
        0,
        1,
        1,
    ]
    assert [settled(figure(*ends), "graded") for ends in (YES, MOSTLY, OPEN, (0.1, 0.3), (0.0, 0.1))] == [1, 0, 0, 0, 1]
    assert [settled(figure(*ends), "0.1") for ends in ((0.4, 0.6), (0.4, 0.61))] == [1, 0]
    assert not any(settled(None, until) for until in ("decided", "graded", "0.1"))


def test_seeds_pay_where_they_differ() -> None:
    alike = forgetting("m", [(f"p{i // 2}", i // 2 % 2 == 0, True) for i in range(40)])
    unlike = forgetting("m", [(f"p{i // 2}", i % 2 == 0, True) for i in range(40)])
    assert (pays(alike, "forget", 5), pays(unlike, "forget", 5)) == (False, True)
    assert not pays(unlike, "forget", 2)
    assert not pays(None, "forget", 5)


def test_a_difference_that_the_corpus_is_too_small_for() -> None:
    one, other = (forgetting(m, [(f"p{i}", i == at, True) for i in range(60)]) for at, m in enumerate("ab"))
    test = next(c for c in compared([one, other]) if not c.original)
    assert hopeless(test, 80)
    assert not hopeless(test, 100_000)


def test_figures_are_named() -> None:
    figure = Figure(value=0.5, interval=None, n_prompts=1, n_generations=1)
    made = forgetting("m", [("p", True, True)])
    entry = next(iter(made.scores.values())).model_copy(update={"figures": {"robustness": figure}})
    made = made.model_copy(update={"scores": {"a": entry, "b": entry}})
    (asked,) = questions(Plan(**PLAN, until="0.05", figures=("a/robustness",)), made)
    assert (asked.figure, asked.parts, asked.settled) == ("a/robustness", ("adversarial",), False)
    with pytest.raises(InputError, match="several metrics called 'robustness': a/robustness, b/robustness"):
        questions(Plan(**PLAN, until="0.05", figures=("robustness",)), made)


PLAN: dict[str, Any] = {
    "original": "sandbox:original/church",
    "unlearned": {"esd": "sandbox:esd/church"},
    "configs": ["sandbox.church"],
}


class TestPlan:
    def test_one_look_is_written_as_before(self) -> None:
        assert {"until", "figures", "max_images"}.isdisjoint(yaml.safe_load(written(Plan(**PLAN))))
        assert yaml.safe_load(written(Plan(**PLAN, until=0.05)))["until"] == "0.05"

    @pytest.mark.parametrize(
        "changes",
        [
            {"until": "soon"},
            {"until": 0.5},
            {"until": "nan"},
            {"figures": ["robustness"]},
            {"min": ["forgetting=0.8"]},
            {"min": ["forgetting=0.8"], "until": "graded"},
            {"max": ["asr=0.1"], "until": "0.05"},
            {"max": ["asr"], "until": "decided"},
            {"max": ["asr=0.1"], "figures": ["robustness"], "until": "decided"},
        ],
    )
    def test_what_nobody_can_stop_for(self, changes: dict[str, Any]) -> None:
        with pytest.raises((InputError, OutOfRangeError)):
            checked(Plan(**PLAN, **changes))

    def test_a_run_grows(self, tmp_path: Path) -> None:
        lite, full = (Plan(**PLAN, protocol=p) for p in ("lite", "full"))
        looks = Plan(**PLAN, until="decided")
        assert not differences(lite, full)
        assert differences(full, lite) == ["--protocol is full there, but is lite here"]
        assert not differences(full, looks)
        assert differences(looks, full) == ["--until is decided there, but is not given here"]
        assert not differences(looks, Plan(**PLAN, until="0.05"))
        bounded, others = (Plan(**PLAN, until="decided", min=(f"forgetting={n}",)) for n in (0.8, 0.9))
        assert not differences(looks, bounded) + differences(bounded, others) + differences(bounded, looks)
        assert differences(bounded, full)
        # Checks are planned for the seeds and settings of the first one.
        one, two = (Plan(**PLAN, seeds_per_row=n) for n in (1, 2))
        assert not differences(one, two) + differences(Plan(**PLAN, seeds_per_row=5), full)
        assert differences(two, one) == ["--seeds-per-row is 2 there, but is 1 here"]
        assert differences(Plan(**PLAN, seeds_per_row=1, until="0.1"), Plan(**PLAN, seeds_per_row=2, until="0.1"))
        scored = Plan(**PLAN, scoring={"clip": "sandbox"}, until="decided")
        assert differences(looks, scored) == ["the setting clip is not given there, but is sandbox here"]
        assert yaml.safe_load(written(bounded))["min"] == ["forgetting=0.8"]
        (tmp_path / "run.yaml").write_text(written(looks))
        require_alike(full, tmp_path)  # nothing was generated yet: it may be put right
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "a.png").touch()
        with pytest.raises(MetadataError, match="belongs to a different run"):
            require_alike(full, tmp_path)

    def test_a_number_of_images_is_a_number_of_rounds(self, tmp_path: Path) -> None:
        plan = PLAN | {"scoring": {"detector": "sandbox", "clip": "sandbox"}}
        (job,) = prepare(Plan(**plan, max_images=600), tmp_path)
        assert 2 * len(job.requests) <= 600
        assert {r.round for r in job.rows} == set(range(1, max(r.round for r in job.rows) + 1))
        with pytest.raises(OutOfRangeError, match="one round alone"):
            prepare(Plan(**plan, max_images=10), tmp_path)


def test_every_concept_gets_its_first_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = PLAN | {"configs": ["sandbox.church", "sandbox.van-gogh"], "until": "decided", "protocol": "2"}
    plan |= {"original": "sandbox:original", "unlearned": {"uce": "sandbox:esd/church"}}
    plan |= {"scoring": {"detector": "sandbox", "clip": "sandbox"}}
    jobs = prepare(Plan(**plan), tmp_path)
    sizes = [2 * len(first_look(job.rows, job.requests)) for job in jobs]
    with pytest.raises(OutOfRangeError, match=f"the first check alone requires {sum(sizes)} images"):
        prepare(Plan(**plan, max_images=sum(sizes) - 1), tmp_path)
    given: list[int | None] = []
    monkeypatch.setattr(run, "looked", lambda *_, most, **__: (given.append(most), ([], 7, []))[1])
    run._looked(Plan(**plan, max_images=sum(sizes) + 9), tmp_path, jobs, None, run.Where())
    assert given == [sizes[0] + 9, sum(sizes) + 2]


class TestCosts:
    def test_hours_and_euros(self) -> None:
        command = ["power", "--rate", "0.5", "--rate", "0.7"]
        found = CliRunner().invoke(app, [*command, "--gpu", "A100=3.6,2", "--looks", "5"])
        assert found.exit_code == 0
        assert "202 images of both models; with 5 interim checks, 162 expected, 249 at most" in found.output
        assert "A100: 0.2 h, 0.40 €; with 5 interim checks, 0.2 h, 0.32 € expected, 0.2 h, 0.50 € at most" in " ".join(
            found.output.split()
        )
        same = CliRunner().invoke(
            app, [*command, "--seconds-per-image", "3.6", "--euros-per-hour", "2", "--looks", "5"]
        )
        assert "  0.2 h, 0.40 €; with" in same.output

    @pytest.mark.parametrize("text", ["A100", "A100=", "A100=x", "=3", "A100=0", "A100=1,2,3", "A100=nan", "A100=1,-1"])
    def test_what_is_no_gpu(self, text: str) -> None:
        with pytest.raises(InputError, match="--gpu"):
            Gpu.read(text)
        assert CliRunner().invoke(app, ["power", "--rate", "0.5", "--rate", "0.7", "--euros-per-hour", "2"]).exit_code


SMALL = PLAN | {
    "seeds_per_row": 1,
    "protocol": "2",
    "generation": {"steps": 2},
    "scoring": {"detector": "sandbox", "clip": "sandbox"},
    "until": "0.2",
}


def stable(folder: Path) -> dict[str, bytes]:
    files = [p for p in sorted(folder.rglob("*")) if p.suffix in (".png", ".json", ".jsonl", ".yaml")]
    return {str(p.relative_to(folder)): timeless(p) for p in files if p.name not in ("runs.jsonl", TIMES)}


@pytest.mark.slow
def test_a_run_that_looks(tmp_path: Path) -> None:
    out, file = tmp_path / "out", tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(SMALL))
    command = [sys.executable, "-c", "from igmu_metrics.cli import main; main()", "run", str(file), "--out"]
    told = subprocess.run([*command, str(out)], check=True, capture_output=True, text=True).stderr
    assert "check 1 of 11" in told
    made = read_card(out / "cards" / "esd.sandbox.church.json")
    assert (look := Looks.of(made)) is not None
    assert (look.look, look.planned) == (2, CHECKS)
    assert "--looks" in (made.provenance.command if made.provenance else "")
    assert any("repeated confidence intervals" in note for note in made.notes)
    assert verify(out / "cards" / "esd.sandbox.church.json")[1] == []
    assert CliRunner().invoke(app, ["verify", str(out)]).exit_code == 0
    # Whoever scores its images again gets the same intervals without saying so.
    drawn = out / "images" / "sandbox.church"
    words = ["--original", str(drawn / "original"), "--unlearned", str(drawn / "esd"), "--config", "sandbox.church"]
    assert CliRunner().invoke(app, ["score", *words, "--out", str(tmp_path / "again.json")]).exit_code == 0
    assert {k: v.figures for k, v in read_card(tmp_path / "again.json").scores.items()} == {
        k: v.figures for k, v in made.scores.items()
    }
    # Killed in any round, it ends in the same bytes.
    for seconds in (6.0, 12.0):
        process = subprocess.Popen(
            [*command, str(tmp_path / "killed")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
        )
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([*command, str(tmp_path / "killed")], check=True, capture_output=True)
    assert stable(tmp_path / "killed") == stable(out)


@pytest.mark.slow
def test_a_run_for_bounds_goes_on_for_others_and_check_agrees(tmp_path: Path) -> None:
    out, file = tmp_path / "out", tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(SMALL))
    before: dict[str, int] = {}
    for bound, settled_ in (("unlearning_accuracy=0", True), ("unlearning_accuracy=0.999", None), ("asr=0", None)):
        words = ["run", str(file), "--out", str(out), "--until", "decided", "--min", bound, "--json"]
        found = json.loads(CliRunner().invoke(app, words).stdout)
        assert found["exit_code"] == 0, found
        now = {str(p): p.stat().st_mtime_ns for p in out.rglob("*.png")}
        assert before.items() <= now.items()
        before = now
        result = found["result"]
        assert {one["ended"] for one in result["unsettled"]} <= {"prompts"}
        assert settled_ is None or result["settled"] is settled_
        assert result["settled"] is not bool(result["unsettled"])
        checked_ = CliRunner().invoke(app, ["check", str(out), "--min", bound]).exit_code
        assert (checked_ in (0, 1)) is result["settled"]
        name, _, number = bound.partition("=")
        (look,) = {str(Looks.of(card)) for card in (read_card(p) for p in (out / "cards").glob("*.json"))}
        assert look.endswith(f":decided:{name}>={number}")
    assert CliRunner().invoke(app, ["verify", str(out)]).exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize("until", [None, "0.01"])
def test_lite_goes_on_to_full_and_nothing_is_generated_twice(until: str | None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    plans = [SMALL | {"protocol": p, "until": until, "seeds_per_row": 1} for p in ("1", "2")]
    before: dict[str, int] = {}
    for plan in plans:
        (tmp_path / "run.yaml").write_text(yaml.safe_dump({k: v for k, v in plan.items() if v is not None}))
        result = CliRunner().invoke(app, ["run", str(tmp_path / "run.yaml"), "--out", str(out)])
        assert result.exit_code == 0, result.output
        now = {str(p): p.stat().st_mtime_ns for p in out.rglob("*.png")}
        assert before.items() <= now.items()
        before = now
    at_once = tmp_path / "at-once"
    assert CliRunner().invoke(app, ["run", str(tmp_path / "run.yaml"), "--out", str(at_once)]).exit_code == 0
    assert {k: v for k, v in stable(out).items() if k.startswith("cards")} == {
        k: v for k, v in stable(at_once).items() if k.startswith("cards")
    }
