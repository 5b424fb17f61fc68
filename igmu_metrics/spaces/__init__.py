"""The Hub's Spaces: their scripts are a few lines over what stands here, so that `evaluate` gives the same numbers.

The Space `igmu/<name>` of a metric has three scripts, which `python -m builders.spaces` writes: `<name>.py` calls
`metric_class`, `app.py` calls `page`, `tests.py` calls `check`. The leaderboard's calls `leaderboard.page`.

Conventions: predictions belong to the unlearned model, one entry a generation. What references are depends on the
metric (`references_of`): `labels` that were asked for, `prompts`, `original_images` of the same prompts and seeds, or
`row_ids` of the corpus, which bring everything else that the metric wants to know about a generation.

Nothing here is an `evaluate.Metric`: `evaluate` takes the first one in a script's namespace for the metric. Both it and
gradio are imported only when they are needed.
"""

from igmu_metrics.spaces.checking import check
from igmu_metrics.spaces.form import page
from igmu_metrics.spaces.inputs import References, references_of
from igmu_metrics.spaces.module import metric_class
from igmu_metrics.spaces.scoring import checked, compute, flat

__all__ = ["References", "check", "checked", "compute", "flat", "metric_class", "page", "references_of"]
