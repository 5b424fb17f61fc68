"""Finds the images that belong to scorecards, and puts cards of one concept together into a section.

Conventions: a model's name is that of the folder it was scored from, so `IMAGES/<model>` holds its images, or, where
cards are of several concepts, `IMAGES/<config>/<model>`. How folders are laid out stands in the cards' signatures.
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

_LAYOUT: Final = "layout "  # how the signature of a card names what was not generated from a corpus


def sections(
    cards: Sequence[Scorecard],
    *,
    images: Path | None = None,
    drawn: Mapping[str, Path] | None = None,
    original_images: Path | None = None,
    layout: str | None = None,
    bench: str | None = None,
    labels: Sequence[Path] = (),
) -> list[Section]:
    """One section for each config, in the order in which they come first; cards of unlike coverage, and those whose
    verdicts rest on different detectors, stand apart.

    Args:
        cards: scorecards, of one or several concepts.
        images: folder that holds a folder for each model; with one model alone, its own folder will do.
        drawn: a model's folder where it is elsewhere.
        original_images: the original's folder where it is elsewhere.
        layout: of the folders; by default what the cards were scored with.
        bench: corpus that the rows are from, as for scoring.
        labels: files of one or two people's labels of the images.

    Raises:
        MetadataError: a model whose folder is not there.
        InputError: a folder for a model that no card is of.
    """
    given = dict(drawn or {})
    models = {c.model for c in cards} | {c.original_model for c in cards}
    for name in given:
        if name not in models:
            raise InputError(
                f"--model-images {name}=…: no scorecard of {name!r}; there are {', '.join(sorted(models))}."
            )
    found = []
    for group in _groups(cards):
        folders = _folders(group, images, given, original_images)
        found.append(Section(group, folders, layout or _layout(group[0]), bench, labels))
    return found


def _groups(cards: Sequence[Scorecard]) -> list[list[Scorecard]]:
    """Cards of one config, coverage and detector; the original's own is dropped where no model covers the same."""
    groups: dict[Any, list[Scorecard]] = {}
    for card in cards:
        # Looks at one protocol stand together, wherever each model stopped.
        told = repr(card.coverage) if (look := Looks.of(card)) is None else f"{look.planned} looks"
        groups.setdefault((card.config, told, judged_by(card)), []).append(card)
    found = [g for g in groups.values() if any(c.model != c.original_model for c in g)]
    return found or list(groups.values())


def _layout(card: Scorecard) -> str:
    # Of any score: an evaluation signs all with the same, and a card of attacks alone has no concept accuracy.
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
            raise MetadataError(f"no images of {model!r}: {tried[-1]} is no folder. Say where they are: {option}.")
        found[model] = folder
    wanted = {first.original_model, *unlearned}
    return {model: folder for model, folder in found.items() if model in wanted}
