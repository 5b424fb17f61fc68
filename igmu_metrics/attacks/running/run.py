"""One attack against one model: generate images, search, generate images from the results, judge, and write records.

Conventions: searches come first, each stored when it is finished; then images, which `draw` resumes itself; then
records and metrics. An interrupted run can be continued, and gives the same files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from igmu_data.configs import config_concepts, config_target
from igmu_data.errors import InputError
from igmu_data.files import owned, require_writable
from igmu_data.load import bench_rows, signed
from igmu_data.progress import bars
from igmu_data.rows.naming import named
from igmu_data.schema import Row
from igmu_data.taxonomy import concept, own_of
from igmu_metrics import registry
from igmu_metrics.attacks._contract import Attack, Budget
from igmu_metrics.attacks.running import result
from igmu_metrics.attacks.running.embedded import placeholder, with_embedding
from igmu_metrics.attacks.running.plan import Plan, make_plan, with_prompt
from igmu_metrics.attacks.running.records import Attempt, Facts, RunFolder, Search
from igmu_metrics.attacks.running.searching import Searches
from igmu_metrics.attacks.running.sight import Sight
from igmu_metrics.generations import Generations, Key
from igmu_metrics.images.generate import require_room, settled_alike
from igmu_metrics.images.pipelines import Pipeline, find_pipeline
from igmu_metrics.networks.instruments import Detector, require_judge
from igmu_metrics.settings import Settings


@dataclass(frozen=True)
class AttackRun:
    """The settings of an attack on a model.

    Args:
        model: the victim: folder, Hub id or `sandbox:…`.
        original: the model that it was made from; it generates the images used for searching, and determines which
            prompts and seeds count.
        attack: name of a module in `igmu_metrics.attacks`.
        config: config of one concept.
        detector: spec of the detector that judges success.
        budget: of each search; by default, that of the attack.
        n_prompts: number of attacked prompts.
        n_targets: number of further prompts whose images and texts an attack on the concept learns from.
        seeds_per_row: images per prompt, 1..4.
        seed: for every search.
        weight_free: also generate images for the adversarial rows of the config, for comparison.
        bench: dataset repository or folder.
        revision: of the repository.
        dtype: fp32, bf16 or fp16.
        device: where models run; by default, a GPU if available.
        originals: folder of the original's images, which several runs can share; by default, it is in `out`.
        plains: folder of the images that the victim generates without this attack; by default, it is in `out`.
    """

    model: str
    original: str
    attack: str
    config: str
    detector: str | None = None
    budget: Budget | None = None
    n_prompts: int = 16
    n_targets: int = 8
    seeds_per_row: int = 2
    seed: int = 0
    weight_free: bool = True
    bench: str | None = None
    revision: str | None = None
    dtype: str = "fp32"
    device: str | None = None
    originals: Path | None = None
    plains: Path | None = None

    def run(self, out: Path) -> result.Outcome:
        """Attack, and write records into `out`.

        Raises:
            UnknownAttackError: with the nearest names.
            MetadataError: `out` belongs to another run.
            BusyError: another process is writing to it.
            IgmuError: something is wrong with models, rows, detector or folders.
        """
        attack = self._attack  # a wrong name should not wait for a model
        require_writable(out)
        with owned(out):
            return self._run(out, attack)

    def _run(self, out: Path, attack: Attack) -> result.Outcome:
        rows = bench_rows(self.config, bench=self.bench, revision=self.revision)
        plan = self.plan(rows)
        victim, original = (find_pipeline(m, device=self.device, dtype=self.dtype) for m in (self.model, self.original))
        settled_alike(plan.plain(), {original.name: original, victim.name: victim})
        for images, pipeline in ((self.originals, original), (self.plains, victim)):
            if images is not None:
                require_room(plan.plain(), pipeline, images)
        mine: dict[str, Any] = {}
        spec = Settings(self.config, detector=self.detector).detecting()
        if spec.partition(":")[0] == "clip":
            mine["own"] = ",".join(own_of(config_concepts(self.config)))
        detector = registry.detector(spec, device=self.device, **mine)
        require_judge(detector.info, plan.item.id)
        folder = RunFolder(out, self._settings(victim, original, detector, rows.values()))
        first = Sight(original, self.originals or out / "original", detector, plan.item.id)
        shown = plan.lending if attack.INFO.searches == "concept" else plan.attacked
        first.look([*plan.plain(), *(plan.targets(r)[0] for r in shown if attack.INFO.sees)])
        searching = Searches(attack, self.budget or attack.INFO.budget, self.seed, plan, folder, first, victim)
        with bars() as advance:
            searches = searching.all(advance)
        attacked = Sight(victim, out / "attacked", detector, plan.item.id)
        attempts = self._attempts(plan, folder, searches, first, attacked)
        folder.write(attempts)
        plain = Sight(victim, self.plains or out / "plain", detector, plan.item.id)
        plain.look(plan.plain())
        keys = [r.key for r in plan.plain()]
        both = plain.of(keys).paired(first.of(keys))[0].with_columns(split=["forget"] * len(keys))
        figures = result.attack_figures(list(attempts.values()), both)
        level = weight_free_level(plan, first, plain) if self.weight_free else None
        chance = result.chance(detector.info, plan.item.id)
        outcome = result.Outcome(list(attempts.values()), figures, level, chance)
        folder.write_result(outcome.to_dict())
        return outcome

    def plan(self, rows: Mapping[str, Row]) -> Plan:
        """The rows to attack."""
        target = config_target(self.config)
        if target is None:
            raise InputError(
                f"config {self.config!r} contains several concepts. Use the config of one concept, such as "
                "object.church."
            )
        return make_plan(
            rows.values(),
            concept(target),
            n_prompts=self.n_prompts,
            n_targets=self.n_targets,
            seeds=self.seeds_per_row,
        )

    @cached_property
    def _attack(self) -> Attack:
        return cast(Attack, registry.module("attacks", self.attack))

    def _settings(self, victim: Pipeline, original: Pipeline, detector: Detector, rows: Iterable[Row]) -> Facts:
        info, budget = self._attack.INFO, self.budget or self._attack.INFO.budget
        packages = {
            "attack": registry.origin("attacks", self.attack),
            "detector": detector.info.settings.get("package"),
        }
        return {
            "attack": info.name,
            "attack.version": info.version,
            **{f"{what}.package": package for what, package in packages.items() if package},
            "attack.finds": info.finds,
            "victim": victim.name,
            "victim.revision": victim.revision,
            "original": original.name,
            "original.revision": original.revision,
            "config": self.config,
            **signed(self.config, rows, bench=self.bench, revision=self.revision),
            **{f"budget.{name}": getattr(budget, name) for name in Budget.__slots__},
            "targets": self.n_targets,
            "prompts": self.n_prompts,
            "seeds_per_row": self.seeds_per_row,
            "seed": self.seed,
            "dtype": self.dtype,
            "device": victim.device,
            "detector": detector.info.name,
            "detector.revision": detector.info.revision,
            "detector.threshold": float(detector.info.threshold or 0.0),
        }

    def _attempts(
        self, plan: Plan, folder: RunFolder, searches: Mapping[str, Search], original: Sight, attacked: Sight
    ) -> dict[str, Attempt]:
        """Draw what was found, judge it, and make a record for each prompt."""
        prompts: dict[str, str] = {}
        for row in plan.attacked:
            search = searches[row.id]
            if search.prompt is not None:
                prompts[row.id] = search.prompt
            elif search.embedding is not None:
                file = folder.path / search.embedding
                attacked.pipeline = with_embedding(attacked.pipeline, file, search.embedding_sha256 or "")
                before, behind = plan.context(row)
                prompts[row.id] = " ".join(filter(None, (before, placeholder(search.embedding_words or 0), behind)))
        own = {r.row_id: r for r in plan.plain()}
        wanted = [r for r in plan.plain() if r.row_id in prompts]
        attacked.look([new for r in wanted for new in with_prompt([r], prompts[r.row_id])])
        out = {}
        for row in plan.attacked:
            drawn = [(row.id, s) for s in row.seeds[: plan.seeds]] if row.id in prompts else []
            found = searches[row.id].prompt
            out[row.id] = Attempt(
                settings=folder.settings,
                row_id=row.id,
                source_prompt=own[row.id].prompt,
                search=searches[row.id],
                names_concept=None if found is None else named(found, plan.item, foreign=True),
                generations=_attacked(attacked, original, drawn, row.id, self._attack.INFO.name),
            )
        return out


def weight_free_level(plan: Plan, original: Sight, victim: Sight) -> result.Level | None:
    """Success of the config's adversarial rows, which do not depend on the victim; None if there are none."""
    requests = plan.published()
    if not requests:
        return None
    for sight in (original, victim):
        sight.look(requests)
    keys = [r.key for r in requests]
    rows = {r.id: r for r in plan.weight_free}
    of = [rows[row] for row, _ in keys]
    table = victim.of(keys).paired(original.of(keys))[0]
    return result.level(
        table.with_columns(
            split=["adversarial"] * len(keys),
            attack_family=[str(r.attack_family) for r in of],
            attack_source_id=[r.attack_source_id for r in of],
        )
    )


def _attacked(victim: Sight, original: Sight, keys: Sequence[Key], source: str, attack: str) -> Generations:
    """The victim's images of an attacked prompt beside the original's of the plain one."""
    n = len(keys)
    if not n:
        return Generations({})
    return (
        victim.of(keys)
        .paired(original.of(keys))[0]
        .with_columns(split=["adversarial"] * n, attack_family=[attack] * n, attack_source_id=[source] * n)
    )
