"""The command `igmu original`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from igmu_metrics.cli._common import document, extensions, option, say, with_settings
from igmu_metrics.cli._generating import GuidanceScale, Protocol, SeedsPerRow, Size, Steps
from igmu_metrics.settings import options, unrecorded

if TYPE_CHECKING:
    from igmu_metrics.cli._other_answers import Written
    from igmu_metrics.settings import Settings


@with_settings
def original(
    base: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|FOLDER",
            help="Model before unlearning (anything that 'igmu generate --model' accepts), or a folder of its images.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Dataset folder for the reference table; nsfw configs go to a second folder with -nsfw "
            "appended to its name."
        ),
    ],
    detector: Annotated[
        list[str] | None,
        option("detector", f"{options()['detector'].help} Repeat this option to record several detectors."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the model in tables and scorecards; default: the name of the folder or model."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder in which to keep the generated images; default: the images are not kept."),
    ] = None,
    protocol: Protocol = None,
    seeds_per_row: SeedsPerRow = None,
    steps: Steps = None,
    guidance_scale: GuidanceScale = None,
    size: Size = None,
    dtype: Annotated[
        str | None, typer.Option(help="Numerical precision of the model: fp32 (default), bf16 or fp16.")
    ] = None,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Allow igmu to run the code that the model specifies with code=.")
    ] = False,
    **settings: Any,
) -> Written:
    """Record a reference table for an original model, so that others can score against the model without its images.

    The table contains the outputs of the detector and of other networks, but no images and no prompts. igmu score,
    run, report and verify accept the table as --original (or --original-images), from a local folder or from the Hub
    (hub:OWNER/NAME@REVISION/FOLDER).
    """
    from contextlib import ExitStack
    from tempfile import TemporaryDirectory

    from igmu_data.errors import InputError
    from igmu_data.files import require_writable
    from igmu_data.media import shell
    from igmu_data.progress import bars
    from igmu_metrics.cli._other_answers import Written
    from igmu_metrics.images.layouts import METADATA, Model
    from igmu_metrics.running.plan import named
    from igmu_metrics.scale import originals
    from igmu_metrics.verdict import agreement

    calibration = settings.pop("calibration")
    evaluation, *also = agreement.panel(detector or [], [calibration] if calibration else [], settings)
    require_writable(originals.home(out, evaluation.config))
    with ExitStack() as held:
        if (Path(base) / METADATA).is_file():
            generating = {
                "images": images,
                "protocol": protocol,
                "seeds-per-row": seeds_per_row,
                "steps": steps,
                "guidance-scale": guidance_scale,
                "size": size,
                "dtype": dtype,
                "trust-code": trust_code or None,
            }
            for option_name, value in generating.items():
                if value is not None:
                    raise InputError(
                        f"--{option_name} {value} affects only how images are generated, but {base} already contains "
                        f"images. Omit --{option_name}."
                    )
            model = Model.of(Path(base)) if name is None else Model(name, Path(base))
        else:
            if images is None:
                images = Path(held.enter_context(TemporaryDirectory(prefix="igmu-")))
            originals.drawn(
                evaluation,
                base,
                images,
                protocol=protocol or "full",
                seeds_per_row=seeds_per_row,
                dtype=dtype or "fp32",
                trust_code=trust_code,
                also=also,
                batch_size=4,
                steps=steps,
                guidance_scale=guidance_scale,
                width=size,
                height=size,
            )
            model = Model(next(iter(named([base]))) if name is None else name, images)
        advance = held.enter_context(bars())
        path = originals.record(evaluation, model, out, advance, also)
    say(f"{path}: {path.stat().st_size / 1e6:.2g} MB")
    told = shell(["--config", evaluation.config, *_settings(evaluation, detector or []), *extensions()])
    after = f"igmu score {shell(['--original', path.parent])} --unlearned … {told}"
    document(f"To score against this table, run: {after}\n")
    return Written([path], after)


def _settings(given: Settings, detectors: list[str]) -> list[object]:
    """The options with which 'igmu score' has the same settings."""
    words: list[object] = [w for name in detectors for w in ("--detector", name)]
    for setting in options().values():
        value = getattr(given, setting.name)
        if setting.name in {"config", "detector", *unrecorded()} or value in (None, setting.default):
            continue
        yes, _, no = setting.flag.partition("/")
        words += [yes if value else no] if isinstance(value, bool) else [yes, value]
    return words
