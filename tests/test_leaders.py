"""Which models may be the best: the model confidence set, and what a report says about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from golden.record import unpack

from builders.benchmarks.comparing import DUELS, RULES, at_the_end, duel, fields, leaders
from igmu_data.errors import OutOfRangeError
from igmu_metrics.report import verdict
from igmu_metrics.report.ranking import ranking
from igmu_metrics.report.view import Section, View, view
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics import best_of, holm
from igmu_metrics.verdict.compare import compared
from igmu_metrics.verdict.joint import ALIGNMENT, SCORE
from igmu_metrics.verdict.verify import read_all

Tests = Mapping[tuple[int, int], float]


def drawn(rng: np.random.Generator, truth: Sequence[float], spread: Sequence[float]) -> tuple[Tests, list[int]]:
    """Normal tests of all pairs, by place in the observed order, and that order."""
    from scipy.special import ndtr

    seen = np.asarray(truth) + rng.normal(size=len(truth)) * spread
    order = np.argsort(-seen).tolist()
    errors = [[float(np.hypot(spread[i], spread[j])) for j in order] for i in order]
    pairs = combinations(range(len(truth)), 2)
    return {(i, j): float(2 * ndtr((seen[order[j]] - seen[order[i]]) / errors[i][j])) for i, j in pairs}, order


@pytest.mark.parametrize(
    ("truth", "spread"),
    [
        ([0, 0, 0], [1, 1, 1]),
        ([0, 0, -9], [1, 1, 1]),
        ([0, 0, -3, -3, -3], [1, 1, 1, 1, 1]),
        ([0, 0, 0, 0, 0], [0.3, 1, 3, 1, 0.3]),
        ([0, 0, -1, -2, -9, -9], [1, 2, 0.5, 1, 1, 1]),
    ],
)
def test_all_that_are_the_best_stay_in_95_of_100_cases(truth: Sequence[float], spread: Sequence[float]) -> None:
    rng = np.random.default_rng(7)
    n, wrong, alone = 3000, 0, 0
    best = {at for at, value in enumerate(truth) if value == 0}
    for _ in range(n):
        tests, order = drawn(rng, truth, spread)
        chosen = {order[at] for at in leaders(tests, len(truth))}
        wrong += not best <= chosen
        alone += len(chosen) == 1
    assert wrong / n <= 0.05 + 3 * (0.05 * 0.95 / n) ** 0.5
    assert wrong >= alone > 0


def test_it_names_the_best_more_often_than_holm() -> None:
    rng = np.random.default_rng(3)
    truth, spread = [0, -4, -4, -4, -4], [1.0] * 5
    alone = dict.fromkeys(RULES, 0)
    for _ in range(500):
        tests, _ = drawn(rng, truth, spread)
        for name, rule in RULES.items():
            alone[name] += len(rule(tests, 5)) == 1
    ours, by_holm, _ = alone.values()
    assert ours > by_holm + 50


def test_no_two_leaders_differ_significantly_by_holm() -> None:
    rng = np.random.default_rng(5)
    for _ in range(400):
        k = int(rng.integers(2, 7))
        tests, _ = drawn(rng, rng.normal(0, 3, k).tolist(), rng.uniform(0.2, 3, k).tolist())
        chosen = leaders(tests, k)
        assert 0 in chosen
        for pair, p in zip(tests, holm(list(tests.values())), strict=True):
            assert not chosen >= set(pair) or p > 0.05


def test_one_model_leaves_at_a_time() -> None:
    assert best_of({}) == {}
    assert best_of({(0, 1): 0.2}) == {(0, 1): 0.2}
    # 2 is beaten by 1 rather than by 0; of equal p values, the last model leaves first; no value is above 1.
    assert best_of({(0, 1): 0.5, (0, 2): 0.3, (1, 2): 0.01}) == {(1, 2): 0.03, (0, 1): 0.5}
    assert best_of({(0, 1): 0.4, (0, 2): 0.4, (1, 2): 0.4}) == {(0, 2): 1.0, (0, 1): 1.0}
    # p values grow, and pairs without a test do not count.
    assert best_of({(0, 2): 0.02, (0, 1): 0.001}) == {(0, 1): 0.002, (0, 2): 0.02}
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(OutOfRangeError, match=r"pvalues\[\(0, 1\)\]"):
            best_of({(0, 1): wrong})


# --- a report ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> View:
    folder = tmp_path_factory.mktemp("leaders")
    unpack(folder)
    return view(Section(read_all([folder / "cards" / f"{name}.json" for name in ("esd", "filter", "uce")]), {}))


def as_tested(seen: View, found: Mapping[tuple[str, str], float], *, sign: int = 1) -> View:
    """The view as if the tests of forget scores had these p values; the sign is that of all differences."""
    tests = list(seen.tests)
    at = [i for i, c in enumerate(tests) if c.measure == SCORE]
    given = [next(p for pair, p in found.items() if set(pair) == {tests[i].first, tests[i].second}) for i in at]
    for i, p, p_holm in zip(at, given, holm(given), strict=True):
        tests[i] = replace(tests[i], difference=sign * tests[i].difference, p=p, p_holm=p_holm)
    return replace(seen, tests=tuple(tests))


def names(cards: Sequence[Scorecard]) -> list[str]:
    return [c.model for c in cards]


def test_the_report_names_the_best_where_holm_would_not(seen: View) -> None:
    first, second, third = names(seen.cards)
    # Holm: 3 · 0.001, 2 · 0.03 = 0.06, 0.06. The third leaves, then one test is left: 0.03.
    found = as_tested(seen, {(first, second): 0.03, (first, third): 0.001, (second, third): 0.4})
    assert names(found.leaders) == [first]
    assert verdict.lead(found)[1].startswith(f"{first} ranks first of 3 with a forget score of")
    assert [(line.tied, line.best) for line in ranking(found).lines] == [("", True), ("", False), (second, False)]
    test = found.between(*found.cards[:2])
    assert test is not None
    assert not test.significant
    assert found.significant(test)
    (told,) = (f for f in verdict.answers(found)[3].findings if "in forget score" in f.sentence and f.word == "yes")
    assert set(told.about[0].split(" – ")) == {first, second}
    assert told.sentence.endswith("p = 0.03 after correction for the choice of the best of 3 models).")
    # The other neighbours are shown as igmu compare shows them.
    assert any("p = 0.4 after Holm correction over 3 tests" in f.sentence for f in verdict.answers(found)[3].findings)
    assert not any(set(f.about[0].split(" – ")) == {first, second} and "forget score" in f.sentence
                   for f in verdict.answers(found)[4].findings)  # fmt: skip


def test_a_model_may_leave_because_of_another_than_the_first(seen: View) -> None:
    first, second, third = names(seen.cards)
    found = as_tested(seen, {(first, second): 0.6, (first, third): 0.3, (second, third): 0.001})
    assert names(found.leaders) == [first, second]


def test_a_reversed_difference_settles_nothing(seen: View) -> None:
    """On the prompts that two models share, the sign may differ from that of the scores on their cards."""
    low = dict.fromkeys(combinations(names(seen.cards), 2), 1e-6)
    assert len(as_tested(seen, low).leaders) == 1
    turned = as_tested(seen, low, sign=-1)
    assert names(turned.leaders) == names(seen.cards)
    assert [line.best for line in ranking(turned).lines] == [False] * 3
    assert [bool(line.tied) for line in ranking(turned).lines] == [False, True, True]


def test_a_report_of_different_prompts_says_on_which_models_are_compared(seen: View) -> None:
    table = seen.cards[1].generations
    fewer = seen.cards[1].model_copy(update={"generations": table.where(table["split"] != "adversarial")})
    cards = (seen.cards[0], fewer, seen.cards[2])
    told = verdict.answers(replace(seen, cards=cards, tests=compared(cards)))[3].findings
    against, between = ([f for f in told if ("original" in f.about[0]) is own] for own in (True, False))
    assert len(against) == 3
    assert not any("both models have" in f.sentence for f in against)
    tested = [f for f in between if "cannot be computed" not in f.sentence]
    assert tested
    assert all("prompts that both models have (unadjusted" in f.sentence for f in tested)
    assert any("has no robustness on the prompts and seeds that both" in f.sentence for f in between)
    assert "both models have" not in str(verdict.answers(seen)[3])


# --- the simulation -------------------------------------------------------------------------------------------------


def test_the_simulation_runs(tmp_path: Path) -> None:
    lines = fields(20).splitlines()
    assert sum(line.startswith("| five equal models |") for line in lines) == len(RULES)
    one, other, _ = DUELS["unequal"]
    found = at_the_end(*duel(one, other, [0]))
    assert set(found) == {SCORE, ALIGNMENT}
    assert all(gap == gap for _, gap in found[ALIGNMENT])
