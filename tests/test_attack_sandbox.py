"""The attack that says most, on the packaged models: it brings back what ESD hid, and nothing where nothing was."""

from __future__ import annotations

from pathlib import Path

import pytest

from igmu_metrics.attacks._contract import Budget
from igmu_metrics.attacks.running.result import IMAGE
from igmu_metrics.attacks.running.run import AttackRun
from igmu_metrics.statistics import overlap


@pytest.mark.slow
def test_a_learned_embedding_on_what_forgot_and_on_what_never_knew(tmp_path: Path) -> None:
    found = {}
    for version in ("esd", "gold"):
        run = AttackRun(
            f"sandbox:{version}/church",
            "sandbox:original",
            "cce",
            "sandbox.church",
            detector="sandbox",
            budget=Budget(steps=100, candidates=16, tokens=4),
            n_prompts=8,
            n_targets=12,
            weight_free=False,
            bench="sandbox",
            device="cpu",
            originals=tmp_path / "original",
        )
        found[version] = run.run(tmp_path / version)
    esd, gold = (found[v].figures[IMAGE] for v in ("esd", "gold"))
    chance = found["gold"].chance
    assert chance is not None
    assert chance.interval is not None
    assert gold.interval is not None
    assert esd.interval is not None
    assert overlap(gold.interval, chance.interval)
    assert not overlap(esd.interval, chance.interval)
    assert esd.value > gold.value
