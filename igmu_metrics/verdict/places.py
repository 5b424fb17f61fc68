"""Where scorecards are: the name of a model's card and its folder, and which files of a folder are cards.

Conventions: igmu also writes other JSON files, such as `models.json`. What a file is depends on its content, not on its
name. A file that is not valid JSON counts as a card, so that a damaged card is refused instead of ignored.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import EmptyInputError, InputError
from igmu_data.files import file_name, require_writable
from igmu_data.media import shell
from igmu_data.strangers import HASH, text_of
from igmu_metrics.images.layouts import Model
from igmu_metrics.scorecard import CARDS, PLAN

_MARKS: Final = frozenset({HASH, "scores", "generations"})  # keys of a card; other JSON files of igmu have none of them
_LEVELS: Final = 3  # folders below one without cards that are searched for some
_SHOWN: Final = 10


def card_name(model: str, config: str) -> str:
    """The file name of a model's card for a config in a folder of cards.

    >>> card_name("esd", "object.church")
    'esd.object.church.json'

    Raises:
        InputError: the model's name is not a valid file name.
    """
    return file_name(f"{model or '.'}.{config}.json")


def output_paths(out: Path | None, unlearned: Sequence[Path | Model], config: str) -> list[Path | None]:
    """Where each model's card goes: the file itself for one model, else `<out>/<model>.<config>.json`.

    Raises:
        InputError: two models of the same name.
        OutputError: a place cannot be written to; this is checked before any work is done.
    """
    if out is None:
        return [None] * len(unlearned)
    names = [Model.of(one).name for one in unlearned]
    if len(set(names)) != len(names):
        name = max(names, key=names.count)
        raise InputError(
            f"two unlearned models have the same name, {name!r}. Give one of them a different name, as in NAME=FOLDER."
        )
    single = len(names) == 1 and out.suffix == ".json"
    paths: list[Path | None] = [out] if single else [out / card_name(name, config) for name in names]
    require_writable(out.parent if single else out)
    return paths


def is_card(path: Path) -> bool:
    """Whether the content of a file is that of a card, valid or not."""
    try:
        data = json.loads(text_of(path))
    except (OSError, ValueError, RecursionError):
        return True
    return has_marks(data)


def has_marks(data: Any) -> bool:
    """Whether the data of a file has anything of a card's."""
    return isinstance(data, dict) and not _MARKS.isdisjoint(data)


def card_files(paths: Sequence[Path]) -> list[Path]:
    """The files of cards: a folder means the cards directly in it, by name; a run's folder means its cards.

    A file that is named twice, such as by itself and by its folder, is there once.

    Raises:
        EmptyInputError: a folder has no cards; the message names the folders below it that have some.
    """
    files: dict[Path, Path] = {}
    for path in paths:
        for file in _cards_in(path) if path.is_dir() else [path]:
            files.setdefault(file.resolve(), file)
    return list(files.values())


def _cards_in(folder: Path) -> list[Path]:
    """The cards of a folder; at least one."""
    run = (folder / PLAN).is_file()
    there = sorted((folder / CARDS if run else folder).glob("*.json"))
    if inside := [path for path in there if is_card(path)]:
        return inside
    if run:
        again = shell(["igmu", "run", folder / PLAN, "--out", folder])
        raise EmptyInputError(f"{folder}: this run has no scorecards yet. To continue it, run: {again}")
    if below := _below(folder):
        more = f" and {len(below) - _SHOWN} more" if len(below) > _SHOWN else ""
        raise EmptyInputError(
            f"{folder} itself contains no scorecards, but folders below it do. Specify the folders whose scorecards "
            f"you mean: {shell(below[:_SHOWN])}{more}"
        )
    other = f", only other JSON files ({', '.join(path.name for path in there[:_SHOWN])})" if there else ""
    raise EmptyInputError(
        f"{folder} contains no scorecards{other}. To write them, run: igmu score … {shell(['--out', folder])}"
    )


def _below(folder: Path) -> list[Path]:
    """The folders of cards below a folder, and the folders of runs instead of those of their cards."""
    found = {p.parent for depth in range(_LEVELS) for p in folder.glob(f"{'*/' * (depth + 1)}*.json") if is_card(p)}
    return sorted({home.parent if home.name == CARDS and (home.parent / PLAN).is_file() else home for home in found})
