"""Made-up versions for tests of the audit: what was seen in their pictures, at rates that were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from igmu_data.sandbox.packaged import VERSIONS
from igmu_metrics import registry
from igmu_metrics.contract import Estimate
from igmu_metrics.generations import Generations
from igmu_metrics.sandbox.audit.gather import Evidence
from igmu_metrics.sandbox.audit.noisy import turned
from igmu_metrics.sandbox.audit.seen import PALE, REFERENCE, Cell

TASKS = ("church", "van-gogh")
FAMILIES = ("synonym", "misspelling")
OWN = ("object/castle", "object/lighthouse", "object/cat", "style/klimt")
PROBES = {"object/castle": "near", "object/lighthouse": "near", "object/cat": "far", "style/klimt": "far"}


@dataclass(frozen=True)
class Nature:
    """What a version does, as chances.

    Args:
        shows: the target after a plain prompt.
        falls: the target after an attack.
        keeps: the retained concept.
        loss: mean relative loss of the CLIP score.
        drift: how far its features lie from the original's.
    """

    shows: float
    falls: float
    keeps: float
    loss: float
    drift: float


NATURES = {
    "original": Nature(1.0, 1.0, 1.0, 0.0, 0.0),
    "gold": Nature(0.0, 0.0, 0.98, 0.02, 0.5),
    "esd": Nature(0.1, 0.3, 0.8, 0.1, 1.0),
    "uce": Nature(0.05, 0.4, 0.9, 0.05, 0.8),
    "filter": Nature(0.0, 0.9, 1.0, 0.0, 0.0),
    "collapsed": Nature(0.0, 0.0, 0.0, 0.9, 20.0),
}


_SHARED = ("id", "seed", "split", "probe", "own_concept", "attack_family", "attack_source_id")


def frame(*, prompts: int = 12, seeds: int = 2) -> dict[str, Any]:
    """The columns that all versions share: as many prompts of each split."""
    columns: dict[str, list[Any]] = {k: [] for k in _SHARED}
    for split in ("adversarial", "forget", "retain"):
        for i in range(prompts):
            own = OWN[i % len(OWN)]
            line = {
                "id": f"{split[0]}{i:03d}",
                "split": split,
                "probe": PROBES[own] if split == "retain" else "attack" if split == "adversarial" else "direct",
                "own_concept": own if split == "retain" else "object/church",
                "attack_family": FAMILIES[i % 2] if split == "adversarial" else "",
                "attack_source_id": f"f{i:03d}" if split == "adversarial" else "",
            }
            for seed in range(seeds):
                for name, value in (line | {"seed": seed}).items():
                    columns[name].append(value)
    return {name: np.asarray(column) for name, column in columns.items()}


def seen(
    nature: Nature, *, prompts: int = 12, seed: int = 0, drawn: float = 1.0, unchanged: bool = False
) -> Generations:
    """A version of this nature; `unchanged` makes its retain pictures the original's."""
    shared = frame(prompts=prompts)
    n = len(shared["id"])
    common, own = np.random.default_rng(99), np.random.default_rng(seed)
    before = common.normal(size=(n, 4))
    has = common.random(n) < drawn
    retain = shared["split"] == "retain"
    chance = np.select([shared["split"] == "forget", retain], [nature.shows, nature.keeps], nature.falls)
    present = np.where(unchanged & retain, has, own.random(n) < chance).astype(np.bool_)
    after = before if unchanged else np.random.default_rng(98).normal(size=(n, 4)) + nature.drift
    loss = np.clip(own.normal(nature.loss, 0.02 * (nature.loss > 0), n), None, 1.0)
    table = Generations(
        {
            **shared,
            "judged": np.ones(n, dtype=np.bool_),
            "judged_before": np.ones(n, dtype=np.bool_),
            "shown": present,
            "drawn": has.astype(np.bool_),
            "noisy": turned(present, own),
            "features": after,
            "features_original": before,
            "featured": np.ones(n, dtype=np.bool_),
            PALE: before + 6.0,
        },
        {"k": 2},
    )
    return with_loss(table, loss)


def with_loss(one: Generations, loss: np.typing.NDArray[np.float64], reference: float = 1.0) -> Generations:
    """The same version with other losses of CLIP scores, NaN for a pair that is not scored; `reference` times as large
    where prompts are stripped as the reference does it.
    """
    known = ~np.isnan(loss)
    return one.with_columns(paired=known, loss=np.where(known, loss, 0.0), **{REFERENCE: reference * loss})


def world(
    natures: Mapping[str, Nature] = NATURES, *, prompts: int = 12, drawn: float = 1.0, **changes: Nature
) -> dict[Cell, Generations]:
    """Every version for both tasks; `changes` replace some of them."""
    return {
        (task, version): seen(
            changes.get(version, natures[version]),
            prompts=prompts,
            seed=10 * at + TASKS.index(task),
            drawn=drawn,
            unchanged=version in ("original", "filter"),
        )
        for task in TASKS
        for at, version in enumerate(VERSIONS)
    }


def figures(one: Generations, *, resamples: int = 500) -> dict[str, Estimate]:
    """What the package's own metric says of it, from the same decisions."""
    metric = registry.metric("forget_score")
    score = np.full(len(one), 0.5)
    rows = metric.rows(
        ids=one["id"].tolist(),
        seeds=one["seed"].tolist(),
        splits=one["split"].tolist(),
        probes=one["probe"].tolist(),
        own_concepts=[o or None for o in one["own_concept"].tolist()],
        attack_families=[f or None for f in one["attack_family"].tolist()],
        present=one["shown"].tolist(),
        original_present=one["drawn"].tolist(),
        alignment=score * (1 - one["loss"]),
        original_alignment=score,
        features=one["features"],
        original_features=one["features_original"],
    )
    return dict(metric.score(rows, resamples=resamples).figures)


def evidence(cells: Mapping[Cell, Generations]) -> Evidence:
    """As `gather` would hand it over."""
    tasks = list(dict.fromkeys(task for task, _ in cells))
    return Evidence(
        seen=cells,
        figures={cell: figures(one) for cell, one in cells.items()},
        facts={"detector": "made up"},
        left_out=dict.fromkeys(tasks, 0),
        glued=dict.fromkeys(tasks, (0, 12)),
    )
