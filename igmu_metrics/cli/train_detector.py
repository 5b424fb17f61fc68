"""The command `igmu train-detector`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.media import visible
from igmu_metrics.cli._common import (
    DatasetConfig,
    DatasetRevision,
    Device,
    ImageColumn,
    LabelColumn,
    PositiveLabel,
    option,
    say,
)

if TYPE_CHECKING:
    from rich.table import Table

    from igmu_metrics.cli._other_answers import Trained
    from igmu_metrics.training.card import HeadCard


def train_detector(
    data: Annotated[
        str, typer.Option(help="Labelled images: a folder (ImageFolder or Parquet), a Hub id, or 'sandbox'.")
    ],
    concept: Annotated[str, typer.Option(help="Concept that the detector looks for, such as object/church.")],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write, for use as --detector igmu-head:FILE.")],
    clip: Annotated[
        str | None,
        typer.Option(
            help="CLIP model that computes the features: folder, Hub id or 'sandbox'; default: ViT-B/32, or 'sandbox' "
            "for --data sandbox."
        ),
    ] = None,
    config: DatasetConfig = None,
    revision: DatasetRevision = None,
    positive_label: PositiveLabel = None,
    label_column: LabelColumn = None,
    image_column: ImageColumn = "image",
    test_split: Annotated[
        str,
        typer.Option(
            help="Split on which sensitivity and specificity are measured; this split is never used for training."
        ),
    ] = "test",
    validation_fraction: Annotated[
        float, typer.Option(help="Fraction of the train split, 0..1, that is held out to choose the threshold.")
    ] = 0.2,
    steps: Annotated[
        int,
        typer.Option(min=1, help="Number of training steps; each step uses 64 images, half of which show the concept."),
    ] = 1000,
    on_error: Annotated[
        str,
        option(
            "on_error",
            "What to do with unreadable images: stop with an error (raise), or leave them out and list them (skip).",
        ),
    ] = "raise",
    device: Device = None,
    batch_size: Annotated[int, option("batch_size", "Number of images in memory at once.")] = 32,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed for the training; the same seed gives the same file.")
    ] = 0,
) -> Trained:
    """Train a detector for a concept on labelled images. The detector's file also records the threshold,
    sensitivity and specificity."""
    from igmu_data.progress import bars
    from igmu_metrics.cli._other_answers import Trained
    from igmu_metrics.report import terminal as tables
    from igmu_metrics.training.run import HeadTraining

    training = HeadTraining(
        data=data,
        concept=concept,
        clip=clip,
        config=config,
        revision=revision,
        positive_label=positive_label,
        label_column=label_column,
        image_column=image_column,
        test_split=test_split,
        validation_fraction=validation_fraction,
        steps=steps,
        on_error=on_error,
        device=device,
        batch_size=batch_size,
        seed=seed,
    )
    with bars() as advance:
        card = training.run(out, advance)
    for split, failures in card.data.unreadable.items():
        for failure in failures:
            sys.stderr.write(visible(f"left out of {split}: {failure}") + "\n")
    for warning in card.warnings:
        sys.stderr.write(visible(f"warning: {warning}") + "\n")
    tables.show(_summary(card))
    say(out)
    return Trained(out, card)


def _summary(card: HeadCard) -> Table:
    from rich.table import Table

    table = Table("on test", "share", "95% interval", "images", title=f"{card.head}: {card.concept}")
    for name in ("accuracy", "sensitivity", "specificity"):
        share = getattr(card.test, name)
        low, high = share.interval
        table.add_row(name, f"{share.value:.3f}", f"[{low:.3f}, {high:.3f}]", str(share.n))
    table.add_row("auroc", f"{card.test.auroc:.3f}", "", "")
    table.add_row("threshold", f"{card.threshold:.3f}", "", "")
    return table
