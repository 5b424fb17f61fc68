"""The command `igmu generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from igmu_metrics.cli._common import Bench, Config, Device, Revision, option


def generate(
    model: Annotated[str, typer.Option(help="diffusers pipeline: folder, Hub id, id@revision or sandbox:VERSION.")],
    config: Config,
    out: Annotated[Path, typer.Option(help="Folder for the images and their metadata.jsonl; a restart resumes.")],
    split: Annotated[
        list[str] | None,
        typer.Option(help="Split to generate: forget, retain or adversarial; repeat for several; default all."),
    ] = None,
    seeds_per_row: Annotated[
        int | None, typer.Option(min=1, max=5, help="Number of seeds per prompt; default all of the row's.")
    ] = None,
    bench: Bench = None,
    revision: Revision = None,
    batch_size: Annotated[int, option("batch_size", "Images per batch on a GPU.")] = 4,
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps, overriding the rows'.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="Guidance scale, overriding the rows'.")] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="Image width and height in pixels, overriding the rows'.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="Number format of the model: fp32, bf16 or fp16.")] = "fp32",
    device: Device = None,
) -> None:
    """Generate images for the prompts of a config, ready for igmu score."""
    from igmu_data.load import bench_rows
    from igmu_data.schema import SPLITS
    from igmu_metrics.images.generate import draw, requests_for
    from igmu_metrics.images.pipelines import find_pipeline
    from igmu_metrics.statistics.validation import one_of

    wanted = split or list(SPLITS)
    one_of("split", wanted, SPLITS)
    rows = [r for r in bench_rows(config, bench=bench, revision=revision).values() if r.split in wanted]
    done = draw(
        requests_for(rows, seeds_per_row=seeds_per_row),
        find_pipeline(model, device=device, dtype=dtype),
        out,
        batch_size=batch_size,
        steps=steps,
        guidance_scale=guidance_scale,
        width=size,
        height=size,
    )
    typer.echo(f"{out}: {len(done.files)} images, {done.n_drawn} of them new, {len(done.failures)} failed.")
