"""`python -m builders.bench --out dist/hub`: builds the corpus as Hub folders, `igmu/bench` and `igmu/bench-nsfw`.

Every concept's rows are made, checked together, and written with Parquet, card, `eval.yaml`, Croissant and manifest.
A folder appears complete or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Annotated, Any

import typer

from builders import card, sources
from builders.attacks import adversarial_rows
from builders.croissant import write_croissant
from builders.hubfolder import card_yaml, replaced, write_manifest, write_split
from builders.prompts import VERSION, forget_rows, retain_rows
from igmu_data.errors import CorpusError, InputError, UnknownIdError, exits_on_error
from igmu_data.schema import SPLITS, Row
from igmu_data.taxonomy import RESTRICTED_DOMAIN, Concept, all_concepts, concept
from igmu_data.validate import require_valid


def concept_rows(item: Concept) -> list[Row]:
    """All rows of one concept: forget, retain, adversarial."""
    planned = forget_rows(item)
    return [p.row for p in planned] + retain_rows(item) + adversarial_rows(item, planned)


def build(
    out: Path, *, only: Sequence[str] | None = None, images: str = "none", work: Path | None = None
) -> list[Path]:
    """Build the dataset folders.

    Args:
        out: parent of `igmu/bench` and `igmu/bench-nsfw`.
        only: concept ids, in any order; None builds all.
        images: source of the `image` column, `name` or `name:argument`. The restricted domain never gets pictures.
        work: where an image source keeps finished work; default `<out>/../work`.

    Returns:
        The folders that were written.
    """
    asked = {concept(name).id for name in only} if only else set(all_concepts())
    chosen = [c for c in all_concepts().values() if c.id in asked]
    written = []
    for restricted in (False, True):
        mine = [c for c in chosen if (c.domain == RESTRICTED_DOMAIN) is restricted]
        if mine:
            source = "none" if restricted else images
            target = out / card.REPO[restricted]
            _build_repo(target, mine, restricted=restricted, images=source, work=work or out.parent / "work")
            written.append(target)
    return written


def _build_repo(target: Path, items: Sequence[Concept], *, restricted: bool, images: str, work: Path) -> None:
    import datasets
    from rich.console import Console
    from rich.progress import track

    datasets.disable_progress_bars()  # one bar for the whole build instead of one a file
    name, _, argument = images.partition(":")
    source = sources.load(name)
    if not hasattr(source, "images"):
        raise InputError(f"image source {name!r} gives labelled pictures for detectors, and none for the rows.")
    steps = Console(stderr=True)
    rows = {c.id: concept_rows(c) for c in track(items, f"{target.name}: prompts", console=steps)}
    everything = [r for own in rows.values() for r in own]
    require_valid(everything)
    found = _by_concept(source.images(everything, argument, work=work), {r.id: r.concept for r in everything})
    with replaced(target) as folder:
        stored = []
        for item in track(items, f"{target.name}: files", console=steps):
            pictures = found(item.id)
            for split in SPLITS:
                own = [r for r in rows[item.id] if r.split == split]
                stored.append(write_split(folder, item, split, own, pictures))
        found("the end of the rows")  # nothing may be left
        front = card_yaml(stored, restricted=restricted, header=card.header(everything, restricted=restricted))
        text = f"---\n{front}---\n\n{card.body(everything, restricted=restricted)}"
        (folder / "README.md").write_text(text, encoding="utf-8")
        (folder / "eval.yaml").write_text(card.eval_yaml(everything, restricted=restricted), encoding="utf-8")
        write_croissant(folder, stored, restricted=restricted)
        facts: dict[str, Any] = {"name": card.REPO[restricted], "version": VERSION, "images": name}
        write_manifest(folder, facts | {"n_rows": len(everything), "n_concepts": len(items)})


def _by_concept(
    pictures: Iterator[sources.Picture], concept_of: Mapping[str, str]
) -> Callable[[str], dict[str, sources.Picture]]:
    """Pictures by row id, asked for concept by concept in the order of the rows: only one concept's are in memory.

    Raises:
        UnknownIdError: a picture of a row that is not built.
        CorpusError: pictures that do not come in the order of the rows.
    """

    def owner(picture: sources.Picture) -> str:
        if picture.row_id not in concept_of:
            raise UnknownIdError(f"{picture.origin}: a picture of row {picture.row_id!r}, which is not built.")
        return concept_of[picture.row_id]

    groups = groupby(pictures, key=owner)
    waiting: list[tuple[str, dict[str, sources.Picture]]] = []
    passed: set[str] = set()

    def take(name: str) -> dict[str, sources.Picture]:
        if not waiting:
            waiting.extend((k, {p.row_id: p for p in group}) for k, group in islice(groups, 1))
        passed.add(name)
        if waiting and waiting[0][0] == name:
            return waiting.pop()[1]
        if waiting and waiting[0][0] in passed:
            raise CorpusError(f"pictures of {waiting[0][0]} come after those of {name}: a source follows the rows.")
        return {}

    return take


@exits_on_error
def main(
    out: Annotated[Path, typer.Option(help="Parent folder of igmu/bench and igmu/bench-nsfw.")] = Path("dist/hub"),
    only: Annotated[list[str] | None, typer.Option(help="Concept id (object/church); repeat for several.")] = None,
    images: Annotated[str, typer.Option(help="Source of pictures: none, folder:DIR, diffusers:MODEL.")] = "none",
    work: Annotated[Path | None, typer.Option(help="Where an image source keeps finished work.")] = None,
) -> None:
    """Build the corpus as Hub dataset folders."""
    for folder in build(out, only=only, images=images, work=work):
        typer.echo(folder)


if __name__ == "__main__":
    typer.run(main)
