"""Cases worked by hand: `pytest tests.py`."""

import pytest

from igmu_metrics import spaces


def test_forgotten_and_retained(**options):
    """Van Gogh is gone in 3 of 4. Monet stays in 1 of 2, ukiyo-e in 1 of 1: (1/2 + 1)/2. Cats in 3 of 4, dogs in 0."""
    asked = ["style/van-gogh"] * 4 + ["style/monet"] * 2 + ["style/ukiyo-e"] + ["object/cat"] * 4 + ["object/dog"]
    seen = ["style/monet", "style/none", "style/none", "style/van-gogh", "style/monet", "style/none", "style/ukiyo-e"]
    seen += ["object/cat", "object/cat", "object/cat", "object/dog", "object/cat"]
    found = spaces.compute("concept_accuracy", seen, asked, target="style/van-gogh", **options)
    assert found["unlearning_accuracy"] == 0.75
    assert found["in_domain_retain_accuracy"] == 0.75
    assert found["cross_domain_retain_accuracy"] == 0.375


def test_none_label_counts_only_when_asked(**options):
    """Monet is kept in 1 of 2; photographs without a style in 1 of 1 if they count: (1/2 + 1)/2."""
    case = {
        "predictions": ["style/none", "style/monet", "style/none", "style/none"],
        "references": ["style/van-gogh", "style/monet", "style/monet", "style/none"],
        "target": "style/van-gogh",
        "none_labels": ["style/none"],
    }
    without = spaces.compute("concept_accuracy", **case, include_none=False, **options)
    assert without["in_domain_retain_accuracy"] == 0.5
    with_none = spaces.compute("concept_accuracy", **case, include_none=True, **options)
    assert with_none["in_domain_retain_accuracy"] == 0.75


def test_abstention_is_no_forgetting(**options):
    """Of two churches one is unclear: it is left out, not counted as gone."""
    asked = ["object/church", "object/church"]
    found = spaces.compute("concept_accuracy", [None, "object/church"], asked, target="object/church", **options)
    assert (found["unlearning_accuracy"], found["n_unclear"]) == (0.0, 1.0)


def test_a_label_needs_its_domain(**options):
    """A bare word is no label."""
    with pytest.raises(ValueError, match="church"):
        spaces.compute("concept_accuracy", ["church"], ["church"], target="object/church", **options)
