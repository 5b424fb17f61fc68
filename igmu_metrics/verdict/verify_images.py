"""A scorecard against its pictures: are they the ones that were scored, and do they give the same scores?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from igmu_data.errors import IgmuError, MetadataError
from igmu_data.files import sha256
from igmu_data.load import bench_rows
from igmu_metrics import registry
from igmu_metrics.contract import Estimate
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.generations import ORIGINAL
from igmu_metrics.images.layouts import Model, find
from igmu_metrics.networks.progress import Advance
from igmu_metrics.scorecard import Scorecard
from igmu_metrics.verdict.verify import Problem, differences

# Other versions, processors and accelerators round differently; a decision that flips is found by its count.
TOLERANCE = 1e-4


def verify_images(
    card: Scorecard,
    images: Path,
    original_images: Path,
    *,
    advance: Advance = lambda what, done, total: None,
    **changed: Any,
) -> Iterator[Problem]:
    """Compare the hashes of all pictures, and where they agree score them again as the card says, without the cache.

    Args:
        card: the card.
        images: folder of the unlearned model's pictures.
        original_images: folder of the original's.
        advance: told about progress.
        **changed: options of `Evaluation` that differ here, such as where the bench or the labels lie.

    Raises:
        MetadataError: the card does not say how it was made.
        IgmuError: the pictures cannot be scored.
    """
    if card.provenance is None:
        raise MetadataError(f"the card of {card.model} does not say how it was made (no provenance); score again.")
    keys = frozenset(card.generations.keys)
    known = {f.name for f in fields(Evaluation)}
    options: dict[str, Any] = {k: v for k, v in card.provenance.options.items() if k in known}
    if changed.get("bench"):
        options.pop("revision", None)  # of the corpus that the card names, not of this one
    options |= {k: v for k, v in changed.items() if v is not None}
    # Seen anew: whoever can write the cache could otherwise put any value there.
    evaluation = Evaluation(**(options | {"only": keys, "cache": False}))
    other = list(_pictures(card, evaluation, images, original_images))
    yield from other
    if other:
        return
    (again,) = evaluation.run(Model("original", original_images), [Model("unlearned", images)], advance)
    for name, entry in card.scores.items():
        if registry.absent(entry.name, entry.package):
            continue
        for key, figure in entry.figures.items():
            found = again.figure(name, key)
            where = f"scores.{name}.figures.{key}"
            if found is None:
                yield Problem(where, "the pictures do not give it; score with the same instruments")
                continue
            ends = found.interval
            interval = None if ends is None or ends[0] is None or ends[1] is None else (ends[0], ends[1])
            value = float("nan") if found.value is None else found.value
            estimate = Estimate(value, interval, found.n_prompts, found.n_generations)
            yield from differences(where, figure, estimate, tolerance=TOLERANCE)


def _pictures(card: Scorecard, evaluation: Evaluation, images: Path, original_images: Path) -> Iterator[Problem]:
    rows = {}
    if evaluation.layout == "metadata":
        rows = bench_rows(evaluation.config, bench=evaluation.bench, revision=evaluation.revision)
    folders = {"": images, ORIGINAL: original_images}
    tables = {suffix: find(folder, evaluation.layout, rows) for suffix, folder in folders.items()}
    paths = {suffix: dict(zip(table.keys, table["path"], strict=True)) for suffix, table in tables.items()}
    for at, g in enumerate(card.generations.records("id", "seed", "sha256", "sha256" + ORIGINAL)):
        for suffix, told in (("", g["sha256"]), (ORIGINAL, g["sha256" + ORIGINAL])):
            path = paths[suffix].get((g["id"], g["seed"]))
            where = f"generations.{at}.sha256{suffix}"
            if path is None:
                yield Problem(where, f"no image for row {g['id']!r}, seed {g['seed']} in {folders[suffix]}")
                continue
            try:
                found = sha256(path)
            except OSError as error:
                raise IgmuError(f"{path}: cannot be read ({error.strerror}).") from error
            if told != found:
                yield Problem(where, f"{path} is not the image that was scored")
