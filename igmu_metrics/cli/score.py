"""The command `igmu score`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from igmu_metrics.cli._common import say, with_settings, write_cards

if TYPE_CHECKING:
    from igmu_metrics.evaluation import Evaluation

ENGINES: Final = ("local", "ray")
_TABLES: Final = "tables"


@with_settings
def score(
    original: Annotated[
        Path, typer.Option(help="Folder of the original model's images, called by its last name, or NAME=FOLDER.")
    ],
    unlearned: Annotated[
        list[Path],
        typer.Option(help="Folder of an unlearned model's images, or NAME=FOLDER; repeat for several models."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Scorecard file, or a folder for several models; default: only print.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N", help="Process only part I of N and write its tables to the --out folder, for igmu merge."
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="|".join(ENGINES), help="Where to run: in this process, or in shards over Ray.")
    ] = ENGINES[0],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of Ray workers; default as many as the cluster has room for.")
    ] = None,
    **settings: Any,
) -> None:
    """Score unlearned models against the original on the same prompts and seeds."""
    from igmu_data.errors import InputError
    from igmu_data.files import owned
    from igmu_metrics.evaluation import Evaluation, output_paths
    from igmu_metrics.images.layouts import models
    from igmu_metrics.networks.loading import choice
    from igmu_metrics.networks.progress import bars
    from igmu_metrics.report import terminal as tables
    from igmu_metrics.scale import cluster

    evaluation = Evaluation(**settings)
    if shard is not None:
        _score_shard(evaluation, original, unlearned, out, shard)
        return
    places = output_paths(out, unlearned, evaluation.config)
    paths = {model.name: path for model, path in zip(models(original, unlearned)[1:], places, strict=True)}
    with owned(files=[path for path in places if path is not None]), bars() as advance:
        if choice("engine", engine, ENGINES) == "ray":
            if out is None or out.suffix == ".json":
                raise InputError("--engine ray needs --out, a folder for scorecards and for the tables of the workers.")
            found = cluster.run(evaluation, original, unlearned, out / _TABLES, workers=workers, advance=advance)
        else:
            found = evaluation.run(original, unlearned, advance)
        cards = write_cards(found, lambda card: paths[card.model])
    tables.show(*tables.scores(cards))


def _score_shard(
    evaluation: Evaluation, original: Path, unlearned: Sequence[Path], out: Path | None, shard: str
) -> None:
    from igmu_data.errors import InputError
    from igmu_data.files import require_writable
    from igmu_metrics.networks.progress import bars
    from igmu_metrics.scale import shards

    which = shards.parsed(shard)
    if out is None:
        raise InputError("--shard needs --out, the folder that gathers the tables of all shards.")
    require_writable(out)
    with bars() as advance:
        files = shards.look(evaluation, original, unlearned, which, out, advance)
    say(*files)
