"""igmu_metrics: scores for unlearned image generators, with intervals and signatures.

>>> import igmu_metrics
>>> labels = {"predictions": ["style/none"], "references": ["style/monet"], "target": "style/monet"}
>>> igmu_metrics.score("concept_accuracy", **labels).value
1.0
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from igmu_data import __version__

if TYPE_CHECKING:
    from igmu_metrics.api import list_metrics as list_metrics
    from igmu_metrics.api import score as score
    from igmu_metrics.contract import Score as Score

__all__ = ["Score", "__version__", "list_metrics", "score"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: importing the package stays cheap for everything that does not score.
    if name in ("list_metrics", "score"):
        from igmu_metrics import api

        return getattr(api, name)
    if name == "Score":
        from igmu_metrics.contract import Score

        return Score
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
