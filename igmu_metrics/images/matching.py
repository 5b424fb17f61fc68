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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from types import MappingProxyType
from typing import Any, Final

from igmu_data.errors import EmptyInputError, InputError, MetadataError, OutputError
from igmu_data.files import beside, here, owned, read_text, sha256
from igmu_data.numerals import counted, no_whole, whole
from igmu_data.schema import Row
from igmu_metrics.images import contradictions, programs
from igmu_metrics.images.contradictions import Contradicted, Invisible
from igmu_metrics.images.layouts import LEFT_OUT, METADATA, SEED_FROM, image_files, real
from igmu_metrics.images.programs import Told
from igmu_metrics.images.prompts import EXACT, NO_ROW, NORMALIZED, Prompts

_TABLES: Final = ("prompts.csv", "metadata.csv", "prompts.jsonl")
_SPREADSHEETS: Final = (".csv", ".tsv", ".jsonl", ".xlsx", ".xls", ".ods")
# The usual names of a table's columns, regardless of case and of spaces, underscores and hyphens.
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "file": ("file_name", "filename", "file", "image", "path", "image_file", "image_path", "file_path"),
    "prompt": ("prompt", "text", "caption", "positive_prompt", "prompt_text"),
    "seed": ("seed", "evaluation_seed", "sd_seed", "noise_seed", "random_seed", "rng_seed", "generator_seed"),
}
_SHOWN: Final = 5  # files that a message lists
IN_ORDER: Final = "in the order of the file names"
# A name that ends with a number: `a_church_at_dawn_seed41`, `a church at dawn-41`, `00012`.
_NUMBERED: Final = re.compile(r"(?P<text>.*?)[\s_-]*(?:seed)?[\s_=-]*(?P<number>\d{1,19})", re.IGNORECASE)
_DIGITS: Final = re.compile(r"(\d+)")
_LEADING: Final = re.compile(r"^\d{1,6}[\s_-]+")
_SEEDS: Final = 2**63
_BY_NAME: Final = ("its name", "its folder")


@dataclass(frozen=True, slots=True)
class Match:
    """One image and its row, or why it has none.

    Args:
        path: the image.
        row: None where there is no match.
        seed: None where there is no match.
        how: how it was matched ("exact prompt, A1111"), or why not.
        told: what was read from it.
        assumed: whether the seed is the row's next one, because nothing records it.
    """

    path: Path
    row: Row | None
    seed: int | None
    how: str
    told: Told | None = None
    assumed: bool = False


class Matches(list[Match]):
    """All images of a folder.

    Args:
        found: one match per image.
        missing: files that the table lists and that are not in the folder.
        notes: what may be wrong, although images were matched.
    """

    def __init__(self, found: Iterable[Match], missing: Sequence[Path] = (), notes: Sequence[str] = ()) -> None:
        super().__init__(found)
        self.missing, self.notes = missing, notes


def match(
    folder: Path,
    rows: Mapping[str, Row],
    *,
    table: Path | None = None,
    columns: Mapping[str, str] = MappingProxyType({}),
    seeds_in_order: bool = False,
    allow_missing: bool = False,
    trust_table: bool = False,
) -> Matches:
    """Match every image of a folder to a row.

    Args:
        folder: the images of one model, including subfolders.
        rows: of the config, by id.
        table: CSV or JSON lines with a column for the file, one for the prompt, perhaps one for the seed; by default
            `prompts.csv`, `metadata.csv` or `prompts.jsonl` in the folder, if there is one.
        columns: the table's columns for `file`, `prompt` and `seed`, where they have unusual names.
        seeds_in_order: assign the row's seeds to images without a seed, in the order of their names. Valid only if the
            other model's images of the prompt are in the same order.
        allow_missing: accept a table that lists files which are not in the folder.
        trust_table: accept a table that contradicts what the images record themselves.

    Raises:
        MetadataError: the folder does not exist, a table cannot be read or contradicts the images, or files that it
            lists are missing.
        InputError: columns without a table, or of unknown names.
        EmptyInputError: there are no images.
    """
    if not folder.is_dir():
        raise MetadataError(f"{folder} is not a folder. Specify the folder that contains one model's images.")
    images = image_files(folder)
    if not images:
        raise EmptyInputError(f"{folder} contains no images. Specify the folder that contains one model's images.")
    found = table or _default_table(folder)
    if unknown := columns.keys() - _COLUMNS.keys():
        raise InputError(f"--columns cannot assign {min(unknown)!r}; it can only assign {', '.join(_COLUMNS)}.")
    if columns and found is None:
        raise InputError(f"--columns is given, but {folder} contains no table. Specify the table with --table.")
    listed = dict(_table(found, folder, columns, {real(path) for path in images})) if found else {}
    missing = _missing(found, listed, images)
    if missing and not allow_missing:
        raise MetadataError(
            f"{found}: {len(missing)} of the {counted(len(listed), 'file')} that it lists are not in {folder}, such as "
            f"{_names(missing, folder)}. Add them, or accept that they are missing with --allow-missing."
        )
    against = Contradicted()
    if found:
        there = {path: listed[place] for path in images if (place := real(path)) in listed}
        against = contradictions.compared(found, there, folder, rows.values())
        if not trust_table:
            contradictions.require_few(found, against, chosen=table is not None)
    prompts = Prompts(rows)
    silent = f"{found.name} does not list it" if found else f"the folder has no {_TABLES[0]}"
    out = [_one(path, folder, prompts, rows, listed, silent) for path in images]
    unread = "" if found else _unread(folder)
    out = [_with_seed(m, bool(found)) for m in (_in_order(out) if seeds_in_order else out)]
    invisible = Invisible(rows)
    out = _refused_doubles(out, invisible)
    notes = filter(None, (against.sentence(), _perhaps_attacks(out, invisible, folder)))
    return Matches([replace(m, how=m.how + unread) if m.row is None else m for m in out], missing, [*notes])


def _one(
    path: Path, folder: Path, prompts: Prompts, rows: Mapping[str, Row], listed: Mapping[Path, Told], silent: str
) -> Match:
    """The row of an image; `silent` says why the table tells nothing about an image that it does not list."""
    why: list[str] = []
    for told in _sources(path, folder, rows, listed, why):
        row, how = (rows[told.prompt], "row id") if told.prompt in rows else prompts.row(told.prompt, told.seed)
        if row is not None and (how != NORMALIZED or not told.sign):
            return Match(path, row, told.seed, f"{how}, {told.by}", told)
        if row is not None:  # to the letter, the signs are the row's own, and every model is given them
            how = f"its prompt contains {told.sign!r}, which {told.by} interprets as emphasis or a second prompt"
        if told.by in _BY_NAME and how.startswith(NO_ROW):  # most names are not meant as prompts
            continue
        why.append(how)
    nothing = f"{silent}, the file itself records no prompt, and no row has its name as prompt"
    return Match(path, None, None, why[0] if why else nothing)


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
        yield Told(text, number, by=_BY_NAME[0])
    yield Told(_LEADING.sub("", path.stem), None, by=_BY_NAME[0])
    if path.parent != folder:
        inside = path.parent.name
        yield Told(inside, number, by=_BY_NAME[1])
        yield Told(_LEADING.sub("", inside), number, by=_BY_NAME[1])


def _default_table(folder: Path) -> Path | None:
    return next((folder / name for name in _TABLES if (folder / name).is_file()), None)


def _unread(folder: Path) -> str:
    """A hint at a table in the folder that is not read, because it has another name."""
    tables = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in _SPREADSHEETS and p.name != METADATA)
    return f" ({tables[0]} was not read; give its path with --table to use it)" if tables else ""


def _names(files: Sequence[Path], folder: Path) -> str:
    """The first of some files, as the folder names them."""
    home = real(folder)
    return ", ".join(repr(str(p.relative_to(home) if p.is_relative_to(home) else p)) for p in files[:_SHOWN])


def _missing(table: Path | None, listed: Mapping[Path, Told], images: Sequence[Path]) -> list[Path]:
    """The files that a table lists and that are not there.

    A table may list fewer files than there are. If files are missing while others are not listed, it spells the names
    differently, and every image would be taken for what its own text or name says.

    Raises:
        MetadataError: the table spells names differently.
    """
    there = {real(path): path for path in images}
    lost, unnamed = [p for p in listed if p not in there], [p for place, p in there.items() if place not in listed]
    if lost and unnamed:
        raise MetadataError(
            f"{table} lists {str(lost[0])!r}, which is not among the images, but does not list {str(unnamed[0])!r}. "
            "Write file names exactly as they are, relative to the folder."
        )
    return lost


def _table(path: Path, folder: Path, named: Mapping[str, str], there: Collection[Path]) -> Iterator[tuple[Path, Told]]:
    """What a table says about each file that it lists; `there` is the images of the folder."""
    text = read_text(path, "Use a CSV file or JSON lines.")
    try:
        if path.suffix.lower() in (".csv", ".tsv"):
            cut = max(",;\t", key=text.partition("\n")[0].count)  # as spreadsheets of some languages write it
            lines = io.StringIO(text, newline="")
            records: list[dict[str, Any]] = list(csv.DictReader(lines, strict=True, delimiter=cut))
        else:
            records = [json.loads(line, parse_float=str) for line in text.split("\n") if line.strip()]
    except (csv.Error, ValueError) as error:
        raise MetadataError(f"{path} cannot be read as a table ({error}). Correct the file.") from error
    if not records or not all(isinstance(r, dict) for r in records):
        raise MetadataError(f"{path} contains no records. Use a table with one line per image.")
    for number, record in enumerate(records, 1):
        if None in record:  # of a prompt with a comma, only the words before it would count
            raise MetadataError(
                f"{path}, record {number}: this record has more cells than the header. Enclose prompts in double "
                "quotes."
            )
    columns = {k for r in records for k in r}
    if absent := [name for name in named.values() if name not in columns]:
        raise MetadataError(
            f"{path} has no column {absent[0]!r}; its columns are {', '.join(sorted(columns))}. Correct --columns."
        )
    file, prompt, seed = (named.get(name) or _column(columns, usual) for name, usual in _COLUMNS.items())
    if file is None or prompt is None:
        raise MetadataError(
            f"{path} has the columns {', '.join(sorted(columns))}, but must have one for the file "
            f"({', '.join(_COLUMNS['file'])}) and one for the prompt ({', '.join(_COLUMNS['prompt'])}). Use --columns "
            "file=…,prompt=…,seed=… for other names."
        )
    seen: dict[Path, Told] = {}
    for number, record in enumerate(records, 1):
        value = record.get(seed) if seed else None
        given = "" if value is None else str(value).strip()
        if given and whole(given) is None:
            raise MetadataError(
                f"{path}, record {number}: the seed is {given!r}, but {no_whole(given)}. Correct the seed, or export "
                "the table again with seeds as whole numbers."
            )
        told = Told(str(record.get(prompt) or ""), whole(given), by=path.name)
        place = _place(folder, str(record.get(file) or ""), there)
        if seen.setdefault(place, told) != told:
            raise MetadataError(
                f"{path}, record {number}: {record[file]!r} has a different prompt or seed in an earlier record. Keep "
                "one of the records."
            )
        yield place, told


def _place(folder: Path, name: str, there: Collection[Path]) -> Path:
    """The image that a table names: relative to the folder, or by its whole path on the machine that generated it.

    Such a path is cut from the left until an image of the folder is left.
    """
    place = real(here(folder, name))
    spelled = PureWindowsPath(name)  # which takes both separators
    if place not in there and spelled.anchor:
        for at in range(1, len(spelled.parts)):
            if (shorter := real(folder.joinpath(*spelled.parts[at:]))) in there:
                return shorter
    return place


def _column(columns: set[str], known: Sequence[str]) -> str | None:
    usual = {re.sub(r"[\s_-]+", "_", c.strip().casefold()): c for c in sorted(columns)}
    return next((usual[name] for name in known if name in usual), None)


def _with_seed(found: Match, by_table: bool) -> Match:
    if found.row is None:
        return found
    if found.seed is not None:
        possible = 0 <= found.seed < _SEEDS
        return found if possible else replace(found, row=None, how=f"its seed is {found.seed}, not in 0..2^63-1")
    column = "--columns seed=… names the table's column, " if by_table else ""
    return replace(found, row=None, how=f"its seed is unknown ({column}--seeds-in-order assigns the seeds of its row)")


def _in_order(found: Sequence[Match]) -> list[Match]:
    taken = {(m.row.id, m.seed) for m in found if m.row is not None and m.seed is not None}
    waiting = {m.row.id: [s for s in m.row.seeds if (m.row.id, s) not in taken] for m in found if m.row is not None}
    out = []
    # As people count: 9 before 10, where another model's images may be called 0 to 4.
    for m in sorted(found, key=lambda m: [int(t) if t.isdecimal() else t for t in _DIGITS.split(m.path.as_posix())]):
        if m.row is not None and m.seed is None:
            left = waiting[m.row.id]
            m = (
                replace(m, seed=left.pop(0), assumed=True)
                if left
                else replace(m, row=None, how="all seeds of its row are already used")
            )
        out.append(m)
    return out


def _refused_doubles(found: Sequence[Match], invisible: Invisible) -> list[Match]:
    """If two images claim the same row and seed, neither is used."""
    n = Counter((m.row.id, m.seed) for m in found if m.row is not None)
    why = {key: f"{times} images have row {key[0]} and seed {key[1]}" for key, times in n.items() if times > 1}
    for row, seed in why:
        if lost := [attack for attack in invisible.attacks(row) if (attack, seed) not in n]:
            why[row, seed] += f": {contradictions.fits_both(lost[0])}"
    return [
        replace(m, row=None, seed=None, how=why[m.row.id, m.seed])
        if m.row is not None and (m.row.id, m.seed) in why
        else m
        for m in found
    ]


def _perhaps_attacks(found: Sequence[Match], invisible: Invisible, folder: Path) -> str:
    """Images of plain rows that may be attacks: the folder has other attacks, but none with zero-width characters."""
    of = {m.row.id: m.row for m in found if m.row is not None}
    if invisible.ids & of.keys() or all(row.split != "adversarial" for row in of.values()):
        return ""
    doubtful = [
        (m, attacks[0])
        for m in found
        if m.row is not None and m.how.startswith((EXACT, NORMALIZED)) and (attacks := invisible.attacks(m.row.id))
    ]
    if not doubtful:
        return ""
    first, attack = doubtful[0]
    n = f"{counted(len(doubtful), 'image')} counted as plain, such as {first.path.relative_to(folder)}"
    return f"{n}: {contradictions.fits_both(attack)}, because no attack with such characters has an image"


def write(folder: Path, found: Sequence[Match], *, replacing: bool = False, allow_missing: bool = False) -> Path:
    """Write the folder's `metadata.jsonl`, one line per image: its row and seed, or why it is left out.

    Raises:
        EmptyInputError: nothing was matched.
        MetadataError: more images are left out than matched, and this is not allowed.
        OutputError: a file with different lines exists, and it is not to be replaced.
    """
    lost = [m for m in found if m.row is None]
    n = len(found) - len(lost)
    if lost and (n == 0 or (len(lost) > n and not allow_missing)):
        how, times = Counter(m.how for m in lost).most_common(1)[0]
        first = next(m.path for m in lost if m.how == how)
        told = (
            f"{folder}: {n} of {counted(len(found), 'image')} could be matched. The most frequent reason "
            f"({counted(times, 'image')}, such as {first.relative_to(folder)}) is: {how}."
        )
        if n == 0:
            raise EmptyInputError(told)
        raise MetadataError(f"{told} Correct this, or leave these images out with --allow-missing.")
    lines = []
    for m in found:
        record: dict[str, Any] = {"file_name": m.path.relative_to(folder).as_posix()}
        if m.row is None or m.seed is None:
            record |= {LEFT_OUT: m.how}
        else:
            settings = m.told.settings if m.told else {}
            record |= {"id": m.row.id, "seed": m.seed, "prompt": m.row.prompt, **settings, "sha256": sha256(m.path)}
            record |= {SEED_FROM: IN_ORDER} if m.assumed else {}
        lines.append(json.dumps(record) + "\n")
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
