"""What a run's cards will hold, before anything is generated: scores of images that there are not yet.

Conventions: values are made up, names are those of the run: metrics are handed the run's own rows, with the columns
that its instruments fill. What they refuse there (more tries than seeds) they would refuse after the last image.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from igmu_data.errors import InputError, LabelError
from igmu_data.schema import Row
from igmu_metrics.detectors._decided import decided
from igmu_metrics.evaluation import Evaluation, Instruments, asked, scores
from igmu_metrics.generations import COLUMNS, ORIGINAL, Generations
from igmu_metrics.images.generate import Request
from igmu_metrics.images.layouts import of_rows
from igmu_metrics.metrics._contract import BEHIND
from igmu_metrics.networks.instruments import Batch
from igmu_metrics.scorecard import ScoreEntry

_RESAMPLES: Final = 20
_WIDTH: Final = 4  # of made-up features


def foreseen(
    evaluation: Evaluation, rows: Sequence[Row], requests: Sequence[Request], tools: Instruments, seed: int = 0
) -> dict[str, ScoreEntry]:
    """The scores that an evaluation gives of images of some rows, with made-up values.

    Args:
        evaluation: how they will be scored.
        rows: of the corpus.
        requests: images of these.
        tools: its instruments.
        seed: of the made-up values; some metrics have no value for some of them.

    Raises:
        InputError: settings that the metrics refuse, or a detector without a threshold, as when all images are there.
    """
    of = {row.id: row for row in rows}
    table = asked(of_rows((of[r.row_id], r.seed, Path(f"{r.row_id}-{r.seed}")) for r in requests), tools.target)
    n, draw = len(table), np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for suffix in ("", ORIGINAL):
        columns |= {f"status{suffix}": ["ok"] * n, f"sha256{suffix}": [f"{i:064x}" for i in range(n)]}
        for name, role in BEHIND.items():
            if getattr(tools, role) is None or name == "answered" or (suffix and not COLUMNS[name].both):
                continue  # questions are of general prompts, which no run is about
            numbers = draw.uniform(size=(n, _WIDTH) if COLUMNS[name].kind == "vector" else n)
            columns[name + suffix] = numbers >= 0.5 if COLUMNS[name].kind == "flag" else numbers
    made = decided(Generations({**table.columns, **columns}, table.facts), [tools], "a run")
    found = scores(made, tools, fields={}, k=evaluation.k, seed=evaluation.seed, resamples=_RESAMPLES)
    return {name: ScoreEntry(**score.to_dict()) for name, score in found.items()}


def require_labelled(tools: Instruments, paths: Sequence[Path]) -> None:
    """Refuse a detector that knows images by their files (`labels:FILE`) and does not know those of a run.

    Args:
        tools: whose detector reads nothing of an image.
        paths: of every image that the run scores.

    Raises:
        InputError: names the first image that the detector does not know.
    """
    if getattr(tools.detector, "reads", None) != ():
        return
    for path in paths:
        try:
            tools.detector.probabilities(Batch([path]), [tools.target])
        except LabelError as error:
            raise InputError(
                f"{tools.detector.info.name} assigns labels to image files, but has no label for {path}. Generate "
                "the images first ('igmu generate'), then label them, and score them with 'igmu score'."
            ) from error
