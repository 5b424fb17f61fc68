"""Scores `evaluate`'s predictions and references, with the same results as `igmu_metrics.score`, as plain numbers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from igmu_data.errors import EmptyInputError, InputError, LengthMismatchError
from igmu_metrics.spaces.inputs import KINDS, Column, references_of
from igmu_metrics.statistics import validation

if TYPE_CHECKING:
    from igmu_metrics.contract import Score


def compute(name: str, predictions: Any, references: Any, **options: Any) -> dict[str, float | int | str]:
    """Score one metric.

    Args:
        name: the metric.
        predictions: (n,) labels (None if nothing was recognized), or images of the unlearned model as paths or PIL
            images.
        references: (n,) see `references_of`.
        **options: for labels and images, those of `igmu_metrics.score`; for row ids, those of
            `igmu_metrics.api.score_rows` and `original_predictions`, the original model's images.

    Returns:
        All metrics by name, with the ends of their 95% intervals as `<name>_low` and `<name>_high` if there is an
        interval; `n_prompts`, `n_generations`, `n_failed`, `signature`; and `notes` with reasons for NaN and cautions.
        All values are Python floats, integers and strings, so that `evaluate.save` can write them.

    One of two churches is still there:

    >>> seen, asked = ["object/church", "object/none"], ["object/church"] * 2
    >>> compute("concept_accuracy", seen, asked, target="object/church")["unlearning_accuracy"]
    0.5

    Raises:
        EmptyInputError, LengthMismatchError, InputError: see `entries`.
        InputError: the metric does not have an option; the message names it.
    """
    from igmu_metrics import api

    kind = references_of(name)
    predictions, references = entries(name, predictions, references)
    if kind == "labels":
        result = api.score(name, predictions=predictions, references=references, **options)
    elif kind == "row_ids":
        if "original_predictions" in options:
            options["original_images"] = checked("original_predictions", options.pop("original_predictions"))
        result = api.score(name, images=predictions, row_ids=references, **options)
    else:
        result = api.score(name, images=predictions, **{kind: references}, **options)
    return flat(result)


def entries(name: str, predictions: Any, references: Any) -> tuple[list[Any], list[Any]]:
    """The arguments of `compute` as lists that `evaluate` can store; for other values it fails before any check.

    Raises:
        EmptyInputError, LengthMismatchError: no entries, or different numbers of predictions and references.
        InputError: an entry that the metric does not accept, or a mixture of paths and PIL images.
    """
    from PIL import Image

    taken: dict[Column, tuple[type, ...]] = {
        "string": (str,),
        "large_string": (str, type(None)),
        "image": (Image.Image,),
    }
    kind = KINDS[references_of(name)]
    given = {"predictions": checked("predictions", predictions), "references": checked("references", references)}
    predictions, references = given.values()
    if len(predictions) != len(references):
        raise LengthMismatchError(
            f"there are {len(predictions)} predictions, but {len(references)} references. Pass the same number of each."
        )
    fits = [
        all(isinstance(v, taken[c]) for c, values in zip(columns, given.values(), strict=True) for v in values)
        for columns in kind.columns
    ]
    if not any(fits):
        for at, (what, values) in enumerate(given.items()):
            types = tuple(t for columns in kind.columns for t in taken[columns[at]])
            for i, value in enumerate(values):
                if not isinstance(value, types):
                    raise InputError(f"{what}[{i}] is {value!r:.80}. Expected: {getattr(kind, what)}.")
        raise InputError("paths and PIL images are mixed. Pass all images as paths, or all as PIL images.")
    return predictions, references


def flat(result: Score) -> dict[str, float | int | str]:
    """A Score as a flat dictionary of plain Python values."""
    out: dict[str, float | int | str] = {}
    for name, figure in result.figures.items():
        out[name] = float(figure.value)
        if figure.interval is not None:
            out[f"{name}_low"], out[f"{name}_high"] = (float(end) for end in figure.interval)
    out |= {"n_prompts": int(result.n_prompts), "n_generations": int(result.n_generations)}
    out |= {"n_failed": int(result.n_failed), "signature": str(result.signature)}
    reasons = (f"{name}: {figure.reason}" for name, figure in result.figures.items() if figure.reason)
    notes = "; ".join((*reasons, *result.notes))
    return out | ({"notes": notes} if notes else {})


def checked(name: str, values: Any) -> list[Any]:
    """The values as a list that `evaluate` can store: paths as strings, images without their file names.

    A PIL image that was opened from a file and then changed in place still has the file's name, and `datasets` would
    read the file again, without the change.

    Raises:
        EmptyInputError: there are no values; `evaluate` itself would accept this.
    """
    values = validation.as_list(name, values)
    if values is None or len(values) == 0:
        raise EmptyInputError(f"{name} is empty. Pass one entry per generation.")
    return [_loose(value) for value in values]


def _loose(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.copy() if getattr(value, "filename", "") else value
