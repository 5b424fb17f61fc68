"""What the audit computes for many draws at once is what the package's own functions give for each."""

from __future__ import annotations

import numpy as np
import pytest

from igmu_metrics.distances.gaussian import cmmd, frechet_distance, kid
from igmu_metrics.distances.quality import quality_coverage, quality_frechet, quality_within, seed_halves
from igmu_metrics.generations import Generations
from igmu_metrics.sandbox.audit.sets import of_sets


def test_each_draw_is_what_its_images_give() -> None:
    rng = np.random.default_rng(0)
    ids = np.repeat([f"p{i:02d}" for i in range(16)], 4)
    before = np.repeat(rng.normal(size=(16, 5)), 4, axis=0) + rng.normal(size=(64, 5))
    after = before + rng.normal(size=(64, 5)) / 2 + 0.3
    seeds = np.tile(np.arange(4), 16)
    table = {"id": ids, "seed": seeds, "split": np.full(64, "retain"), "probe": np.full(64, "near")}
    draws = np.stack([rng.permutation(16)[:12] for _ in range(3)])
    found = of_sets(Generations(table | {"features": after, "features_original": before}), draws)
    first, second = seed_halves(ids, seeds)
    for at, draw in enumerate(draws):
        here = np.isin(ids, [f"p{i:02d}" for i in draw])
        a, b = first & here, second & here
        of = {"x_ids": ids[a], "y_ids": ids[b]}  # both halves are of the same prompts, which are not paired
        expected = {
            "frechet": frechet_distance(before[a], after[b]),
            "kid": kid(before[a], after[b], **of),
            "cmmd": cmmd(before[a], after[b], unbiased=True, **of),
            "quality_frechet": quality_frechet(before, after, (a, b)),
            "quality_coverage": quality_coverage(before, after, (a, b)),
            "quality_within": quality_within(before[here], after[here], ids[here], seeds[here]),
        }
        assert {name: found[name][at] for name in expected} == pytest.approx(expected)
