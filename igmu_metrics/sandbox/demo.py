"""`igmu demo`: the complete workflow in the sandbox, offline: load, generate, score, rank, report.

Conventions: the selection of prompts depends only on the rows (their ids are content hashes, so the smallest ids are a
random choice that never changes). Images of a selection and of all prompts share a folder; existing images are not
generated again, and only the selection is scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from igmu_data.configs import config_concepts
from igmu_data.files import owned, require_writable
from igmu_data.load import checked_row, load_bench
from igmu_data.progress import bars
from igmu_data.sandbox import packaged
from igmu_data.schema import ASIDE, Row
from igmu_data.taxonomy import SANDBOX
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.images.generate import Request, draw, requests_for, seeds_note
from igmu_metrics.images.pipelines import Pipeline, find_pipeline
from igmu_metrics.report import page
from igmu_metrics.report.templates import require_page
from igmu_metrics.sandbox.processes import generate
from igmu_metrics.scorecard import Scorecard, write

if TYPE_CHECKING:
    from rich.console import Console

ORIGINAL: Final = packaged.VERSIONS[0]
REPORT: Final = "report.html"
# 62 prompts with two seeds each, six versions: 744 images, about 75 seconds at ten images a second.
SEEDS: Final = 2  # quality compares the seeds of a prompt with each other
_FORGET: Final = 16
_ATTACKS: Final = 16
_RETAIN: Final = 24
_ASIDE: Final = 6
OWN_MODEL: Final = """\
To score your own model against the model from which it was made:
  igmu run --original MODEL --unlearned NAME=MODEL --config object.church"""


@dataclass(frozen=True, slots=True)
class Task:
    """One concept of the demo.

    Args:
        slug: `church`, `van-gogh`.
        place: folder of its images and scorecards.
        requests: the images that every version generates.
    """

    slug: str
    place: Path
    requests: Sequence[Request]

    @property
    def config(self) -> str:
        """The config of its prompts."""
        return f"{SANDBOX}.{self.slug}"

    @property
    def target(self) -> str:
        """The concept that its versions forgot."""
        return config_concepts(self.config)[0]

    @property
    def folders(self) -> dict[str, Path]:
        """The folder of each version's images."""
        return {version: self.place / "drawn" / version for version in packaged.VERSIONS}


def slugs() -> tuple[str, ...]:
    """The concepts that the packaged models have forgotten: `church`, `van-gogh` (and others of IGMU_SANDBOX)."""
    return tuple(task.partition("/")[2] for task in packaged.tasks())


def run(
    out: Path, tasks: Sequence[str], *, full: bool = False, seeds_per_row: int | None = None
) -> dict[str, list[Scorecard]]:
    """Generate with every version, score all of them, and write scorecards and the report.

    Args:
        out: folder for everything; a second run generates only what is missing.
        tasks: some of `slugs()`.
        full: whether to use all rows (and all seeds, unless `seeds_per_row` is given) instead of a selection.
        seeds_per_row: number of images per prompt, 1..5; default 2, or all with `full`. Quality, and therefore the
            forget score, requires two.

    Returns:
        The scorecards of every version by task, starting with the original's against itself.

    Raises:
        WeightsError: the package has no models.
        BusyError: another process is writing to `out`.
        OutputError: `out` or the cache cannot be written.
        MetadataError, ChecksumError: `out` contains images of other models or settings, or changed ones.
    """
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)
    require_writable(out)
    require_page(out / REPORT)
    packaged.part("detector")  # without models nothing else matters
    with owned(out):
        jobs = []
        for slug in tasks:
            rows = load_rows(slug)
            jobs.append(plan(out, slug, rows, full=full, seeds_per_row=seeds_per_row))
            console.print(
                f"load_dataset('{packaged.bench_folder()}', '{jobs[-1].config}'): {len(rows)} prompts", soft_wrap=True
            )
            if note := seeds_note(rows, jobs[-1].requests):
                console.print(note, soft_wrap=True)
        for job in jobs:
            draw_versions(job, console)
        cards, sections = {}, []
        for job in jobs:
            cards[job.slug] = own, *others = _score(job, out)
            sections.append(page.Section([own, *others], job.folders, "metadata", str(packaged.bench_folder())))
        with bars() as advance:
            page.write(out / REPORT, *sections, advance=advance)
        return cards


def draw_versions(task: Task, console: Console) -> list[Pipeline]:
    """Generate the missing images of every version; returns the pipelines, in the order of the versions."""
    import torch

    found = {folder: find_pipeline(f"{SANDBOX}:{version}/{task.slug}") for version, folder in task.folders.items()}
    at_once = torch.get_num_threads() if next(iter(found.values())).device == "cpu" else 1
    if at_once > 1:
        n = len(task.requests)
        console.print(f"{task.slug}: {n} images by each of {', '.join(task.folders)}; {at_once} processes")
        with bars() as advance:
            generate(task.requests, found, advance, processes=at_once)
    for number, (folder, pipeline) in enumerate(found.items(), 1):
        if at_once == 1:
            console.print(f"{task.slug} {number}/{len(found)}: {len(task.requests)} images by {folder.name}")
        draw(task.requests, pipeline, folder)  # or compare what is there
    return list(found.values())


def load_rows(slug: str) -> list[Row]:
    """The prompts of a task, from the embedded dataset."""
    # Streaming, so that nothing is written to the cache of `datasets`.
    loaded: Any = load_bench(f"{SANDBOX}.{slug}", bench=packaged.bench_folder(), streaming=True)
    where = str(packaged.bench_folder())
    return [checked_row(record, where) for split in loaded.values() for record in split.remove_columns("image")]


def plan(out: Path, slug: str, rows: Sequence[Row], *, full: bool = False, seeds_per_row: int | None = None) -> Task:
    """The images that every version generates for a task; see `run`."""
    chosen = rows if full else choose(rows)
    return Task(slug, out / slug, requests_for(chosen, seeds_per_row=seeds_per_row or (None if full else SEEDS)))


def choose(rows: Sequence[Row]) -> list[Row]:
    """A selection of rows that covers all splits, probes, concepts and attack families.

    Every adversarial prompt is selected together with its plain source prompt. The order of the rows is kept.
    """
    apart = _in_turn((r for r in rows if r.probe in ASIDE), lambda r: r.probe, _ASIDE)
    rest = [r for r in rows if r.probe not in ASIDE]
    attacks = _in_turn((r for r in rest if r.split == "adversarial"), lambda r: r.attack_family, _ATTACKS)
    sources = {r.attack_source_id for r in attacks}
    # Sources come first, so that none is left out.
    plain = sorted((r for r in rest if r.split == "forget"), key=lambda r: (r.id not in sources, r.id))
    retain = [r for r in rest if r.split == "retain"]
    probes = sorted({r.probe for r in retain})
    kept = [
        row
        for probe in probes
        for row in _in_turn((r for r in retain if r.probe == probe), lambda r: r.own_concept, _RETAIN // len(probes))
    ]
    chosen = {r.id for r in (*apart, *attacks, *plain[: max(_FORGET, len(sources))], *kept)}
    return [r for r in rows if r.id in chosen]


def _in_turn(rows: Iterable[Row], kind: Any, n: int) -> list[Row]:
    """Up to n rows, one of each kind in turn, those with the smallest ids first."""
    kinds: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda r: r.id):
        kinds.setdefault(str(kind(row)), []).append(row)
    return [row for turn in zip_longest(*kinds.values()) for row in turn if row is not None][:n]


def card_file(out: Path, slug: str, model: str) -> Path:
    """Where the scorecard of a version is."""
    return out / slug / "cards" / f"{model}.json"


def evaluation(job: Task) -> Evaluation:
    """How a task's models are scored: with the packaged detector and networks, only on the images of the task."""
    return Evaluation(
        job.config,
        bench=str(packaged.bench_folder()),
        detector=SANDBOX,
        clip=SANDBOX,
        only=frozenset(r.key for r in job.requests),
    )


def _score(job: Task, out: Path) -> list[Scorecard]:
    found = []
    with bars() as advance:
        for card in evaluation(job).run(job.folders[ORIGINAL], list(job.folders.values()), advance):
            write(card, card_file(out, job.slug, card.model))
            found.append(card)
    return found
