from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from igmu_data.errors import EmptyInputError, IncomparableError, MetadataError
from igmu_metrics.generations import joined, of_records
from igmu_metrics.scorecard import Scorecard, ScoreEntry, read
from igmu_metrics.verdict.alike import not_compared, same, same_in_all
from igmu_metrics.verdict.compare import FORGETTING, RESISTANCE, RETAINING, compared, require_comparable

Seen = list[tuple[str, bool | None, bool | None]]


def card(model: str, seen: Seen, *, split: str = "forget", **signature: str) -> Scorecard:
    """A card with (prompt, present, present in the original) a generation."""
    entry = ScoreEntry(
        name="concept_accuracy",
        value=None,
        interval=None,
        n_prompts=0,
        n_generations=0,
        n_failed=0,
        signature={"model": model, "detector": "clip", **signature},
        figures={},
    )
    lines = [
        {
            "id": prompt,
            "seed": i,
            "split": split,
            "concept": "object/church",
            "own_concept": "object/church" if split == "forget" else "object/cat",
            "probability": None if p is None else float(p),
            "probability_original": None if q is None else float(q),
            "present": p,
            "present_original": q,
        }
        for i, (prompt, p, q) in enumerate(seen)
    ]
    return Scorecard(
        model=model,
        original_model="original",
        config="object.church",
        target="object/church",
        scores={"concept_accuracy": entry},
        failures=(),
        generations=of_records(lines),
    )


def test_one_generation_a_prompt_is_mcnemar() -> None:
    # The original drew it in 29 prompts of 30; gone in ten of these, and what reappeared in the last one is raw only.
    seen: Seen = [(f"p{i}", i >= 10, i != 29) for i in range(30)]
    (found,) = compared([card("esd", seen)])
    assert (found.test, found.only_first, found.only_second) == ("mcnemar", 10, 0)
    assert found.p == pytest.approx(2 / 1024)
    assert found.difference == pytest.approx(10 / 29)
    assert found.raw == pytest.approx(9 / 30)
    assert found.raw_n == 30
    assert found.significant
    assert "raw +0.30 on 30 generations" in found.sentence()


def test_several_generations_a_prompt_are_one_unit() -> None:
    # Seven prompts whose two generations agree: fourteen differing pairs, but only 2·(1/2)^7 by prompts.
    seen: Seen = [(f"p{i // 2}", False, True) for i in range(14)]
    (found,) = compared([card("esd", seen)])
    assert (found.test, found.n, found.n_prompts) == ("permutation", 14, 7)
    assert found.p == pytest.approx(2 / 128)


def test_rewritings_of_one_prompt_are_one_unit() -> None:
    # Sixteen adversarial prompts that differ, made from eight prompts: 2·(1/2)^8, not 2·(1/2)^16.
    attacked = card("esd", [(f"a{i}", False, True) for i in range(16)], split="adversarial")
    table = attacked.generations.with_columns(attack_source_id=[f"p{i // 2}" for i in range(16)])
    found = {c.measure: c for c in compared([attacked.model_copy(update={"generations": table})])}[RESISTANCE]
    assert (found.test, found.n, found.n_prompts, found.units) == ("permutation", 16, 8, "8 source prompts")
    assert found.p == pytest.approx(2 / 256)


def test_one_prompt_is_no_evidence_about_prompts() -> None:
    """Twenty seeds of one prompt gave p = 1.9e-06; they say nothing of other prompts."""
    (found,) = compared([card("esd", [("p", False, True)] * 20)])
    assert (found.difference, found.n, found.n_prompts, found.test) == (1.0, 20, 1, "")
    assert found.p is None
    assert found.p_holm is None
    assert not found.significant
    assert found.sentence().endswith("not tested, because there is only one prompt")
    assert "significant" not in found.sentence()


@pytest.mark.parametrize("seeds", [1, 4])
@pytest.mark.parametrize("prompts", [2, 5, 6])
def test_below_six_prompts_there_is_no_test(prompts: int, seeds: int) -> None:
    (found,) = compared([card("esd", [(f"p{i}", False, True) for i in range(prompts)] * seeds)])
    if prompts < 6:
        assert found.p is None
        assert f"(here {prompts}), no two-sided test can reach 0.05" in found.why
    else:
        assert found.p == pytest.approx(2 / 64)
        assert found.why == ""


def test_only_what_the_original_drew_counts_in_every_measure() -> None:
    """Half of the rows never showed the concept; two models that differ only there do not differ."""
    there: Seen = [(f"p{i}", False, True) for i in range(8)]
    for split, measure in (("forget", FORGETTING), ("retain", RETAINING)):
        a = card("a", [*there, *((f"q{i}", False, False) for i in range(8))], split=split)
        b = card("b", [*there, *((f"q{i}", True, False) for i in range(8))], split=split)
        found = next(c for c in compared([a, b]) if c.measure == measure and not c.original)
        assert (found.n, found.difference, found.p) == (8, 0.0, 1.0)
        assert (abs(found.raw), found.raw_n) == (0.5, 16)


def test_what_either_cards_original_did_not_draw_does_not_count() -> None:
    """Cards without hashes of images may be of two originals."""
    a, b = ([(f"p{i}", False, i < drawn) for i in range(8)] for drawn in (8, 6))
    for pair in ((a, b), (b, a)):
        found = next(c for c in compared([card(m, seen) for m, seen in zip("ab", pair, strict=True)]) if not c.original)
        assert (found.n, found.raw_n) == (6, 8)


def test_generations_are_paired_by_prompt_and_seed_wherever_they_stand() -> None:
    a = card("a", [(f"p{i}", i < 3, True) for i in range(9)])
    b = card("b", [(f"p{i}", i < 6, True) for i in range(9)])
    turned = b.model_copy(update={"generations": b.generations.where(list(range(9))[::-1])})
    assert compared([a, turned]) == compared([a, b])
    assert next(c for c in compared([a, turned]) if not c.original).only_first == 3


def test_every_model_is_compared_with_every_other() -> None:
    seen: Seen = [(f"p{i}", False, True) for i in range(8)]
    found = compared([card(m, seen) for m in "abc"])
    assert [(c.first, c.second) for c in found if not c.original] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_unclear_pairs_do_not_count() -> None:
    seen: Seen = [("a", None, True), ("b", False, None), ("c", False, True)]
    assert compared([card("esd", seen)])[0].n == 1
    (found,) = compared([card("esd", seen[:2])])
    assert (found.n, found.interval, found.why) == (0, None, "no forget generation was judged for both models")
    (found,) = compared([card("esd", [("a", False, False)])])
    assert found.why == "the original did not generate the concept in any pair that was judged for both models"
    assert "the difference cannot be measured" in found.sentence()


def test_holm_over_all_tests_of_the_cards() -> None:
    strong: Seen = [(f"p{i}", False, True) for i in range(8)]
    weak: Seen = [(f"p{i}", i > 5, True) for i in range(8)]
    found = compared([card("a", strong), card("b", weak)])
    # 2/256 and 2/64 against the original, and 2/4 for the two prompts that the models differ in.
    assert [c.p for c in found] == pytest.approx([2 / 256, 2 / 64, 2 / 4])
    assert [c.p_holm for c in found] == pytest.approx([3 * 2 / 256, 2 * 2 / 64, 2 / 4])
    assert {(c.family, c.tests) for c in found} == {(3, 3)}


def test_holm_is_over_the_tests_that_exist() -> None:
    many: Seen = [(f"p{i}", False, True) for i in range(8)]
    found = compared([card("a", many), card("b", [("p0", True, True)])])
    assert [c.p is None for c in found] == [False, True, True]
    assert found[0].p_holm == found[0].p
    assert (found[0].family, found[0].tests) == (3, 1)


def test_each_measure_is_a_family_of_its_own() -> None:
    forget: Seen = [(f"p{i}", False, True) for i in range(8)]
    both = [card(m, forget) for m in "ab"]
    kept = card("x", [(f"r{i}", True, True) for i in range(8)], split="retain").generations
    more = [c.model_copy(update={"generations": joined([c.generations, kept])}) for c in both]
    assert [c for c in compared(more) if c.measure == FORGETTING] == list(compared(both))
    assert {c.tests for c in compared(more) if c.measure == RETAINING} == {3}


def test_the_original_against_itself_is_in_no_family() -> None:
    seen: Seen = [(f"p{i}", False, True) for i in range(8)]
    own = card("original", [(p, True, q) for p, _, q in seen])
    assert compared([own, card("a", seen)]) == compared([card("a", seen)])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=6, max_size=12))
@pytest.mark.slow
def test_a_pair_of_models_is_antisymmetric(seen: list[tuple[bool, bool]]) -> None:
    a = card("a", [(f"p{i}", x, True) for i, (x, _) in enumerate(seen)])
    b = card("b", [(f"p{i}", y, True) for i, (_, y) in enumerate(seen)])
    forth, back = (next(c for c in compared(pair) if not c.original) for pair in ([a, b], [b, a]))
    assert forth.difference == -back.difference
    assert forth.p == back.p


def test_unlike_signatures_are_refused_with_the_field() -> None:
    seen: Seen = [("a", False, True)]
    require_comparable([card("a", seen), card("b", seen)])
    for ranked in (True, False):
        with pytest.raises(IncomparableError, match=r"threshold: '0.5' and '0.9'"):
            require_comparable([card("a", seen, threshold="0.5"), card("b", seen, threshold="0.9")], ranked=ranked)
    at_one_and_five = [card("a", seen, k="1"), card("b", seen, k="5")]
    require_comparable(at_one_and_five, ranked=False)  # pair by pair the number of tries does not matter
    with pytest.raises(IncomparableError, match=r"k: '1' and '5'"):
        require_comparable(at_one_and_five)
    with pytest.raises(EmptyInputError):
        require_comparable([])
    with pytest.raises(IncomparableError, match="no score in common"):
        require_comparable([card("a", seen), card("b", seen).model_copy(update={"scores": {}})])


def with_clip(model: str, clip: str | None, **signature: str) -> Scorecard:
    """A card that also has a score by CLIP; None for one that was scored without."""
    own = card(model, [("a", False, True)], **signature)
    fields = {"model": model, "detector": "clip", **({"clip": clip, "clip.revision": f"of {clip}"} if clip else {})}
    forget = own.scores["concept_accuracy"].model_copy(update={"name": "forget_score", "signature": fields})
    return own.model_copy(update={"scores": {**own.scores, "forget_score": forget}})


@pytest.mark.parametrize("clip", ["another", None])
def test_a_different_clip_leaves_decisions_comparable(clip: str | None) -> None:
    cards = [with_clip("a", "one"), with_clip("b", clip)]
    require_comparable(cards, ranked=False)
    assert not_compared(cards) == (
        f"Not compared, because the settings differ (clip: one and {clip or 'none'}): forget_score."
    )
    assert same_in_all(same(cards)) == "The same in all scorecards: detector clip."
    with pytest.raises(IncomparableError, match="in forget_score: clip: 'one' and"):
        require_comparable(cards)  # side by side, forget scores must not be
    with pytest.raises(IncomparableError, match=r"in concept_accuracy: threshold: '0\.5' and '0\.9'"):
        require_comparable(
            [with_clip("a", "one", threshold="0.5"), with_clip("b", clip, threshold="0.9")], ranked=False
        )


def test_what_is_the_same_is_what_every_card_has() -> None:
    seen: Seen = [("a", False, True)]
    signed = {"original": "base", "k": "2", "detector.threshold": "0.5", "generated": "steps 4, width 64"}
    both = [card("a", seen, **signed), card("b", seen, **signed)]
    told = "detector clip, threshold 0.5, original 'base', k 2, generated with steps 4, width 64"
    assert same_in_all(same(both)) == f"The same in all scorecards: {told}."
    for other in ({"k": "5"}, {}):
        rest = {k: v for k, v in signed.items() if k != "k"}
        assert "k 2" not in same_in_all(same([both[0], card("b", seen, **rest, **other)]))
    assert not_compared(both) == ""


@pytest.mark.parametrize(
    ("text", "says"), [("{", "not valid JSON"), ("{}", "model"), ('{"model": 3}', "model"), ("[]", "not a scorecard")]
)
def test_a_file_that_is_no_scorecard(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(MetadataError, match=says):
        read(path)
    with pytest.raises(MetadataError, match="cannot be read"):
        read(tmp_path / "nothing.json")
