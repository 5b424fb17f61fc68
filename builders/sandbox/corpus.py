"""The miniature world's part of the corpus: the repository inside the package, and what `igmu/bench` takes over.

The pictures of the rows are drawn by the packaged original, so they are written once, when the models are packaged
(`draw_bench`), and copied from there when the corpus is built (`add`). The labelled pictures of `sandbox_detector` are
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
    Stored,
    card_yaml,
    replaced,
    world_configs,
    world_folder,
    write_manifest,
    write_split,
)
from builders.sandbox.prompts import task_rows
from builders.sources import Picture, diffusers, renders
from igmu_data.errors import CorpusError
from igmu_data.load import read_records
from igmu_data.rows import VERSION
from igmu_data.sandbox.labelled import CONFIG as DETECTOR
from igmu_data.sandbox.packaged import bench_folder
from igmu_data.schema import SPLITS, Row, detector_features
from igmu_data.taxonomy import SANDBOX, concept
from igmu_data.validate import require_valid

REPO: Final = "igmu/sandbox"
MAKE: Final = "python -m builders.sandbox"
_ORIGINAL: Final = f"{SANDBOX}:original?license=CC-BY-4.0&seeds=first"


@dataclass(frozen=True, slots=True)
class Part:
    """What the miniature world adds to a repository.

    Args:
        rows: its prompts.
        stored: its files.
        configs: its configs.
        whole: those of them that share no file and together hold all.
        n_pictures: labelled pictures by split.
    """

    rows: Sequence[Row]
    stored: Sequence[Stored]
    configs: Sequence[Config]
    whole: Sequence[Config]
    n_pictures: Mapping[str, int]


def draw_bench(folder: Path, work: Path) -> None:
    """Draw every row with the packaged original, then `write_bench`.

    Args:
        folder: where.
        work: keeps finished pictures; a restart goes on where the last one ended.

    Raises:
        WeightsError: the package holds no models.
        CorpusError, OutputError: as in `write_bench`.
    """
    rows = [r for own in task_rows().values() for r in own]
    write_bench(folder, {p.row_id: p for p in diffusers.images(rows, _ORIGINAL, work=work)})


def write_bench(folder: Path, pictures: Mapping[str, Picture]) -> None:
    """Write the repository that the package holds; it appears complete or not at all.

    Args:
        folder: where; `igmu_data.sandbox.packaged.bench_folder()` for the package's own.
        pictures: of every row, by its id.

    Raises:
        CorpusError: a row without a picture, a picture without a row, or rows that break the rules.
        OutputError: the place cannot be written.
    """
    rows = task_rows()
    everything = [r for own in rows.values() for r in own]
    require_valid(everything)
    if wrong := sorted({r.id for r in everything} ^ pictures.keys()):
        raise CorpusError(f"{len(wrong)} rows without a picture or pictures without a row, the first is {wrong[0]}.")
    with replaced(folder) as fresh:
        stored = [
            write_split(fresh, world_folder(concept(name)), split, [r for r in own if r.split == split], pictures)
            for name, own in rows.items()
            for split in SPLITS
        ]
        front = card_yaml(stored, world_configs(default=SANDBOX), header=card.world_header(everything))
        (fresh / "README.md").write_text(f"---\n{front}---\n\n{card.world_body(REPO, everything)}", encoding="utf-8")
        origins = ", ".join(sorted({p.origin for p in pictures.values()}))
        facts = {"name": REPO, "version": VERSION, "images": origins}
        write_manifest(fresh, facts | {"n_rows": len(everything), "n_concepts": len(rows)})


def available() -> bool:
    """Whether the package holds the repository; a source checkout before training does not."""
    return (bench_folder() / "README.md").is_file()


def add(folder: Path) -> Part:
    """Copy the package's rows and pictures into a repository, and draw the labelled pictures.

    Args:
        folder: the repository, not yet described.

    Raises:
        CorpusError: the package's rows are no longer those that the code makes.
    """
    wanted = {r.id: r for own in task_rows().values() for r in own}
    files = sorted((bench_folder() / SANDBOX).glob("*/*.parquet"))
    held = {record["id"] for path in files for record in read_records(path)}
    if changed := len(wanted.keys() ^ held):
        raise CorpusError(f"{bench_folder()}: {changed} rows differ from those made now. Draw it again: {MAKE}")
    stored = [_copied(path, folder) for path in files]
    features = detector_features(renders.labels(SANDBOX))
    n_pictures = {}
    for split in detector.SPLITS:
        shards = detector.write_pictures(folder, DETECTOR, split, renders.labelled(SANDBOX, split=split), features)
        n_pictures[split] = sum(s.n_rows for s in shards)
        stored += shards
    configs = (*world_configs(), detector.labelled_config(DETECTOR, DETECTOR, features))
    whole = [c for c in configs if c.name in (SANDBOX, DETECTOR)]
    return Part(list(wanted.values()), stored, configs, whole, n_pictures)


def _copied(path: Path, folder: Path) -> Stored:
    import pyarrow.parquet as pq

    place = path.relative_to(bench_folder()).as_posix()
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / place)
    table = pq.read_table(path)
    return Stored(path.name.split("-")[0], place, table.num_rows, table.nbytes, path.stat().st_size)
