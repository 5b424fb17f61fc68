"""Where scorecards are written: the name of a model's card and its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from igmu_data.errors import InputError
from igmu_data.files import file_name, require_writable
from igmu_metrics.images.layouts import Model


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
