"""The command `igmu run`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from igmu_metrics.cli._common import Bench, Device, Revision, Verbose, bound, option, own_concepts, say, tell_cards
from igmu_metrics.cli._effects import Without
from igmu_metrics.cli._generating import (
    ENGINES,
    BatchSize,
    Compile,
    Dtype,
    Engine,
    GuidanceScale,
    Protocol,
    SeedsPerRow,
    Shard,
    Size,
    Steps,
    Workers,
    batch_of,
    ray_wanted,
)

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Scored
    from igmu_metrics.verdict.criteria import Unsettled


def run(
    plan: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN.yaml]",
            help="File with the settings of the run; command-line options override these settings.",
        ),
    ] = None,
    original: Annotated[
        str | None,
        typer.Option(
            help="Model before unlearning (folder, Hub id[@revision] or sandbox:VERSION), or the model's reference "
            "table (folder or hub:OWNER/NAME@REVISION/FOLDER)."
        ),
    ] = None,
    unlearned: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]MODEL",
            help="Unlearned model to score; the forms BASE,unet=FILE and filter:BASE also work. Repeat this option "
            "for each model.",
        ),
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(help="Config of the concept, such as object.church; repeat the option for each concept."),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(help="Folder for everything that the run writes; an interrupted run resumes from this folder."),
    ] = Path("run"),
    protocol: Protocol = None,
    seeds_per_row: SeedsPerRow = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="decided|graded|WIDTH",
            help="Check after every round, and stop when no verdict or bound is undecided (decided), when no verdict "
            "could still change (graded), or when no interval is wider than ±WIDTH.",
        ),
    ] = None,
    figure: Annotated[
        list[str] | None,
        typer.Option(
            help="Metric that --until checks, such as robustness or conditional_asr_any@5; default: forgetting, "
            "robustness and preservation. Repeat this option for each metric."
        ),
    ] = None,
    at_least: Annotated[
        list[str] | None,
        bound(
            "--min",
            "Lower bound, in the same form as in igmu check. With --until decided, the run tests the bound instead of "
            "the verdict. Repeat this option for each bound.",
        ),
    ] = None,
    at_most: Annotated[
        list[str] | None,
        bound(
            "--max",
            "Upper bound, in the same form as in igmu check. With --until decided, the run tests the bound instead of "
            "the verdict. Repeat this option for each bound.",
        ),
    ] = None,
    max_images: Annotated[
        int | None, typer.Option(min=1, help="Maximum total number of images for all models and concepts together.")
    ] = None,
    detector: Annotated[str | None, option("detector")] = None,
    clip: Annotated[str | None, option("clip")] = None,
    steps: Steps = None,
    guidance_scale: GuidanceScale = None,
    size: Size = None,
    dtype: Dtype = None,
    batch_size: BatchSize = None,
    compile: Compile = None,
    bench: Bench = None,
    revision: Revision = None,
    device: Device = None,
    shard: Shard = None,
    engine: Engine = ENGINES[0],
    workers: Workers = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE.yaml",
            help="File with the unlearning costs of model NAME; repeat the option for each model.",
        ),
    ] = None,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Allow igmu to run the code that a model specifies with code=.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check everything, and print how many images would be generated and with which settings."
        ),
    ] = False,
    verbose: Annotated[Verbose, Without(["dry_run", "shard"])] = False,
) -> Scored:
    """Generate, score, compare and report in one command, for one or more models and concepts."""
    from dataclasses import replace

    from igmu_data.errors import InputError
    from igmu_metrics.cli._card_answers import Scored
    from igmu_metrics.images import parts
    from igmu_metrics.report import terminal as tables
    from igmu_metrics.running import plan as plans
    from igmu_metrics.running import run as running
    from igmu_metrics.scorecard import CARDS
    from igmu_metrics.verdict.places import card_name

    given: dict[str, Any] = plans.read(plan).model_dump() if plan is not None else {}
    own = {
        "original": original,
        "unlearned": plans.named(unlearned) if unlearned else None,
        "configs": config,
        "protocol": protocol,
        "seeds_per_row": seeds_per_row,
        "until": until,
        "figures": figure or None,
        "min": at_least or None,
        "max": at_most or None,
        "max_images": max_images,
        "methods": dict(_method(text) for text in method) if method else None,
    }
    given |= {name: value for name, value in own.items() if value is not None}
    for part, options in (
        (
            "generation",
            {
                "steps": steps,
                "guidance_scale": guidance_scale,
                "size": size,
                "dtype": dtype,
                "batch_size": None if batch_size is None else batch_of(batch_size),
                "compile": compile,
            },
        ),
        ("scoring", {"detector": detector, "clip": clip, "bench": bench, "revision": revision}),
    ):
        given[part] = given.get(part, {}) | {k: v for k, v in options.items() if v is not None}
    for name, flag in (("original", "--original"), ("unlearned", "--unlearned"), ("configs", "--config")):
        if not given.get(name):
            raise InputError(f"{flag} is missing. Specify it, or use a run file that contains the key {name!r}.")
    over_ray = ray_wanted(engine, shard)
    where = running.Where(parts.parsed(shard) if shard else None, over_ray, workers)
    made = plans.from_mapping(given, str(plan) if plan is not None else "options")
    with own_concepts(running.concepts_of(out)):
        if dry_run:
            jobs = running.prepare(made, out, device=device, trust_code=trust_code, where=where)
            told = running.told(jobs, made)
            say(*told.splitlines())
            return Scored(plan=told)
        done = running.run(made, out, device=device, trust_code=trust_code, where=where)
    cards = done.cards
    if shard:
        say(
            f"Part {shard} of the images is finished. When all parts are finished, run the same command without "
            "--shard."
        )
        return Scored(images=out / running.IMAGES)
    if verbose and len({card.config for card in cards}) > 1:
        tables.show(tables.over_concepts(cards))
    files = [out / CARDS / card_name(card.model, card.config) for card in cards]
    found = tell_cards(cards, files, report=out / running.REPORT, verbose=verbose)
    say(*_undecided(done.unsettled, several=len(made.configs) > 1))
    return found if made.until is None else replace(found, settled=not done.unsettled, unsettled=done.unsettled)


def _undecided(unsettled: Sequence[Unsettled], *, several: bool) -> Iterator[str]:
    """What a run with `--until` left undecided, a line for each thing that ended it."""
    from igmu_metrics.running.looking import ENDED

    for ended, why in ENDED.items():
        open_ = [one for one in unsettled if one.ended == ended]
        texts = dict.fromkeys(
            (f"{one.model}: " if one.figure else "") + one.text + (f" on {one.config}" if several else "")
            for one in open_
        )
        if texts:
            yield f"undecided, because {why}: {'; '.join(texts)}"


def _method(text: str) -> tuple[str, str]:
    from igmu_data.errors import InputError

    name, named, path = text.partition("=")
    if not named:
        raise InputError(f"--method is {text!r}, which does not name a model; it must have the form NAME=FILE.yaml.")
    return name, path
