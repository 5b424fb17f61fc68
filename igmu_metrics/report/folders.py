"""Finds the images that belong to scorecards, and groups cards of one concept into a section.

Conventions: a model has the name of the folder from which it was scored, so its images are in `IMAGES/<model>`, or in
`IMAGES/<config>/<model>` if there are several concepts. The layout of the folders is in the cards' signatures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import InputError, MetadataError
from igmu_data.media import shell
from igmu_metrics.images.layouts import LAYOUTS
from igmu_metrics.report.view import Section
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict.agreement import judged_by

_LAYOUT: Final = "layout "  # prefix in signatures of images that were not generated from a corpus


def sections(
    cards: Sequence[Scorecard],
    *,
    images: Path | None = None,
    drawn: Mapping[str, Path] | None = None,
    original_images: Path | None = None,
    layout: str | None = None,
    bench: str | None = None,
    revision: str | None = None,
    labels: Sequence[Path] = (),
) -> list[Section]:
    """One section per config, in order of first appearance; cards with different coverage or different detectors are
    in separate sections.

    Args:
        cards: scorecards of one or several concepts.
        images: folder that contains one folder per model; for a single model, its own folder is enough.
        drawn: folders of models that are elsewhere.
        original_images: the original's folder if it is elsewhere.
        layout: layout of the folders; by default the one used for scoring.
        bench: corpus of the rows, as for scoring.
        revision: its commit, tag or branch on the Hub; if neither is given, that of the card.
        labels: files with labels of the images by one or two people.

    Raises:
        MetadataError: a model's folder does not exist.
        InputError: a folder is given for a model that has no card.
    """
    given = dict(drawn or {})
    models = {c.model for c in cards} | {c.original_model for c in cards}
    for name in given:
        if name not in models:
            raise InputError(
                f"--model-images {name}={given[name]}: there is no scorecard for {name!r}. There are scorecards for "
                f"{', '.join(sorted(models))}."
            )
    found = []
    for group in _groups(cards):
        folders = _folders(group, images, given, original_images)
        found.append(Section(group, folders, layout or _layout(group[0]), bench, revision, labels))
    return found


def _groups(cards: Sequence[Scorecard]) -> list[list[Scorecard]]:
    """Cards by config, coverage and detector; the original's own card is dropped if no model has its coverage."""
    groups: dict[Any, list[Scorecard]] = {}
    for card in cards:
        # Looks at the same protocol belong together, wherever each model stopped.
        told = repr(card.coverage) if (look := Looks.of(card)) is None else f"{look.planned} looks"
        groups.setdefault((card.config, told, judged_by(card)), []).append(card)
    found = [g for g in groups.values() if any(c.model != c.original_model for c in g)]
    return found or list(groups.values())


def _layout(card: Scorecard) -> str:
    # From any score: all have the same layout, and a card with attacks only has no concept accuracy.
    dataset = next((str(entry.signature.get("dataset", "")) for entry in card.scores.values()), "")
    named = dataset.removeprefix(_LAYOUT)
    return named if dataset.startswith(_LAYOUT) and named in LAYOUTS else LAYOUTS[0]


def _folders(
    cards: Sequence[Scorecard], images: Path | None, given: Mapping[str, Path], original_images: Path | None
) -> dict[str, Path]:
    first = cards[0]
    unlearned = [c.model for c in cards if c.model != c.original_model]
    found = dict(given) if original_images is None else {**given, first.original_model: original_images}
    for model in (first.original_model, *unlearned):
        if model in found or images is None:
            continue
        tried = [images / first.config / model, images / model]
        if model in unlearned and len(unlearned) == 1:
            tried.append(images)
        folder = next((f for f in tried if f.is_dir()), None)
        if folder is None:
            option = (
                "--original-images DIR" if model == first.original_model else shell(["--model-images", f"{model}=DIR"])
            )
            raise MetadataError(
                f"the images of {model!r} were not found, because {tried[-1]} is not a folder. Specify the folder with "
                f"{option}."
            )
        found[model] = folder
    wanted = {first.original_model, *unlearned}
    return {model: folder for model, folder in found.items() if model in wanted}
