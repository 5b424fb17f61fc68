"""The command `igmu match`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_metrics.cli._common import Bench, Config, Revision, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from igmu_metrics.cli._other_answers import Matched, MatchedFolder
    from igmu_metrics.images.matching import Match

_SHOWN = 5


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
    seeds_in_order: Annotated[
        bool,
        typer.Option(
            "--seeds-in-order",
            help="Give images without a recorded seed the seeds of their corpus row, in order of file name.",
        ),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite the folder's metadata.jsonl if it already exists.")
    ] = False,
    bench: Bench = None,
    revision: Revision = None,
) -> Matched:
    """Find the prompt that each image was generated for, and write the metadata.jsonl that igmu score reads."""
    from igmu_data.load import bench_rows
    from igmu_metrics.cli._other_answers import Matched
    from igmu_metrics.images import matching

    rows = bench_rows(config, bench=bench, revision=revision)
    told = []
    for folder in folders:
        found = matching.match(folder, rows, table=table, seeds_in_order=seeds_in_order)
        path = matching.write(folder, found, replacing=replace)
        told.append(_say(folder, found, path, config))
    return Matched(told)


def _say(folder: Path, found: Sequence[Match], path: Path, config: str) -> MatchedFolder:
    from collections import Counter

    from igmu_metrics.cli._other_answers import Lost, MatchedFolder

    lost = [m for m in found if m.row is None]
    by = dict(Counter(m.how for m in found if m.row is not None).most_common())
    for how, n in by.items():
        say(f"{n} images matched by {how}")
    for m in lost[:_SHOWN]:
        say(f"not matched: {m.path.relative_to(folder)}: {m.how}")
    if len(lost) > _SHOWN:
        say(f"not matched: {len(lost) - _SHOWN} more images")
    say(f"{path}: matched {len(found) - len(lost)} of {len(found)} images to prompts of {config}")
    return MatchedFolder(path, len(found), by, [Lost(m.path, m.how) for m in lost])
