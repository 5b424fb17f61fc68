"""The command `igmu import-head`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_metrics.cli._common import say

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Written


def import_head(
    path: Annotated[
        Path,
        typer.Argument(metavar="FILE.pth", help="A classifier_head.pth file of the IGMU reference implementation."),
    ],
    concept: Annotated[str, typer.Option(help="Concept that the head detects, such as object/church.")],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write, for use as --detector igmu-head:FILE.")],
    present_class: Annotated[
        int | None,
        typer.Option(
            help="Index (0 or 1) of the class for images that show the concept; required if igmu does not know this "
            "index for the concept."
        ),
    ] = None,
) -> Written:
    """Convert a published IGMU detector head to safetensors without running any code from its file."""
    from igmu_data import taxonomy
    from igmu_metrics.cli._other_answers import Written
    from igmu_metrics.detectors.igmu_head import import_pth

    import_pth(path, out, concept=taxonomy.concept(concept).id, present_class=present_class)
    say(out)
    return Written([out])
