"""Options that commands which generate images share: how much of the corpus, with which settings, and where."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from igmu_metrics.cli._effects import With

ENGINES: Final = ("local", "ray")
NO_SCORE: Final = "With 1, there is no forget score, because its quality aspect compares two images of a prompt."


def ray_wanted(engine: str, shard: str | None) -> bool:
    """Whether Ray is to run the work.

    Raises:
        InputError: an unknown engine, or Ray together with --shard.
    """
    from igmu_data.errors import InputError
    from igmu_metrics.networks.loading import choice

    wanted = choice("engine", engine, ENGINES) == "ray"
    if wanted and shard is not None:
        raise InputError(
            f"--shard {shard} and --engine ray are both given, but Ray divides the work itself. Omit one of them."
        )
    return wanted


def batch_of(given: str) -> int | str:
    """The value of `--batch-size`.

    Raises:
        InputError: neither `auto` nor a whole number of at least 1.
    """
    from igmu_data.errors import InputError

    if given == "auto":
        return given
    if not given.isascii() or not given.isdigit() or int(given) < 1:
        raise InputError(f"--batch-size is {given!r}; it must be auto or a whole number of at least 1.")
    return int(given)


def seeds_per_row(default: str) -> Any:
    """The option `--seeds-per-row`.

    Args:
        default: what happens without it.
    """
    return typer.Option(
        min=1,
        max=5,
        help=f"Number of images per prompt, each with its own seed, 1 to 5; default: {default}. {NO_SCORE}",
    )


SeedsPerRow = Annotated[int | None, seeds_per_row("one for each of the five seeds in the corpus")]
Protocol = Annotated[
    str | None,
    typer.Option(
        metavar="lite|full|N",
        help="Part of the corpus to use: full (default), lite (a fifth), or N for the first N of its 10 rounds.",
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        min=1, help="Number of denoising steps; default: the value in the corpus, if any, or the model's preset."
    ),
]
GuidanceScale = Annotated[
    float | None,
    typer.Option(min=0, help="Guidance scale; default: the value in the corpus, if any, or the model's preset."),
]
Size = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Width and height of the images in pixels; default: the values in the corpus, if any, or the model's "
        "preset.",
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Generate only part I of N of the images (divided by prompt), in a separate subfolder of --out.",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        metavar="|".join(ENGINES), help="Where to run the computation: in this process (local) or on Ray workers (ray)."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Maximum number of Ray workers; default: one per GPU or, without GPUs, as many as the cluster can run.",
    ),
    With(["engine=ray"]),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="Numerical precision of the models: float32 (default), bfloat16 or float16; fp32, bf16 and fp16 also work."
    ),
]
BatchSize = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto",
        help="Number of images per call on a GPU, or auto for as many as fit in its memory; default: 4.",
    ),
]
Compile = Annotated[
    bool | None,
    typer.Option(
        "--compile",
        help="Compile the denoiser first; generation is then faster on a GPU, but results differ by rounding.",
    ),
]
