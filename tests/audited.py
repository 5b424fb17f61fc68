"""Made-up versions for tests of the audit: what was seen in their images, at rates that were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from igmu_data.sandbox.packaged import VERSIONS
from igmu_metrics import registry
from igmu_metrics.contract import Estimate
from igmu_metrics.generations import Generations
from igmu_metrics.metrics._attack_table import units
from igmu_metrics.sandbox.audit.gather import Evidence
from igmu_metrics.sandbox.audit.measures import GLUED
from igmu_metrics.sandbox.audit.mixtures import PARTS, Pool
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
    given = {name: np.asarray(column) for name, column in columns.items()}
    attacked, source = given["split"] == "adversarial", given["attack_source_id"]
    return given | {"unit": units(given["id"], np.where(attacked, source, given["id"]))}


def seen(
    nature: Nature, *, prompts: int = 12, seed: int = 0, drawn: float = 1.0, unchanged: bool = False
) -> Generations:
    """A version of this nature; `unchanged` makes its retain images the original's."""
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
    """What the package's own metrics say of it, from the same decisions, named as `gather` names it."""
    table = scored_table(one)
    forget, retain, attacked = (one["split"] == s for s in ("forget", "retain", "adversarial"))
    out: dict[str, Estimate] = {}
    for name, where, facts in (
        ("forget_score", forget | retain | attacked, {"k": one.facts["k"]}),
        ("concept_accuracy", forget | retain, {"target": "object/church"}),
        ("attack_success_rate", forget | attacked, {"k": one.facts["k"]}),
    ):
        result = registry.metric(name).score(table.where(where).with_facts(**facts), resamples=resamples)
        assert result is not None
        out |= {f"{name}:{figure}": estimate for figure, estimate in result.figures.items()}
    for prefix, loss in (("", np.where(one["paired"], one["loss"], np.nan)), (GLUED, one[REFERENCE])):
        for part, where in (("forget", forget), ("retain", retain)):
            scored = clip_table(one["id"][where], loss[where])
            result = registry.metric("clip_alignment").score(scored, resamples=resamples)
            if result is not None:
                out |= {f"{prefix}clip_alignment/{part}:{f}": e for f, e in result.figures.items()}
    return out


def scored_table(one: Generations) -> Generations:
    """A version as an evaluation would have measured it."""
    n = len(one)
    return Generations(
        {
            **{name: one[name] for name in _SHARED if name != "own_concept"},
            "own_concept": np.where(one["split"] == "retain", one["own_concept"], "object/church"),
            "present": one["shown"],
            "present_original": one["drawn"],
            "stripped_alignment": np.where(one["paired"], 0.5 * (1 - one["loss"]), 0.5),
            "stripped_alignment_original": np.full(n, 0.5),
            "features": one["features"],
            "features_original": one["features_original"],
        }
    )


def clip_table(ids: Any, loss: Any) -> Generations:
    """Cosines with these relative losses; where one is NaN the pair is unscored, as the original's is 0."""
    before = np.where(np.isnan(loss), 0.0, 0.5)
    after = np.where(np.isnan(loss), 0.5, before * (1 - np.nan_to_num(loss)))
    columns = {"stripped_alignment": after, "stripped_alignment_original": before, "alignment": after}
    return Generations({"id": ids, **columns})


def pool(task: str = "church", *, prompts: int = 24, seeds: int = 2, drawn: float = 0.8) -> Pool:
    """Parts of which construction is right: the original draws so much of what it is asked for, the others what they
    are made for.
    """
    shared = frame(prompts=prompts, seeds=seeds)
    n, retain = len(shared["id"]), shared["split"] == "retain"
    rng = np.random.default_rng(7)
    has, kept = rng.random((2, n)) < np.where(retain, 0.95, drawn)
    center = np.unique(shared["id"], return_inverse=True)[1][:, None] * np.ones((1, 6)) * 3
    images = {part: center + rng.normal(size=(n, 6)) for part in PARTS} | {"collapsed": rng.normal(size=(n, 6)) - 90}
    shows = {"original": has, "gold": retain & kept, "filter": retain & has, "collapsed": np.zeros(n, np.bool_)}
    score = {"original": 0.8, "gold": 0.79, "filter": 0.8, "collapsed": 0.1}
    tables = {}
    for part in PARTS:
        both = {}
        for suffix, who in (("", part), ("_original", "original")):
            both |= {
                f"present{suffix}": shows[who],
                f"features{suffix}": images[who],
                f"alignment{suffix}": np.full(n, score[who]),
                f"stripped_alignment{suffix}": np.full(n, score[who]),
            }
        own = np.where(retain, shared["own_concept"], "object/church")
        tables[part] = Generations({**shared, "own_concept": own, **both})
    facts = {"target": "object/church", "near": "object/castle,object/lighthouse", "feature_name": "clip:made-up"}
    return Pool.of(task, tables, facts, {"half blind": {p: shows[p] & (rng.random(n) < 0.5) for p in PARTS}})


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
