from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from igmu_data.errors import EmptyInputError, IncomparableError, MetadataError
from igmu_metrics.generations import of_records
from igmu_metrics.scorecard import Scorecard, ScoreEntry, read
from igmu_metrics.verdict.compare import against_original, pairwise, require_comparable

Seen = list[tuple[str, bool | None, bool | None]]


def card(model: str, seen: Seen, **signature: str) -> Scorecard:
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
    return Scorecard(
        model=model,
        original_model="original",
        config="object.church",
        target="object/church",
        scores={"concept_accuracy": entry},
        failures=(),
        generations=of_records(
            [
                {
                    "id": prompt,
                    "seed": i,
                    "split": "forget",
                    "own_concept": "object/church",
                    "probability": None if p is None else float(p),
                    "probability_original": None if q is None else float(q),
                    "present": p,
                    "present_original": q,
                }
                for i, (prompt, p, q) in enumerate(seen)
            ]
        ),
    )


def test_one_generation_a_prompt_is_mcnemar() -> None:
    # 30 prompts: gone in 10 that the original drew, reappeared in 1. Exact binomial: 2·P(X ≤ 1 | 11, 1/2) = 24/2048.
    seen: Seen = [(f"p{i}", i >= 10, i != 29) for i in range(30)]
    found = against_original([card("esd", seen)])[0]
    assert (found.test, found.only_first, found.only_second) == ("mcnemar", 10, 1)
    assert found.p == pytest.approx(24 / 2048)
    assert found.difference == pytest.approx(9 / 30)
    assert found.significant


def test_several_generations_a_prompt_are_one_unit() -> None:
    # Five prompts whose two generations agree: ten differing pairs, but only 2·(1/2)^5 by prompts.
    seen: Seen = [(f"p{i // 2}", False, True) for i in range(10)]
    found = against_original([card("esd", seen)])[0]
    assert (found.test, found.n, found.n_prompts) == ("permutation", 10, 5)
    assert found.p == pytest.approx(2 / 32)
    assert not found.significant


def test_unclear_pairs_do_not_count() -> None:
    seen: Seen = [("a", None, True), ("b", False, None), ("c", False, True)]
    assert against_original([card("esd", seen)])[0].n == 1
    with pytest.raises(EmptyInputError, match="esd"):
        against_original([card("esd", seen[:2])])


def test_holm_over_the_models_of_a_table() -> None:
    strong: Seen = [(f"p{i}", False, True) for i in range(8)]
    weak: Seen = [(f"p{i}", i > 5, True) for i in range(8)]
    both = against_original([card("a", strong), card("b", weak)])
    # 2/256 doubled, and 2/64 as it is.
    assert [c.p_holm for c in both] == pytest.approx([2 * 2 / 256, 2 / 64])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_a_pair_of_models_is_antisymmetric(seen: list[tuple[bool, bool]]) -> None:
    a = card("a", [(f"p{i}", x, True) for i, (x, _) in enumerate(seen)])
    b = card("b", [(f"p{i}", y, True) for i, (_, y) in enumerate(seen)])
    forth, back = pairwise([a, b])[0], pairwise([b, a])[0]
    assert forth.difference == -back.difference
    assert forth.p == back.p


def test_unlike_signatures_are_refused_with_the_field() -> None:
    seen: Seen = [("a", False, True)]
    require_comparable([card("a", seen), card("b", seen)])
    with pytest.raises(IncomparableError, match=r"threshold: '0.5' and '0.9'"):
        require_comparable([card("a", seen, threshold="0.5"), card("b", seen, threshold="0.9")])
    with pytest.raises(EmptyInputError):
        require_comparable([])
    with pytest.raises(IncomparableError, match="no score in common"):
        require_comparable([card("a", seen), card("b", seen).model_copy(update={"scores": {}})])


@pytest.mark.parametrize(
    ("text", "says"), [("{", "not JSON"), ("{}", "model"), ('{"model": 3}', "model"), ("[]", "not a scorecard")]
)
def test_a_file_that_is_no_scorecard(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(MetadataError, match=says):
        read(path)
    with pytest.raises(MetadataError, match="cannot be read"):
        read(tmp_path / "nothing.json")
