"""What `igmu score` does with its options, whole or one part of n; and `igmu merge`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from igmu_metrics.evaluation import Evaluation


ENGINES = ("local", "ray")
TABLES = "tables"


def run(
    evaluation: Evaluation,
    original: Path,
    unlearned: Sequence[Path],
    out: Path | None,
    *,
    shard: str | None,
    engine: str,
    workers: int | None,
) -> None:
    """Score everything and write cards, or look at one part and write tables."""
    from igmu_data.errors import InputError
    from igmu_data.files import require_writable
    from igmu_metrics.evaluation import output_paths
    from igmu_metrics.networks.loading import choice
    from igmu_metrics.networks.progress import bars
    from igmu_metrics.report import terminal as tables
    from igmu_metrics.scale import cluster as distributed
    from igmu_metrics.scale import shards as sharding
    from igmu_metrics.scorecard import Stopwatch, write

    if shard is not None:
        which = sharding.parsed(shard)
        if out is None:
            raise InputError("--shard needs --out, the folder that gathers the tables of all shards.")
        require_writable(out)
        with bars() as advance:
            files = sharding.look(evaluation, original, unlearned, which, out, advance)
        typer.echo("\n".join(map(str, files)))
        return
    clock = Stopwatch()
    paths = {folder.name: path for folder, path in zip(unlearned, output_paths(out, unlearned), strict=True)}
    cards = []
    with bars() as advance:
        if choice("engine", engine, ENGINES) == "ray":
            if out is None or out.suffix == ".json":
                raise InputError("--engine ray needs --out, a folder for scorecards and for the tables of the workers.")
            found = distributed.run(evaluation, original, unlearned, out / TABLES, workers=workers, advance=advance)
        else:
            found = evaluation.run(original, unlearned, advance)
        for card in found:
            cards.append(card)
            if (path := paths[card.model]) is not None:
                write(card, path)
                clock.log(path, card.content_sha256)
    tables.show(*tables.scores(cards))


def merge(
    folder: Annotated[Path, typer.Argument(help="Folder with the tables of all shards.")],
    out: Annotated[Path | None, typer.Option(help="Folder for a scorecard a model.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …; default a GPU where there is one.")] = None,
) -> None:
    """Make scorecards of what igmu score --shard i/n looked at, without the pictures."""
    from igmu_data.files import require_writable
    from igmu_metrics.report import terminal as tables
    from igmu_metrics.scale import shards as sharding
    from igmu_metrics.scorecard import Stopwatch, write

    clock = Stopwatch()
    if out is not None:
        require_writable(out)
    cards = []
    for card in sharding.merge(folder, device=device):
        cards.append(card)
        if out is not None:
            write(card, path := out / f"{card.model}.json")
            clock.log(path, card.content_sha256)
    tables.show(*tables.scores(cards))
