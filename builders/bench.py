"""`python -m builders.bench --out dist/hub`: builds the corpus as Hub folders, `igmu/bench` and `igmu/bench-nsfw`.

Every concept's rows are made, checked together, and written with Parquet, card, `eval.yaml`, Croissant and manifest.
`igmu/bench` also has the notebooks.
A folder appears complete or not at all.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import track

from builders import card, ledger, sources
from builders.croissant import write_croissant
from builders.hubfolder import (
    Config,
    card_yaml,
    corpus_configs,
    replaced,
    write_split,
)
from builders.sandbox import corpus
from igmu_data import general as prompts
from igmu_data.configs import GENERAL
from igmu_data.errors import CorpusError, UnknownIdError, exits_on_error
from igmu_data.load import files_of
from igmu_data.rows import VERSION
from igmu_data.rows.concept import concept_rows
from igmu_data.schema import SPLITS, Row, stored_columns
from igmu_data.stored import Stored, split_file, write_manifest, write_records
from igmu_data.taxonomy import ALL, RESTRICTED_DOMAIN, all_concepts, concept
from igmu_data.validate import require_valid

NOTEBOOKS: Final = Path(__file__).resolve().parents[1] / "notebooks"


def build(
    out: Path,
    *,
    only: Sequence[str] | None = None,
    images: str = "none",
    work: Path | None = None,
    world: bool | None = None,
    general: bool | None = None,
) -> list[Path]:
    """Build the dataset folders.

    Args:
        out: parent of `igmu/bench` and `igmu/bench-nsfw`.
        only: concept ids, in any order; None builds all, and is held to the ledger.
        images: source of the `image` column, `name` or `name:argument`. The restricted domain never gets images.
        work: where an image source keeps finished work; default `<out>/../work`.
        world: whether `igmu/bench` gets the miniature world; by default a build of all does, if the package holds it.
        general: whether it gets the general prompts; by default a build of all does.

    Returns:
        The folders that were written.

    Raises:
        CorpusError: rows that break the rules, published rows that are lost, a stale ledger, or a miniature world that
            was drawn for other rows.
    """
    asked = {concept(name).id for name in only} if only else set(all_concepts())
    chosen = [c for c in all_concepts().values() if c.id in asked]
    name, _, argument = images.partition(":")
    sources.row_images(name)  # a wrong name is told before the work
    if world is None:
        world = not only and _has_world()
    steps = Console(stderr=True)
    rows = {c.id: concept_rows(c) for c in track(chosen, "bench: prompts", console=steps)}
    if not only:
        ledger.require_kept(ledger.everything(rows))
    written = []
    for restricted in (False, True):
        mine = [c for c in chosen if (c.domain == RESTRICTED_DOMAIN) is restricted]
        if mine:
            found_images = ("none", "") if restricted else (name, argument)
            parts = _Parts(
                general=(not only if general is None else general) and not restricted, world=world and not restricted
            )
            target = out / card.REPO[restricted]
            _build_repo(
                target, {c.id: rows[c.id] for c in mine}, found_images, work or out.parent / "work", parts, steps
            )
            written.append(target)
    return written


def _has_world() -> bool:
    if not (there := corpus.available()):
        sys.stderr.write(f"without the sandbox: the package does not hold it yet. Make it: {corpus.MAKE}\n")
    return there


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a repository holds beside the rows of concepts."""

    general: bool
    world: bool


def _build_repo(
    target: Path,
    rows: Mapping[str, Sequence[Row]],
    images: tuple[str, str],
    work: Path,
    parts: _Parts,
    steps: Console,
) -> None:
    name, argument = images
    restricted = any(concept(c).domain == RESTRICTED_DOMAIN for c in rows)
    everything = [r for own in rows.values() for r in own]
    steps.print(f"{target.name}: checks of {len(everything):,} prompts")
    require_valid(everything)
    columns = stored_columns(everything, images=name != "none")
    given = sources.row_images(name).images(everything, argument, work=work)
    found = _by_concept(given, {r.id: r.concept for r in everything})
    with replaced(target) as folder:
        stored = []
        for item in track([concept(c) for c in rows], f"{target.name}: files", console=steps):
            found_images = found(item.id)
            for split in SPLITS:
                mine = [r for r in rows[item.id] if r.split == split]
                stored.append(write_split(folder, item.folder, split, mine, found_images, columns))
        found("the end of the rows")  # nothing may be left
        facts: dict[str, Any] = {"name": card.REPO[restricted], "version": VERSION, "images": name}
        facts |= {"n_rows": len(everything), "n_concepts": len(rows)}
        configs = corpus_configs(restricted, columns)
        whole, section = [c for c in configs if c.name == ALL], ""
        if parts.general:
            config, file = _general(folder)
            stored, configs, whole = [*stored, file], [*configs, config], [*whole, config]
            facts["n_general_rows"] = file.n_rows
        if parts.world:
            steps.print(f"{target.name}: miniature world")
            part = corpus.add(folder)
            stored, configs, whole = [*stored, *part.stored], [*configs, *part.configs], [*whole, *part.whole]
            section = card.world_section(part.rows, part.n_images)
            facts |= {"n_world_rows": len(part.rows), "n_labelled_images": sum(part.n_images.values())}
        front = card_yaml(stored, configs, header=card.header(everything, restricted=restricted))
        body = card.body(everything, columns, restricted=restricted, general=parts.general, miniature=section)
        (folder / "README.md").write_text(f"---\n{front}---\n\n{body}", encoding="utf-8")
        (folder / "eval.yaml").write_text(card.eval_yaml(everything, restricted=restricted), encoding="utf-8")
        write_croissant(folder, stored, whole, restricted=restricted)
        if not restricted:
            # The badge of each notebook opens it from here, in Colab.
            (folder / NOTEBOOKS.name).mkdir()
            for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
                shutil.copyfile(notebook, folder / NOTEBOOKS.name / notebook.name)
        write_manifest(folder, facts)


def _general(folder: Path) -> tuple[Config, Stored]:
    """Write the general prompts."""
    rows = prompts.general_rows()
    prompts.require_valid(rows)
    columns = prompts.columns_of(rows)
    kinds, split = prompts.features(columns), prompts.SPLIT
    records = [prompts.record(r, columns) for r in rows]
    stored = write_records(folder, split_file(GENERAL, split), records, kinds)
    return Config(GENERAL, {split: files_of(GENERAL, split)}, kinds), stored


def _by_concept(
    found_images: Iterator[sources.StoredImage], concept_of: Mapping[str, str]
) -> Callable[[str], dict[str, sources.StoredImage]]:
    """Images by row id, asked for concept by concept in the order of the rows: only one concept's are in memory.

    Raises:
        UnknownIdError: an image of a row that is not built.
        CorpusError: images that do not come in the order of the rows.
    """

    def owner(image: sources.StoredImage) -> str:
        if image.row_id not in concept_of:
            raise UnknownIdError(f"{image.origin}: an image of row {image.row_id!r}, which is not built.")
        return concept_of[image.row_id]

    groups = groupby(found_images, key=owner)
    waiting: list[tuple[str, dict[str, sources.StoredImage]]] = []
    passed: set[str] = set()

    def take(name: str) -> dict[str, sources.StoredImage]:
        if not waiting:
            waiting.extend((k, {p.row_id: p for p in group}) for k, group in islice(groups, 1))
        passed.add(name)
        if waiting and waiting[0][0] == name:
            return waiting.pop()[1]
        if waiting and waiting[0][0] in passed:
            raise CorpusError(f"images of {waiting[0][0]} come after those of {name}: a source follows the rows.")
        return {}

    return take


@exits_on_error
def main(
    out: Annotated[Path, typer.Option(help="Parent folder of igmu/bench and igmu/bench-nsfw.")] = Path("dist/hub"),
    only: Annotated[list[str] | None, typer.Option(help="Concept id (object/church); repeat for each.")] = None,
    images: Annotated[str, typer.Option(help="Source of images: none, folder:DIR, diffusers:MODEL.")] = "none",
    work: Annotated[Path | None, typer.Option(help="Where an image source keeps finished work.")] = None,
    world: Annotated[
        bool | None, typer.Option("--world/--no-world", help="With the sandbox; default in a build of all.")
    ] = None,
) -> None:
    """Build the corpus as Hub dataset folders."""
    for folder in build(out, only=only, images=images, work=work, world=world):
        typer.echo(folder)


if __name__ == "__main__":
    typer.run(main)
