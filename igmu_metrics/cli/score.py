"""The command `igmu score`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from igmu_metrics.cli._common import Verbose, extensions, option, say, tell_cards, with_settings, write_cards
from igmu_metrics.cli._effects import Without
from igmu_metrics.cli._generating import ENGINES, Engine, Workers, ray_wanted
from igmu_metrics.settings import options

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Scored
    from igmu_metrics.evaluation import Evaluation
    from igmu_metrics.images.layouts import Model
    from igmu_metrics.scorecard import Scorecard

_TABLES: Final = "tables"


@with_settings
def score(
    original: Annotated[
        Path,
        typer.Option(
            help="Images of the original model (FOLDER or NAME=FOLDER), or the model's reference table (folder or "
            "hub:OWNER/NAME@REVISION/FOLDER)."
        ),
    ],
    unlearned: Annotated[
        list[Path],
        typer.Option(help="Images of an unlearned model, as FOLDER or NAME=FOLDER; repeat the option for each model."),
    ],
    detector: Annotated[
        list[str] | None,
        option("detector", f"{options()['detector'].help} Repeat this option to compare several detectors."),
    ] = None,
    calibration: Annotated[
        list[str] | None,
        option("calibration", f"{options()['calibration'].help} Repeat this option for each detector."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Scorecard file to write, or a folder for several models or detectors; default: only print results."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Score only part I of N of the images, and write the tables of this part to --out, for igmu merge.",
        ),
    ] = None,
    engine: Engine = ENGINES[0],
    workers: Workers = None,
    verbose: Annotated[Verbose, Without(["shard"])] = False,
    **settings: Any,
) -> Scored:
    """Score unlearned models against the original on the same prompts and seeds."""
    from igmu_data.errors import InputError
    from igmu_data.files import owned
    from igmu_data.progress import bars
    from igmu_metrics.images.layouts import models
    from igmu_metrics.report import terminal as tables
    from igmu_metrics.scale import cluster
    from igmu_metrics.verdict import agreement
    from igmu_metrics.verdict.places import output_paths

    over_ray = ray_wanted(engine, shard)
    evaluation, *also = agreement.panel(detector or [], calibration or [], settings)
    if also and (shard is not None or over_ray):
        raise InputError(
            f"--shard and --engine ray support only one detector, but {1 + len(also)} are given. Specify only one "
            "--detector, or omit --shard and --engine."
        )
    if also and out is not None and out.suffix == ".json":
        raise InputError(
            f"--out {out} is a file, but a separate scorecard is written for each of the {1 + len(also)} detectors. "
            "Specify a folder."
        )
    if shard is not None:
        return _score_shard(evaluation, original, unlearned, out, shard)
    homes = [out and out / name for name in agreement.folder_names(detector or [])] if also else [out]
    each = [output_paths(home, unlearned, evaluation.config) for home in homes]
    before, *after = models(original, unlearned)
    places = {model.name: iter(of_model) for model, of_model in zip(after, zip(*each, strict=True), strict=True)}
    with owned(files=[path for home in each for path in home if path is not None]), bars() as advance:
        if over_ray:
            if out is None or out.suffix == ".json":
                raise InputError("--engine ray requires --out, a folder for the scorecards and the workers' tables.")
            found = cluster.run(evaluation, original, unlearned, out / _TABLES, workers=workers, advance=advance)
        else:
            found = evaluation.run(original, unlearned, advance, also)
        files: list[Path | None] = []

        def place(card: Scorecard) -> Path | None:
            files.append(next(places[card.model], None))
            return files[-1]

        cards = write_cards(found, place)
    written = [path for path in files if path is not None]
    corpus = [word for name in ("bench", "revision") if (v := getattr(evaluation, name)) for word in (f"--{name}", v)]
    then = ["igmu", "report", *written, *_images(before, after), *corpus, *extensions()] if written else []
    if also:
        tables.show(*tables.agreement(cards))
    return tell_cards(cards, files, then=then, verbose=verbose)


def _images(original: Model, unlearned: Sequence[Model]) -> list[str]:
    """The options of `igmu report` that say where the images are."""
    beside = original.folder.parent
    if all(model.folder == beside / model.name for model in (original, *unlearned)):
        return ["--images", str(beside)]
    drawn = [word for model in unlearned for word in ("--model-images", f"{model.name}={model.folder}")]
    return ["--original-images", str(original.folder), *drawn]


def _score_shard(
    evaluation: Evaluation, original: Path, unlearned: Sequence[Path], out: Path | None, shard: str
) -> Scored:
    from igmu_data.errors import InputError
    from igmu_data.files import require_writable
    from igmu_data.progress import bars
    from igmu_metrics.cli._card_answers import Scored
    from igmu_metrics.images import parts
    from igmu_metrics.scale import shards

    which = parts.parsed(shard)
    if out is None:
        raise InputError("--shard requires --out, the folder in which the tables of all shards are collected.")
    require_writable(out)
    with bars() as advance:
        files = shards.look(evaluation, original, unlearned, which, out, advance)
    say(*files)
    return Scored(tables=files)
