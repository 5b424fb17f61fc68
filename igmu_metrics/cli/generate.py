"""The command `igmu generate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from igmu_data.media import shell, visible
from igmu_data.numerals import counted
from igmu_metrics.cli._common import Bench, Config, Device, Revision, say
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
    from igmu_metrics.cli._other_answers import Generated


def generate(
    model: Annotated[
        str,
        typer.Option(
            help="Model to generate with: a diffusers folder, a Hub id[@revision] or sandbox:VERSION. The prefixes "
            "filter:, negative-prompt: and safety-checker: turn the model into the baseline of that name."
        ),
    ],
    config: Config,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for the images and their metadata.jsonl; an interrupted run resumes from this folder."
        ),
    ],
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Split for which to generate images: forget, retain or adversarial; default: all splits. Repeat this "
            "option for each split."
        ),
    ] = None,
    protocol: Protocol = None,
    seeds_per_row: SeedsPerRow = None,
    bench: Bench = None,
    revision: Revision = None,
    batch_size: BatchSize = None,
    steps: Steps = None,
    guidance_scale: GuidanceScale = None,
    size: Size = None,
    dtype: Dtype = None,
    compile: Compile = None,
    device: Device = None,
    shard: Shard = None,
    engine: Engine = ENGINES[0],
    workers: Workers = None,
    method: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.yaml",
            help="File with the costs of the unlearning method (training time, GPU, data), for the scorecard.",
        ),
    ] = None,
    unet: Annotated[
        str | None,
        typer.Option(help="Replacement for the U-Net: a folder, or a file with some or all of the U-Net's tensors."),
    ] = None,
    transformer: Annotated[
        str | None, typer.Option(help="Replacement for the transformer (SD3, FLUX …): a folder or a tensor file.")
    ] = None,
    text_encoder: Annotated[
        str | None, typer.Option(help="Replacement for the text encoder: a folder or a tensor file.")
    ] = None,
    text_encoder_2: Annotated[
        str | None, typer.Option(help="Replacement for the second text encoder: a folder or a tensor file.")
    ] = None,
    text_encoder_3: Annotated[
        str | None, typer.Option(help="Replacement for the third text encoder (SD3): a folder or a tensor file.")
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Single-file checkpoint (CompVis layout) of the whole model; the configuration comes from --model."
        ),
    ] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE[:SCALE]", help="LoRA to merge into the model; repeat the option for each LoRA."),
    ] = None,
    embedding: Annotated[
        list[str] | None, typer.Option(help="Textual inversion file to load; repeat the option for each file.")
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="Variant of the model's weight files to read, such as fp16.")
    ] = None,
    pipeline: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:FUNCTION",
            help="Python function that takes the loaded pipeline and returns the pipeline to generate with.",
        ),
    ] = None,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Allow igmu to run the code given as --pipeline.")
    ] = False,
) -> Generated:
    """Generate images for the prompts of a config, for use with igmu score."""
    from dataclasses import replace
    from functools import partial

    from igmu_data.configs import config_target
    from igmu_data.files import require_writable
    from igmu_data.load import bench_rows
    from igmu_data.rows.rounds import rows_of
    from igmu_data.schema import SPLITS
    from igmu_metrics.cli._other_answers import Generated
    from igmu_metrics.images import method as costs
    from igmu_metrics.images import parts as parting
    from igmu_metrics.images import published
    from igmu_metrics.images.generate import draw, draw_part, requests_for, seeds_note, settled_alike, told
    from igmu_metrics.images.pipelines import find_pipeline, require_no_model
    from igmu_metrics.statistics.validation import one_of

    parts: dict[str, str | list[str] | None] = {
        "variant": variant,
        "checkpoint": checkpoint,
        "unet": unet,
        "transformer": transformer,
        "text_encoder": text_encoder,
        "text_encoder_2": text_encoder_2,
        "text_encoder_3": text_encoder_3,
        "lora": lora,
        "embedding": embedding,
        published.CODE: pipeline,
    }
    require_writable(out)
    require_no_model(out)
    over_ray, part = ray_wanted(engine, shard), parting.parsed(shard) if shard else None
    wanted = split or list(SPLITS)
    one_of("split", wanted, SPLITS)
    every = rows_of(protocol or "full", bench_rows(config, bench=bench, revision=revision).values())
    rows = [r for r in every if r.split in wanted]
    requests = requests_for(rows, seeds_per_row=seeds_per_row)
    find = partial(
        find_pipeline,
        published.join(model, parts),
        device=device,
        dtype=dtype or "fp32",
        trust_code=trust_code,
        target=config_target(config),
        compiled=bool(compile),
    )
    found = find()
    settings: dict[str, Any] = {"steps": steps, "guidance_scale": guidance_scale, "width": size, "height": size}
    how = settings | {"batch_size": batch_of(batch_size or "4"), "method": costs.read(method) if method else None}
    wanted_alike = settled_alike(requests, {found.name: found}, **settings)
    lines = filter(None, (told(wanted_alike), seeds_note(rows, requests)))
    sys.stderr.write(f"{visible(chr(10).join(lines), lines=True)}\n")
    if over_ray:
        from igmu_metrics.scale import cluster

        n_new = cluster.generate(find, requests, out, workers=workers, device=device, **how)
        done = replace(draw(requests, found, out, **how), n_drawn=n_new)  # only lists what the workers generated
    else:
        done = draw_part(requests, found, out, part, **how) if part else draw(requests, found, out, **how)
    place = parting.place(out, *part) if part else out
    say(f"{place}: {counted(len(done.files), 'image')}, {done.n_drawn:,} of them new, {len(done.failures):,} failed.")
    if part:
        say(f"When all parts are finished, run: {shell(['igmu', 'merge', out])}")
    failures = {f"{row}-{seed}": why for (row, seed), why in done.failures.items()}
    return Generated(place, len(done.files), done.n_drawn, failures)
