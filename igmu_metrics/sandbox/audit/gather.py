"""Draws what is missing of every version, looks at every image once, and keeps what the audit computes from.

Conventions: the folders are those of `igmu demo`, so that either goes on where the other stopped. An image that one
version could not draw is left out for all versions of its task, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean

import numpy as np

from igmu_data.load import identity
from igmu_data.numerals import duration
from igmu_data.progress import Advance, bars
from igmu_data.sandbox import packaged
from igmu_data.schema import IN_PROMPT, SPLITS, Row
from igmu_data.stripping import strip_reference
from igmu_data.taxonomy import SANDBOX
from igmu_metrics import registry
from igmu_metrics.contract import Estimate, FloatArray, Setting
from igmu_metrics.distances.gaussian import unit_rows
from igmu_metrics.evaluation import Evaluation, Instruments, asked, both, facts, scores
from igmu_metrics.generations import ORIGINAL as MODEL
from igmu_metrics.generations import Generations
from igmu_metrics.images.efficiency import pace as pace_of
from igmu_metrics.images.files import read_image
from igmu_metrics.images.layouts import find
from igmu_metrics.images.parts import finished
from igmu_metrics.metrics._aspects import judged_rows
from igmu_metrics.metrics._attack_table import tries
from igmu_metrics.metrics.clip_alignment import cosine
from igmu_metrics.networks.observe import observe
from igmu_metrics.networks.texts import cut, embedded
from igmu_metrics.sandbox import demo
from igmu_metrics.sandbox.audit.measures import GLUED
from igmu_metrics.sandbox.audit.mixtures import PARTS, Pool
from igmu_metrics.sandbox.audit.seen import PALE, REFERENCE, Cell

ORIGINAL = packaged.VERSIONS[0]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was drawn and seen.

    Args:
        seen: by task and version.
        figures: by task and version, what the shipped metrics say, by `metric:figure` or `metric/part:figure`.
        facts: what can change the numbers, for the page.
        left_out: by task, generations that not every version has.
        glued: by task, how many of the glued prompts are longer than CLIP reads, and how many there are.
        pools: by task, what virtual models are mixed from.
    """

    seen: Mapping[Cell, Generations]
    figures: Mapping[Cell, Mapping[str, Estimate]]
    facts: Mapping[str, str]
    left_out: Mapping[str, int]
    glued: Mapping[str, tuple[int, int]]
    pools: Mapping[str, Pool] = field(default_factory=dict)


def gather(work: Path, *, seeds_per_row: int) -> Evidence:
    """Draw and look.

    Args:
        work: folder of the images; what is in it is not drawn again.
        seeds_per_row: images of a prompt, 2..5.

    Raises:
        WeightsError: the package has no models.
        MetadataError, ChecksumError: the folder holds images of other models, or changed ones.
        OutputError: the folder or the cache cannot be written.
    """
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)
    jobs = []
    for slug in demo.slugs():
        rows = demo.load_rows(slug)
        jobs.append((demo.plan(work, slug, rows, full=True, seeds_per_row=seeds_per_row), {r.id: r for r in rows}))
    root = packaged.elsewhere()
    where = f"in {root}" if root else "embedded in the package"
    told: dict[str, str] = {"dataset": f"{identity(str(packaged.bench_folder()))}, {where}"}
    console.print(plan([job for job, _ in jobs], work), soft_wrap=True)
    for job, _ in jobs:
        for pipeline in demo.draw_versions(job, console):
            told[pipeline.name] = f"{pipeline.revision}, generated on {pipeline.device}"
    seen: dict[Cell, Generations] = {}
    figures: dict[Cell, Mapping[str, Estimate]] = {}
    left_out: dict[str, int] = {}
    glued: dict[str, tuple[int, int]] = {}
    pools: dict[str, Pool] = {}
    with bars() as advance:
        for job, by_id in jobs:
            tools = _tools(job)
            told |= {
                "detector": f"{tools.detector.info.name}, {tools.detector.info.revision}",
                "CLIP": "" if tools.clip is None else f"{tools.clip.info.name}, {tools.clip.info.revision}",
            }
            judged, left_out[job.slug] = _judged(job, by_id, tools, advance)
            texts, glued[job.slug] = _texts(judged[ORIGINAL], tools)
            pale = _pale(judged[ORIGINAL], tools)
            for version, one in judged.items():
                figures[job.slug, version] = _shipped(one, tools, texts, left_out[job.slug])
                seen[job.slug, version] = describe(one, texts, pale)
            pools[job.slug] = _pool(job, judged, tools, advance)
    return Evidence(seen, figures, told, left_out, glued, pools)


def plan(jobs: Sequence[demo.Task], work: Path) -> str:
    """What an audit will generate: how many images, about how long the missing ones take, and where images are.

    The time follows from the images that are there; it is unknown, and not given, if there are none.

    Args:
        jobs: the tasks.
        work: folder of their images.
    """
    import torch

    missing, seconds = {}, []
    for job in jobs:
        wanted = {request.key for request in job.requests}
        for folder in job.folders.values():
            missing[folder] = len(wanted - finished(folder))
            seconds += [pace.seconds for pace in [pace_of(folder)] if pace is not None]
    left, total = sum(missing.values()), sum(len(job.requests) * len(job.folders) for job in jobs)
    each = mean(seconds) / max(1, torch.get_num_threads()) if seconds else 0.0
    time = f" (about {duration(left * each)})" if left and each else ""
    models, tasks = len(packaged.VERSIONS), ", ".join(job.slug for job in jobs)
    return (
        f"audit: {models} models for each of {len(jobs)} tasks ({tasks}), {total} images, of which {left} must be "
        f"generated{time}; images are kept in {work}, where an interrupted audit resumes"
    )


def _shipped(judged: Generations, tools: Instruments, texts: FloatArray, left_out: int) -> dict[str, Estimate]:
    """What scorecards say, and CSDR as the reference strips prompts, by the same function."""
    fields: Mapping[str, Setting] = {"model": "", "config": ""}
    words = unit_rows("texts", texts)
    glued = {
        f"stripped_alignment{s}": cosine("features", unit_rows("features", judged[f"clip_features{s}"]), "texts", words)
        for s in ("", MODEL)
    }
    out: dict[str, Estimate] = {}
    for prefix, table in (("", judged), (GLUED, judged.with_columns(**glued))):
        found = scores(table, tools, fields=fields, n_failed=left_out)
        out |= {f"{prefix}{name}:{f}": e for name, score in found.items() for f, e in score.figures.items()}
    return out


def _pool(job: demo.Task, judged: Mapping[str, Generations], tools: Instruments, advance: Advance) -> Pool:
    """What virtual models are mixed from, as CLIP decides, too; distances take CLIP's features."""
    assert tools.clip is not None
    spec = f"clip:{SANDBOX}"
    evaluation = Evaluation(job.config, detector=spec, clip=SANDBOX)
    other = replace(evaluation.instruments(job.target), clip=None, features=None)
    tables, decided = {}, {}
    for part in PARTS:
        one = judged[part]
        seen = evaluation.measured(one, other, f"{job.slug}: {part}, {spec}", advance)
        decided[part] = np.ma.filled(seen["present"], False)
        alike = {f"features{s}": one[f"clip_features{s}"] for s in ("", MODEL)}
        tables[part] = one.with_columns(**alike)
    known = facts(replace(tools, features=tools.clip), judged[ORIGINAL])
    return Pool.of(job.slug, tables, known, {spec: decided})


def _tools(job: demo.Task) -> Instruments:
    """Detector and CLIP; without features of their own, distances use CLIP's, and nothing is computed twice."""
    evaluation = Evaluation(job.config, detector=SANDBOX, clip=SANDBOX)
    return replace(evaluation.instruments(job.target), features=None)


def _judged(
    job: demo.Task, rows: Mapping[str, Row], tools: Instruments, advance: Advance
) -> tuple[dict[str, Generations], int]:
    """Every version beside the original, on the generations that all of them have."""
    evaluation = Evaluation(job.config)
    wanted = {r.key for r in job.requests}
    tables = {version: find(folder, "metadata", rows) for version, folder in job.folders.items()}
    common = wanted.intersection(*(set(table.keys) for table in tables.values()))
    measured = {}
    for version, table in tables.items():
        at = {key: i for i, key in enumerate(table.keys)}
        chosen = asked(table.where([at[key] for key in sorted(common)]), job.target)
        measured[version] = evaluation.measured(chosen, tools, f"{job.slug}: {version}", advance)
    judged = {v: both(measured[ORIGINAL], table, tools)[0] for v, table in measured.items()}
    return judged, len(wanted) - len(common)


def _texts(judged: Generations, tools: Instruments) -> tuple[FloatArray, tuple[int, int]]:
    """Embeddings of what the reference's CSDR compares with; CLIP cuts the glued copies as torchmetrics does."""
    cutting = registry.backbone(f"clip:{SANDBOX}", truncation="cut")
    prompts: list[str] = judged["prompt"].tolist()
    forget = {strip_reference(p) for p, part in zip(prompts, judged.parts, strict=True) if part == "forget"}
    too_long = int(cut(cutting, sorted(forget)).sum())
    return embedded(cutting, [strip_reference(prompt) for prompt in prompts]), (too_long, len(forget))


def _pale(judged: Generations, tools: Instruments) -> FloatArray:
    """(n, d) CLIP's features of the original's images with their contrast halved; NaN where no quality is asked for."""
    from PIL import ImageEnhance

    assert tools.clip is not None
    asked = (judged.parts == "retain") & (judged["probe"] != IN_PROMPT)
    images = [ImageEnhance.Contrast(read_image(path)).enhance(0.5) for path in judged["path_original"][asked]]
    out = np.full(judged["clip_features"].shape, np.nan)
    out[asked] = observe(images, backbones={"features": tools.clip})["features"]
    return out


def describe(judged: Generations, reference: FloatArray, pale: FloatArray) -> Generations:
    """What the audit computes from: the three splits, without what is counted by itself.

    Args:
        judged: one version beside the original.
        reference: (n, d) embeddings of what the reference's CSDR compares with.
        pale: (n, d) features of the original's images with their contrast halved.
    """
    table = judged.with_columns(**{REFERENCE: _loss(judged, reference), PALE: pale}).part(*SPLITS)
    order = np.lexsort((table["seed"], table["id"]))
    rows = judged_rows(table)
    kept = {name: table[name][order] for name in ("attack_source_id", REFERENCE, PALE)}
    attacked = rows["id"][rows["split"] == "adversarial"]
    return rows.with_columns(**kept).with_facts(k=tries(attacked, None, fewest=True))


def _loss(judged: Generations, texts: FloatArray) -> FloatArray:
    """(s_org − s_unl) / s_org of CLIP scores, NaN where s_org is 0: the pair is unscored."""
    words = unit_rows("texts", texts)
    s_unl, s_org = (
        np.maximum((unit_rows("features", judged[f"clip_features{suffix}"]) * words).sum(axis=1), 0.0)
        for suffix in ("", "_original")
    )
    return np.asarray(np.divide(s_org - s_unl, s_org, out=np.full(s_org.shape, np.nan), where=s_org > 0))
