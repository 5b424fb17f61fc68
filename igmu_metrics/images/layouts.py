"""Finds the images that a model generated: folders in one of five layouts.

Conventions: every generation is keyed by `(row_id, seed)`, and the same key in two folders means the same prompt and
the same starting noise. An image that cannot be attributed to a row is an error, never silently skipped. Whether a
file that the metadata lists exists and can be read is checked when it is read.

- `metadata`: a `metadata.jsonl` next to the images (the ImageFolder convention) with `file_name`, `seed` and the row's
  `id`, or its `prompt` instead.
- `igmu`: the IGMU reference's `<class>_<prompt>_<k>.png`, in folders `forget`, `retain` and `adversarial`.
- `flat`: all images of the folder were generated for the same prompt; the images of two models are paired by the number
  at the end of their names, or by the whole name if the names are not all numbered alike.
- `unlearncanvas` and `hub`: what the scripts of these benchmarks write (`igmu_metrics.images.benchmarks`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import (
    DuplicateIdError,
    EmptyInputError,
    InputError,
    MetadataError,
    UnknownIdError,
)
from igmu_data.files import here, parse_json, read_text
from igmu_data.media import shell
from igmu_data.numerals import no_whole, whole
from igmu_data.schema import SPLITS, Row
from igmu_metrics.generations import Generations, of_records
from igmu_metrics.images import benchmarks, reference, sequential
from igmu_metrics.images.prompts import Prompts

LAYOUTS: Final = ("metadata", "igmu", "flat", benchmarks.UNLEARNCANVAS, benchmarks.HUB)
SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
METADATA: Final = reference.METADATA
PART: Final = re.compile(r"part-\d{5,}-of-\d{5,}")  # a folder in that of a model: see `igmu_metrics.images.parts`
LEFT_OUT: Final = "left_out"  # in a line of it: why an image is of no row; it is not scored
SEED_FROM: Final = "seed_from"  # in a line of it: how a seed was chosen that nothing records
_NUMBER: Final = re.compile(r"(?P<before>.*?)(?P<number>\d{1,18})")
_REFERENCE_NAME: Final = re.compile(r"(?P<prompt>\d+_\d+)_(?P<sample>\d+)")


_LONGEST: Final = 4096  # bytes of a path
_LEVELS: Final = 3  # folders above an image that are searched for its metadata
_SHOWN: Final = 60  # characters of a prompt that a message quotes
_OF_MODEL: Final = ("model", "revision", "dtype")
_OF_IMAGE: Final = ("steps", "guidance_scale", "width", "height", "scheduler", "sampler")
_OFTEN_UNKNOWN: Final = ("scheduler", "sampler")  # scripts and earlier versions of igmu do not record them
_USUAL: Final = {"dtype": "fp32"}  # said where it is another: images of half precision are others
# What the table takes from a row of the corpus.
_OF_ROW: Final = (
    "split",
    "probe",
    "concept",
    "own_concept",
    "own_name",
    "family",
    "attack_family",
    "attack_source_id",
    "prompt",
    "stripped_prompt",
)


@dataclass(frozen=True, slots=True)
class Model:
    """A model, represented by the images that it generated.

    Args:
        name: its name in scorecards, tables and the report.
        folder: of its images.
    """

    name: str
    folder: Path

    @classmethod
    def of(cls, given: Path | Model) -> Model:
        """A folder has the name before it in `name=folder`, else its own last name; a folder of reference tables, which
        may be on the Hub (`hub:…`), has the name that they record.

        >>> Model.of(Path("esd=runs/esd/images")).name, Model.of(Path("runs/esd")).name
        ('esd', 'esd')

        Raises:
            InputError: a name that no file could have.
        """
        if isinstance(given, Model):
            return given
        name, named, folder = str(given).partition("=")
        if not named or given.is_dir():
            place = reference.local(given)
            return cls(reference.name_of(place) or place.name or place.resolve().name, place)
        if not name or name != Path(name).name or name.startswith("."):
            raise InputError(
                f"{given}: the model name {name!r} cannot be used as a file name. Choose a different name, as in "
                "NAME=FOLDER."
            )
        return cls(name, reference.local(Path(folder)))


def models(original: Path | Model, unlearned: Sequence[Path | Model]) -> list[Model]:
    """The original model and the unlearned ones, with distinct names.

    Raises:
        InputError: two folders of one name.
    """
    found = [Model.of(one) for one in (original, *unlearned)]
    folders: dict[str, Path] = {}
    for one in found:
        other = folders.setdefault(one.name, one.folder)
        if other.resolve() != one.folder.resolve():
            raise InputError(
                f"{other} and {one.folder} have the same folder name, {one.name!r}, so they could not be distinguished "
                f"in scorecards. Give them different names, as in ORIGINAL={other} and ESD={one.folder}."
            )
    return found


def of_rows(generations: Iterable[tuple[Row, int, Any]]) -> Generations:
    """The table of images of corpus rows.

    Args:
        generations: row, seed and image (a file, or a PIL image) of each.
    """
    found = [
        {"id": row.id, "seed": seed, "path": path} | {name: getattr(row, name) for name in _OF_ROW}
        for row, seed, path in generations
    ]
    return of_records(found)


def of_listed(generations: Sequence[tuple[Row, int, Any, Mapping[str, Any], str]]) -> Generations:
    """The table of images of corpus rows, with the metadata of each after it is checked.

    Args:
        generations: row, seed, image, the metadata record that lists it (empty if there is none), and the place of
            the record, for messages.

    Raises:
        MetadataError: a record that contradicts its row, or records of several models.
    """
    makers: dict[tuple[str, ...], str] = {}
    for row, _, _, record, where in generations:
        if not record:
            continue
        if record.get("prompt", row.prompt) != row.prompt:
            raise MetadataError(
                f"{where}: the prompt is {_short(record['prompt'])}, but the prompt of row {row.id!r} is "
                f"{_short(row.prompt)}. Use the id of the row with this prompt, or leave the prompt out."
            )
        makers.setdefault(tuple(str(record.get(name, "")) for name in _OF_MODEL), where)
        if len(makers) > 1:
            told = " and ".join(f"{'@'.join(filter(None, m))} ({at})" for m, at in makers.items())
            raise MetadataError(
                f"the folder contains images of more than one model: {told}. Keep the images of each model in a "
                "separate folder."
            )
    table = of_rows((row, seed, image) for row, seed, image, _, _ in generations)
    records = [record for *_, record, _ in generations]
    if not any(records):
        return table
    if any(assumed := [str(r.get(SEED_FROM) or "") for r in records]):
        table = table.with_columns(seed_from=assumed)
    return table.with_columns(
        recorded_sha256=[r.get("sha256") for r in records],
        generated_with=[made_with(r) for r in records],
        rounded_with=[", ".join(_rounded(r)) for r in records],
    )


def made_with(record: Mapping[str, Any]) -> str:
    """The settings in a metadata record that determine how an image looks."""
    unknown = [name for name in _OFTEN_UNKNOWN if not record.get(name)]
    said = [f"{name} {_plain(record[name])}" for name in _OF_IMAGE if name in record and name not in unknown]
    more = [f"{name} {_plain(record[name])}" for name, usual in _USUAL.items() if record.get(name, usual) != usual]
    return ", ".join([*said, *more])


def _plain(value: Any) -> str:
    """A value without commas, which separate settings."""
    return " ".join(str(value).replace(",", " ").split())


def settings_of(way: str) -> dict[str, str]:
    """The settings in a text of `made_with`, by name, with those that it leaves out as usual; none if it is empty."""
    found = dict(part.split(" ", 1) for part in way.split(", ") if " " in part)
    return {**found, **{name: found.get(name, usual) for name, usual in _USUAL.items()}} if found else {}


def unlike(way: str, other: str) -> dict[str, tuple[str, str]]:
    """The settings in which two texts of `made_with` differ, with both values; what one does not record is left out.

    >>> unlike("steps 50, scheduler DDIMScheduler", "steps 50.0, dtype fp16")
    {'dtype': ('fp32', 'fp16')}
    """
    mine, theirs = settings_of(way), settings_of(other)
    return {n: (a, theirs[n]) for n, a in mine.items() if n in theirs and not _equal(a, theirs[n])}


def unpairable(way: str, other: str) -> bool:
    """Whether two images must not be a pair: a setting differs, or only one of them records it.

    Only the scheduler may be missing from one of them.
    """
    mine, theirs = settings_of(way), settings_of(other)
    return bool(unlike(way, other) or (mine.keys() ^ theirs.keys()) - {*_OFTEN_UNKNOWN})


def _equal(a: str, b: str) -> bool:
    try:
        return a == b or float(a) == float(b)
    except ValueError:
        return False


def _rounded(record: Mapping[str, Any]) -> Iterator[str]:
    """The settings in a record that change an image only by rounding."""
    if "batch_size" in record:
        yield f"batch_size {record['batch_size']}"
    if "compiled" in record:
        yield "compiled"


def find(folder: Path, layout: str, rows: Mapping[str, Row] | None = None, *, prompt: str | None = None) -> Generations:
    """All generations of a folder, sorted by split, row and seed: what is known before the images are read.

    A folder of reference tables gives the recorded observations of the images (`igmu_metrics.images.reference`).

    Args:
        folder: the images of one model.
        layout: one of LAYOUTS.
        rows: the corpus rows by id; needed by `metadata`.
        prompt: the one prompt of a `flat` folder, if its text is known.

    Raises:
        InputError: a layout that does not exist.
        MetadataError: the folder does not follow the layout; the message names file and line.
        EmptyInputError: no images.
        UnknownIdError, DuplicateIdError: what the metadata lists does not fit corpus or folder.
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout {layout!r} does not exist. Choose from {', '.join(LAYOUTS)}.")
    folder = reference.local(folder)
    if not folder.is_dir():
        raise MetadataError(f"{folder} is not a folder. Specify the folder that contains one model's images.")
    if layout == "metadata" and (table := reference.table_of(folder, rows or {})) is not None:
        return ordered(_from_table(table, rows or {}))
    if layout == "metadata":
        found = _from_metadata(folder, rows or {})
    elif layout == benchmarks.UNLEARNCANVAS:
        found = of_records(list(benchmarks.unlearncanvas(folder, image_files(folder))))
    elif layout == benchmarks.HUB:
        found = of_records(list(benchmarks.hub(folder, image_files)))
    else:
        found = _from_reference(folder) if layout == "igmu" else _flat(folder, prompt)
    if not len(found):
        raise EmptyInputError(f"{folder} contains no images ({', '.join(SUFFIXES)}). There is nothing to score.")
    seen: dict[tuple[str, int], Path] = {}
    for key, path in zip(found.keys, found["path"], strict=True):
        if key in seen:
            raise DuplicateIdError(
                f"{path}: row {key[0]!r} with seed {key[1]} already has the image {seen[key]}. Keep only one of the "
                "two images."
            )
        seen[key] = path
    if (look := sequential.recorded(folder)) is not None:
        found = found.with_columns(**{sequential.COLUMN: [str(look)] * len(found)})
    return ordered(found)


def ordered(table: Generations) -> Generations:
    """The table sorted by split (as the corpus has them), row and seed."""
    ranks = [SPLITS.index(split) for split in table["split"].tolist()]
    keys = table.keys
    return table.where(sorted(range(len(table)), key=lambda i: (ranks[i], *keys[i])))


def image_files(folder: Path) -> list[Path]:
    """Every image in a folder and those within it, sorted."""
    # What is called like an image and cannot be read as one (a dead link, a pipe) is found out when it is read.
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.is_dir())


def _from_metadata(folder: Path, rows: Mapping[str, Row]) -> Generations:
    path = folder / METADATA
    if parts := part_folders(folder):
        raise MetadataError(
            f"{folder} contains unmerged parts ({len(parts)}). To merge them, run {shell(['igmu', 'merge', folder])}."
        )
    if not path.is_file():
        raise MetadataError(
            f"{folder} contains no {METADATA}, which lists the row and seed of each image. For images from a web UI or "
            f"script, run 'igmu match {folder} --config …' to create it. Otherwise write one line {{file_name, id, "
            "seed} per image, or use 'igmu score' with --layout igmu or flat."
        )
    found, known, home, prompts = [], set(), real(folder), Prompts(rows)
    for image, record, where in listed(folder):
        if not real(image).is_relative_to(home):
            raise MetadataError(f"{where}: {record['file_name']!r} is outside the folder. Move it into the folder.")
        known.add(real(image))
        if LEFT_OUT in record:
            continue
        if "id" in record:
            row = rows.get(record["id"])
            why = f"no row of this config ({len(rows)} rows) has the id {record['id']!r}"
        else:
            row, why = prompts.row(record["prompt"], record["seed"])
            record = {name: value for name, value in record.items() if name != "prompt"}  # perhaps not to the letter
        if row is None:
            raise UnknownIdError(f"{where}: {why}. Check the config and the corpus version.")
        found.append((row, record["seed"], image, record, where))
    stray = [p for p in image_files(folder) if real(p) not in known]
    if stray:
        raise MetadataError(
            f"{stray[0]} is not listed in {path} ({len(stray)} such images in total). Add a line for the image, or "
            "move it elsewhere."
        )
    return of_listed(found)


def part_folders(folder: Path) -> list[Path]:
    """The parts in a folder of images, by name."""
    return sorted(p for p in folder.glob("part-*-of-*") if PART.fullmatch(p.name) and p.is_dir())


def _from_table(path: Path, rows: Mapping[str, Row]) -> Generations:
    table, _ = reference.read(path)
    if lost := sorted({row for row, _ in table.keys} - rows.keys()):
        raise UnknownIdError(
            f"{path}: no row of this config has the id {lost[0]!r} ({len(lost)} such ids in total). Check the config "
            "and the corpus version."
        )
    told = of_rows((rows[row], seed, None) for row, seed in table.keys).without("path")
    return Generations({**told.columns, **table.columns}, table.facts)


def real(path: Path) -> Path:
    """Where links lead; `Path.resolve` gives up on those that lead in a circle."""
    return Path(os.path.realpath(path))


def _short(text: Any) -> str:
    return repr(text) if len(repr(text)) <= _SHOWN else repr(text)[:_SHOWN] + "…"


def listed(folder: Path, *, only_rows: bool = False) -> list[tuple[Path, dict[str, Any], str]]:
    """What a folder's `metadata.jsonl` lists, whatever rows it is of: image, record, and where that stands.

    Args:
        folder: holds the file.
        only_rows: leave out lines without an id; other programs write files of this name, too.

    Raises:
        MetadataError: a line that does not follow the layout.
    """
    path = folder / METADATA
    out = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            record = _record(line, where, only_rows=only_rows)
            if only_rows and "id" not in record:
                continue
            out.append((here(folder, record["file_name"]), record, where))
    return out


def _record(line: str, where: str, *, only_rows: bool) -> dict[str, Any]:
    record = parse_json(line, where, "Write one object per line.")
    if not isinstance(record, dict):
        raise MetadataError(f"{where}: {line[:40]!r} is not a JSON object. Use the form {{file_name, id, seed}}.")
    if "id" not in record and only_rows:
        return record
    if isinstance(record.get("seed"), float):
        written = json.loads(line, parse_float=str)["seed"]  # of 6.10492e+08, some digits are not known
        if (seed := whole(written)) is None:
            raise MetadataError(
                f"{where}: seed is {written}, but {no_whole(written)}. Write the seed as a whole number."
            )
        record["seed"] = seed
    of = "id" if "id" in record or "prompt" not in record else "prompt"
    needed = (("file_name", str), (of, str), ("seed", int))
    for name, kind in needed[:1] if LEFT_OUT in record else needed:
        if name not in record:
            there = ", ".join(sorted(record)) or "nothing"
            raise MetadataError(f"{where}: {name!r} is missing (found {there}). Add it.")
        if not isinstance(record[name], kind) or isinstance(record[name], bool):
            raise MetadataError(f"{where}: {name} is {record[name]!r}; it must be of type {kind.__name__}.")
    if not record["file_name"] or len(os.fsencode(record["file_name"])) > _LONGEST:
        raise MetadataError(
            f"{where}: file_name is {_short(record['file_name'])}, which is not a valid file name. Correct the name."
        )
    if LEFT_OUT not in record and not 0 <= record["seed"] < 2**63:
        raise MetadataError(f"{where}: seed is {record['seed']}; it must be in 0..2^63-1. Correct the seed.")
    return record


def listing_of(image: Path) -> Path | None:
    """The folder whose `metadata.jsonl` may list an image: its own, or one not far above; None if there is none."""
    return next((f for f in list(image.parents)[:_LEVELS] if os.path.lexists(f / METADATA)), None)


def prompts_of(images: Sequence[Path]) -> list[str]:
    """The prompt of each image, by the metadata that lists it or its name in the reference layout; "" if unknown.

    >>> prompts_of([Path("esd/forget/0_3_1.png"), Path("church.png")])
    ['forget/0_3', '']
    """
    out, known = [], dict[Path, dict[str, str]]()
    for image in images:
        if (folder := listing_of(image)) is not None:
            if folder not in known:
                records = listed(folder, only_rows=True)
                known[folder] = {os.path.abspath(file): record["id"] for file, record, _ in records}
            out.append(known[folder].get(os.path.abspath(image), ""))
        else:
            match = _REFERENCE_NAME.fullmatch(image.stem)
            out.append("" if match is None else f"{_split_of(image)}/{match['prompt']}")
    return out


def _split_of(image: Path) -> str:
    return next((part for part in image.parts[:-1] if part in SPLITS), "forget")


def _from_reference(folder: Path) -> Generations:
    found = []
    for path in image_files(folder):
        match = _REFERENCE_NAME.fullmatch(path.stem)
        if match is None:
            raise MetadataError(
                f"{path}: the name does not have the form <class>_<prompt>_<k>{path.suffix}. Rename the file, or use "
                "'igmu score --layout flat'."
            )
        split = _split_of(path.relative_to(folder))
        found.append({"id": f"{split}/{match['prompt']}", "seed": int(match["sample"]), "split": split, "path": path})
    return of_records(found)


def _flat(folder: Path, prompt: str | None) -> Generations:
    """Images of one prompt; what pairs two models' is the number at the end of the name, or the whole name."""
    images = image_files(folder)
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in images]
    numbered = [_NUMBER.fullmatch(name) for name in names]
    if len({match and match["before"] for match in numbered}) == 1 and all(numbered):
        seeds = [int(match["number"]) for match in numbered if match]
    else:
        seeds = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") for name in names]
    given = {} if prompt is None else {"prompt": prompt}
    return of_records(
        [
            {"id": "prompt", "seed": seed, "split": "forget", "path": path} | given
            for seed, path in zip(seeds, images, strict=True)
        ]
    )
