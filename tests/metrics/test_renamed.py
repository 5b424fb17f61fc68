"""Arguments of metrics have one name each; those that they had before work, with a warning."""

from __future__ import annotations

from typing import Any

import pytest

from igmu_data.errors import InputError
from igmu_metrics import registry, score

LABELS = {"predictions": ["object/none"] * 2, "references": ["object/church"] * 2, "target": "object/church"}
ATTACKS = {"ids": ["a", "b"], "seeds": [0, 0], "present": [True, False]}
VECTORS = {"text_features": [[1.0, 0.0]], "stripped_text_features": [[1.0, 1.0]]}
CASES: tuple[tuple[str, str, str, Any, dict[str, Any]], ...] = (
    ("concept_accuracy", "prompt_ids", "ids", ["p", "q"], LABELS),
    ("attack_success_rate", "families", "attack_families", ["typo", "typo"], ATTACKS),
    ("clip_alignment", "image_features", "features", [[3.0, 4.0]], VECTORS),
    (
        "clip_alignment",
        "original_image_features",
        "original_features",
        [[4.0, 3.0]],
        VECTORS | {"features": [[3.0, 4.0]]},
    ),
)


@pytest.mark.parametrize(("metric", "old", "new", "value", "rest"), CASES)
def test_the_former_name_works_with_a_warning(
    metric: str, old: str, new: str, value: Any, rest: dict[str, Any]
) -> None:
    expected = score(metric, **rest, **{new: value})
    with pytest.warns(FutureWarning, match=f"{old} is now called {new}"):
        found = score(metric, **rest, **{old: value})
    assert found.to_dict() == expected.to_dict()
    with pytest.raises(InputError, match=f"{old} and {new} are both given"):
        score(metric, **rest, **{old: value, new: value})


def test_every_metric_names_prompts_and_features_alike() -> None:
    import inspect

    known: dict[str, set[str]] = {}
    for name in registry.names("metrics"):
        known[name] = set(inspect.signature(registry.metric(name).rows).parameters)  # type: ignore[attr-defined]
    former = {"prompt_ids", "families", "image_features", "original_image_features"}
    assert all("ids" in arguments and not arguments & former for arguments in known.values()), known
