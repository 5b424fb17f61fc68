"""A reference table in a run: it replaces the original's images, and determines how unlearned models generate.

Conventions: the run keeps a copy of the table in place of the original's images, so that its folder contains everything
that reports and `igmu verify` need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import InputError, MetadataError, OutputError
from igmu_data.files import beside
from igmu_data.schema import Row
from igmu_metrics.generations import Generations
from igmu_metrics.images import reference
from igmu_metrics.images.generate import Request
from igmu_metrics.images.layouts import find, made_with, settings_of, unpairable
from igmu_metrics.images.presets import FIELDS, Settings
from igmu_metrics.scale.originals import copy_beside

_NUMBERS: Final = {"guidance_scale": float}


def tables(spec: str) -> Path | None:
    """The folder of reference tables given as a run's original; None for a model.

    Raises:
        HubError: it cannot be downloaded.
    """
    folder = reference.local(Path(spec))
    return folder if reference.files(folder) else None


def generated(table: Generations) -> dict[str, Any]:
    """Steps, guidance scale, width and height of the original's images, if they are the same for all; else empty."""
    ways = set(table["generated_with"].tolist()) if "generated_with" in table else set()
    told = settings_of(ways.pop()) if len(ways) == 1 else {}
    try:
        return {n: _NUMBERS.get(n, int)(value) for n, value in told.items() if n in FIELDS and value != "None"}
    except ValueError as error:
        raise MetadataError(
            f"the reference table contains invalid settings, {told} ({error}). Create the table again."
        ) from error


def completed(given: Mapping[str, Any], table: Generations | None) -> dict[str, Any]:
    """How images are generated: as given in the run, otherwise like the original's, if this is recorded."""
    known = {} if table is None else generated(table)
    return {name: known.get(name) if value is None else value for name, value in given.items()}


def require_alike(
    table: Generations,
    requests: Sequence[Request],
    settings: Sequence[Settings],
    dtype: str,
    spec: str,
    schedulers: Mapping[str, str],
) -> None:
    """Refuse images that have no partner in the table, before anything is generated.

    Args:
        table: table of the original.
        requests: the images that the unlearned models will generate.
        settings: the settings of each request.
        dtype: numerical precision of the models.
        spec: name of the table, for messages.
        schedulers: class of each model's scheduler, "" if it is not known yet.

    Raises:
        InputError: a prompt and seed is not recorded, or images would be generated differently.
    """
    there = set(table.keys)
    missing = [r for r in requests if r.key not in there]
    if missing:
        raise InputError(
            f"{spec} has no image for row {missing[0].row_id!r}, seed {missing[0].seed} ({len(missing)} of "
            f"{len(requests)} images are missing). Use a smaller part of the corpus (--protocol, --seeds-per-row) or "
            "another original."
        )
    if "generated_with" not in table:
        return
    known = dict(zip(table.keys, table["generated_with"].tolist(), strict=True))
    recorded = {settings_of(way).get("scheduler", "").partition(" ")[0] for way in set(known.values())} - {""}
    for model, scheduler in schedulers.items():
        if scheduler and recorded and recorded != {scheduler}:
            raise InputError(
                f"{spec}: the original's images were generated with the scheduler {' and '.join(sorted(recorded))}, "
                f"but {model} would use {scheduler}, and such images cannot be compared. Put the network of the "
                "unlearned model onto the original model, as in ORIGINAL,unet=FOLDER, or use another original."
            )
    for request, how in zip(requests, settings, strict=True):
        mine = made_with({name: getattr(how, name) for name in FIELDS} | {"dtype": dtype})
        theirs = known[request.key]
        if theirs and unpairable(mine, theirs):
            raise InputError(
                f"{spec}: the original's images were generated with {theirs}, but the models would use {mine} "
                f"({how.by}; row {request.row_id!r}), and such images cannot be compared. Leave out --steps, "
                "--guidance-scale and --size, set --dtype to the precision of the original, or use another original."
            )


def kept(path: Path, folder: Path) -> None:
    """Copy a table into a run.

    Args:
        path: path of the table.
        folder: folder for the original's images.

    Raises:
        MetadataError: the folder contains another table.
        OutputError: the folder cannot be written.
    """
    now = reference.read(path)[1]["digest"]
    for there, facts in reference.files(folder).items():
        if facts["digest"] != now:
            raise MetadataError(f"{there} is the reference table of a different original model. Choose another --out.")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with beside(folder / path.name) as part:
            part.write_bytes(path.read_bytes())
        copy_beside(path.parent, folder)
    except OSError as error:
        raise OutputError(
            f"cannot write {folder}: {error.strerror}. Free some space, or choose another --out."
        ) from error


def path_of(table: Generations | None) -> Path | None:
    """The file of a table that `found` found."""
    told = None if table is None else reference.recorded(table)
    return None if told is None else Path(told["path"])


def found(spec: str, rows: Mapping[str, Row]) -> Generations | None:
    """The reference table of a run's original for some rows; None if the original is a model.

    Raises:
        MetadataError, ChecksumError: the table is invalid or does not match its digest.
    """
    folder = tables(spec)
    return None if folder is None else find(folder, "metadata", rows)
