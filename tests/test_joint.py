"""Differences of two models in the forget score, alignment and quality: laws, words, and the report's headline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from golden.record import unpack
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from igmu_data.errors import InputError
from igmu_metrics.cli import app
from igmu_metrics.contract import Estimate
from igmu_metrics.generations import Generations
from igmu_metrics.metrics import forget_score
from igmu_metrics.metrics._aspect_differences import Pair
from igmu_metrics.metrics._aspects import aspect_figures, judged_rows
from igmu_metrics.metrics.forget_score import ASPECTS
from igmu_metrics.report import verdict
from igmu_metrics.report.ranking import ranking
from igmu_metrics.report.view import Section, View, view
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics.level import at_level
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict import joint
from igmu_metrics.verdict.compare import MEASURES, Comparison, compared
from igmu_metrics.verdict.joint import ALIGNMENT, NO_FEATURES, OTHER_RETAIN_PROMPTS, QUALITY, SCORE, SCORES
from igmu_metrics.verdict.planning import plans
from igmu_metrics.verdict.verify import read_all

PROMPTS = 12  # per kind
KINDS = (("forget", "direct"), ("adversarial", "attack"), ("retain", "near"), ("retain", "far"))
ROWS = [(split, probe, at) for split, probe in KINDS for at in range(PROMPTS)]
Half = tuple[Generations, dict[str, Estimate]]


def half(shown: Sequence[bool], losses: Sequence[float], quality: tuple[float, float, float]) -> Half:
    """A model's rows and aspects: whether each row's concept is shown, and the loss of alignment of retain rows."""
    n = len(ROWS)
    table = forget_score.rows(
        ids=[f"{probe}{at:02d}" for _, probe, at in ROWS],
        seeds=[0] * n,
        splits=[split for split, _, _ in ROWS],
        probes=[probe for _, probe, _ in ROWS],
        own_concepts=[f"object/{probe}{at % 2}" if split == "retain" else None for split, probe, at in ROWS],
        attack_families=["typo" if split == "adversarial" else None for split, _, _ in ROWS],
        source_ids=[f"direct{at:02d}" if split == "adversarial" else None for split, _, at in ROWS],
        present=list(shown),
        original_present=[True] * n,
        alignment=[0.4 * (1 - loss) for loss in losses],
        original_alignment=[0.4] * n,
    )
    rows = judged_rows(table).with_facts(k=1)
    found = aspect_figures(rows, 0, 200)[0]
    value, low, high = quality
    return rows, {**{name: found[name] for name in ASPECTS[:-1]}, "quality": Estimate(value, (low, high), 24, 48)}


def pair(one: Half, other: Half, resamples: int = 400) -> Pair:
    return Pair.of((one[0], other[0]), (one[1], other[1]), resamples=resamples)


@st.composite
def halves(draw: st.DrawFn) -> Half:
    seed = draw(st.integers(0, 10_000))
    good = draw(st.sampled_from([0.3, 0.7, 1.0]))
    rng = np.random.default_rng(seed)
    shown = [(rng.random() < good) is (split == "retain") for split, _, _ in ROWS]
    value = draw(st.floats(0.2, 0.9))
    wide = draw(st.floats(0.01, 0.1))
    return half(shown, rng.normal(0.1, 0.1, len(ROWS)).tolist(), (value, value - wide, value + wide))


@given(halves(), halves())
@settings(max_examples=12, deadline=None, phases=[Phase.generate])  # shrinking takes minutes
def test_laws(one: Half, other: Half) -> None:
    forth, back, same = pair(one, other), pair(other, one), pair(one, one)
    for names in (ASPECTS, ("alignment",), ("quality",)):
        value, (low, high), p = forth.difference(names)
        turned, ends, p_back = back.difference(names)
        assert value == -turned
        assert (low, high) == pytest.approx((-ends[1], -ends[0]), abs=1e-12)
        assert p == p_back
        assert low <= high
        assert 0 < p <= 1
        assert (p <= 0.05) is (low > 0 or high < 0)
        nothing, (below, above), certain = same.difference(names)
        assert (nothing, certain) == (0.0, 1.0)
        assert below <= 0 <= above


def test_the_order_of_models_that_have_the_same_values_on_other_prompts_does_not_matter() -> None:
    shown = [split == "retain" and at % 4 != 1 for split, _, at in ROWS]
    turned = [split == "retain" and at % 4 != 3 for split, _, at in ROWS]
    one, other = (half(each, [0.0] * len(ROWS), (0.8, 0.7, 0.9)) for each in (shown, turned))
    forth, back = pair(one, other).difference(ASPECTS), pair(other, one).difference(ASPECTS)
    assert forth[1] == pytest.approx((-back[1][1], -back[1][0]), abs=1e-12)
    assert forth[2] == back[2]


def test_the_difference_is_paired() -> None:
    """Two models that lose alignment on the same prompts, one of them always a little more."""
    rng = np.random.default_rng(1)
    losses = rng.uniform(0, 0.4, len(ROWS))
    shown = [split == "retain" for split, _, _ in ROWS]
    one, other = (half(shown, (losses + more).tolist(), (0.8, 0.7, 0.9)) for more in (0.0, 0.02))
    value, (low, high), p = pair(one, other).difference(("alignment",))
    assert value == pytest.approx(0.02)
    assert 0 < low < value < high < 0.04
    assert p < 0.02  # the smallest that 400 resamples can show
    alone = one[1]["alignment"].interval
    assert alone is not None
    assert alone[1] - alone[0] > 0.08


def test_what_cannot_be_resampled_is_taken_at_its_worst() -> None:
    shown = [split == "retain" for split, _, _ in ROWS]
    one, other = (half(shown, [0.1] * len(ROWS), quality) for quality in ((0.9, 0.85, 0.93), (0.5, 0.45, 0.6)))
    both = pair(one, other)
    value, interval, p = both.difference(("quality",))
    assert value == pytest.approx(0.4)
    assert interval == pytest.approx((0.85 - 0.6, 0.93 - 0.45))
    assert p < 0.001
    with at_level(0.99):  # a look's intervals are wider, so the same ends are further from 0
        assert both.difference(("quality",))[2] < p or p <= 2 / 10_001
    # Everything else is certain and equal, but its intervals extend from 1: each end of them counts.
    score, (low, high), _ = both.difference(ASPECTS)
    assert low < score < high


# --- cards ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("joint")
    unpack(folder)
    return folder / "cards"


@pytest.fixture(scope="module")
def cards(place: Path) -> list[Scorecard]:
    return read_all([place / "esd.json", place / "uce.json"])


def with_figure(card: Scorecard, name: str, **update: object) -> Scorecard:
    entry = card.scores["forget_score"]
    figures = {**entry.figures, name: entry.figures[name].model_copy(update=update)}
    return card.model_copy(
        update={"scores": {**card.scores, "forget_score": entry.model_copy(update={"figures": figures})}}
    )


def value(card: Scorecard, name: str) -> float:
    figure = card.figure("forget_score", name)
    assert figure is not None
    assert figure.value is not None
    return figure.value


def test_differences_are_those_of_the_cards(cards: list[Scorecard]) -> None:
    esd, uce = cards
    found = {c.measure: c for c in compared(cards) if c.measure in SCORES}
    assert list(found) == [SCORE, ALIGNMENT, QUALITY]
    for measure, (name, _) in SCORES.items():
        c = found[measure]
        assert (c.first, c.second, c.original, c.test, c.family, c.tests) == ("esd", "uce", False, "bootstrap", 1, 1)
        assert c.difference == pytest.approx(value(esd, name) - value(uce, name), abs=1e-6)
        assert c.interval is not None
        assert c.interval[0] <= c.difference <= c.interval[1]
        assert c.p == c.p_holm
        assert "raw" not in c.sentence()
    assert (found[SCORE].significant, found[QUALITY].significant) == (False, True)
    assert found[QUALITY].difference < -0.3
    turned = {c.measure: c for c in compared(cards[::-1]) if c.measure in SCORES}
    for measure, c in found.items():
        assert turned[measure].difference == -c.difference
        assert turned[measure].p == c.p


def test_the_other_families_are_as_without_scores(cards: list[Scorecard]) -> None:
    assert compared(cards, MEASURES) == tuple(c for c in compared(cards) if c.measure not in SCORES)


def test_a_twin_does_not_differ(cards: list[Scorecard]) -> None:
    twin = cards[0].model_copy(update={"model": "twin"})
    for c in compared([cards[0], twin], SCORES):
        assert (c.difference, c.p, c.significant) == (0.0, 1.0, False)


def test_three_models_are_one_family_per_score(place: Path) -> None:
    found = compared(read_all([place / f"{name}.json" for name in ("esd", "filter", "uce")]), [QUALITY])
    assert [(c.first, c.second, c.tests) for c in found] == [
        ("esd", "filter", 3),
        ("esd", "uce", 3),
        ("filter", "uce", 3),
    ]
    assert all(c.p_holm is not None and c.p is not None and c.p_holm >= c.p for c in found)


def why(a: Scorecard, b: Scorecard, measure: str) -> str:
    (found,) = compared([a, b], [measure])
    assert found.p_holm is None
    assert not found.significant
    assert found.why in found.sentence()
    assert found.why in plans([a, b])[[c.measure for c in compared([a, b])].index(measure)].sentence()
    return found.why


def without(card: Scorecard, *splits: str, every: int = 3) -> Scorecard:
    """The card without every third generation of these splits."""
    table = card.generations
    at = np.arange(len(table)) % every == 0
    return card.model_copy(update={"generations": table.where(~(at & np.isin(table["split"], splits)))})


def signed(card: Scorecard, *, everywhere: bool = False, **fields: object) -> Scorecard:
    """The card with other fields in the signature of the forget score, or of every score."""
    scores = {
        name: entry.model_copy(update={"signature": entry.signature | fields})
        for name, entry in card.scores.items()
        if everywhere or name == "forget_score"
    }
    return card.model_copy(update={"scores": {**card.scores, **scores}})


def scores(a: Scorecard, b: Scorecard) -> dict[str, Comparison]:
    return {c.measure: c for c in compared([a, b], SCORES)}


def test_cards_with_different_prompts_are_compared_on_those_in_common(cards: list[Scorecard]) -> None:
    esd, uce = cards
    both = scores(esd, uce)
    found = scores(esd, without(uce, "forget", "adversarial"))
    assert found == scores(without(esd, "forget", "adversarial"), uce)
    same = scores(*(without(card, "forget", "adversarial") for card in cards))
    assert found == same
    assert found[SCORE].difference != both[SCORE].difference
    assert found[SCORE].n < both[SCORE].n
    assert found[SCORE].p is not None
    assert (found[QUALITY], found[ALIGNMENT]) == (both[QUALITY], both[ALIGNMENT])
    # A prefix of one split, and of another one in the other card.
    crossed = scores(without(esd, "forget"), without(uce, "adversarial"))
    assert crossed == found


def test_quality_requires_the_same_retain_prompts(cards: list[Scorecard]) -> None:
    esd, uce = cards
    fewer = without(uce, "retain")
    for measure in (SCORE, QUALITY):
        assert why(esd, fewer, measure) == OTHER_RETAIN_PROMPTS
    found = scores(esd, fewer)[ALIGNMENT]
    assert found == scores(*(without(card, "retain") for card in cards))[ALIGNMENT]
    assert found.p is not None
    assert found.difference != scores(esd, uce)[ALIGNMENT].difference
    # With fewer prompts in common than an interval needs, there is none.
    few = [without(card, "retain", every=1) for card in cards]
    assert why(*few, ALIGNMENT) == (
        "esd has no alignment on the prompts and seeds that both scorecards contain (no retain pair for which the "
        "original's cosine is above 0)"
    )
    lone = [without(card, "forget", "adversarial", every=1) for card in cards]
    assert why(*lone, SCORE).startswith("esd has no forgetting on the prompts and seeds that both scorecards contain")
    odd = uce.model_copy(update={"generations": uce.generations.with_columns(seed=uce.generations["seed"] + 9)})
    assert why(esd, odd, SCORE) == "the two scorecards have no prompt and seed in common"


def test_the_smaller_k_is_used_for_prompts_in_common(cards: list[Scorecard]) -> None:
    esd, uce = cards
    assert why(esd, signed(uce, k=1), SCORE).startswith("the settings differ (k: 2 and 1)")
    fewer = without(uce, "forget")
    found = scores(esd, signed(fewer, k=1))
    assert found == scores(signed(esd, k=1), signed(fewer, k=1))
    assert found[SCORE].difference != scores(esd, fewer)[SCORE].difference


@pytest.mark.parametrize("k", [0, "two"])
def test_what_no_evaluation_wrote_is_refused(cards: list[Scorecard], k: object) -> None:
    with pytest.raises(InputError, match=rf"the scorecard of esd has a forget score with k = {k!r}"):
        compared([signed(card, k=k) for card in cards], SCORES)
    with pytest.raises(InputError, match="forget_score: the bootstrap in the signature is 'much'"):
        compared([signed(card, bootstrap="much") for card in cards], SCORES)
    aside = [c.model_copy(update={"generations": c.generations.part("negation")}) for c in cards]
    with pytest.raises(InputError, match="the scorecard of esd has a forget score, but not its generations"):
        compared(aside, SCORES)


def test_both_models_have_the_level_of_the_card_with_more_looks(cards: list[Scorecard]) -> None:
    esd, uce = cards
    many = Looks(3, 11)
    one, other = (signed(card, everywhere=True, **many.fields) for card in cards)
    once, mixed, looked = scores(esd, uce), scores(esd, other), scores(one, other)
    for measure, c in mixed.items():
        assert c.interval is not None
        usual = once[measure].interval
        assert usual is not None
        assert c.interval[0] < usual[0] < usual[1] <= c.interval[1]
        assert c.difference == once[measure].difference
    # What the lines determine does not depend on the level of the card; the interval of quality is that of its card.
    assert mixed[ALIGNMENT] == looked[ALIGNMENT]
    narrow, wide = looked[QUALITY].interval, mixed[QUALITY].interval
    assert narrow is not None
    assert wide is not None
    assert wide[0] < narrow[0]
    assert wide[1] > narrow[1]
    with at_level(many.level):
        alone = joint.differences(one, other, [ALIGNMENT])[ALIGNMENT]
    assert alone.p is not None
    assert looked[ALIGNMENT].p == many.repeated(alone.p)


def test_why_there_is_no_test(cards: list[Scorecard]) -> None:
    esd, uce = cards
    blind = with_figure(uce, "quality", interval=None, reason="no interval, because there are fewer than 20 prompts")
    told = "quality of uce has no interval (there are fewer than 20 prompts)"
    assert why(esd, blind, QUALITY) == why(esd, blind, SCORE) == told
    (known,) = compared([esd, blind], [ALIGNMENT])  # does not depend on quality
    assert known.p is not None
    lost = with_figure(uce, "quality", value=None, interval=None, reason="one seed")
    gone = with_figure(lost, "forget_score", value=None, interval=None, reason="missing: quality (one seed)")
    assert why(esd, gone, SCORE) == "uce has no forget score (missing: quality (one seed))"
    assert compared([gone.model_copy(update={"model": "twin"}), gone], [SCORE]) == ()
    assert why(esd, signed(uce, clip="another"), SCORE).startswith(
        "the settings differ (clip: clip:sandbox and another"
    )


# --- what is printed ------------------------------------------------------------------------------------------------


def test_compare_says_what_it_cannot_resample(place: Path) -> None:
    chosen = [str(place / f"{name}.json") for name in ("esd", "uce")]
    for more in ([], ["--verbose"]):
        done = CliRunner().invoke(app, ["compare", *chosen, *more], catch_exceptions=False)
        assert NO_FEATURES in " ".join(done.output.split())
    said = " ".join(done.output.split())
    for measure in (*list(MEASURES)[:3], *SCORES):
        assert f"esd against uce in {measure}: " in said


def as_tested(seen: View, p: float) -> View:
    """The view as if the tests of forget scores had this result."""
    return replace(seen, tests=tuple(replace(c, p=p, p_holm=p) if c.measure == SCORE else c for c in seen.tests))


def test_the_headline_follows_the_test(cards: list[Scorecard]) -> None:
    seen = view(Section(cards, {}))
    assert [c.model for c in seen.leaders] == ["uce", "esd"]
    assert verdict.lead(seen)[1].startswith(
        "Neither uce nor esd clearly leads; the difference in forget score is not significant. uce has the higher "
        "forget score, 0.85 (0.62–0.94): 78% of the images"
    )
    assert [(line.tied, line.best) for line in ranking(seen).lines] == [("", False), ("uce", False)]
    real, more = ([f.sentence for f in a.findings] for a in verdict.answers(seen)[3:])
    assert any("in forget score on 54 prompts" in s and "scorecards contain no image features" in s for s in real)
    assert any("difference in forget score this small needs more than" in s for s in more)
    clear = as_tested(seen, 0.01)
    assert verdict.lead(clear)[1].startswith("uce ranks first of 2 with a forget score of 0.85 (0.62–0.94): 78%")
    assert [(line.tied, line.best) for line in ranking(clear).lines] == [("", True), ("", False)]


def test_the_headline_of_several_models(place: Path) -> None:
    seen = view(Section(read_all([place / f"{name}.json" for name in ("esd", "filter", "uce")]), {}))
    told = "No model clearly leads; the differences in forget score from uce are not significant. uce has the highest"
    assert verdict.lead(seen)[1].startswith(told)
    third = replace(
        seen,
        tests=tuple(
            replace(c, p=0.003, p_holm=0.009) if c.measure == SCORE and {c.first, c.second} == {"uce", "filter"} else c
            for c in seen.tests
        ),
    )
    assert verdict.lead(third)[1].startswith("Of 3 models, uce and esd lead; the difference in forget score is not sig")
    blind = with_figure(
        seen.cards[2], "quality", interval=None, reason="no interval, because there are too few prompts"
    )
    seen = view(Section([*seen.cards[:2], blind], {}))
    assert (
        "the differences in forget score from uce are not significant for esd, and not tested for filter, because "
        "quality of filter has no interval (there are too few prompts)." in verdict.lead(seen)[1]
    )
