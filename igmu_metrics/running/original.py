"""A reference table in a run: the original is not generated, and the unlearned models are as its images were.

Conventions: the run keeps a copy of the table where the original's images would be, so that its folder is whole:
reports and `igmu verify` find there what they need.
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
from igmu_metrics.images.layouts import find, made_with
from igmu_metrics.images.presets import FIELDS, Settings
from igmu_metrics.scale.originals import copy_beside

_NUMBERS: Final = {"guidance_scale": float}


def tables(spec: str) -> Path | None:
    """The folder of reference tables that a run's original names; None for a model.

    Raises:
        HubError: it cannot be had.
    """
    folder = reference.local(Path(spec))
    return folder if reference.files(folder) else None


def generated(table: Generations) -> dict[str, Any]:
    """Steps, guidance scale, width and height of the original's images, where all have the same; else nothing."""
    ways = set(table["generated_with"].tolist()) if "generated_with" in table else set()
    told = dict(part.split(" ", 1) for part in ways.pop().split(", ") if " " in part) if len(ways) == 1 else {}
    try:
        return {n: _NUMBERS.get(n, int)(value) for n, value in told.items() if n in FIELDS and value != "None"}
    except ValueError as error:
        raise MetadataError(
            f"the original's images were generated with {told}: {error}. Make the table again."
        ) from error


def completed(given: Mapping[str, Any], table: Generations | None) -> dict[str, Any]:
    """How images are generated: as the run says, else as the original's were, if these are recorded."""
    known = {} if table is None else generated(table)
    return {name: known.get(name) if value is None else value for name, value in given.items()}


def require_alike(
    table: Generations, requests: Sequence[Request], settings: Sequence[Settings], dtype: str, spec: str
) -> None:
    """Refuse what the table has no partner for, before anything is generated.

    Args:
        table: of the original.
        requests: what the unlearned models are to generate.
        settings: how, one a request.
        dtype: number format of the models.
        spec: what names the table, for messages.

    Raises:
        InputError: a prompt and seed that is not recorded, or images that would be generated otherwise.
    """
    there = set(table.keys)
    missing = [r for r in requests if r.key not in there]
    if missing:
        raise InputError(
            f"{spec}: no image of row {missing[0].row_id!r}, seed {missing[0].seed} is recorded ({len(missing)} of "
            f"{len(requests)} lack). Run less of the corpus (--protocol, --seeds-per-row), or take another original."
        )
    if "generated_with" not in table:
        return
    known = dict(zip(table.keys, table["generated_with"].tolist(), strict=True))
    for request, how in zip(requests, settings, strict=True):
        mine = made_with({name: getattr(how, name) for name in FIELDS} | {"dtype": dtype})
        theirs = known[request.key]
        if theirs and mine != theirs:
            raise InputError(
                f"{spec}: the original was generated with {theirs}, the models would be with {mine} "
                f"({how.by}; row {request.row_id!r}); images generated unlike are not compared. Leave --steps, "
                "--guidance-scale and --size out, give its --dtype, or take another original."
            )


def kept(path: Path, folder: Path) -> None:
    """Copy a table into a run.

    Args:
        path: of the table.
        folder: where the original's images would be.

    Raises:
        MetadataError: another table is there.
        OutputError: the folder cannot be written.
    """
    now = reference.read(path)[1]["digest"]
    for there, facts in reference.files(folder).items():
        if facts["digest"] != now:
            raise MetadataError(f"{there}: the table of another original. Give another --out.")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with beside(folder / path.name) as part:
            part.write_bytes(path.read_bytes())
        copy_beside(path.parent, folder)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}. Make room, or choose another --out.") from error


def path_of(table: Generations | None) -> Path | None:
    """The file of a table that `found` found."""
    told = None if table is None else reference.recorded(table)
    return None if told is None else Path(told["path"])


def found(spec: str, rows: Mapping[str, Row]) -> Generations | None:
    """What a run's original recorded of some rows; None where it is a model.

    Raises:
        MetadataError, ChecksumError: a table that is not what it says.
    """
    folder = tables(spec)
    return None if folder is None else find(folder, "metadata", rows)
