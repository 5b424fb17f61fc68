"""The command `igmu face`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_metrics.cli._common import Device, say

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Written


def face(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Folder of at least five photographs, each of which shows only the public figure."
        ),
    ],
    concept: Annotated[str, typer.Option(help="Id of the person's concept, such as identity/albert-einstein.")],
    network: Annotated[
        str,
        typer.Option(
            metavar="SPEC", help="Network that computes the features: onnx:FILE.onnx, clip:MODEL or dinov2:MODEL."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write, for use as --detector face:FILE.")],
    public_figure: Annotated[
        bool,
        typer.Option(
            "--public-figure",
            help="Confirm that you have a licence for the photographs and that they show an adult public figure.",
        ),
    ] = False,
    device: Device = None,
) -> Written:
    """Make a detector for a public figure from photographs that you are licensed to use. The detector's file contains
    no images."""
    from igmu_data.errors import InputError
    from igmu_metrics.cli._other_answers import Written
    from igmu_metrics.detectors.face import make

    if not public_figure:
        raise InputError(
            "face detectors may only be made from licensed photographs of an adult public figure. If your photographs "
            "meet this condition, confirm it with --public-figure."
        )
    made = make(folder, out, concept=concept, spec=network, device=device)
    say(f"{out}: {len(made.embeddings)} photographs of {made.concept}, threshold {made.threshold:.3f}.")
    return Written([out])
