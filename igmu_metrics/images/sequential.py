"""The interim checks of the run that generated a folder of images, so that later scores of the images know about them.

Conventions: at each check, before it scores, `igmu run --until` writes `igmu-looks.json` into the folder of a model's
images. The file contains the latest check and the number of planned checks, such as `{"taken": "4/11:decided"}`, and
under `asked` the seeds, by row, of all images that the run asked of the model up to this check. Models stop at
different checks, so only this list shows whether an image is missing (`igmu_metrics.images.requested`).
Everything that finds images reads this file: folders (`layouts.find`, whose column `looks`
also reaches the tables of shards) and single files (`of_images`). A run also writes the file into the original's
folder, so a copy of the model's images without the file is still known to be from such a run (`taken`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import IgmuError, InputError, MetadataError, OutputError
from igmu_data.files import beside, parse_json, read_text
from igmu_metrics.generations import Generations, Key
from igmu_metrics.statistics.looks import Looks

FILE: Final = "igmu-looks.json"
COLUMN: Final = "looks"
_TAKEN: Final = "taken"
_ASKED: Final = "asked"
_LEVELS: Final = 3  # folders above an image that are searched
SOURCE: Final = f"{FILE} in the folder of the images"
OF_ORIGINAL: Final = f"{FILE} in the folder of the original's images"
SOURCES: Final = (SOURCE, OF_ORIGINAL)
WRITTEN_AGAIN: Final = "repeat the command of the run in its folder, which writes the file again"
"""How to get a lost file back: no option replaces its list of what the run asked for."""
_CURE: Final = f"Restore the file from the folder of the run. If it is damaged there, rename it and {WRITTEN_AGAIN}."


def recorded(folder: Path) -> Looks | None:
    """The latest check that is recorded in a folder of images; None if the images were not checked repeatedly.

    Args:
        folder: the images of one model.

    Raises:
        MetadataError: the file is damaged.
    """
    path = folder / FILE
    if (found := _content(path)) is None:
        return None
    try:
        return Looks.read(found[_TAKEN])
    except (KeyError, TypeError, IgmuError) as error:
        raise MetadataError(
            f"{path}: {str(found)[:80]!r} does not have the form {{{_TAKEN!r}: '4/11'}}. {_CURE}"
        ) from error


def asked(folder: Path) -> frozenset[Key] | None:
    """The images that a run with interim checks asked of a model until the latest recorded check.

    Args:
        folder: the images of one model.

    Returns:
        None if nothing is recorded, as for the original and for images without interim checks.

    Raises:
        MetadataError: the file is damaged.
    """
    path = folder / FILE
    found = _content(path)
    listed = found.get(_ASKED) if isinstance(found, dict) else None
    if listed is None:
        return None
    fits = isinstance(listed, dict) and all(
        isinstance(seeds, list) and all(type(seed) is int for seed in seeds) for seeds in listed.values()
    )
    if not fits:
        raise MetadataError(f"{path}: {_ASKED!r} is {str(listed)[:80]!r} instead of a list of seeds per row. {_CURE}")
    return frozenset((row, seed) for row, seeds in listed.items() for seed in seeds)


def _content(path: Path) -> Any:
    """The data of the file; None if there is none."""
    return parse_json(read_text(path, _CURE), str(path), _CURE) if os.path.lexists(path) else None


def record(folder: Path, look: Looks, keys: Collection[Key] = ()) -> None:
    """Record a check in a folder of images; earlier checks with more images or larger plans remain in effect.

    The rule recorded is the one of the latest check: a continued run may have another rule, which stops earlier.

    Args:
        folder: the images of one model.
        look: the check.
        keys: all images that the run has asked of the model up to this check; none for the original.

    Raises:
        OutputError: the folder cannot be written.
    """
    before = recorded(folder) or look
    latest = replace(max(look, before, key=lambda one: one.look), planned=max(look.planned, before.planned))
    data: dict[str, Any] = {_TAKEN: str(latest)}
    if listed := sorted({*keys, *(asked(folder) or ())}):
        data[_ASKED] = {row: [seed for _, seed in of_row] for row, of_row in groupby(listed, key=lambda key: key[0])}
    try:
        with beside(folder / FILE) as part:
            part.write_text(json.dumps(data) + "\n", encoding="utf-8")
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


def taken(given: str | None, found: Looks | None, original: Looks | None, *, part: bool = False) -> Looks | None:
    """The check for which images are scored: the recorded one, which an option may repeat but not contradict.

    Args:
        given: the setting `looks`; None if it is not given.
        found: what is recorded about the images.
        original: what is recorded about the original's images; it counts if nothing is recorded about the others.
        part: whether only chosen images are scored, which may be those of an earlier check.

    Raises:
        InputError: the option contradicts the record, so that intervals would be wrong; or is not a check; or the two
            records are from different plans.
        OutOfRangeError: a check outside the plan.
    """
    chosen, own = Looks.given(given), found or original
    if found is not None and original is not None and found.planned != original.planned:
        own = max(found, original, key=lambda look: look.planned)
        if chosen is None:
            raise InputError(
                f"{SOURCE} contains check {found}, but {OF_ORIGINAL} contains check {original}, so the images are from "
                f"runs with different plans. Use the original's images of the same run, or use 'igmu score --looks "
                f"{own}'."
            )
    if own is None:
        return chosen
    source = OF_ORIGINAL if own is original else SOURCE
    if chosen is None:
        return replace(own, source=source)
    same = chosen.look == own.look and (not chosen.rule or not own.rule or chosen.rule == own.rule)
    # The original continued as long as any model did, and a run may be continued with another rule.
    earlier = (part or found is None) and chosen.look < own.look
    if chosen.planned == own.planned and (same or earlier):
        return chosen
    raise InputError(
        f"looks is {given!r}, but the images are those of check {own} ({source}), so intervals and notes would be "
        f"wrong. Leave looks out, or set it to {own}. If the file is that of other images, restore the file of these."
    )
