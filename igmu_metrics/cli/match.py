"""The command `igmu match`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.numerals import counted, rounding
from igmu_metrics.cli._common import Bench, Config, Revision, named_columns, say
from igmu_metrics.cli._json import noted

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Matched, MatchedFolder
    from igmu_metrics.images.matching import Matches

_SHOWN = 5
_FOREIGN = (
    "Such images can be scored only if the other model's images have the same seeds. Generate both models' images with "
    "the same seeds."
)
_ROUNDED = (
    "All of these seeds are rounded: {}. If a table rounded the seeds, export the table again with whole numbers, and "
    "use --replace. If the images were generated with the rounded seeds, they can be scored only if the other model's "
    "images have the same seeds."
)


def match(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...", help="Folders of images that a web UI or a script generated, one folder per model."
        ),
    ],
    config: Config,
    table: Annotated[
        Path | None,
        typer.Option(
            help="CSV or JSON Lines file with columns for file, prompt and seed; default: FOLDER/prompts.csv if it "
            "exists."
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=COLUMN,...",
            help="Names of the table's columns, if igmu does not recognize them: file=…,prompt=…,seed=….",
        ),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing",
            help="Accept a table that lists files missing from the folder, and a folder in which more images are left "
            "out than matched.",
        ),
    ] = False,
    seeds_in_order: Annotated[
        bool,
        typer.Option(
            "--seeds-in-order",
            help="Assign the seeds of the corpus row to images without a recorded seed, in the order of their file "
            "names.",
        ),
    ] = False,
    trust_table: Annotated[
        bool,
        typer.Option(
            "--trust-table",
            help="Accept a table that contradicts the prompts and seeds that many of the images record themselves.",
        ),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite the folder's metadata.jsonl if it already exists.")
    ] = False,
    bench: Bench = None,
    revision: Revision = None,
) -> Matched:
    """Find the prompt that each image was generated for, and write the metadata.jsonl that igmu score reads."""
    from igmu_data.errors import IgmuError, MetadataError
    from igmu_data.load import bench_rows
    from igmu_metrics.cli._other_answers import Matched
    from igmu_metrics.images import matching

    named = named_columns(columns)
    rows = bench_rows(config, bench=bench, revision=revision)
    told, wrong = [], list[IgmuError]()
    for folder in folders:
        try:
            found = matching.match(
                folder,
                rows,
                table=table,
                columns=named,
                seeds_in_order=seeds_in_order,
                allow_missing=allow_missing,
                trust_table=trust_table,
            )
            path = matching.write(folder, found, replacing=replace, allow_missing=allow_missing)
        except IgmuError as error:  # of this folder; the others are matched all the same
            wrong.append(error)
        else:
            told.append(_say(folder, found, path, config, len(rows)))
    answer = noted(Matched(told))
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        of = f"{len(wrong)} of the {len(folders)} folders could not be matched:"
        raise MetadataError("\n".join([of, *map(str, wrong)]))
    return answer


def _say(folder: Path, found: Matches, path: Path, config: str, n_prompts: int) -> MatchedFolder:
    from collections import Counter

    from igmu_metrics.cli._other_answers import Lost, MatchedFolder

    lost = [m for m in found if m.row is None]
    by = dict(Counter(m.how for m in found if m.row is not None).most_common())
    for how, n in by.items():
        say(f"{counted(n, 'image')} matched by {how}")
    for m in lost[:_SHOWN]:
        say(f"not matched: {m.path.relative_to(folder)}: {m.how}")
    if len(lost) > _SHOWN:
        say(f"not matched: {counted(len(lost) - _SHOWN, 'more image')} not listed here")
    say(*(f"missing: {place.name}" for place in found.missing[:_SHOWN]))
    if len(found.missing) > _SHOWN:
        say(f"missing: {counted(len(found.missing) - _SHOWN, 'more file')} listed in the table")
    prompts = {m.row.id for m in found if m.row is not None}
    say(f"{path}: matched {len(found) - len(lost):,} of {counted(len(found), 'image')} to prompts of {config}")
    say(f"{len(prompts):,} of the {n_prompts:,} prompts of {config} have an image")
    foreign = [m for m in found if m.row is not None and m.seed not in m.row.seeds]
    if foreign and (row := foreign[0].row) is not None:
        of, own = counted(len(foreign), "image"), ", ".join(map(str, row.seeds))
        rounded = [rounding([m.seed or 0], m.row.seeds) for m in foreign if m.row is not None]
        say(
            f"note: the corpus does not list the seeds of {of}; for example, seed {foreign[0].seed} of row {row.id} is "
            f"not among {own}. {_ROUNDED.format(rounded[0]) if all(rounded) else _FOREIGN}"
        )
    say(*(f"note: {note}" for note in found.notes))
    unmatched = [Lost(m.path, m.how) for m in lost]
    return MatchedFolder(
        path, len(found), by, unmatched, found.missing, len(prompts), n_prompts, len(foreign), found.notes
    )
