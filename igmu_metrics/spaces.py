"""What every metric Space calls: `evaluate`'s predictions and references in, plain numbers out.

The Hub's Space `igmu/<name>` is a thin script around `compute`, so that `evaluate.load("igmu/<name>")` gives the same
numbers as `igmu_metrics.score("<name>", …)`.

Conventions: predictions belong to the unlearned model, one entry a generation. What references are depends on the
metric (`references_of`): `labels` that were asked for, `prompts`, `original_images` of the same prompts and seeds, or
`row_ids` of the corpus, which bring everything else that the metric wants to know about a generation.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from igmu_data.errors import EmptyInputError, InputError, LengthMismatchError, UnknownIdError

if TYPE_CHECKING:
    from igmu_data.schema import Row
    from igmu_metrics.contract import Score
    from igmu_metrics.generations import Generation

References = Literal["labels", "prompts", "original_images", "row_ids"]


def references_of(name: str) -> References:
    """What a metric is given as references, told by what its `rows` needs.

    >>> references_of("concept_accuracy"), references_of("lpips")
    ('labels', 'original_images')

    Raises:
        UnknownMetricError: with the nearest names.
    """
    from igmu_metrics import registry

    metric = registry.metric(name)
    if "predictions" in inspect.signature(metric.rows).parameters:
        return "labels"
    sources = {s for e in metric.INFO.extracts if e.required for s in e.source.split("+")} - {"images"}
    if sources == {"prompts"}:
        return "prompts"
    return "original_images" if sources == {"original_images"} else "row_ids"


def compute(name: str, predictions: Any, references: Any, **options: Any) -> dict[str, float | int | str]:
    """Score one metric.

    Args:
        name: the metric.
        predictions: (n,) labels (None where nothing was recognised), or images of the unlearned model as paths or PIL
            images.
        references: (n,) see `references_of`.
        **options: for labels and images those of `igmu_metrics.score`; for row ids see `score_rows`.

    Returns:
        Every figure under its name, the ends of its 95 % interval as `<figure>_low` and `<figure>_high` where it has
        one, `n_prompts`, `n_generations`, `n_failed`, `signature`, and `notes` where a figure is NaN or needs a
        caution. Python floats, integers and strings only, so that `evaluate.save` can write them.

    One of two churches is still there:

    >>> seen, asked = ["object/church", "object/none"], ["object/church"] * 2
    >>> compute("concept_accuracy", seen, asked, target="object/church")["unlearning_accuracy"]
    0.5

    Raises:
        EmptyInputError, LengthMismatchError: nothing, or not as many references as predictions.
        InputError: options that the metric does not have; the message names them.
    """
    from igmu_metrics import api

    kind = references_of(name)
    predictions, references = checked("predictions", predictions), checked("references", references)
    if len(predictions) != len(references):
        raise LengthMismatchError(
            f"{len(predictions)} predictions and {len(references)} references; give one of each per generation."
        )
    if kind == "labels":
        result = api.score(name, predictions=predictions, references=references, **options)
    elif kind == "row_ids":
        known = list(inspect.signature(score_rows).parameters)[3:]
        if unknown := sorted(options.keys() - set(known)):
            raise InputError(f"{name} has no option {unknown[0]!r}; it has {', '.join(known)}.")
        result = score_rows(name, predictions, references, **options)
    else:
        result = api.score(name, images=predictions, **{kind: references}, **options)
    return flat(result)


def flat(result: Score) -> dict[str, float | int | str]:
    """A Score as one level of plain Python values."""
    out: dict[str, float | int | str] = {}
    for name, figure in result.figures.items():
        out[name] = float(figure.value)
        if figure.interval is not None:
            out[f"{name}_low"], out[f"{name}_high"] = (float(end) for end in figure.interval)
    out |= {"n_prompts": int(result.n_prompts), "n_generations": int(result.n_generations)}
    out |= {"n_failed": int(result.n_failed), "signature": str(result.signature)}
    notes = "; ".join(f"{name}: {figure.reason}" for name, figure in result.figures.items() if figure.reason)
    return out | ({"notes": notes} if notes else {})


def checked(name: str, values: Any) -> list[Any]:
    """The values as a list that `evaluate` can store: paths as strings, pictures cut loose from their files.

    A PIL image that was opened from a file and then changed in place still names that file, and `datasets` would read
    the file again, without the change.

    Raises:
        EmptyInputError: no values; `evaluate` itself would let that pass.
    """
    if values is None or len(values) == 0:
        raise EmptyInputError(f"no {name}: give one entry a generation.")
    return [_loose(value) for value in values]


def _loose(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.copy() if getattr(value, "filename", "") else value


def score_rows(
    name: str,
    images: Sequence[Any],
    row_ids: Sequence[str],
    *,
    original_predictions: Sequence[Any] | None = None,
    config: str = "all",
    seeds: Sequence[int] | None = None,
    bench: str | None = None,
    revision: str | None = None,
    detector: str = "clip",
    clip: str | None = None,
    features: str | None = None,
    threshold: float | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    device: str | None = None,
    batch_size: int = 16,
    seed: int = 0,
    resamples: int = 2000,
) -> Score:
    """Score a metric of whole models (`attack_success_rate`, `forget_score`) on images of corpus rows.

    Args:
        name: the metric.
        images: (n,) images of the unlearned model, paths or PIL images.
        row_ids: (n,) corpus row that each was drawn for; all of one concept to forget.
        original_predictions: (n,) images of the original model for the same rows and seeds, in the same order.
        config: config that holds the rows; naming the concept's (`object.church`) loads less.
        seeds: (n,) seed of each image; by default the images of a row have its seeds in the order given.
        bench: dataset repository or folder.
        revision: commit or tag of the repository.
        detector: spec of the detector (`clip`, `labels:labels.csv` …).
        clip: CLIP model for alignment and quality; that of a CLIP detector by default.
        features: backbone spec for quality; CLIP, where there is one, by default.
        threshold: `p >= threshold` counts as present; the detector's own by default.
        on_error: what an unreadable image means: `raise`, or `skip` and count the pair in `n_failed`.
        device: where models run.
        batch_size: images in memory at once.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Raises:
        UnknownIdError: an id that the config does not have.
        InputError: rows of several concepts, no original images, or no rows that the metric counts.
    """
    from igmu_data.load import bench_rows, identity, locate
    from igmu_metrics import assemble, judging
    from igmu_metrics.evaluate import Evaluation

    if original_predictions is None:
        raise InputError(
            f"{name} needs original_predictions: the original model's images for the same rows and seeds. Whether a "
            "concept was forgotten can only be told where the original drew it."
        )
    if len(original_predictions) != len(images):
        raise LengthMismatchError(f"{len(images)} predictions and {len(original_predictions)} original_predictions.")
    rows = bench_rows(config, bench=bench, revision=revision)
    unlearned = _generations(images, row_ids, seeds, rows, config)
    original = _generations(checked("original_predictions", original_predictions), row_ids, seeds, rows, config)
    targets = sorted({g.row.concept for g in unlearned if g.row})
    if len(targets) > 1:
        raise InputError(
            f"rows of {' and '.join(targets)}: a model is scored on the one concept it was told to forget."
        )
    tools = Evaluation(
        config, detector=detector, threshold=threshold, clip=clip, features=features, device=device
    ).instruments()
    before, after = (
        judging.look(drawn, targets[0], tools, on_error=on_error, batch_size=batch_size)
        for drawn in (original, unlearned)
    )
    judged = judging.judge(targets[0], tools, (original, before), (unlearned, after))
    fields = {"dataset": identity(locate(config, bench)), "dataset.revision": revision or "default"}
    found = assemble.scores(judged, tools, fields=fields, seed=seed, resamples=resamples)
    if name not in found:
        splits = sorted({g.split for g in unlearned})
        raise InputError(f"{name} has nothing to count among rows of the split {' and '.join(splits)}.")
    return found[name]


def _generations(
    images: Sequence[Any], row_ids: Sequence[str], seeds: Sequence[int] | None, rows: Mapping[str, Row], config: str
) -> list[Generation]:
    from igmu_metrics.generations import Generation

    if seeds is not None and len(seeds) != len(images):
        raise LengthMismatchError(f"{len(images)} predictions and {len(seeds)} seeds.")
    out: list[Generation] = []
    n_seen: dict[str, int] = {}
    for at, (image, row_id) in enumerate(zip(images, row_ids, strict=True)):
        if row_id not in rows:
            raise UnknownIdError(f"references[{at}] is {row_id!r}, no row of config {config!r} ({len(rows)} rows).")
        row, nth = rows[row_id], n_seen.get(row_id, 0)
        n_seen[row_id] = nth + 1
        if seeds is None and nth >= len(row.seeds):
            raise InputError(
                f"references[{at}]: row {row_id} has {len(row.seeds)} seeds, this is image {nth + 1} of it."
            )
        # What is not a path is a picture already; it goes through the engine as it is.
        place: Any = Path(image) if isinstance(image, str) else image
        out.append(Generation(place, row_id, row.seeds[nth] if seeds is None else int(seeds[at]), row.split, row))
    return out
