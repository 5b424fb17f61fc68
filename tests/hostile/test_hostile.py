"""Whatever comes from outside gives the right number, a typed error, or is named; and nothing else happens."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import hostile_cards
import hostile_inputs
import hostile_names
import hostile_references
import hypothesis
import pytest
from harness import hit
from hypothesis import given

TARGETS = {
    "cards": hostile_cards.TARGET,
    "names": hostile_names.TARGET,
    "images": hostile_inputs.IMAGES,
    "metadata": hostile_inputs.METADATA,
    "labels": hostile_inputs.LABELS,
    "calibration": hostile_inputs.CALIBRATION,
    "references": hostile_references.TARGET,
    "cache": hostile_inputs.CACHE,
}


def thrown(name: str, n: int, root: Path) -> None:
    """Throw so many inputs at a target."""
    target = TARGETS[name]
    base = root / "base"
    base.mkdir()
    target.prepare(base)

    @hypothesis.settings(
        max_examples=n, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @given(target.inputs)
    def once(value: Any) -> None:
        place = root / "place"
        place.mkdir()
        try:
            hit(target, value, place, base)
        finally:
            shutil.rmtree(place)

    once()


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.slow
def test_a_few(name: str, tmp_path: Path) -> None:
    thrown(name, 5, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", TARGETS)
def test_five_hundred(name: str, tmp_path: Path) -> None:
    thrown(name, -(-500 // len(TARGETS)), tmp_path)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", TARGETS)
def test_five_thousand(name: str, tmp_path: Path) -> None:
    thrown(name, -(-5000 // len(TARGETS)), tmp_path)
