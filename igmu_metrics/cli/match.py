"""The command `igmu match`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_metrics.cli._common import Bench, Config, Revision, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from igmu_metrics.images.matching import Match

_SHOWN = 5


def match(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER...", help="Images of one model each, from a web UI or a script."),
    ],
    config: Config,
    table: Annotated[
        Path | None,
        typer.Option(help="CSV or JSON lines with columns for file, prompt and seed; default FOLDER/prompts.csv."),
    ] = None,
    seeds_in_order: Annotated[
        bool,
        typer.Option(
            "--seeds-in-order", help="Give images that tell no seed their row's seeds, in the order of their names."
        ),
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Write metadata.jsonl anew if there is one.")] = False,
    bench: Bench = None,
    revision: Revision = None,
) -> None:
    """Find which prompt of a config each image was generated for; writes the metadata.jsonl that igmu score reads."""
    from igmu_data.load import bench_rows
    from igmu_metrics.images import matching

    rows = bench_rows(config, bench=bench, revision=revision)
    for folder in folders:
        found = matching.match(folder, rows, table=table, seeds_in_order=seeds_in_order)
        path = matching.write(folder, found, replacing=replace)
        _say(folder, found, path, config)


def _say(folder: Path, found: Sequence[Match], path: Path, config: str) -> None:
    from collections import Counter

    lost = [m for m in found if m.row is None]
    for how, n in Counter(m.how for m in found if m.row is not None).most_common():
        say(f"{n} images by {how}")
    for m in lost[:_SHOWN]:
        say(f"not matched: {m.path.relative_to(folder)}: {m.how}")
    if len(lost) > _SHOWN:
        say(f"not matched: {len(lost) - _SHOWN} more")
    say(f"{path}: {len(found) - len(lost)} of {len(found)} images of {config}")
