"""Images → features of every backbone and detector asked for, in one pass; what was seen once is kept."""

from igmu_metrics.engine.observe import BATCH_SIZE, Observed, OnError, Tick, observe
from igmu_metrics.engine.texts import embedded

__all__ = ["BATCH_SIZE", "Observed", "OnError", "Tick", "embedded", "observe"]
