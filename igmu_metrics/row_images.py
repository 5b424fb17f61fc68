"""Scores metrics of whole models on pictures of corpus rows: the row says what was asked, and what the rest is about.

Conventions: pictures belong to rows by id; the k-th picture of a row was drawn with the row's k-th seed unless seeds
are given. The original model's pictures come in the same order.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from igmu_data.errors import InputError, LengthMismatchError, UnknownIdError
from igmu_data.load import bench_rows, identity, locate
from igmu_data.schema import Row
from igmu_metrics import assemble, judging
from igmu_metrics.contract import Score
from igmu_metrics.evaluate import Evaluation
from igmu_metrics.images.layouts import METADATA, Generation, listed
from igmu_metrics.networks.observe import OnError

ATTACKS: Final = "attack_success_rate"
_LEVELS: Final = 3  # folders above a picture that are searched for its metadata


def score_rows(
    name: str,
    images: Sequence[Any],
    row_ids: Sequence[str],
    *,
    original_images: Sequence[Any] | None = None,
    config: str = "all",
    seeds: Sequence[int] | None = None,
    bench: str | None = None,
    revision: str | None = None,
    detector: str = "clip",
    clip: str | None = None,
    features: str | None = None,
    k: int | None = None,
    budgets: Mapping[str, str | int] | None = None,
    threshold: float | None = None,
    on_error: OnError = "raise",
    device: str | None = None,
    batch_size: int = 16,
    seed: int = 0,
    resamples: int = 2000,
    signature: Mapping[str, str | int | float | bool] | None = None,
) -> Score:
    """Score a metric of whole models (`attack_success_rate`, `forget_score`) on images of corpus rows.

    Args:
        name: the metric.
        images: (n,) images of the unlearned model, paths or PIL images.
        row_ids: (n,) corpus row that each was drawn for; all of one concept to forget.
        original_images: (n,) images of the original model for the same rows and seeds, in the same order.
        config: config that holds the rows; naming the concept's (`object.church`) loads less.
        seeds: (n,) seed of each image; by default the images of a row have its seeds in the order given.
        bench: dataset repository or folder.
        revision: commit or tag of the repository.
        detector: spec of the detector (`clip`, `labels:labels.csv` …).
        clip: CLIP model for alignment and quality; that of a CLIP detector by default.
        features: backbone spec for quality; CLIP, where there is one, by default.
        k: tries of an attack; by default all seeds, if all prompts have as many.
        budgets: effort (steps, queries) that adversarial prompts were searched with, by row id.
        threshold: `p >= threshold` counts as present; the detector's own by default.
        on_error: what an unreadable image means: `raise`, or `skip` and count the pair in `n_failed`.
        device: where models run.
        batch_size: images in memory at once.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        signature: further fields of the signature.

    Raises:
        UnknownIdError: an id that the config does not have.
        InputError: rows of several concepts, no original images, or no rows that the metric counts.
    """
    if original_images is None:
        raise InputError(
            f"{name} needs original_images (in a Space: original_predictions), the original model's pictures of the "
            "same rows and seeds. Whether a concept was forgotten can only be told where the original drew it."
        )
    if len(original_images) != len(images):
        raise LengthMismatchError(f"{len(images)} images and {len(original_images)} original_images.")
    rows = bench_rows(config, bench=bench, revision=revision)
    unlearned = _generations(images, row_ids, seeds, rows, config)
    original = _generations(original_images, row_ids, seeds, rows, config)
    targets = sorted({g.row.concept for g in unlearned if g.row})
    if len(targets) > 1:
        raise InputError(
            f"rows of {' and '.join(targets)}: a model is scored on the one concept it was told to forget."
        )
    if name == ATTACKS:
        unlearned, original = with_sources(unlearned, original, rows)
    tools = Evaluation(
        config, detector=detector, threshold=threshold, clip=clip, features=features, device=device
    ).instruments(targets[0])
    before, after = (
        judging.look(drawn, targets[0], tools, on_error=on_error, batch_size=batch_size)
        for drawn in (original, unlearned)
    )
    judged = judging.judge(targets[0], tools, (original, before), (unlearned, after))
    fields = {
        "dataset": identity(locate(config, bench)),
        "dataset.revision": revision or "default",
        **(signature or {}),
    }
    found = assemble.scores(judged, tools, fields=fields, k=k, budgets=budgets, seed=seed, resamples=resamples)
    if name not in found:
        splits = sorted({g.split for g in unlearned})
        raise InputError(f"{name} has nothing to count among rows of the split {' and '.join(splits)}.")
    return found[name]


def _generations(
    images: Sequence[Any], row_ids: Sequence[str], seeds: Sequence[int] | None, rows: Mapping[str, Row], config: str
) -> list[Generation]:
    if seeds is not None and len(seeds) != len(images):
        raise LengthMismatchError(f"{len(images)} images and {len(seeds)} seeds.")
    out: list[Generation] = []
    n_seen: dict[str, int] = {}
    for at, (image, row_id) in enumerate(zip(images, row_ids, strict=True)):
        if row_id not in rows:
            raise UnknownIdError(f"row_ids[{at}] is {row_id!r}, no row of config {config!r} ({len(rows)} rows).")
        row, nth = rows[row_id], n_seen.get(row_id, 0)
        n_seen[row_id] = nth + 1
        if seeds is None and nth >= len(row.seeds):
            raise InputError(f"row_ids[{at}]: row {row_id} has {len(row.seeds)} seeds, this is image {nth + 1} of it.")
        # What is not a path is a picture already; it goes through the engine as it is.
        place: Any = Path(image) if isinstance(image, str) else image
        out.append(Generation(place, row_id, row.seeds[nth] if seeds is None else int(seeds[at]), row.split, row))
    return out


def with_sources(
    unlearned: Sequence[Generation], original: Sequence[Generation], rows: Mapping[str, Row]
) -> tuple[list[Generation], list[Generation]]:
    """The generations of both models, and those of the plain prompts that the attacked ones were made from.

    A picture of a plain prompt that was not given is looked for in the folder of each model's attacked picture, by row
    and seed, in the `metadata.jsonl` that `igmu generate` writes. What either model has not is added for neither.

    Args:
        unlearned: of the unlearned model.
        original: of the original model, in the same order.
        rows: of the config by id.
    """
    given = {g.key for g in unlearned}
    drawn: dict[Path, dict[tuple[str, int], Path]] = {}
    found: dict[tuple[str, int], tuple[Path, Path]] = {}
    for one, other in zip(unlearned, original, strict=True):
        key = ((one.row.attack_source_id if one.row else None) or "", one.seed)
        if key[0] not in rows or key in given or key in found:
            continue
        pictures = [_drawn_beside(g.path, drawn).get(key) for g in (one, other)]
        if pictures[0] is not None and pictures[1] is not None:
            found[key] = (pictures[0], pictures[1])
    added = [
        [Generation(pair[at], row, seed, rows[row].split, rows[row]) for (row, seed), pair in found.items()]
        for at in (0, 1)
    ]
    return [*unlearned, *added[0]], [*original, *added[1]]


def _drawn_beside(picture: Any, known: dict[Path, dict[tuple[str, int], Path]]) -> dict[tuple[str, int], Path]:
    """What the metadata of a picture's folder lists, by row and seed; nothing for a picture in memory."""
    if not isinstance(picture, Path):
        return {}
    if picture.parent not in known:
        # A folder may sort its pictures by split; its metadata stands above them.
        above = next((f for f in list(picture.parents)[:_LEVELS] if (f / METADATA).is_file()), None)
        known[picture.parent] = {} if above is None else listed(above)
    return known[picture.parent]


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Refuse an option that `score_rows` does not have.

    Raises:
        InputError: naming it, and those that there are.
    """
    known = list(inspect.signature(score_rows).parameters)[3:]
    if unknown := sorted(options.keys() - set(known)):
        raise InputError(f"{name} has no option {unknown[0]!r}; it has {', '.join(known)}.")
