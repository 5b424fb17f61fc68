"""A reference table: the observations of all images of an original model, published once and read instead of images.

Conventions: a table is one Parquet file with facts in addition to its columns, like the table of part 1 of 1. It has
ids, seeds, hashes, statuses, probabilities and features, but no images and no prompts, which the corpus gives by id.
Whether the concept is present is decided again, so that any threshold can be used. The digest over the whole table
detects accidents and careless edits; a forged table can have a valid digest, too, as with a scorecard. A folder of
tables can replace a folder of images in `images.layouts.find`, so everything that reads folders can read it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from igmu_data.errors import ChecksumError, HubError, InputError, MetadataError, UnsupportedError
from igmu_data.files import MANIFEST, irregular, require_as_listed
from igmu_data.schema import Row
from igmu_metrics import generations
from igmu_metrics.generations import FAILED, Generations

FORMAT: Final = 1
FACT: Final = "reference"  # of a table in memory: what its instruments were, as JSON
COLUMNS: Final = ("id", "seed", "status", "sha256", "format", "width", "height", "mode", "probability")
METADATA: Final = "metadata.jsonl"  # a folder that has it holds images
_FILES: Final = "-00001-of-00001.parquet"
_DEPTH: Final = 4  # folders below a data set's in which tables are looked for
_FACTS: Final[Mapping[str, type]] = {
    "model": str,
    "config": str,
    "blank": str,
    "instruments": dict,
    "contents": str,
    "row": str,
    "n_total": int,
    "digest": str,
}
_MOST_ROWS: Final = 500_000
_MOST_COLUMNS: Final = 64
_MOST_BYTES: Final = 8 * 2**30  # unpacked
_MOST_FACTS: Final = 1_000_000  # bytes
# By column, the role of the instrument behind it; without the instrument, scores from images have no such column.
_BEHIND: Final = {"clip_features": "clip", "features": "features", "align_features": "align"}
# What of a signature changes nothing in the columns: decisions are made anew, and texts are not in the table.
_ELSEWHERE: Final = frozenset(
    {"threshold", "sensitivity", "specificity", "n_positives", "n_negatives", "calibration", "truncation"}
)
_HUB: Final = re.compile(r"hub:(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[\w.-]+)(?:/(?P<inside>.+))?")
_AGAIN: Final = "Create it again with 'igmu original', or download it again."


def local(place: Path) -> Path:
    """The downloaded folder of a place on the Hub; any other path unchanged.

    Args:
        place: `hub:OWNER/NAME@REVISION/FOLDER`, or a path.

    Raises:
        InputError: no revision, or a folder outside of the repository.
        HubError: it cannot be fetched.
    """
    return _loaded(str(place)) if str(place).startswith("hub:") else place


@cache
def _loaded(place: str) -> Path:
    match = _HUB.fullmatch(place)
    inside = (match["inside"] or "").strip("/") if match else ""
    if match is None or ".." in inside.split("/"):
        raise InputError(
            f"{place} does not have the form hub:OWNER/NAME@REVISION or hub:OWNER/NAME@REVISION/FOLDER. Specify the "
            "owner, name and revision."
        )
    from huggingface_hub import snapshot_download

    wanted = [f"{inside}/*" if inside else "*", MANIFEST]
    try:
        root = Path(
            snapshot_download(match["repo"], repo_type="dataset", revision=match["revision"], allow_patterns=wanted)
        )
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise HubError(
            f"cannot fetch {place} from the Hub ({reason.rstrip('.')}). Check the name, the connection and your "
            "access, or use a folder of tables."
        ) from error
    return root / inside


def files(folder: Path) -> dict[Path, dict[str, Any]]:
    """The reference tables in a folder and below, with the facts of each; none in a folder of images.

    Raises:
        MetadataError: one that cannot be read.
    """
    if not folder.is_dir() or (folder / METADATA).exists():
        return {}
    found = {}
    for depth in range(_DEPTH):
        for path in sorted(folder.glob(f"{'*/' * depth}*{_FILES}")):
            facts = _facts(path)
            if facts is not None:
                found[path] = facts
    return found


def name_of(folder: Path) -> str:
    """The name of the model of a folder of tables; "" if the folder has no tables.

    Raises:
        InputError: tables of several models.
    """
    names = sorted({facts["model"] for facts in files(folder).values()})
    if len(names) > 1:
        raise InputError(
            f"{folder} contains tables of {len(names)} models ({', '.join(names)}). Specify the folder of one of them."
        )
    return names[0] if names else ""


def table_of(folder: Path, ids: Iterable[str]) -> Path | None:
    """The table of a folder for some rows; None if the folder has no tables.

    Args:
        folder: of one or several tables.
        ids: of the rows.

    Raises:
        MetadataError: no table of these rows, or several, made by different instruments.
    """
    found = files(folder)
    if not found:
        return None
    known = set(ids)
    ours = [path for path, facts in found.items() if facts["row"] in known]
    if len(ours) == 1:
        return ours[0]
    listed = "; ".join(
        f"{path.parent}: {facts['config']} by {', '.join(named(facts['instruments']).values())}"
        for path, facts in found.items()
        if path in ours or not ours
    )
    if ours:
        raise MetadataError(
            f"{folder} contains {len(ours)} tables for these rows. Specify the folder of one of them ({listed})."
        )
    raise MetadataError(
        f"{folder} contains no table for these rows, only for others ({listed}). Check the config and the corpus."
    )


def read(path: Path) -> tuple[Generations, dict[str, Any]]:
    """A table with its facts, after verification.

    Args:
        path: of the file.

    Returns:
        The recorded columns, with the fact `FACT`, and the facts beside them.

    Raises:
        MetadataError: not a table, a table beyond the limits, or impossible values.
        ChecksumError: a table that was changed, or differs from the one listed in the manifest of its folder.
    """
    facts = _facts(path)
    if facts is None:
        raise MetadataError(f"{path} is not a valid reference table. {_AGAIN}")
    for root in list(path.parents)[:_DEPTH]:
        if (root / MANIFEST).is_file():
            require_as_listed(root, [path])
            break
    try:
        table = generations.read(path)[0]
    except MetadataError as error:
        raise MetadataError(f"{path}: the reference table cannot be read ({error.__cause__}). {_AGAIN}") from error
    lost = [name for name in COLUMNS if name not in table]
    if lost:
        raise MetadataError(f"{path}: the reference table does not contain {', '.join(lost)}. {_AGAIN}")
    if digest(table, facts) != facts["digest"]:
        raise ChecksumError(f"{path} has changed since it was made (its digest no longer matches). {_AGAIN}")
    _require_possible(table, facts, path)
    told = {"path": str(path), **{name: facts[name] for name in ("instruments", "blank", "digest")}}
    return table.with_facts(**{FACT: json.dumps(told)}), facts


def _facts(path: Path) -> dict[str, Any] | None:
    """The facts of a reference table; None for any other Parquet file, or none at all.

    Raises:
        MetadataError: a table beyond the limits, or without a fact.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if irregular(path):
            return None
        footer = pq.read_metadata(path)
        text = (footer.metadata or {}).get(b"igmu", b"")
        facts = json.loads(text) if 0 < len(text) <= _MOST_FACTS else None
    except (OSError, pa.ArrowException, ValueError, RecursionError):
        return None
    if not isinstance(facts, dict) or FACT not in facts:
        return None
    n_bytes = sum(footer.row_group(i).total_byte_size for i in range(footer.num_row_groups))
    for what, found, most in (
        ("rows", footer.num_rows, _MOST_ROWS),
        ("columns", footer.num_columns, _MOST_COLUMNS),
        ("bytes", n_bytes, _MOST_BYTES),
    ):
        if found > most:
            raise MetadataError(
                f"{path} has {found:,} {what}, but a reference table may have at most {most:,}. {_AGAIN}"
            )
    lost = [name for name, kind in _FACTS.items() if not isinstance(facts.get(name), kind)]
    if facts[FACT] != FORMAT or lost or not all(isinstance(v, dict) for v in facts["instruments"].values()):
        what = f"it does not contain {', '.join(lost)}" if lost else f"its format is {facts[FACT]!r}"
        raise MetadataError(f"{path} is not a reference table that this version of igmu can read ({what}). {_AGAIN}")
    return {name: value for name, value in facts.items() if name != "table"}


def digest(table: Generations, facts: Mapping[str, Any]) -> str:
    """SHA-256 over the whole table: its facts, and every value of every column.

    Args:
        table: the recorded columns.
        facts: all facts of the table.
    """
    told = {name: value for name, value in facts.items() if name != "digest"}
    found = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    plain = [name for name, values in table.columns.items() if values.ndim == 1]
    for record in table.records(*plain):
        found.update(json.dumps(record, sort_keys=True, default=str).encode())
    for name, values in sorted(table.columns.items()):
        if values.ndim > 1 and values.shape[1]:
            found.update(f"{name} {values.shape}".encode())
            found.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    return found.hexdigest()


def contents(keys: Sequence[tuple[str, int]], hashes: Iterable[str]) -> str:
    """One hash over all images of a model: the same for a table as for the images that it was made from.

    Args:
        keys: `(id, seed)` of every image.
        hashes: SHA-256 of every file.
    """
    found = hashlib.sha256()
    for (row, seed), content in zip(keys, hashes, strict=True):
        found.update(f"{row}\t{seed}\t{content}\n".encode())
    return found.hexdigest()


def _require_possible(table: Generations, facts: Mapping[str, Any], path: Path) -> None:
    """Refuse values that no instrument gives, and rows that are not all there."""
    if len(table) != facts["n_total"] or len(set(table.keys)) != len(table):
        raise MetadataError(
            f"{path} contains {len(set(table.keys))} distinct generations instead of {facts['n_total']}. {_AGAIN}"
        )
    for name, values in table.columns.items():
        known = generations.column(name.partition("@")[0])  # of a further detector: see `networks.observe.of_judge`
        if known is None or known.kind == "object":
            raise MetadataError(f"{path}: {name[:40]!r} is not a column of a reference table. {_AGAIN}")
        if known.kind == "vector" and not np.isfinite(values).all():
            raise MetadataError(f"{path}: {name} contains a value that is not finite. {_AGAIN}")
        low, high = known.low, known.high
        seen = np.ma.compressed(values) if known.kind == "number" else values
        if (low is not None and (seen < low).any()) or (high is not None and (seen > high).any()):
            raise MetadataError(f"{path}: {name} contains a value outside {low:g}..{high or np.inf:g}. {_AGAIN}")
        if known.pattern and not all(re.fullmatch(known.pattern, v) for v in values.tolist()):
            raise MetadataError(f"{path}: {name} contains an invalid hash. {_AGAIN}")
    if np.char.startswith(table["status"], FAILED).any():
        raise MetadataError(f"{path} contains an entry for an unreadable image of the original model. {_AGAIN}")
    if contents(table.keys, table["sha256"].tolist()) != facts["contents"]:
        raise ChecksumError(f"{path}: the listed images do not match the recorded hash of all images. {_AGAIN}")


def recorded(table: Generations) -> dict[str, Any] | None:
    """The facts of a table from `read`: `path`, `instruments`, `blank`, `digest`; None for a table of images."""
    found = table.facts.get(FACT)
    return None if found is None else json.loads(str(found))


def home(table: Generations, folder: Path) -> Path:
    """The folder with a model's `model.json` and `times.jsonl`; the folder of a reference table has copies.

    Args:
        table: of the model.
        folder: that it was found in.
    """
    told = recorded(table)
    return folder if told is None else Path(told["path"]).parent


def seen(
    table: Generations,
    tools: Mapping[str, Mapping[str, Any]],
    judges: Sequence[Mapping[str, Any]],
    *,
    blank: str,
    answered: bool,
) -> Generations:
    """The observations of the instruments of an evaluation, as recorded in a table, if the instruments are the same.

    Args:
        table: of the original, with what was recorded.
        tools: signature of every instrument asked for, by role.
        judges: signature of every detector, in the role `detector`.
        blank: what becomes of images of one colour.
        answered: whether the evaluation asks the questions of general prompts.

    Raises:
        UnsupportedError: an instrument that is not recorded or differs (named in the message), or LPIPS, which needs
            images.
    """
    told = recorded(table) or {}
    where, there = told["path"], told["instruments"]
    images = "or specify the folder of the original's images"
    if "lpips" in tools:
        name = tools["lpips"]["lpips"]
        raise UnsupportedError(
            f"{where}: {name} compares images, but a reference table contains none. Leave lpips out, {images}."
        )
    if told["blank"] != blank:
        raise UnsupportedError(
            f"{where} was recorded with blank {told['blank']}, not {blank}. Set blank to {told['blank']}, {images}."
        )
    known = [role for role in there if role.partition("@")[0] == "detector"]
    own: dict[str, Any] = {}
    for k, judge in enumerate(judges):
        at = next((role for role in known if _told(there[role]) == _told(judge)), None)
        if at is None:
            _refuse("detector", judge, there, where)
        end = str(at).removeprefix("detector")
        own |= {f"{name}@{k}" if k else name: table[f"{name}{end}"] for name in ("status", "probability")}
        if end and answered:  # the first one's answers to the questions are kept
            _refuse("detector", judge, there, where)
    for role, signature in tools.items():
        if role != "detector" and _told(signature) != _told(there.get(role, {})):
            _refuse(role, signature, there, where)
    unasked = [name for name, role in _BEHIND.items() if role not in tools and name in table]
    others = [name for name in table.columns if "@" in name]
    if answered and "answered" not in table:
        raise UnsupportedError(f"{where} contains no answers to the questions about general prompts. {_AGAIN}")
    kept = table.without(*unasked, *others, *(() if answered else ("answered",)))
    return kept.with_columns(**own).with_facts(**{FACT: None})


def _refuse(role: str, signature: Mapping[str, Any], there: Mapping[str, Mapping[str, Any]], where: str) -> NoReturn:
    mine, theirs = _told(signature), _told(there.get(role, {}))
    if mine.get(role) == theirs.get(role):
        key = next((k for k in (mine | theirs) if mine.get(k) != theirs.get(k)), role)
        why = f"its {key} is {mine.get(key)!r} here and {theirs.get(key)!r} in the table"
    else:
        why = f"the table has {theirs[role]}" if theirs else "the table has none"
    listed = ", ".join(f"{one} {name}" for one, name in named(there).items())
    raise UnsupportedError(
        f"{where} was not recorded with {role} {mine.get(role)} ({why}). It was recorded with {listed}. Use these, or "
        "specify the folder of the original's images."
    )


def _told(signature: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in signature.items() if k.partition(".")[2] not in _ELSEWHERE}


def named(instruments: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """By role, what an instrument is called."""
    return {role: str(signature.get(role.partition("@")[0], "?")) for role, signature in instruments.items()}


def beside(first: Generations, others: Sequence[Generations], rows: Mapping[str, Row]) -> Generations:
    """The part of the original's table that the unlearned models' runs cover.

    A table covers the whole protocol; a run often covers only its first rounds, some splits, or fewer seeds. The rest
    is left out. What a model lacks within its part counts as missing, as it does with images.

    Args:
        first: the original's; images of it are returned as they are.
        others: the unlearned models'.
        rows: of the corpus, by id.

    Raises:
        MetadataError: an unlearned model is given as a table, which only the original is.
    """
    told = recorded(first)
    for other in others:
        if (mine := recorded(other)) is not None and mine != told:
            raise MetadataError(
                f"{mine['path']} is a reference table, which can be used only for the original. Specify the folder of "
                "the unlearned model's images."
            )
    if told is None or not others:
        return first
    keys = {key for other in others for key in other.keys}
    own = [rows[row] for row in {row for row, _ in keys} if row in rows]
    splits, rounds = {row.split for row in own}, max((row.round for row in own), default=0)
    most = max((sum((row.id, seed) in keys for seed in row.seeds) for row in own), default=0)
    asked = {
        (row.id, seed)
        for row in rows.values()
        if row.split in splits and row.round <= rounds
        for seed in row.seeds[:most]
    }
    return first.where([key in asked or key in keys for key in first.keys])


def kept(names: Iterable[str]) -> list[str]:
    """The columns of a measured table that a reference table keeps: no text, no image, nothing that the corpus says."""
    both = {name for name, known in generations.COLUMNS.items() if known.both} - {"path", "present"}
    return [name for name in names if name.partition("@")[0] in both | {"id", "seed"}]
