"""Turns a metric's rows into a signed Score: the number, and everything that can change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from igmu_data import __version__
from igmu_metrics.contract import Metric, Rows, Score, Signature

RESAMPLES: Final = 2000
Fields = Mapping[str, str | int | float | bool]


def finish(
    metric: Metric, rows: Rows, fields: Fields, *, n_failed: int = 0, seed: int = 0, resamples: int = RESAMPLES
) -> Score:
    """Score rows and sign the result."""
    result = metric.score(rows, seed=seed, resamples=resamples)
    signed = {
        "metric": metric.INFO.name,
        "v": metric.INFO.version,
        "igmu": __version__,
        "bootstrap": f"{resamples}@{seed}",
        **fields,
        **rows.settings,
    }
    headline = result.headline
    return Score(
        name=metric.INFO.name,
        value=headline.value,
        interval=headline.interval,
        n_prompts=headline.n_prompts,
        n_generations=headline.n_generations,
        n_failed=rows.n_failed + n_failed,
        signature=Signature(signed),
        figures=dict(result.figures),
    )
