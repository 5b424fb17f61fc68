"""The interim checks of the run that generated a folder of images, so that later scores of the images know about them.

Conventions: at each check, before it scores, `igmu run --until` writes `igmu-looks.json` into the folder of a model's
images. The file contains the latest check and the number of planned checks, such as `{"taken": "4/11:decided"}`.
Everything that finds images reads this file: folders (`layouts.find`, whose column `looks`
also reaches the tables of shards) and single files (`of_images`). A run also writes the file into the original's
folder, so a copy of the model's images without the file is still known to be from such a run (`taken`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import IgmuError, InputError, MetadataError, OutputError
from igmu_data.files import beside, parse_json, read_text
from igmu_metrics.generations import Generations
from igmu_metrics.statistics.looks import Looks

FILE: Final = "igmu-looks.json"
COLUMN: Final = "looks"
_TAKEN: Final = "taken"
_LEVELS: Final = 3  # folders above an image that are searched
SOURCE: Final = f"{FILE} in the folder of the images"
OF_ORIGINAL: Final = f"{FILE} in the folder of the original's images"


def recorded(folder: Path) -> Looks | None:
    """The latest check that is recorded in a folder of images; None if the images were not checked repeatedly.

    Args:
        folder: the images of one model.

    Raises:
        MetadataError: the file is damaged.
    """
    path = folder / FILE
    if not os.path.lexists(path):
        return None
    cure = (
        "Restore the file from the folder of the run, or delete it and use igmu score --looks with the check that the "
        "run's scorecard states (looks.taken), such as --looks 4/11."
    )
    found = parse_json(read_text(path, cure), str(path), cure)
    try:
        return Looks.read(found[_TAKEN])
    except (KeyError, TypeError, IgmuError) as error:
        raise MetadataError(
            f"{path}: {str(found)[:80]!r} does not have the form {{{_TAKEN!r}: '4/11'}}. {cure}"
        ) from error


def without(look: Looks) -> str:
    """What to do with copies of the images that lack the file: the option for `igmu score`."""
    return f"If the images are ever without {FILE}, use 'igmu score --looks {look.look}/{look.planned}'."


def record(folder: Path, look: Looks) -> None:
    """Record a check in a folder of images; earlier checks with more images or larger plans remain in effect.

    Args:
        folder: the images of one model.
        look: the check.

    Raises:
        OutputError: the folder cannot be written.
    """
    before = recorded(folder) or look
    latest = Looks(max(look.look, before.look), max(look.planned, before.planned), look.rule)
    try:
        with beside(folder / FILE) as part:
            part.write_text(json.dumps({_TAKEN: str(latest)}) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{folder / FILE} cannot be written ({error.strerror}). Check the folder's permissions."
        ) from error


def of_table(table: Generations) -> Looks | None:
    """The check at which the images of a table were last scored, according to their folder."""
    return _strictest(map(Looks.given, sorted(set(table[COLUMN].tolist()) - {""}))) if COLUMN in table else None


def of_images(images: Iterable[Any]) -> Looks | None:
    """The check at which images were last scored, according to their folders or the folders above.

    Args:
        images: paths, or images in memory, about which nothing is known.
    """
    paths = (Path(os.path.abspath(image)) for image in images if isinstance(image, str | Path))
    return _strictest(map(recorded, sorted({folder for path in paths for folder in list(path.parents)[:_LEVELS]})))


def _strictest(found: Iterable[Looks | None]) -> Looks | None:
    known = [look for look in found if look is not None]
    return max(known, key=lambda look: (look.planned, look.look), default=None)


def taken(given: str | None, found: Looks | None, original: Looks | None) -> Looks | None:
    """The check for which images are scored: the one that is given, otherwise the recorded one.

    Args:
        given: the setting `looks`; None if it is not given.
        found: what is recorded about the images.
        original: what is recorded about the original's images; it counts if nothing is recorded about the others.

    Raises:
        InputError: fewer checks are given than were planned, so intervals would be too narrow; or not a check; or the
            two records are from different plans.
        OutOfRangeError: a check outside the plan.
    """
    asked, own = Looks.given(given), found or original
    source = SOURCE if found is not None else OF_ORIGINAL
    if asked is None:
        if found is not None and original is not None and found.planned != original.planned:
            raise InputError(
                f"{SOURCE} contains check {found}, but {OF_ORIGINAL} contains check {original}, so the images are from "
                "runs with different plans. Use the original's images of the same run, or use 'igmu score "
                f"--looks {max(found, original, key=lambda look: look.planned)}'."
            )
        return None if own is None else replace(own, source=source)
    if own is not None and asked.planned < own.planned:
        raise InputError(
            f"looks is {given!r}, but the images belong to a run with {own.planned} planned checks ({source}), so the "
            f"intervals would be too narrow. Leave looks out, or set it to {own}."
        )
    return asked
