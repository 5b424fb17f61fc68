"""`python -m builders.ledger`: notes the ids of all rows of this version, so that no published row is lost or changed.

`builders/ledger/<version>.txt` has a line for each concept (and one for the general prompts): its id, then the ids of
the rows that appeared first in that version. Every build of all is held to these files: a row of an earlier version is
made again, or superseded, that is, its concept has as many rows of a later `since` as are gone. Versions 0.x have no
file: 1.0.0 superseded all their rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Protocol

import typer

from igmu_data.configs import GENERAL
from igmu_data.errors import CorpusError, exits_on_error
from igmu_data.general import general_rows
from igmu_data.rows import VERSION
from igmu_data.rows.concept import concept_rows
from igmu_data.schema import version
from igmu_data.taxonomy import all_concepts
from igmu_metrics.scorecard import write_text

LEDGER: Final = Path(__file__).with_suffix("")
COMMAND: Final = "python -m builders.ledger"
Ids = Mapping[str, Collection[str]]


class Published(Protocol):
    """A row of a concept, or a general prompt."""

    @property
    def id(self) -> str:
        """Its content hash."""

    @property
    def since(self) -> str:
        """The version in which it first appeared."""


def everything(rows: Mapping[str, Sequence[Published]]) -> dict[str, Sequence[Published]]:
    """Rows by concept, and the general prompts beside them."""
    return {**rows, GENERAL: general_rows()}


def require_kept(rows: Mapping[str, Sequence[Published]], folder: Path = LEDGER, now: str = VERSION) -> None:
    """Prove that nothing published moved.

    Args:
        rows: all of this version, by concept; `everything`.
        folder: of the ledger.
        now: this version.

    Raises:
        CorpusError: an earlier row is neither made nor superseded, or this version's file is not what is made.
    """
    found = list(lost(rows, _read(folder), now))
    if found:
        raise CorpusError(f"{folder}: {len(found)} concepts lost published rows:\n  " + "\n  ".join(found[:10]))
    path = folder / f"{now}.txt"
    if not path.is_file():
        raise CorpusError(f"{path}: not there; this version's rows are not noted. Run {COMMAND}.")
    if path.read_text(encoding="utf-8") != text(rows, folder, now):
        raise CorpusError(f"{path}: stale, its rows are not those that are made. Run {COMMAND}.")


def lost(rows: Mapping[str, Sequence[Published]], noted: Mapping[str, Ids], now: str) -> Iterator[str]:
    """What is neither made again nor superseded, a line a concept and version.

    Args:
        rows: all of this version, by concept.
        noted: by version and concept, what appeared first then.
        now: this version, whose own rows may still change.
    """
    for earlier in sorted((v for v in noted if version(v) < version(now)), key=version):
        for name, ids in noted[earlier].items():
            own = rows.get(name, ())
            gone = set(ids) - {row.id for row in own}
            later = sum(version(row.since) > version(earlier) for row in own)
            if later < len(gone):
                yield (
                    f"{name}: {len(gone)} rows of {earlier} are not made any more (the first is {min(gone)}), and only "
                    f"{later} are of a later version. Make them again, or let what supersedes them say since = {now!r}."
                )


def text(rows: Mapping[str, Sequence[Published]], folder: Path = LEDGER, now: str = VERSION) -> str:
    """The file of this version: what no earlier one has."""
    before = [ids for v, ids in _read(folder).items() if version(v) < version(now)]
    lines = []
    for name, own in sorted(rows.items()):
        old = {i for ids in before for i in ids.get(name, ())}
        if new := sorted(row.id for row in own if row.id not in old):
            lines.append(" ".join((name, *new)) + "\n")
    return "".join(lines)


def _read(folder: Path) -> dict[str, dict[str, list[str]]]:
    """By version and concept."""
    return {path.stem: dict(_lines(path)) for path in folder.glob("*.txt")}


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    lines: Iterable[str] = path.read_text(encoding="utf-8").splitlines()
    names: Counter[str] = Counter()
    for line in lines:
        name, *ids = line.split()
        names[name] += 1
        if names[name] > 1 or not ids:
            raise CorpusError(f"{path}: {name!r} stands twice or without rows. Take the file from version control.")
        yield name, ids


@exits_on_error
def main(
    unpublished: Annotated[
        bool, typer.Option("--unpublished", help="Overwrite the file of this version, which nobody has yet.")
    ] = False,
) -> None:
    """Note the rows of this version."""
    rows = everything({item.id: concept_rows(item) for item in all_concepts().values()})
    path = LEDGER / f"{VERSION}.txt"
    new = text(rows)
    if path.is_file() and path.read_text(encoding="utf-8") != new and not unpublished:
        raise CorpusError(
            f"{path}: other rows than are made now. If {VERSION} is published, take a later VERSION (igmu_data.rows); "
            f"if not, {COMMAND} --unpublished."
        )
    if found := list(lost(rows, _read(LEDGER), VERSION)):
        raise CorpusError("\n".join(found))
    LEDGER.mkdir(exist_ok=True)
    write_text(path, new)
    typer.echo(path)


if __name__ == "__main__":
    typer.run(main)
