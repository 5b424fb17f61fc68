"""The command `igmu import-prompts`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.media import shell
from igmu_data.numerals import counted
from igmu_metrics.cli._common import document, extensions, named_columns, pairs, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from igmu_data.imports.rows import Imported
    from igmu_metrics.cli._other_answers import ImportedList


def import_prompts(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="File with the list of prompts, exactly as it was published.")
    ],
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            help="Format of the list: hub, i2p, mace, six-cd, unlearndiffatk, text (one prompt per line) or csv.",
        ),
    ],
    license: Annotated[str, typer.Option(help="Licence under which the list was published.")],
    source: Annotated[str, typer.Option(help="Citation of the list, which is recorded in every row.")],
    concept: Annotated[str, typer.Option(help="Concept that the prompts test, such as object/church.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the corpus, which igmu generate and igmu score accept as --bench.")
    ],
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE",
            help="Import only records that have this value in this column. Repeat this option to narrow the selection "
            "further.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=COLUMN,...",
            help="Columns of a CSV file (--format csv) whose names differ from igmu's: "
            "prompt=…,seed=…,guidance_scale=…,width=…,height=…,language=….",
        ),
    ] = None,
    attack_family: Annotated[
        str | None,
        typer.Option(help="Attack family to assign to the prompts; default: none (plain prompts)."),
    ] = None,
    guidance_scale: Annotated[
        float | None,
        typer.Option(min=0.01, help="Guidance scale for prompts that do not specify one; default: the model's preset."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of denoising steps, which prompt lists do not specify; default: the model's preset."
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Width and height of the images in pixels (a single number) for prompts that do not specify a size; "
            "default: the model's preset.",
        ),
    ] = None,
) -> ImportedList:
    """Import a published list of prompts as a corpus folder. Prompts that break the content policy are not imported,
    only counted."""
    from igmu_data.imports.folder import require_vacant, write_folder
    from igmu_data.imports.rows import Drawing, import_prompts
    from igmu_metrics.cli._other_answers import ImportedList

    chosen = pairs("--where", where or [], "COLUMN=VALUE")
    named = named_columns(columns)
    require_vacant(out)
    found = import_prompts(
        path,
        format_name,
        concept_name=concept,
        license=license,
        source=source,
        where=chosen,
        columns=named,
        attack_family=attack_family,
        drawing=Drawing(guidance_scale, steps, size),
    )
    write_folder(out, found, path=path, format_name=format_name)
    for line in _summary(out, found):
        say(line)
    after = _next(out, found)
    document(f"next: {after}\n")
    return ImportedList(
        out,
        found.n_read,
        {split: sum(r.split == split for r in found.rows) for split in ("forget", "adversarial")},
        found.refused,
        found.n_refused,
        found.n_unselected,
        found.n_duplicates,
        found.n_naming,
        after,
    )


def _summary(out: Path, found: Imported) -> Iterator[str]:
    """What was imported and what was not; refused prompts are never shown."""
    first = found.rows[0]
    n = {s: sum(r.split == s for r in found.rows) for s in ("forget", "adversarial")}
    splits = ", ".join(counted(count, f"{split} row") for split, count in n.items() if count)
    yield f"{out}: {splits} from {counted(found.n_read, 'prompt')}."
    if found.n_unselected:
        yield f"excluded by --where: {found.n_unselected:,}"
    if found.n_refused:
        counts = ", ".join(f"{reason} {count:,}" for reason, count in found.refused.items())
        yield f"refused: {found.n_refused:,} ({counts})"
    if found.n_duplicates:
        yield f"duplicates left out: {found.n_duplicates:,}"
    if found.n_seeds_left_out:
        yield f"seeds left out because a prompt has more than five: {found.n_seeds_left_out:,}"
    yield f"rows that name {first.concept}: {found.n_naming:,} of {len(found.rows):,}"
    seeds = ", ".join(f"{k} ({counted(count, 'row')})" for k, count in found.n_published_seeds.items())
    yield f"published seeds per row: {seeds}; the remaining seeds, up to five, are derived from the prompt"


def _next(out: Path, found: Imported) -> str:
    """The command that generates for the list."""
    first = found.rows[0]
    config = first.concept.replace("/", ".")
    only = next(iter(found.n_published_seeds)) if len(found.n_published_seeds) == 1 else 0
    draw = ("--seeds-per-row", only) if 0 < only < len(first.seeds) else ()
    where = ("--config", config, "--bench", out, *draw, *extensions())
    return shell(("igmu", "generate", "--model", "MODEL", *where, "--out", "FOLDER"))
