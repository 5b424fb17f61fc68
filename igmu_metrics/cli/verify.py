"""The command `igmu verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igmu_data.numerals import counted
from igmu_metrics.cli._common import Device, Verbose, document, option, own_concepts, say
from igmu_metrics.cli._effects import Alone
from igmu_metrics.cli._json import noted

if TYPE_CHECKING:
    from igmu_metrics.cli._card_answers import Problems, Verified
    from igmu_metrics.scorecard import Scorecard

_NOTES = 3
_SHOWN = 50  # problems of one kind


def verify(
    cards: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CARD.json...",
            help="Scorecards to check, folders of scorecards, or the folder of an igmu run, with its images.",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the unlearned model's images, which are scored again; requires --original-images."
        ),
    ] = None,
    original_images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the original model's images, which are scored again, or of its reference table; requires "
            "--images."
        ),
    ] = None,
    bench: Annotated[
        str | None,
        option("bench", "Corpus, as a Hub repository or a folder; default: the corpus that the scorecard names."),
    ] = None,
    detector: Annotated[
        str | None,
        option(
            "detector",
            "Detector to use if the detector's file has moved, such as labels:FILE.csv; default: the detector that "
            "the scorecard names.",
        ),
    ] = None,
    signer: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|FINGERPRINT",
            help="Key with which each scorecard must be signed: an SSH public key file or a GnuPG fingerprint.",
        ),
    ] = None,
    device: Device = None,
    schema: Annotated[
        bool,
        typer.Option("--schema", help="Print the JSON Schema of scorecards and exit."),
        Alone("which only prints the schema"),
    ] = False,
    verbose: Verbose = False,
) -> Verified:
    """Check that scorecards are consistent and, with --images, that scoring the images again gives the same scorecard.

    Without images, the check finds accidents and careless edits: a wrong content hash, impossible values, and values
    that do not follow from the scorecard's lines. Invented lines cannot be detected without the images. With
    --images, or with the folder of an igmu run, the command scores the images again and compares the whole scorecard.
    For the folder of a run, the command also compares each scorecard with the run's files: models, revisions, prompts
    and settings. Which model generated the images is never checked. With --signer, the command also checks who signed
    the file (see igmu sign).
    """
    from igmu_data.errors import InputError, MetadataError, VerificationError
    from igmu_metrics.cli._card_answers import Verified
    from igmu_metrics.running import belonging
    from igmu_metrics.running.run import concepts_of, run_of
    from igmu_metrics.verdict.places import card_files

    if schema:
        import json

        from igmu_metrics.scorecard import schema as published

        document(json.dumps(published(), indent=1, ensure_ascii=False) + "\n")
        return Verified(schema=published())
    if not cards:
        raise InputError("no scorecard was given. Specify at least one, or use --schema.")
    if (images is None) != (original_images is None):
        raise InputError(
            "only one of --images and --original-images is given, but images are scored in pairs. Specify both."
        )
    for name, value in (("--detector", detector), ("--bench", bench), ("--device", device)):
        if value is not None and images is None and not any(path.is_dir() for path in cards):
            raise InputError(
                f"{name} {value} has no effect unless images are scored again. Specify --images and --original-images "
                "as well."
            )
    files = card_files(cards)
    if images is not None and len(files) > 1:
        raise InputError(
            f"--images is the folder of one model, but {len(files)} scorecards are given. Specify only one."
        )
    unsigned: dict[Path, str] = {}
    if signer is not None:
        from igmu_metrics.verdict.signing import require_signer

        for path in files:
            try:
                require_signer(path, signer)
                say(f"{path}: signed by {signer}")
            except (MetadataError, VerificationError) as error:  # of this card; the others are checked all the same
                unsigned[path] = str(error).removeprefix(f"{path}: ")
    given = {"bench": bench, "detector": detector, "device": device}
    checked: list[Problems] = []
    runs: dict[Path | None, list[Scorecard | None]] = {}
    for path in files:
        with own_concepts(concepts_of(path.parent.parent)):
            found, one = _problems(path, images, original_images, given, verbose, unsigned.get(path))
        checked.append(one)
        runs.setdefault(run_of(path), []).append(found)
    of_runs = [note for out, some in runs.items() if out is not None for note in belonging.notes(out, some)]
    say(*(f"note: {note}" for note in of_runs))
    answer = noted(Verified(checked, None if unsigned else signer, notes=of_runs))
    failed = {one.file: len(one.problems) for one in checked if one.problems}
    if failed:
        told = "; ".join(f"{path}: {n} problem{'s' * (n > 1)}" for path, n in failed.items())
        raise VerificationError(f"{told}. Do not rely on scorecards with problems.")
    return answer


def _problems(
    path: Path,
    images: Path | None,
    original_images: Path | None,
    given: dict[str, str | None],
    verbose: bool,
    unsigned: str | None,
) -> tuple[Scorecard | None, Problems]:
    """Check one card alone, against its run and, if there are images, against them; print what is wrong with it."""
    from igmu_data.errors import IgmuError
    from igmu_metrics.cli._card_answers import Problems
    from igmu_metrics.coverage import coverages, failures
    from igmu_metrics.running import belonging
    from igmu_metrics.running.run import images_of, run_of
    from igmu_metrics.verdict import verify_images as by_images
    from igmu_metrics.verdict.recompute import determined, notes, shortly
    from igmu_metrics.verdict.verify import Problem, examined

    card, problems, found = examined(path)
    if unsigned is not None:
        problems.insert(0, Problem("signature", unsigned))
    unlike: list[Problem] = []
    unchecked: list[str] = []
    whole, why = False, "the file cannot be read as a scorecard"
    if card is not None:
        of_run, asked = belonging.compared(path, card, bench=given["bench"])
        problems += of_run
        try:
            if images is None:
                images, original_images = images_of(path, card.model, card.config) or (None, None)
            if images is not None and original_images is not None:
                from igmu_data.progress import bars

                with bars() as advance:
                    unlike, whole, unchecked = by_images.compared(
                        card, images, original_images, asked=asked, advance=advance, **given
                    )
                why = "images are missing or were changed"
                in_run = run_of(path) is not None
                unchecked += by_images.unchecked(card, given, original_images, of_run=in_run) if whole else []
        except IgmuError as error:
            if not problems and not isinstance(error, by_images.OF_FOLDERS):
                raise
            why = str(error)  # what is known so far is still printed
            if isinstance(error, by_images.OF_FOLDERS):
                unlike.append(Problem("images", why))
    for head, some in ((f"{path}:", problems), (f"{path}, compared with its images:", unlike)):
        if some:
            say(head, *(f"  {problem}" for problem in some[:_SHOWN]))
    if problems and images is not None:
        if whole and not unlike:
            say("note: scoring the images again gave the same lines, values and signatures")
        elif not whole and not unlike:
            say(f"note: the images were not compared: {why}")
    lost = failures([card]) if card is not None else []
    open_ = list(notes(card)) if card is not None else []
    if card is not None and not problems and not unlike:
        open_ += card.notes
    say(*(f"note: {note}" for note in (open_ if verbose else open_[:_NOTES])))
    if len(open_) > _NOTES and not verbose:
        say(f"note: use --verbose to show {len(open_) - _NOTES} more notes like these")
    known, rest = (list(card.scores), list[str]()) if card is not None and whole else (list[str](), list[str]())
    if card is not None and not whole:
        known, rest = ([], list(card.scores)) if found is None else determined(card, found)
    if problems or unlike:
        say(*lost)
    elif card is not None:
        n = f"{counted(len(card.scores), 'score')} of {counted(len(card.generations), 'generation')}"
        n = f"{card.model} on {card.config}: {n}"
        same = ", and scoring the images again gave the same lines, values and signatures" if whole else ""
        say(f"{path}: the scorecard is consistent{same} ({n}).", *coverages([card]), *lost)
        if not whole:
            if known:
                say(f"recomputed from its lines: {shortly(known, rest)}")
            if rest:
                say(f"not recomputed: {shortly(rest, known)}")
            say("note: the images were not scored again; for a full check, use --images DIR and --original-images DIR")
    say(*(f"note: {note}" for note in unchecked))
    told = [str(problem) for problem in (*problems, *unlike)] or ["it cannot be read as a scorecard"] * (card is None)
    return card, Problems(path, told, [*lost, *open_, *unchecked], whole, known, rest)
