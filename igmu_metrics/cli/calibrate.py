"""The command `igmu calibrate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.media import visible
from igmu_data.numerals import counted
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

    from igmu_metrics.cli._other_answers import Calibrated
    from igmu_metrics.detectors._calibrated import Calibration


def calibrate(
    data: Annotated[
        str,
        typer.Option(
            help="Labelled images: a CSV file of labels, a folder with a labels.csv, an ImageFolder, a Parquet "
            "file, a Hub id, or 'sandbox'."
        ),
    ],
    detector: Annotated[str, option("detector", "Detector to measure, such as clip, siglip:MODEL or sandbox.")],
    concept: Annotated[str, typer.Option(help="Concept that the detector looks for, such as object/church.")],
    out: Annotated[Path, typer.Option(help="The .json file to write, which igmu score accepts as --calibration.")],
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Fixed threshold, 0..1, whose error rates are measured on all images; default: choose the threshold "
            "on half of the images, and measure its error rates on the other half."
        ),
    ] = None,
    config: DatasetConfig = None,
    revision: DatasetRevision = None,
    split: Annotated[
        str | None, typer.Option(help="Split of the dataset; default: test, or the only split if there is just one.")
    ] = None,
    positive_label: PositiveLabel = None,
    label_column: LabelColumn = None,
    image_column: ImageColumn = "image",
    prompt_column: Annotated[
        str | None,
        typer.Option(
            help="Column that groups images by prompt, so that intervals count each prompt once; default: the "
            "'prompt' or 'id' column."
        ),
    ] = None,
    on_error: Annotated[
        str,
        option(
            "on_error",
            "What to do with unreadable images: stop with an error (raise), or leave them out and list them (skip).",
        ),
    ] = "raise",
    device: Device = None,
    batch_size: Annotated[int, option("batch_size")] = 16,
    precision: Annotated[str, option("precision")] = "fp32",
    cache: Annotated[bool, option("cache")] = True,
) -> Calibrated:
    """Measure how often a detector agrees with human labels, and choose its threshold."""
    from igmu_data import taxonomy
    from igmu_data.progress import bars
    from igmu_metrics.cli._other_answers import Calibrated
    from igmu_metrics.detectors._common import checked_threshold
    from igmu_metrics.evaluation import Evaluation
    from igmu_metrics.report import terminal as tables
    from igmu_metrics.training.calibration import Calibrating, chance

    judge = Evaluation(
        taxonomy.concept(concept).config,
        detector=detector,
        on_error=on_error,
        device=device,
        batch_size=batch_size,
        precision=precision,
        cache=cache,
    )
    calibrating = Calibrating(
        judge,
        data,
        threshold=None if threshold is None else checked_threshold(threshold, threshold),
        on_error=on_error,
        batch_size=batch_size,
        options={
            "config": config,
            "revision": revision,
            "split": split,
            "label_column": label_column,
            "positive_label": positive_label,
            "image_column": image_column,
            "prompt_column": prompt_column,
        },
    )
    with bars() as advance:
        found = calibrating.run(out, advance)
    for failure in found.failures:
        sys.stderr.write(visible(f"left out: {failure}") + "\n")
    for warning in found.warnings:
        sys.stderr.write(visible(f"warning: {warning}") + "\n")
    tables.show(_summary(found))
    if why := chance(found):
        say(f"{why[:1].upper()}{why[1:]}.")
    say(out)
    return Calibrated(out, found, why)


def _summary(found: Calibration) -> Table:
    from rich.table import Table

    title = f"{found.detector['detector']}: {found.concept} on {found.n_images:,} labelled images"
    table = Table("quantity", "value", "95% interval", "measured on", title=title, title_justify="left")
    for name in ("sensitivity", "specificity"):
        rate = getattr(found, name)
        low, high = rate.interval
        on = counted(rate.n_images, "image") if rate.n_images == rate.n_prompts else (
            f"{counted(rate.n_images, 'image')} of {counted(rate.n_prompts, 'prompt')}, equivalent to {rate.trials:.4g}"
        )  # fmt: skip
        table.add_row(name, f"{rate.value:.3f}", f"[{low:.3f}, {high:.3f}]", on)
    for name, index in (("Youden's J", found.youden), ("ROC AUC", found.auroc)):
        low, high = index.interval
        table.add_row(name, f"{index.value:.3f}", f"[{low:.3f}, {high:.3f}]", "all images" if name == "ROC AUC" else "")
    spent = sum(found.chosen_on.values())
    table.add_row("threshold", f"{found.threshold:.3f}", "", f"chosen on {spent:,} other images" if spent else "given")
    return table
