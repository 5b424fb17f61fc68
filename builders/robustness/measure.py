"""Every attack on every version of the sandbox: what is measured, with which budgets.

Conventions: budgets are small, as the world is: models of a few million weights, prompts of a few words. Everything is
drawn and searched once and kept; a second run only looks. Cells come in an order that answers the main questions first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from igmu_data.load import bench_rows, identity
from igmu_data.sandbox import packaged
from igmu_data.taxonomy import SANDBOX
from igmu_metrics import registry
from igmu_metrics.attacks._contract import Budget
from igmu_metrics.attacks.running.result import Level, Outcome, chance
from igmu_metrics.attacks.running.run import AttackRun, weight_free_level
from igmu_metrics.attacks.running.sight import Sight
from igmu_metrics.contract import Estimate
from igmu_metrics.images.pipelines import find_pipeline

VERSIONS: Final = ("esd", "uce", "filter", "gold")
BUDGETS: Final[Mapping[str, Budget]] = {
    # One word, as in the paper: several can hold more than was forgotten, and teach `gold` a style that it never saw.
    "cce": Budget(steps=120, candidates=16, tokens=1),
    "unlearndiffatk": Budget(steps=20, candidates=16, tokens=5),
    "ring-a-bell": Budget(steps=40, candidates=32, tokens=8),
    "pez": Budget(steps=120, candidates=8, tokens=5),
}
# Searches that succeed now and then need more prompts for an interval that says something.
PROMPTS: Final[Mapping[str, int]] = {"cce": 12, "unlearndiffatk": 12, "ring-a-bell": 12, "pez": 24}
TARGETS: Final = 16
SEEDS: Final = 2
SEED: Final = 0
ORIGINAL: Final = f"{SANDBOX}:{packaged.VERSIONS[0]}"


@dataclass
class Measured:
    """What is known of one task so far.

    Args:
        slug: of the concept.
        levels: weight-free, by version.
        outcomes: by version and attack.
        chance: the detector's false positives.
        facts: what can change the numbers.
        rows: how many adversarial rows there are.
    """

    slug: str
    levels: dict[str, Level] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    chance: Estimate | None = None
    facts: dict[str, str] = field(default_factory=dict)
    rows: int = 0

    @property
    def attacks(self) -> list[str]:
        """Attacks of which there is at least one outcome."""
        return [a for a in BUDGETS if any(name == a for _, name in self.outcomes)]


def measure(
    work: Path, tasks: Sequence[str], attacks: Sequence[str], versions: Sequence[str]
) -> Iterator[dict[str, Measured]]:
    """Measure cell after cell; what is known is handed out after each, so that a page can be written at any time.

    Args:
        work: folder of images and records.
        tasks: some of `igmu_metrics.sandbox.demo.slugs()`.
        attacks: some of BUDGETS.
        versions: some of VERSIONS.
    """
    detector = registry.detector(SANDBOX)
    found = {slug: Measured(slug) for slug in tasks}
    for slug, one in found.items():
        run = _run(slug, versions[0], attacks[0], work)
        plan = run.plan(bench_rows(run.config, bench=SANDBOX))
        one.rows, one.chance = len(plan.weight_free), chance(detector.info, plan.item.id)
        one.facts["rows"] = f"{identity(str(packaged.bench_folder()))}, embedded in the package"
        one.facts["detector"] = f"{detector.info.name}, {detector.info.revision}"
        original = Sight(find_pipeline(ORIGINAL), work / slug / "original", detector, plan.item.id)
        one.facts["original"] = original.pipeline.revision
        for version in versions:
            pipeline = find_pipeline(f"{SANDBOX}:{version}/{slug}")
            one.facts[version] = pipeline.revision
            level = weight_free_level(plan, original, Sight(pipeline, work / slug / version, detector, plan.item.id))
            if level is not None:
                one.levels[version] = level
            yield found
    for attack in attacks:
        for slug, one in found.items():
            for version in versions:
                run = _run(slug, version, attack, work)
                one.outcomes[version, attack] = run.run(work / slug / f"{version}-{attack}")
                yield found


def _run(slug: str, version: str, attack: str, work: Path) -> AttackRun:
    return AttackRun(
        f"{SANDBOX}:{version}/{slug}",
        ORIGINAL,
        attack,
        f"{SANDBOX}.{slug}",
        detector=SANDBOX,
        budget=BUDGETS[attack],
        n_prompts=PROMPTS[attack],
        n_targets=TARGETS,
        seeds_per_row=SEEDS,
        seed=SEED,
        weight_free=False,
        bench=SANDBOX,
        originals=work / slug / "original",
        plains=work / slug / version,
    )
