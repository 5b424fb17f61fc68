"""Shared code of detectors: thresholds, masked answers, weights from disk, names of concepts."""

from __future__ import annotations

import math
import pickle
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from igmu_data import taxonomy
from igmu_data.errors import NonFiniteError, OutOfRangeError, WeightsError
from igmu_metrics.contract import FloatArray
from igmu_metrics.images.files import content_hash
from igmu_metrics.networks.loading import load_state

if TYPE_CHECKING:
    import torch

Answer = np.ma.MaskedArray[Any, Any]


def checked_threshold(threshold: float | None, default: float) -> float:
    """The threshold to use: a finite fraction.

    >>> checked_threshold(None, 0.5)
    0.5

    Raises:
        NonFiniteError, OutOfRangeError: not a number in 0..1.
    """
    value = default if threshold is None else float(threshold)
    if not math.isfinite(value):
        raise NonFiniteError(f"the threshold is {value}; it must be a fraction in 0..1.")
    if not 0 <= value <= 1:
        raise OutOfRangeError(f"the threshold is {value}; it must be in 0..1. Use a fraction, not a percentage.")
    return value


def unusual(precision: str) -> dict[str, str]:
    """The setting `precision` of a signature, which detectors include only if it is not fp32.

    >>> unusual("fp32"), unusual("bf16")
    ({}, {'precision': 'bf16'})
    """
    return {} if precision == "fp32" else {"precision": precision}


def known_concepts(own: str | None) -> dict[str, taxonomy.Concept]:
    """The packaged concepts and some of the user's own, by id, the packaged ones first.

    Args:
        own: comma-separated ids of the user's own concepts; None for all.
    """
    packaged = taxonomy.packaged()
    mine = taxonomy.own_files() if own is None else own.split(",")
    found = {i: item for i, item in taxonomy.all_concepts().items() if i in packaged or i in mine}
    return dict(sorted(found.items(), key=lambda item: item[0] not in packaged))


def worded_like(near: taxonomy.Sibling, item: taxonomy.Concept, domains: Collection[str]) -> tuple[str, bool]:
    """The domain whose wording fits a sibling of a concept, and whether it is named by an adjective.

    A sibling in no domain of concepts is worded like the concept.

    Args:
        near: a sibling.
        item: the concept that it is a sibling of.
        domains: of all concepts.
    """
    kind = near.id.partition("/")[0]
    domain = kind if kind in domains else item.domain
    return domain, item.pos == "adjective" and not near.article and domain == item.domain


def masked_columns(n: int, concepts: Sequence[str], known: Mapping[str, FloatArray | Answer]) -> Answer:
    """(n, len(concepts)) answers: one column per concept, fully masked for an unknown concept.

    >>> masked_columns(2, ["object/church", "object/cat"], {"object/cat": np.array([0.25, 1.0])}).tolist()
    [[None, 0.25], [None, 1.0]]
    """
    data, mask = np.zeros((n, len(concepts))), np.ones((n, len(concepts)), dtype=np.bool_)
    for column, concept in enumerate(concepts):
        if concept in known:
            answer = np.ma.asarray(known[concept])
            data[:, column], mask[:, column] = answer.filled(0.0), np.ma.getmaskarray(answer)
    return np.ma.MaskedArray(data, mask=mask)


def softmax(logits: FloatArray) -> FloatArray:
    """Softmax along the last axis, in float64 and without overflow.

    >>> softmax(np.array([1000.0, 1000.0])).tolist()
    [0.5, 0.5]
    """
    wide = np.asarray(logits, dtype=np.float64)
    power = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return np.asarray(power / power.sum(axis=-1, keepdims=True), dtype=np.float64)


def sigmoid(logits: FloatArray) -> FloatArray:
    """Logistic function in float64 and without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    wide = np.asarray(logits, dtype=np.float64)
    power = np.exp(-np.abs(wide))
    return np.asarray(np.where(wide >= 0, 1, power) / (1 + power), dtype=np.float64)


def finite(values: FloatArray, what: str) -> FloatArray:
    """The values as float64, refused if one is NaN or infinite.

    Raises:
        NonFiniteError: with the first bad position.
    """
    wide = np.asarray(values, dtype=np.float64)
    if not np.isfinite(wide).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(wide))[0])
        raise NonFiniteError(
            f"{what}: the value at {where} is {wide[where]}. Check the weights and the precision (float16 can "
            "overflow)."
        )
    return wide


def file_revision(path: str | Path) -> str:
    """A file's revision in a signature: `sha256:` and the first 16 digits of its hash."""
    return f"sha256:{content_hash(path)[:16]}"


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Named tensors of a `.safetensors` file, or of a torch file that contains only tensors.

    Raises:
        WeightsError: the file is missing, damaged, or contains something else; code in it is reported, but never run.
    """
    try:
        return load_state(path)
    except WeightsError as error:
        if not isinstance(error.__cause__, pickle.UnpicklingError):
            raise
        # torch's own message advises to load the file with weights_only=False, which would run the code.
        raise WeightsError(
            f"{path} is a pickle that contains code or objects, not only tensors. Its code was not run. Ask its author "
            "for a .safetensors file or a plain state dict."
        ) from error
