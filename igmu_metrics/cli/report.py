"""The command `igmu report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from igmu_metrics.cli._common import Bench, Cards, Revision, option, say
from igmu_metrics.cli._effects import With

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Written

_OF_IMAGES: Final = With(["images", "model_images", "original_images"])


def report(
    cards: Cards,
    images: Annotated[
        Path | None, typer.Option(help="Folder with one subfolder of images per model, named after the model.")
    ] = None,
    model_images: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=DIR",
            help="Folder of one model's images, if it is not in --images; repeat the option for each model.",
        ),
    ] = None,
    original_images: Annotated[
        Path | None,
        typer.Option(help="Folder of the original model's images or of its reference table, if it is not in --images."),
    ] = None,
    out: Annotated[Path, typer.Option(help="HTML file to write; an earlier report is replaced.")] = Path("report.html"),
    beside: Annotated[
        bool | None,
        typer.Option(
            "--beside/--one-file",
            help="Store the images in a folder next to the page, or in the page itself; default: in the page, if "
            "there are at most 4,500 images.",
        ),
        _OF_IMAGES,
    ] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.csv",
            help="Labels that a person assigned to the images, exported from the report's audit view; repeat for a "
            "second person, to measure the agreement of the two people and to resolve disagreements.",
        ),
        _OF_IMAGES,
    ] = None,
    lines: Annotated[
        int,
        typer.Option(min=1, help="Maximum number of images to show per concept, worst failures first."),
        _OF_IMAGES,
    ] = 500,
    layout: Annotated[
        str | None, option("layout", "Layout of the image folders; default: the layout used for scoring."), _OF_IMAGES
    ] = None,
    bench: Annotated[Bench, _OF_IMAGES] = None,
    revision: Annotated[Revision, _OF_IMAGES] = None,
) -> Written:
    """Write an HTML report on what each model has forgotten, how robust the forgetting is, what else was damaged, and
    which differences are significant."""
    from igmu_data.errors import InputError
    from igmu_data.files import require_writable
    from igmu_data.progress import bars
    from igmu_metrics.cli._other_answers import Written
    from igmu_metrics.copied import copies
    from igmu_metrics.coverage import by_model, failures
    from igmu_metrics.report import page
    from igmu_metrics.report.folders import sections
    from igmu_metrics.report.templates import require_page
    from igmu_metrics.verdict.verify import read_all

    elsewhere = {}
    for given in model_images or []:
        name, equals, folder = given.partition("=")
        if not (name and equals and folder):
            raise InputError(
                f"--model-images is {given!r}; it must have the form NAME=DIR, such as --model-images esd=images/esd."
            )
        elsewhere[name] = Path(folder)
    require_writable(out.parent)
    require_page(out)
    found = sections(
        read_all(cards),
        images=images,
        drawn=elsewhere,
        original_images=original_images,
        layout=layout,
        bench=bench,
        revision=revision,
        labels=labels or (),
    )
    with bars() as advance:
        said = page.write(out, *found, most_lines=lines, beside=beside, advance=advance)
    say(said)
    for section in found:
        unlearned = [card for card in section.cards if card.model != card.original_model]
        told = by_model(((card.model, f"note: {text}") for card in unlearned for text in card.notes), len(unlearned))
        lines_of = (*failures(unlearned), *(f"{models}: {text}" if models else text for text, models in told))
        lines_of += tuple(f"note: {text}" for text in copies(unlearned))
        say(*(f"{unlearned[0].config}: {line}" if len(found) > 1 else line for line in lines_of))
    return Written([out])
