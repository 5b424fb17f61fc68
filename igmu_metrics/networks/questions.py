"""The questions of general prompts, for detectors that can answer questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from igmu_data.general import GeneralRow
from igmu_metrics.generations import BLANK, FAILED, Array, Generations
from igmu_metrics.networks.instruments import Detector
from igmu_metrics.networks.observe import OnError, observe
from igmu_metrics.networks.store import Store


def answered(
    table: Generations,
    prompts: Mapping[str, GeneralRow],
    detector: Detector,
    *,
    on_error: OnError = "raise",
    tick: Callable[[int, int], None] = lambda n, total: None,
    store: Store | None = None,
) -> Array:
    """(n,) share of the questions about each image that are answered as its prompt intends.

    An answer is yes if the probability reaches the detector's threshold. A question that the detector declines to
    answer does not count; an image that failed, is blank, or has no answer at all is masked.

    Args:
        table: one model's images: `id`, `path` and `status`.
        prompts: by row id.
        detector: has `answers`.
        on_error: as for `observe`.
        tick: called with the number of questions just asked, and the total number.
        store: keeps answers.
    """
    at: list[int] = []
    questions: list[str] = []
    intended: list[bool] = []
    for i, (row, status) in enumerate(zip(table["id"].tolist(), table["status"].tolist(), strict=True)):
        if status == BLANK or status.startswith(FAILED):
            continue
        found = prompts[row]
        at += [i] * len(found.questions)
        questions += found.questions
        intended += [answer == "yes" for answer in found.answers]
    paths: list[Any] = table["path"][at].tolist()
    asked = observe(
        paths,
        detector=detector,
        concepts=questions,
        on_error=on_error,
        tick=lambda n: tick(n, len(questions)),
        store=store,
    )["probability"]
    right = (np.ma.getdata(asked) >= (detector.info.threshold or 0.0)) == np.asarray(intended, dtype=np.bool_)
    clear = ~np.ma.getmaskarray(asked)
    places = np.asarray(at, dtype=np.intp)
    n = np.bincount(places[clear], minlength=len(table))
    share = np.bincount(places[clear], weights=right[clear], minlength=len(table)) / np.maximum(n, 1)
    return np.ma.MaskedArray(share, mask=n == 0)


def unasked(detector: Detector) -> list[str]:
    """Why the questions of general prompts are not asked, if the detector cannot answer questions."""
    if hasattr(detector, "answers"):
        return []
    return [
        f"the prompts' questions were not asked, because {detector.info.name} cannot answer questions (vlm:MODEL can)"
    ]
