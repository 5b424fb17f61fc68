"""Scores a random sample of a card's lines again from uploaded images, as a check by the leaderboard itself.

Conventions: the sample is chosen after the upload, with the operating system's random numbers, so that nobody can
prepare for it. Hashes are compared for every line; networks are run only on the sample. Zip files are not trusted:
nothing is written outside the folder made for them, and no more than `MOST_BYTES`.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from igmu_data.errors import IgmuError, InputError
from igmu_data.media import visible
from igmu_data.taxonomy import SANDBOX
from igmu_metrics.contract import Setting
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.verdict.verify import Problem, verify
from igmu_metrics.verdict.verify_images import evaluation_of, images_unlike, lines_again, lines_unlike

SAMPLE: Final = 25
MOST_FILES: Final = 50_000
MOST_BYTES: Final = 8_000_000_000  # unpacked, per zip file
_SHOWN: Final = 30
_PIECE: Final = 2**20
# Uploaded cards name networks; the Space opens only known ones.
_KNOWN: Final[Mapping[str, frozenset[Any]]] = {
    "detector": frozenset({None, "clip", "imagenet", "nudenet", SANDBOX}),
    "clip": frozenset({None, SANDBOX}),
    "features": frozenset({None, "inception", "dinov2", SANDBOX}),
    "lpips": frozenset({None, "alex", "vgg"}),
    "bench": frozenset({None, SANDBOX}),
    "revision": frozenset({None}),
}


def resampled(card: str | None, images: str | None, originals: str | None, *, n: int = SAMPLE) -> str:
    """Check a card with a random sample.

    Args:
        card: its file; None if there is none, as below.
        images: zip file of the unlearned model's folder.
        originals: zip file of the original model's folder.
        n: number of lines to score again.
    """
    if card is None or images is None or originals is None:
        return "Choose a scorecard, and a zip file of each model's folder of images."
    try:
        found, problems = verify(Path(card))
        if found is None or problems:
            return _listed("Refused, because the scorecard is not consistent:", problems)
        with tempfile.TemporaryDirectory() as place:
            folders = [
                _unpacked(Path(path), Path(place) / name) for name, path in zip("ab", (images, originals), strict=True)
            ]
            chosen, problems = compared(found, *folders, n=n)
    except IgmuError as error:
        return visible(f"Refused. {error}", lines=True)
    if problems:
        return _listed("Scoring the images again gives a different scorecard:", problems)
    return (
        f"All {len(found.generations)} lines have the hashes of the uploaded images. {chosen} randomly chosen lines "
        "were scored again and are the same. If one line in ten of a scorecard were invented, it would pass this check "
        f"with a probability of {0.9**chosen:.1%}. Whether the model generated the images cannot be checked."
    )


def compared(card: Scorecard, images: Path, originals: Path, *, n: int = SAMPLE) -> tuple[int, list[Problem]]:
    """How many lines were scored again, and where the card differs from its images.

    Raises:
        InputError: the card names networks that the Space does not know.
        IgmuError: the images cannot be scored.
    """
    options = card.provenance.options if card.provenance is not None else {}
    for name, known in _KNOWN.items():
        if (given := options.get(name)) not in known:
            raise InputError(
                f"{name} {given!r} cannot be used here. Run 'igmu verify' with the images on another machine."
            )
    whole = evaluation_of(card, {"device": "cpu"})
    if problems := images_unlike(card, whole, images, originals).problems:
        return 0, problems
    keys = card.generations.keys
    places = sorted(random.SystemRandom().sample(range(len(keys)), min(n, len(keys))))
    sample = card.generations.where(places)
    chosen = evaluation_of(card, {"device": "cpu"}, only=sample.keys)
    found, signed = lines_again(chosen, images, originals)
    return len(places), [*lines_unlike(sample, found), *_signed(card, signed)]


def _signed(card: Scorecard, signed: Mapping[str, Setting]) -> Iterator[Problem]:
    for name, entry in card.scores.items():
        for field, told in entry.signature.items():
            if field in signed and signed[field] != told:
                what = f"the scorecard is signed with {told!r}, but {signed[field]!r} was found"
                yield Problem(f"scores.{name}.signature.{field}", what)


def _unpacked(path: Path, folder: Path) -> Path:
    """The folder in a zip file: its only folder, or all of it.

    Raises:
        InputError: it is not a zip file, is too large, or contains anything but plain files.
    """
    try:
        with zipfile.ZipFile(path) as held:
            members = [m for m in held.infolist() if not m.is_dir()]
            if len(members) > MOST_FILES:
                raise InputError(
                    f"{path.name} contains {len(members):,} files, but at most {MOST_FILES:,} are allowed."
                )
            left = MOST_BYTES
            for member in members:
                left = _member(held, member, folder, left)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, IgmuError):
            raise
        raise InputError(f"{path.name} cannot be unpacked as a zip file ({error}).") from error
    inside = list(folder.iterdir()) if folder.is_dir() else []
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _member(held: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, left: int) -> int:
    """Unpack one file; returns how many more bytes are allowed."""
    name = PurePosixPath(member.filename)
    link = member.external_attr >> 28 == 0o12
    if link or name.is_absolute() or not name.parts or ".." in name.parts or "\\" in member.filename:
        raise InputError(f"{visible(member.filename)!r} is not a regular file within the zip file.")
    target = folder.joinpath(*name.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with held.open(member) as source, target.open("xb") as out:
        while piece := source.read(_PIECE):
            left -= len(piece)
            if left < 0 or shutil.disk_usage(folder).free < _PIECE * 100:
                raise InputError(f"{visible(member.filename)!r}: the zip file is too large to be unpacked here.")
            out.write(piece)
    return left


def _listed(first: str, problems: Sequence[Problem]) -> str:
    more = [f"… and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return visible("\n".join([first, *map(str, problems[:_SHOWN]), *more]), lines=True)
