"""Draws what is missing of every version, looks at every picture once, and keeps what the audit computes from.

Conventions: the folders are those of `igmu demo`, so that either goes on where the other stopped. A picture that one
version could not draw is left out for all versions of its task, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from igmu_data.load import identity
from igmu_data.sandbox import packaged
from igmu_data.schema import SPLITS, Row
from igmu_data.stripping import strip_reference
from igmu_data.taxonomy import SANDBOX
from igmu_metrics import assemble, judging, registry
from igmu_metrics.contract import Estimate, FloatArray
from igmu_metrics.evaluate import Evaluation
from igmu_metrics.images.layouts import Generation, find
from igmu_metrics.judging import CLIP, Instruments, Judged
from igmu_metrics.networks.observe import Observed
from igmu_metrics.networks.progress import Advance, bars
from igmu_metrics.networks.texts import embedded
from igmu_metrics.sandbox import demo
from igmu_metrics.sandbox.audit.noisy import turned
from igmu_metrics.sandbox.audit.seen import CORPUS, REFERENCE, Cell, Seen
from igmu_metrics.signing import Fields

Texts = Mapping[str, FloatArray]  # by way of stripping, (n, d) embeddings, one a generation
ORIGINAL = packaged.VERSIONS[0]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was drawn and seen.

    Args:
        seen: by task and version.
        figures: of the forget score, by task and version, with intervals.
        facts: what can change the numbers, for the page.
        left_out: by task, generations that not every version has.
        glued: by task, how many of the glued prompts are longer than CLIP reads, and how many there are.
    """

    seen: Mapping[Cell, Seen]
    figures: Mapping[Cell, Mapping[str, Estimate]]
    facts: Mapping[str, str]
    left_out: Mapping[str, int]
    glued: Mapping[str, tuple[int, int]]


def gather(work: Path, *, seeds_per_row: int) -> Evidence:
    """Draw and look.

    Args:
        work: folder of the pictures; what is in it is not drawn again.
        seeds_per_row: pictures of a prompt, 2..5.

    Raises:
        WeightsError: the package has no models.
        MetadataError, ChecksumError: the folder holds pictures of other models, or changed ones.
        OutputError: the folder or the cache cannot be written.
    """
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)
    jobs = []
    for slug in demo.slugs():
        rows = demo.load_rows(slug)
        jobs.append((demo.plan(work, slug, rows, full=True, seeds_per_row=seeds_per_row), {r.id: r for r in rows}))
    facts: dict[str, str] = {"dataset": f"{identity(str(packaged.bench_folder()))}, embedded in the package"}
    for job, _ in jobs:
        for pipeline in demo.draw_versions(job, console):
            facts[pipeline.name] = f"{pipeline.revision}, drawn on {pipeline.device}"
    seen: dict[Cell, Seen] = {}
    figures: dict[Cell, Mapping[str, Estimate]] = {}
    left_out: dict[str, int] = {}
    glued: dict[str, tuple[int, int]] = {}
    with bars() as advance:
        for job, by_id in jobs:
            tools = _tools(job)
            facts |= {
                "detector": f"{tools.detector.info.name}, {tools.detector.info.revision}",
                "CLIP": "" if tools.clip is None else f"{tools.clip.info.name}, {tools.clip.info.revision}",
            }
            judged, left_out[job.slug] = _judged(job, by_id, tools, advance)
            texts, glued[job.slug] = _texts(judged[ORIGINAL], tools)
            for number, (version, one) in enumerate(judged.items()):
                fields: Fields = {"model": version, "config": job.config}
                found = assemble.scores(one, tools, fields=fields)
                figures[job.slug, version] = dict(found["forget_score"].figures)
                seen[job.slug, version] = describe(one, texts, stream=number)
    return Evidence(seen, figures, facts, left_out, glued)


def _tools(job: demo.Task) -> Instruments:
    """Detector and CLIP; without features of their own, distances use CLIP's, and nothing is computed twice."""
    evaluation = Evaluation(job.config, detector=SANDBOX, clip=SANDBOX)
    return replace(evaluation.instruments(job.target), features=None)


def _judged(
    job: demo.Task, rows: Mapping[str, Row], tools: Instruments, advance: Advance
) -> tuple[dict[str, Judged], int]:
    """What was seen in every version, on the generations that all of them have."""
    wanted = {r.key for r in job.requests}
    folders = {v: {g.key: g for g in find(folder, "metadata", rows)} for v, folder in job.folders.items()}
    common = wanted.intersection(*(found.keys() for found in folders.values()))
    drawn: dict[str, list[Generation]] = {
        version: [found[key] for key in sorted(common)] for version, found in folders.items()
    }
    target = job.target

    def look(version: str) -> Observed:
        what = f"{job.slug}: {version}"
        return judging.look(drawn[version], target, tools, tick=lambda n: advance(what, n, len(common)))

    observed = {version: look(version) for version in drawn}
    original = drawn[ORIGINAL], observed[ORIGINAL]
    judged = {v: judging.judge(target, tools, original, (drawn[v], observed[v])) for v in drawn}
    return judged, len(wanted) - len(common)


def _texts(judged: Judged, tools: Instruments) -> tuple[Texts, tuple[int, int]]:
    """Embeddings of what CSDR compares with; CLIP cuts the reference's glued copies as torchmetrics does."""
    cutting = registry.backbone(f"clip:{SANDBOX}", truncation="cut")
    rows = [g.row for g in judged.generations if g.row is not None]
    forget = {strip_reference(r.prompt) for r in rows if r.split == "forget"}
    before = getattr(cutting, "n_truncated", 0)
    cutting.text_features(sorted(forget))
    too_long = getattr(cutting, "n_truncated", 0) - before
    assert tools.clip is not None
    texts = {
        CORPUS: embedded(tools.clip, [r.stripped_prompt for r in rows]),
        REFERENCE: embedded(cutting, [strip_reference(r.prompt) for r in rows]),
    }
    return texts, (too_long, len(forget))


def describe(judged: Judged, texts: Texts, *, stream: int = 0) -> Seen:
    """What the audit computes from: the three splits, without what probes negation.

    Args:
        judged: one version against the original.
        texts: embeddings of the stripped prompts, one a generation.
        stream: of the random numbers that turn a noisy detector's answers around; another one for each version.
    """
    generations = judged.generations
    rows = [g.row for g in generations]
    after, before = judged.features[CLIP]
    present = np.ma.filled(judged.present, False).astype(np.bool_)
    columns: dict[str, npt.NDArray[Any]] = {
        "prompt": np.asarray([g.row_id for g in generations]),
        "seed": np.asarray([g.seed for g in generations]),
        "split": np.asarray([g.split for g in generations]),
        "probe": np.asarray([r.probe if r else "" for r in rows]),
        "own": np.asarray([own or "" for own in judged.own]),
        "family": np.asarray([(r.attack_family if r else None) or "" for r in rows]),
        "source": np.asarray([(r.attack_source_id if r else None) or "" for r in rows]),
        "judged": ~(np.ma.getmaskarray(judged.present) | np.ma.getmaskarray(judged.original_present)),
        "present": present,
        "drawn": np.ma.filled(judged.original_present, False).astype(np.bool_),
        "noisy": turned(present, np.random.default_rng([stream, len(generations)])),
    }
    kept = np.asarray(judged.where(*SPLITS), dtype=np.intp)
    order = kept[np.lexsort((columns["seed"][kept], columns["prompt"][kept]))]
    return Seen(
        **{name: column[order] for name, column in columns.items()},
        loss={how: _loss(before, after, text)[order] for how, text in texts.items()},
        features=after[order],
        original_features=before[order],
    )


def _loss(before: FloatArray, after: FloatArray, text: FloatArray) -> FloatArray:
    """(s_org − s_unl) / s_org of CLIP scores, NaN where s_org is 0: the pair is unscored."""
    s_org, s_unl = (np.maximum(assemble.cosines(image, text), 0.0) for image in (before, after))
    return np.asarray(np.divide(s_org - s_unl, s_org, out=np.full(s_org.shape, np.nan), where=s_org > 0))
