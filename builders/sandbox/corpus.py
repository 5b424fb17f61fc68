"""The miniature world's part of the corpus: the repository inside the package, and what `igmu/bench` takes over.

The rows are data of the package, written once: corpus 0.2 made its rows by code, from templates, and the miniature
world's by the same code from its own words, whose captions the packaged models were trained on. When corpus 1.0 came,
written by hand, these rows were brought into its columns with the prompts, seeds and images that they had. Negations
and compositions went to the split forget, wider words to retain, descriptions by a role to the family `indirect`; what
was an attack and held the name (after a glued prefix, in another language) was dropped.

The images of the rows are drawn by the packaged original, so they are written when the models are packaged
(`draw_bench`), and copied from there when the corpus is built (`add`). The labelled images of `sandbox_detector` are
drawn by code whenever the corpus is built.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builders import card, detector
from builders.hubfolder import (
    Config,
    card_yaml,
    replaced,
    world_configs,
    world_folder,
    write_split,
)
from builders.sources import StoredImage, diffusers, renders
from igmu_data.errors import CorpusError
from igmu_data.load import bench_rows
from igmu_data.rows import VERSION
from igmu_data.sandbox.labelled import CONFIG as DETECTOR
from igmu_data.sandbox.packaged import bench_folder, tasks, using
from igmu_data.sandbox.world import world
from igmu_data.schema import SPLITS, Row, detector_features, stored_columns
from igmu_data.stored import Stored, write_manifest
from igmu_data.taxonomy import SANDBOX
from igmu_data.validate import require_valid

REPO: Final = "igmu/sandbox"
FURTHER: Final = "igmu/sandbox-further"  # in a folder, never on the Hub
MAKE: Final = "python -m builders.sandbox"
ORIGINAL: Final = f"{SANDBOX}:original?license=CC-BY-4.0&seeds=first"


@dataclass(frozen=True, slots=True)
class Part:
    """What the miniature world adds to a repository.

    Args:
        rows: its prompts.
        stored: its files.
        configs: its configs.
        whole: those of them that share no file and together hold all.
        n_images: labelled images by split.
    """

    rows: Sequence[Row]
    stored: Sequence[Stored]
    configs: Sequence[Config]
    whole: Sequence[Config]
    n_images: Mapping[str, int]


def task_rows() -> dict[str, list[Row]]:
    """All rows of every task as the package has them, without their images, by the id of the concept to forget.

    Raises:
        CorpusError: the package does not hold them, or they are no rows.
    """
    text = {"image_source": None, "image_sha256": None, "license": Row.model_fields["license"].default}
    found: dict[str, list[Row]] = {name: [] for name in tasks()}
    for row in bench_rows(SANDBOX, bench=SANDBOX).values():
        found[row.concept].append(row.model_copy(update=text))
    return found


def draw_bench(folder: Path, work: Path) -> None:
    """Draw every row with the packaged original, then `write_bench`.

    Args:
        folder: where.
        work: keeps finished images; a restart goes on where the last one ended.

    Raises:
        WeightsError: the package holds no models.
        CorpusError, OutputError: as in `write_bench`.
    """
    rows = [r for own in task_rows().values() for r in own]
    write_bench(folder, {p.row_id: p for p in diffusers.images(rows, ORIGINAL, work=work)})


def write_bench(folder: Path, images: Mapping[str, StoredImage]) -> None:
    """Write the repository that the package holds; it appears complete or not at all.

    Args:
        folder: where; `igmu_data.sandbox.packaged.bench_folder()` for the package's own.
        images: of every row, by its id.

    Raises:
        CorpusError: a row without an image, an image without a row, or rows that break the rules.
        OutputError: the place cannot be written.
    """
    rows = task_rows()
    everything = [r for own in rows.values() for r in own]
    require_valid(everything, world().known)
    if wrong := sorted({r.id for r in everything} ^ images.keys()):
        raise CorpusError(f"{len(wrong)} rows without an image or images without a row, the first is {wrong[0]}.")
    with replaced(folder) as fresh:
        _describe(fresh, _written(fresh, rows, images), rows, images, REPO)


def write_further(folder: Path, further: Mapping[str, Sequence[Row]], images: Mapping[str, StoredImage]) -> None:
    """Write a repository of the packaged rows and those of further tasks; it appears complete or not at all.

    Args:
        folder: `bench` of a folder whose `models` have forgotten the further concepts.
        further: rows of each.
        images: of every further row, by its id.

    Raises:
        CorpusError: the package does not hold its rows.
        OutputError: the place cannot be written.
    """
    rows = {**task_rows(), **further}
    packaged = sorted((bench_folder() / SANDBOX).glob("*/*.parquet"))
    with replaced(folder) as fresh:
        stored = [_copied(path, fresh) for path in packaged]
        with using(folder.parent):
            stored += _written(fresh, further, images)
            _describe(fresh, stored, rows, images, FURTHER)


def _written(folder: Path, rows: Mapping[str, Sequence[Row]], images: Mapping[str, StoredImage]) -> list[Stored]:
    columns = stored_columns([r for own in rows.values() for r in own], images=True)
    return [
        write_split(folder, world_folder(world().known[name]), split, mine, images, columns)
        for name, own in rows.items()
        for split in SPLITS
        if (mine := [r for r in own if r.split == split])
    ]


def _describe(
    folder: Path,
    stored: Sequence[Stored],
    rows: Mapping[str, Sequence[Row]],
    images: Mapping[str, StoredImage],
    name: str,
) -> None:
    """Write card and manifest."""
    everything = [r for own in rows.values() for r in own]
    configs = world_configs(stored_columns(everything, images=True), default=SANDBOX)
    front = card_yaml(stored, configs, header=card.world_header(everything))
    (folder / "README.md").write_text(f"---\n{front}---\n\n{card.world_body(name, everything)}", encoding="utf-8")
    origins = ", ".join(sorted({p.origin for p in images.values()}))
    facts = {"name": name, "version": VERSION, "images": origins}
    write_manifest(folder, facts | {"n_rows": len(everything), "n_concepts": len(rows)})


def available() -> bool:
    """Whether the package holds the repository; a source checkout before training does not."""
    return (bench_folder() / "README.md").is_file()


def add(folder: Path) -> Part:
    """Copy the package's rows and images into a repository, and draw the labelled images.

    Args:
        folder: the repository, not yet described.

    Raises:
        CorpusError: the package does not hold them, or its rows break the rules.
    """
    rows = [r for own in task_rows().values() for r in own]
    require_valid(rows, world().known)
    stored = [_copied(path, folder) for path in sorted((bench_folder() / SANDBOX).glob("*/*.parquet"))]
    features = detector_features(renders.labels(SANDBOX))
    n_images = {}
    for split in detector.SPLITS:
        shards = detector.write_images(folder, DETECTOR, split, renders.labelled(SANDBOX, split=split), features)
        n_images[split] = sum(s.n_rows for s in shards)
        stored += shards
    configs = (
        *world_configs(stored_columns(rows, images=True)),
        detector.labelled_config(DETECTOR, DETECTOR, features),
    )
    whole = [c for c in configs if c.name in (SANDBOX, DETECTOR)]
    return Part(rows, stored, configs, whole, n_images)


def _copied(path: Path, folder: Path) -> Stored:
    import pyarrow.parquet as pq

    place = path.relative_to(bench_folder()).as_posix()
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / place)
    rows = pq.ParquetFile(path).metadata.num_rows
    return Stored(path.name.split("-")[0], place, rows, path.stat().st_size)
