"""Code for the Hub's Spaces, whose scripts consist of a few lines, so that `evaluate` gives the same numbers.

The Space `igmu/<name>` of a metric has three scripts, which `python -m builders.spaces` writes: `<name>.py` calls
`metric_class`, `app.py` calls `page`, and `tests.py` calls `check`. The leaderboard's script calls `leaderboard.page`.

Conventions: predictions belong to the unlearned model, with one entry per generation. The meaning of references depends
on the metric (`references_of`): the requested `labels`, `prompts`, `original_images` for the same prompts and seeds, or
`row_ids` of the corpus, from which everything else about a generation follows.

Nothing here is an `evaluate.Metric`, because `evaluate` uses the first one in a script's namespace as the metric.
`evaluate` and gradio are imported only when needed.
"""

from igmu_metrics.spaces.checking import check
from igmu_metrics.spaces.form import page
from igmu_metrics.spaces.inputs import References, references_of
from igmu_metrics.spaces.module import metric_class
from igmu_metrics.spaces.scoring import checked, compute, flat

__all__ = ["References", "check", "checked", "compute", "flat", "metric_class", "page", "references_of"]
