"""The command `igmu score`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from igmu_metrics.cli._common import Verbose, say, tell_cards, with_settings, write_cards

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Scored
    from igmu_metrics.evaluation import Evaluation
    from igmu_metrics.images.layouts import Model

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
    verbose: Verbose = False,
    **settings: Any,
) -> Scored:
    """Score unlearned models against the original on the same prompts and seeds."""
    from igmu_data.errors import InputError
    from igmu_data.files import owned
    from igmu_metrics.evaluation import Evaluation, output_paths
    from igmu_metrics.images.layouts import models
    from igmu_metrics.networks.loading import choice
    from igmu_metrics.networks.progress import bars
    from igmu_metrics.scale import cluster

    evaluation = Evaluation(**settings)
    if shard is not None:
        return _score_shard(evaluation, original, unlearned, out, shard)
    places = output_paths(out, unlearned, evaluation.config)
    before, *after = models(original, unlearned)
    paths = {model.name: path for model, path in zip(after, places, strict=True)}
    with owned(files=[path for path in places if path is not None]), bars() as advance:
        if choice("engine", engine, ENGINES) == "ray":
            if out is None or out.suffix == ".json":
                raise InputError("--engine ray needs --out, a folder for scorecards and for the tables of the workers.")
            found = cluster.run(evaluation, original, unlearned, out / _TABLES, workers=workers, advance=advance)
        else:
            found = evaluation.run(original, unlearned, advance)
        cards = write_cards(found, lambda card: paths[card.model])
    files = [paths[card.model] for card in cards]
    written = [path for path in files if path is not None]
    then = ["igmu", "report", *written, *_images(before, after)] if written else []
    return tell_cards(cards, files, then=then, verbose=verbose)


def _images(original: Model, unlearned: Sequence[Model]) -> list[str]:
    """The options of `igmu report` that say where the images are."""
    beside = original.folder.parent
    if all(model.folder == beside / model.name for model in (original, *unlearned)):
        return ["--images", str(beside)]
    drawn = [word for model in unlearned for word in ("--drawn", f"{model.name}={model.folder}")]
    return ["--original-images", str(original.folder), *drawn]


def _score_shard(
    evaluation: Evaluation, original: Path, unlearned: Sequence[Path], out: Path | None, shard: str
) -> Scored:
    from igmu_data.errors import InputError
    from igmu_data.files import require_writable
    from igmu_metrics.cli._card_answers import Scored
    from igmu_metrics.networks.progress import bars
    from igmu_metrics.scale import shards

    which = shards.parsed(shard)
    if out is None:
        raise InputError("--shard needs --out, the folder that gathers the tables of all shards.")
    require_writable(out)
    with bars() as advance:
        files = shards.look(evaluation, original, unlearned, which, out, advance)
    say(*files)
    return Scored(tables=files)
