"""Which images a run asked of a model: an image that nobody asked for is not missing.

Conventions: `igmu run --until` stops at a different check for each model, so the original has images that were never
asked of some models. `igmu-looks.json` lists what was asked of a model (`sequential.asked`). The list counts only if it
contains all images and failures of the folder. If it does not, generating images for the next check was interrupted,
or somebody added images, and what was asked is unknown. Then every image of the original must have a partner, as in
folders without interim checks.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Final

from igmu_metrics.generations import MISSING, Generations, Key
from igmu_metrics.images.folder import FAILED, records
from igmu_metrics.images.sequential import asked

LEFT_OUT: Final = "left out: "  # begins a note


def marked(table: Generations, folder: Path, only: Collection[Key] | None = None) -> Generations:
    """The table with the images that were asked of the model and are not there, as far as this is known.

    Args:
        table: all images of a folder.
        folder: the folder.
        only: the images to score; by default all.

    Raises:
        MetadataError: one of the lists in the folder is damaged.
    """
    wanted = asked(folder)
    if wanted is None:
        return table
    there, failed = set(table.keys), records(folder / FAILED).keys()
    if not wanted >= there | failed:
        return table
    missing = sorted(wanted - there if only is None else wanted.intersection(only) - there)
    return table.with_facts(**{MISSING: json.dumps([[*key, key in failed] for key in missing])})


def not_asked(table: Generations, original: Generations) -> list[str]:
    """A note about the original's images that are left out because they were never asked of the model."""
    alone = set(original.keys).difference(table.keys, table.lacking(original))
    return (
        [f"{LEFT_OUT}{len(alone)} of the original's {len(original)} images, never asked of this model"] if alone else []
    )
