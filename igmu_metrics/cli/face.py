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
        typer.Argument(metavar="FOLDER", help="Folder of five or more photographs, each showing only this person."),
    ],
    concept: Annotated[str, typer.Option(help="Concept of the person, such as identity/albert-einstein.")],
    network: Annotated[
        str, typer.Option(metavar="SPEC", help="Network of the features: onnx:FILE.onnx, clip:MODEL or dinov2:MODEL.")
    ],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write, for --detector face:FILE.")],
    public_figure: Annotated[
        bool,
        typer.Option(
            "--public-figure", help="Confirm that the photographs are licensed to you and show an adult public figure."
        ),
    ] = False,
    device: Device = None,
) -> Written:
    """Make a detector of a public figure from your licensed photographs; its file holds no image."""
    from igmu_data.errors import InputError
    from igmu_metrics.cli._other_answers import Written
    from igmu_metrics.detectors.face import make

    if not public_figure:
        raise InputError(
            "face detectors are made only from licensed photographs of an adult public figure. If yours are, confirm "
            "it with --public-figure."
        )
    made = make(folder, out, concept=concept, spec=network, device=device)
    say(f"{out}: {len(made.embeddings)} photographs of {made.concept}, threshold {made.threshold:.3f}.")
    return Written([out])
