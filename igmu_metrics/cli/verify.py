"""The command `igmu verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from igmu_metrics.cli._common import Device, document, option, say


def verify(
    cards: Annotated[
        list[Path] | None, typer.Argument(metavar="CARD.json...", help="The scorecards to check, or folders of them.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of the unlearned model's images, to score again; requires --original-images."),
    ] = None,
    original_images: Annotated[
        Path | None, typer.Option(help="Folder of the original model's images, to score again; requires --images.")
    ] = None,
    bench: Annotated[
        str | None, option("bench", "Corpus: Hub repository or folder; default the one that the scorecard names.")
    ] = None,
    detector: Annotated[
        str | None,
        option("detector", "Detector, such as labels:FILE.csv, if its file has moved; default the scorecard's."),
    ] = None,
    device: Device = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of scorecards and exit.")] = False,
) -> None:
    """Check that a scorecard is unchanged, possible and follows from its lines; with images, score them again."""
    from igmu_data.errors import InputError, VerificationError
    from igmu_metrics.scorecard import card_files

    if schema:
        import json

        from igmu_metrics.scorecard import schema as published

        document(json.dumps(published(), indent=1, ensure_ascii=False) + "\n")
        return
    if not cards:
        raise InputError("no scorecard; give one, or --schema.")
    if (images is None) != (original_images is None):
        raise InputError("only one of --images and --original-images is given; a card is about pairs.")
    files = card_files(cards)
    if images is not None and len(files) > 1:
        raise InputError(f"--images are those of one model, but there are {len(files)} scorecards; give one card.")
    given = {"bench": bench, "detector": detector, "device": device}
    failed = {path: n for path in files if (n := _problems(path, images, original_images, given))}
    if failed:
        told = "; ".join(f"{path}: {n} problem{'s' * (n > 1)}" for path, n in failed.items())
        raise VerificationError(f"{told}. Do not rely on {'it' if len(failed) == 1 else 'them'}.")


def _problems(path: Path, images: Path | None, original_images: Path | None, given: dict[str, str | None]) -> int:
    """Check one card, say what is wrong with it, and count that."""
    from igmu_metrics.verdict.recompute import notes
    from igmu_metrics.verdict.verify import verify as check

    found, problems = check(path)
    again = ""
    if not problems and found is not None and images is not None and original_images is not None:
        from igmu_metrics.networks.progress import bars
        from igmu_metrics.verdict.verify_images import verify_images

        with bars() as advance:
            problems = list(verify_images(found, images, original_images, advance=advance, **given))
        again = ", and its images give the same scores"
    for problem in problems[:50]:
        say(str(problem))
    for note in notes(found) if found is not None else ():
        say(f"note: {note}")
    if not problems and found is not None:
        say(f"{path}: {len(found.scores)} scores of {len(found.generations)} generations hold together{again}.")
    return len(problems) + (found is None and not problems)
