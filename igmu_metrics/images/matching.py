"""Finds which row of the corpus each image of a folder was generated for, and writes the folder's `metadata.jsonl`.

An image's prompt comes from a table next to it, from metadata that its program wrote into it (`programs`), or from its
name or folder; the row is the one with the same prompt, first exactly, then after normalization (Unicode form, case,
spaces and signs). Nothing is guessed: an image that fits two rows, has no seed or claims the row and seed of another
image is left out, with the reason.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import EmptyInputError, InputError, MetadataError, OutputError
from igmu_data.files import beside, owned, read_text, sha256
from igmu_data.schema import Row
from igmu_metrics.images import programs
from igmu_metrics.images.layouts import LEFT_OUT, METADATA, image_files, real
from igmu_metrics.images.programs import Told
from igmu_metrics.images.prompts import NORMALIZED, Prompts

_TABLES: Final = ("prompts.csv", "metadata.csv", "prompts.jsonl")
_FILE_COLUMNS: Final = ("file_name", "filename", "file", "image", "path")
_PROMPT_COLUMNS: Final = ("prompt", "text", "caption", "positive_prompt")
_SEED_COLUMNS: Final = ("seed", "evaluation_seed", "sd_seed")
# A name that ends with a number: `a_church_at_dawn_seed41`, `a church at dawn-41`, `00012`.
_NUMBERED: Final = re.compile(r"(?P<text>.*?)[\s_-]*(?:seed)?[\s_=-]*(?P<number>\d{1,19})", re.IGNORECASE)
_DIGITS: Final = re.compile(r"(\d+)")
_LEADING: Final = re.compile(r"^\d{1,6}[\s_-]+")
_SEEDS: Final = 2**63


@dataclass(frozen=True, slots=True)
class Match:
    """One image and its row, or why it has none.

    Args:
        path: the image.
        row: None where there is no match.
        seed: None where there is no match.
        how: how it was matched ("exact prompt, A1111"), or why not.
        told: what was read from it.
    """

    path: Path
    row: Row | None
    seed: int | None
    how: str
    told: Told | None = None


def match(
    folder: Path, rows: Mapping[str, Row], *, table: Path | None = None, seeds_in_order: bool = False
) -> list[Match]:
    """Match every image of a folder to a row.

    Args:
        folder: the images of one model, including subfolders.
        rows: of the config, by id.
        table: CSV or JSON lines with a column for the file, one for the prompt, perhaps one for the seed; by default
            `prompts.csv`, `metadata.csv` or `prompts.jsonl` in the folder, if there is one.
        seeds_in_order: assign the row's seeds to images without a seed, in the order of their names. Valid only if the
            other model's images of the prompt are in the same order.

    Raises:
        MetadataError: the folder does not exist, or a table cannot be read.
        EmptyInputError: there are no images.
    """
    if not folder.is_dir():
        raise MetadataError(f"{folder} is not a folder. Specify the folder that contains one model's images.")
    images = image_files(folder)
    if not images:
        raise EmptyInputError(f"{folder} contains no images. Specify the folder that contains one model's images.")
    listed = dict(_table(found, folder)) if (found := table or _default_table(folder)) else {}
    _require_same_names(found, listed, images)
    prompts = Prompts(rows)
    out = [_one(path, folder, prompts, rows, listed) for path in images]
    return _refused_doubles([_with_seed(m) for m in (_in_order(out) if seeds_in_order else out)])


def _one(path: Path, folder: Path, prompts: Prompts, rows: Mapping[str, Row], listed: Mapping[Path, Told]) -> Match:
    why: list[str] = []
    for told in _sources(path, folder, rows, listed, why):
        row, how = (rows[told.prompt], "row id") if told.prompt in rows else prompts.row(told.prompt, told.seed)
        if row is not None and (how != NORMALIZED or not told.sign):
            return Match(path, row, told.seed, f"{how}, {told.by}", told)
        if row is not None:  # to the letter, the signs are the row's own, and every model is given them
            how = f"its prompt contains {told.sign!r}, which {told.by} interprets as emphasis or a second prompt"
        why.append(how)
    return Match(path, None, None, why[0] if why else "no prompt is recorded in the file or next to it")


def _sources(
    path: Path, folder: Path, rows: Mapping[str, Row], listed: Mapping[Path, Told], why: list[str]
) -> Iterator[Told]:
    """The sources about an image, the most reliable first; a source that contradicts itself ends the search."""
    if (place := real(path)) in listed:
        yield listed[place]
        return
    try:
        told = programs.read(path)
    except InputError as error:
        why.append(str(error))
        return
    if told is not None:
        yield told
        return
    yield from _from_name(path, folder, rows)


def _from_name(path: Path, folder: Path, rows: Mapping[str, Row]) -> Iterator[Told]:
    """The prompt (or row id) that a name or the folder around it spells, with the number at its end as seed."""
    numbered = _NUMBERED.fullmatch(path.stem)
    number = int(numbered["number"]) if numbered else None
    if numbered and numbered["text"]:
        text = numbered["text"] if numbered["text"] in rows else _LEADING.sub("", numbered["text"])
        yield Told(text, number, by="its name")
    yield Told(_LEADING.sub("", path.stem), None, by="its name")
    if path.parent != folder:
        inside = path.parent.name
        yield Told(inside, number, by="its folder")
        yield Told(_LEADING.sub("", inside), number, by="its folder")


def _default_table(folder: Path) -> Path | None:
    return next((folder / name for name in _TABLES if (folder / name).is_file()), None)


def _require_same_names(table: Path | None, listed: Mapping[Path, Told], images: Sequence[Path]) -> None:
    """Refuse a table that names files which are not there, while there are images that it does not name.

    It may have more lines than there are images, or fewer; with both it spells the names otherwise, and every image
    would be taken for what its own text or name says.
    """
    there = {real(path): path for path in images}
    lost, unnamed = [p for p in listed if p not in there], [p for place, p in there.items() if place not in listed]
    if lost and unnamed:
        raise MetadataError(
            f"{table} lists {str(lost[0])!r}, which is not among the images, but does not list {str(unnamed[0])!r}. "
            "Write file names exactly as they are, relative to the folder."
        )


def _table(path: Path, folder: Path) -> Iterator[tuple[Path, Told]]:
    text = read_text(path, "Use a CSV file or JSON lines.")
    try:
        if path.suffix.lower() == ".csv":
            cut = max(",;\t", key=text.partition("\n")[0].count)  # as spreadsheets of some languages write it
            lines = io.StringIO(text, newline="")
            records: list[dict[str, Any]] = list(csv.DictReader(lines, strict=True, delimiter=cut))
        else:
            records = [json.loads(line) for line in text.split("\n") if line.strip()]
    except (csv.Error, ValueError) as error:
        raise MetadataError(f"{path} cannot be read as a table ({error}). Correct it.") from error
    if not records or not all(isinstance(r, dict) for r in records):
        raise MetadataError(f"{path} contains no records. Use a table with one line per image.")
    for number, record in enumerate(records, 1):
        if None in record:  # of a prompt with a comma, only the words before it would count
            raise MetadataError(
                f"{path}, record {number}: this record has more cells than the header. Enclose prompts in double "
                "quotes."
            )
    columns = {k for r in records for k in r}
    file, prompt = _column(columns, _FILE_COLUMNS), _column(columns, _PROMPT_COLUMNS)
    seed = _column(columns, _SEED_COLUMNS)
    if file is None or prompt is None:
        raise MetadataError(
            f"{path} has the columns {', '.join(sorted(columns))}, but must have one for the file "
            f"({', '.join(_FILE_COLUMNS)}) and one for the prompt ({', '.join(_PROMPT_COLUMNS)})."
        )
    seen: dict[Path, Told] = {}
    for number, record in enumerate(records, 1):
        value = record.get(seed) if seed else None
        given = "" if value is None else str(value).strip()
        if given and not given.isdecimal():
            raise MetadataError(
                f"{path}, record {number}: the seed is {given!r}; it must be a whole number. Correct it."
            )
        told = Told(str(record.get(prompt) or ""), int(given) if given else None, by=path.name)
        place = real(folder / str(record.get(file) or ""))
        if seen.setdefault(place, told) != told:
            raise MetadataError(
                f"{path}, record {number}: {record[file]!r} has a different prompt or seed in an earlier record. Keep "
                "one of the records."
            )
        yield place, told


def _column(columns: set[str], known: Sequence[str]) -> str | None:
    lower = {c.casefold(): c for c in sorted(columns)}
    return next((lower[name] for name in known if name in lower), None)


def _with_seed(found: Match) -> Match:
    if found.row is None:
        return found
    if found.seed is not None:
        possible = 0 <= found.seed < _SEEDS
        return found if possible else replace(found, row=None, how=f"its seed is {found.seed}, not in 0..2^63-1")
    return replace(found, row=None, how="its seed is unknown (--seeds-in-order assigns the seeds of its row)")


def _in_order(found: Sequence[Match]) -> list[Match]:
    taken = {(m.row.id, m.seed) for m in found if m.row is not None and m.seed is not None}
    waiting = {m.row.id: [s for s in m.row.seeds if (m.row.id, s) not in taken] for m in found if m.row is not None}
    out = []
    # As people count: 9 before 10, where another model's images may be called 0 to 4.
    for m in sorted(found, key=lambda m: [int(t) if t.isdecimal() else t for t in _DIGITS.split(m.path.as_posix())]):
        if m.row is not None and m.seed is None:
            left = waiting[m.row.id]
            m = (
                replace(m, seed=left.pop(0))
                if left
                else replace(m, row=None, how="all seeds of its row are already used")
            )
        out.append(m)
    return out


def _refused_doubles(found: Sequence[Match]) -> list[Match]:
    """If two images claim the same row and seed, neither is used."""
    n = Counter((m.row.id, m.seed) for m in found if m.row is not None)
    return [
        replace(m, row=None, seed=None, how=f"{n[m.row.id, m.seed]} images have row {m.row.id} and seed {m.seed}")
        if m.row is not None and n[m.row.id, m.seed] > 1
        else m
        for m in found
    ]


def write(folder: Path, found: Sequence[Match], *, replacing: bool = False) -> Path:
    """Write the folder's `metadata.jsonl`, one line per image: its row and seed, or why it is left out.

    Raises:
        EmptyInputError: nothing was matched.
        OutputError: a file with different lines exists, and it is not to be replaced.
    """
    lines = []
    for m in found:
        record: dict[str, Any] = {"file_name": m.path.relative_to(folder).as_posix()}
        if m.row is None or m.seed is None:
            record |= {LEFT_OUT: m.how}
        else:
            told = m.told.settings if m.told else {}
            record |= {"id": m.row.id, "seed": m.seed, "prompt": m.row.prompt, **told, "sha256": sha256(m.path)}
        lines.append(json.dumps(record) + "\n")
    if all(m.row is None for m in found):
        why = Counter(m.how for m in found).most_common(1)[0]
        raise EmptyInputError(
            f"{folder}: 0 of {len(found)} images could be matched. The most frequent reason (for {why[1]} images) is: "
            f"{why[0]}."
        )
    path, text = folder / METADATA, "".join(lines)
    if path.exists() and not replacing and path.read_bytes() != text.encode():
        raise OutputError(f"{path} already exists with different content. Use --replace to overwrite it.")
    with owned(folder):
        try:
            with beside(path) as part:
                part.write_text(text, encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written ({error.strerror}). Check the folder's permissions."
            ) from error
    return path
